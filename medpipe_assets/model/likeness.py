"""Which terms and entries a span of text is most like: the cosine of their weighted features, all spans at once."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from medpipe_assets.model.ranges import ranges
from medpipe_assets.model.tokens import Integers, Numbers, Tokens

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

NEIGHBOURS: Final = 30
"""Terms or entries of a span whose codes are considered."""
LEAST: Final = 0.2
"""What is less alike than this has at most a word in common that half of all terms have."""

_APART: Final = 8.0
"""More than a span is ever like anything: its words are few, though several of them may stand for the same."""


def queries(
    tokens: Tokens, first: Places, last: Places, place: Places, feature: Integers, weight: Floats, features: int
) -> sparse.csr_array:
    """Spans by features; each span is of length one, where no two of its words stand for the same.

    Args:
        first, last: tokens of each span. place, feature, weight: what each content token stands for, by token.
        features: how many there are.
    """
    low = np.searchsorted(tokens.content, first)
    high = np.searchsorted(tokens.content, last, side="right")
    begin = np.searchsorted(place, low)
    size = np.searchsorted(place, high) - begin
    owner = np.repeat(np.arange(len(first)), size)
    at = ranges(begin, size)
    values = weight[at].astype(np.float32)
    length = np.sqrt(np.bincount(owner, values * values, len(first)))
    length[length == 0] = 1
    values /= length[owner]
    indptr = np.concatenate([[0], np.cumsum(size)])
    return sparse.csr_array((values, feature[at], indptr), shape=(len(first), features))


def nearest(
    spans: sparse.csr_array, known: sparse.csr_array, codes: int, best: Callable[[Places, Floats], tuple[Any, ...]]
) -> tuple[Places, Integers, Floats, Places, Integers]:
    """For each span the codes it is most like: (span, code, likeness, rank, kind).

    Args:
        codes: most codes a span.
        best: from things (columns of `known`) and likenesses to (position in them, code, likeness, kind).
    """
    likeness = (spans @ known).tocsr()
    alike = np.flatnonzero(likeness.data >= LEAST)
    begin = np.searchsorted(alike, likeness.indptr)
    owner = np.repeat(np.arange(len(begin) - 1), np.diff(begin))
    alike = alike[np.argsort(owner * _APART - likeness.data[alike].astype(np.float64), kind="stable")]
    near = np.arange(len(owner)) - begin[owner] < NEIGHBOURS
    things, values, spans_ = likeness.indices[alike[near]], likeness.data[alike[near]], owner[near]
    if not len(things):
        none = np.zeros(0, np.intp)
        return none, none.astype(np.int32), none.astype(np.float32), none, none.astype(np.int32)
    at, code, like, kind = best(things, values)
    owner = spans_[at]
    order = np.lexsort((kind, code, -like, owner))
    owner, code, like, kind = owner[order], code[order], like[order], kind[order]
    _, first = np.unique(owner * (int(code.max(initial=0)) + 1) + code, return_index=True)
    keep = np.sort(first)
    owner, code, like, kind = owner[keep], code[keep], like[keep], kind[keep]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    top = rank < codes
    return owner[top], code[top], like[top], rank[top], kind[top]


def stem_matrix(stems: Numbers, terms: list[list[int]]) -> tuple[Floats, sparse.csr_array]:
    """Weights of stems (by their places among all, ascending), and stems by terms, each term of length one.

    Args:
        terms: the stems of each term, as places.
    """
    owner = np.repeat(np.arange(len(terms)), [len(term) for term in terms])
    member = np.array([stem for term in terms for stem in term], np.int32)
    idf = np.log((len(terms) + 1) / (np.bincount(member, minlength=len(stems)) + 0.5)).astype(np.float32)
    weight = idf[member]
    length = np.sqrt(np.bincount(owner, weight * weight, len(terms)))
    values = (weight / length[owner]).astype(np.float32)
    return idf, sparse.csr_array((values, (member, owner)), shape=(len(stems), len(terms)))
