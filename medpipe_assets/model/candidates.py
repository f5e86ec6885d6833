"""Candidates of a text: every code that a span of it may mean, with the features by which a ranker judges them.

A candidate is a span, a code and a row of FEATURES. Each finder proposes spans with codes and tells its own features;
what several propose alike becomes one candidate with the features of all. The same functions serve training and use;
these differ in the counts that they bring (see `dictionary`), not in what is made of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.model import comparison, dictionary
from medpipe_assets.model.dictionary import Counts, Matches
from medpipe_assets.model.tagger import Tagged
from medpipe_assets.model.tokens import Integers, Tokens, Words

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

CODES: Final = 3
"""Codes proposed for a span by a dictionary."""
_REACH: Final = 6
"""Tokens before a span in which a denying word is looked for."""
_CERTAIN: Final = (0.3, 0.12)
"""Runs of tokens that are inside a mention with these probabilities are spans worth a look."""
_LONGEST_RUN: Final = 12

_ROW: Final = (
    "precision", "gold", "gold_like_this", "annotated", "share", "rank", "documents", "inside_another", "occurrences",
)  # fmt: skip
_BAG: Final = ("bag_precision", "bag_gold", "bag_annotated", "bag_share", "bag_gap")
_ENTRY: Final = ("entry_precision", "entry_met", "entry_size", "entry_weight", "entry_kind", "entry_gap")
_LIKE: Final = ("like_term", "like_term_rank", "like_entry", "like_entry_rank", "like_entry_kind")
_SPAN: Final = (
    "tagged", "least_inside", "mean_inside", "inside_before", "inside_behind", "begins", "in_tagged", "words",
    "characters", "denied", "position",
)  # fmt: skip
_CODE: Final = ("prior", "code_length", "letter", "of_code", "of_category", "of_span", "of_text")
_FOUND: Final = (*_ROW, *_BAG, *_ENTRY, *_LIKE, *_SPAN, *_CODE)
FEATURES: Final = (*_FOUND, *comparison.FEATURES)
_COLUMN: Final = {name: place for place, name in enumerate(FEATURES)}
_MISSING: Final = -1.0


class Found(NamedTuple):
    """What a dictionary found: where, the counts of each match, and how many stems its term has."""

    matches: Matches
    counts: Counts
    size: Integers


class Proposed(NamedTuple):
    """Spans (first and last token) with codes, and some FEATURES of each."""

    first: Places
    last: Places
    code: Integers
    features: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes that may be proposed: the corpus's and those of the code set as the corpus would write them.

    Attributes:
        code: by number, in lower case. category: a number for each code's first three characters.
        length, letter: of each code. documents: in how many documents of the corpus each is gold.
        corpus: how many documents there are.
        told: what the code set says of them, where it says anything.
    """

    code: tuple[str, ...]
    category: Integers
    length: Integers
    letter: Integers
    documents: Integers
    corpus: int
    told: comparison.Told | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """Spans (first and last token), codes by number, features."""

    first: Places
    last: Places
    code: Integers
    features: Floats


def in_rows(tokens: Tokens, found: Found) -> Proposed:
    """What the dictionary's stems in a row propose."""
    stands = found.counts.annotated > 0
    matches = Matches(*(column[stands] for column in found.matches))
    counts = Counts(*(column[stands] for column in found.counts))
    inner = dictionary.inside(matches)
    at, rank = np.nonzero(counts.code[:, :CODES] >= 0)
    documents = counts.documents[at, rank]
    features: dict[str, NDArray[Any]] = {
        "precision": _precision(counts)[at],
        "annotated": counts.annotated[at],
        "share": documents / counts.total[at],
        "rank": rank,
        "documents": documents,
        "gold": _share(counts.gold[at, rank], counts.occurring[at]),
        "gold_like_this": np.where(
            inner[at],
            _share((counts.gold - counts.gold_outermost)[at, rank], (counts.occurring - counts.outermost)[at]),
            _share(counts.gold_outermost[at, rank], counts.outermost[at]),
        ),
        "inside_another": inner[at],
        "occurrences": _occurrences(matches.term)[at],
    }
    return _proposed(tokens, matches, at, counts.code[at, rank], features)


