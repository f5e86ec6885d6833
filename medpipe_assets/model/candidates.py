"""Candidates of a text: every code that a span of it may mean, with the features by which a ranker judges them.

A candidate is a span, a code and a row of FEATURES. The same function serves training and use; they differ in the
counts that they bring (see `dictionary`), not in what is made of them.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.model.dictionary import Counts, Matches
from medpipe_assets.model.tokens import Integers, Tokens, Words

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

CODES: Final = 3
"""Codes proposed for a span by one finder."""
_REACH: Final = 6
"""Content words before a span in which a denying word is looked for."""

FEATURES: Final = (
    "scattered", "precision", "annotated", "share", "rank", "documents", "inside", "words", "characters", "denied",
    "position", "gap", "prior", "of_code", "of_category", "code_length", "of_span", "letter", "of_text",
)  # fmt: skip


class Found(NamedTuple):
    """What one finder found: where, the counts of each match, and how many stems its term has."""

    matches: Matches
    counts: Counts
    size: Integers


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes that a corpus knows.

    Attributes:
        code: by number, in lower case. category: a number for each code's first three characters.
        length, letter: of each code. documents: in how many documents each is gold.
        corpus: how many documents there are.
    """

    code: tuple[str, ...]
    category: Integers
    length: Integers
    letter: Integers
    documents: Integers
    corpus: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Spans (first and last token), codes by number, features."""

    first: Places
    last: Places
    code: Integers
    features: Floats


def candidates(tokens: Tokens, words: Words, row: Found, bag: Found, codes: Codes, prior: Floats) -> Candidates:
    """A text's candidates.

    Args:
        row, bag: what was found of stems in a row, and of scattered ones.
        prior: by code, the share of documents that have it.
    """
    stands = row.counts.annotated > 0
    known = bag.counts.annotated > 0
    known &= ~np.isin(_ids(bag.matches), _ids(row.matches)[stands])
    first = np.concatenate([row.matches.first[stands], bag.matches.first[known]])
    last = np.concatenate([row.matches.last[stands], bag.matches.last[known]])
    counts = Counts(*(np.concatenate([a[stands], b[known]]) for a, b in zip(row.counts, bag.counts, strict=True)))
    loose = np.repeat([0, 1], [stands.sum(), known.sum()])
    size = np.concatenate([row.size[stands], bag.size[known]])
    span_features = _span_features(tokens, words, first, last, loose, counts, row.matches, stands, size)
    pick = np.argwhere(counts.code[:, :CODES] >= 0)
    at, rank = pick[:, 0], pick[:, 1]
    code = counts.code[at, rank]
    documents = counts.documents[at, rank]
    features = np.empty((len(at), len(FEATURES)), np.float32)
    named = {
        **{name: column[at] for name, column in span_features.items()},
        "share": documents / np.maximum(counts.total[at], 1),
        "rank": rank,
        "documents": documents,
        "prior": prior[code],
        "of_code": _occurrences(code),
        "of_category": _categories(code, codes),
        "code_length": codes.length[code],
        "of_span": _occurrences(first[at] * (len(tokens.content) + 1) + last[at]),
        "letter": codes.letter[code],
        "of_text": np.full(len(at), len(at)),
    }
    for i, name in enumerate(FEATURES):
        features[:, i] = named[name]
    return Candidates(tokens.content[first[at]], tokens.content[last[at]], code, features)


def _ids(matches: Matches) -> NDArray[np.int64]:
    """A number for each match's span."""
    return matches.first.astype(np.int64) * 2**20 + matches.last


def _span_features(
    tokens: Tokens, words: Words, first: Places, last: Places, loose: Places, counts: Counts,
    rows: Matches, stands: NDArray[np.bool_], size: Integers,
) -> dict[str, NDArray[np.generic]]:  # fmt: skip
    begin, end = tokens.begin[tokens.content[first]], tokens.end[tokens.content[last]]
    outer_first, outer_last = rows.first[stands], rows.last[stands]
    inside = (outer_first[None, :] <= first[:, None]) & (outer_last[None, :] >= last[:, None])
    inside &= (outer_last - outer_first)[None, :] > (last - first)[:, None]
    return {
        "scattered": loose,
        "precision": (counts.annotated + 0.3) / (np.maximum(counts.occurring, counts.annotated) + 1.0),
        "annotated": counts.annotated,
        "inside": inside.any(axis=1),
        "words": last - first + 1,
        "characters": end - begin,
        "denied": _denied(tokens, words, tokens.content[first]),
        "position": begin / max(1, len(tokens.text)),
        "gap": last - first + 1 - size,
    }


def _denied(tokens: Tokens, words: Words, first: Places) -> Places:
    """How many tokens before a span, in its sentence, a denying word stands; _REACH + 3 where there is none."""
    denying = words.denying.rows[tokens.word]
    found = np.full(len(first), _REACH + 3)
    for distance in range(_REACH, 0, -1):
        before = first - distance
        hit = (before >= 0) & denying[before] & (tokens.sentence[before] == tokens.sentence[first])
        found[hit] = distance
    return found


def _occurrences(values: NDArray[np.generic]) -> Places:
    """How often each value stands in the array."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse], np.intp)


def _categories(code: Integers, codes: Codes) -> Places:
    """For each code, how many distinct codes of its category are among them."""
    distinct = np.unique(code)
    per_category = np.bincount(codes.category[distinct], minlength=int(codes.category.max(initial=0)) + 1)
    return np.asarray(per_category[codes.category[code]], np.intp)