def in_bags(tokens: Tokens, found: Found, rows: Matches) -> Proposed:
    """What its scattered stems propose, where they do not stand in a row."""
    known = (found.counts.annotated > 0) & ~np.isin(_ids(found.matches), _ids(rows))
    matches = Matches(*(column[known] for column in found.matches))
    counts = Counts(*(column[known] for column in found.counts))
    at, rank = np.nonzero(counts.code[:, :CODES] >= 0)
    features: dict[str, NDArray[Any]] = {
        "bag_precision": _precision(counts)[at],
        "bag_gold": _share(counts.gold[at, rank], counts.occurring[at]),
        "bag_annotated": counts.annotated[at],
        "bag_share": counts.documents[at, rank] / counts.total[at],
        "bag_gap": (matches.last - matches.first + 1 - found.size[known])[at],
    }
    return _proposed(tokens, matches, at, counts.code[at, rank], features)


def _proposed(
    tokens: Tokens, matches: Matches, at: Places, code: Integers, features: Mapping[str, NDArray[Any]]
) -> Proposed:
    return Proposed(tokens.content[matches.first[at]], tokens.content[matches.last[at]], code, features)


def _precision(counts: Counts) -> NDArray[np.float64]:
    whole = np.maximum(counts.occurring, counts.annotated) + 1.0
    return np.asarray((counts.annotated + 0.3) / whole)


def _share(part: Integers, whole: Integers) -> NDArray[np.float64]:
    """A share of documents, less sure of itself where these are few."""
    return np.asarray((part + 0.3) / (whole + 1.0))


def _ids(matches: Matches) -> NDArray[np.int64]:
    """A number for each match's span."""
    return matches.first.astype(np.int64) * 2**20 + matches.last


@dataclass(frozen=True, slots=True)
class Inside:
    """What the tagger says of each token, and the spans that it thinks of: first and last token, probability."""

    inside: NDArray[np.float64]
    begins: NDArray[np.float64]
    first: Places
    last: Places
    probability: NDArray[np.float64]


def inside(tokens: Tokens, tagged: Tagged) -> Inside:
    """The tagger's words as our tokens, of which each begins where one of its words does."""
    at = np.minimum(np.searchsorted(tagged.begin, tokens.begin), max(0, len(tagged.begin) - 1))
    begin = np.array([span.begin for span in tagged.spans], np.int32)
    end = np.array([span.end for span in tagged.spans], np.int32)
    return Inside(
        inside=tagged.inside[at],
        begins=tagged.begins[at],
        first=np.searchsorted(tokens.begin, begin, side="right") - 1,
        last=np.searchsorted(tokens.begin, end, side="left") - 1,
        probability=np.array([span.probability for span in tagged.spans]),
    )


def spans(tokens: Tokens, words: Words, told: Inside) -> tuple[Places, Places]:
    """Spans to be looked up by likeness: the tagger's, and runs of tokens that are probably inside a mention."""
    content = words.content.rows[tokens.word]
    first, last = [told.first], [told.last]
    for least in _CERTAIN:
        on = np.concatenate([[False], told.inside >= least, [False]])
        same = np.concatenate(
            [[False], (tokens.sentence[1:] == tokens.sentence[:-1]) & (told.begins[1:] < 0.5), [False]]
        )
        joined = on[1:-1] & on[:-2] & same[:-1] if len(content) else on[1:-1]
        starts = np.flatnonzero(on[1:-1] & ~joined)
        ends = np.flatnonzero(on[1:-1] & ~np.concatenate([joined[1:], [False]]))
        first.append(starts)
        last.append(ends)
    begin, end = np.concatenate(first), np.concatenate(last)
    begin = tokens.content[np.minimum(np.searchsorted(tokens.content, begin), max(0, len(tokens.content) - 1))]
    end = tokens.content[np.maximum(np.searchsorted(tokens.content, end, side="right") - 1, 0)]
    size = end - begin + 1
    unique = np.unique(np.stack([begin, end])[:, (size > 0) & (size <= _LONGEST_RUN)], axis=1)
    return unique[0], unique[1]


def together(
    tokens: Tokens, words: Words, told: Inside | None, found: Sequence[Proposed], codes: Codes, prior: Floats,
    stands: comparison.Standing | None,
) -> Candidates:  # fmt: skip
    """All that was proposed, each span and code once, with all features.

    Args:
        prior: by code, the share of documents that have it. stands: what the content tokens stand for.
    """
    first, last, code = (np.concatenate([getattr(each, name) for each in found]) for name in ("first", "last", "code"))
    count = len(tokens.begin)
    key = (first.astype(np.int64) * (count + 1) + last) * len(codes.code) + code
    unique, index, inverse = np.unique(key, return_index=True, return_inverse=True)
    first, last, code = first[index], last[index], code[index]
    new = np.ones(len(code), bool)
    new[1:] = (first[1:] != first[:-1]) | (last[1:] != last[:-1])
    span = np.cumsum(new) - 1
    features = np.full((len(FEATURES), len(unique)), _MISSING, np.float32).T  # filled and asked by columns
    begin = 0
    for each in found:
        rows = inverse[begin : begin + len(each.first)]
        begin += len(each.first)
        repeated = np.flatnonzero(np.bincount(rows, minlength=len(unique))[rows] > 1)
        for name, values in each.features.items():
            column = features[:, _COLUMN[name]]
            column[rows] = values
            if len(repeated):
                np.maximum.at(column, rows[repeated], values[repeated])
    named = _span_features(tokens, words, told, first, last) | {
        "prior": prior[code],
        "code_length": codes.length[code],
        "letter": codes.letter[code],
        "of_code": np.bincount(code)[code] if len(code) else code,
        "of_category": _categories(code, codes),
        "of_span": np.bincount(span)[span] if len(code) else code,
        "of_text": np.full(len(code), len(code)),
    }
    for name, values in named.items():
        features[:, _COLUMN[name]] = values
    known = {name: features[:, i] for i, name in enumerate(_FOUND)}
    features[:, len(_FOUND) :] = comparison.compared(
        tokens, words, codes.told, stands, first, last, span, code, codes.category, known
    )
    return Candidates(first, last, code, features)


def _span_features(
    tokens: Tokens, words: Words, told: Inside | None, first: Places, last: Places
) -> dict[str, NDArray[Any]]:
    begin, end = tokens.begin[first], tokens.end[last]
    own = {
        "words": last - first + 1,
        "characters": end - begin,
        "denied": _denied(tokens, words, first),
        "position": begin / max(1, len(tokens.text)),
    }
    if told is None or not len(first):
        return own
    sums = np.concatenate([[0.0], np.cumsum(told.inside)])
    padded = np.concatenate([[0.0], told.inside, [0.0]])
    least = np.minimum.reduceat(np.append(told.inside, 1.0), np.stack([first, last + 1]).T.ravel())[::2]
    span, which = _ids(Matches(first, first, last)), _ids(Matches(told.first, told.first, told.last))
    order = np.argsort(which)
    at = np.minimum(np.searchsorted(which[order], span), max(0, len(which) - 1))
    exact = which[order][at] == span if len(which) else np.zeros(len(span), bool)
    probability = np.where(exact, told.probability[order][at], 0.0) if len(which) else np.zeros(len(span))
    around = (told.first[None, :] <= first[:, None]) & (told.last[None, :] >= last[:, None])
    wider = (around * told.probability[None, :]).max(axis=1, initial=0.0)
    return own | {
        "tagged": probability,
        "least_inside": least,
        "mean_inside": (sums[last + 1] - sums[first]) / (last - first + 1),
        "inside_before": padded[first],
        "inside_behind": padded[last + 2],
        "begins": told.begins[first],
        "in_tagged": wider,
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


def _occurrences(values: NDArray[Any]) -> Places:
    """How often each value stands in the array."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse], np.intp)


def _categories(code: Integers, codes: Codes) -> Places:
    """For each code, how many distinct codes of its category are among them."""
    distinct = np.unique(code)
    per_category = np.bincount(codes.category[distinct], minlength=int(codes.category.max(initial=0)) + 1)
    return np.asarray(per_category[codes.category[code]], np.intp)
