"""The span dictionary: the words that a corpus's evidence used for its codes, and how far each wording can be trusted.

A term is the stems of a piece of evidence without stop words. It is found where its stems stand in a row, and (from two
stems on) where they stand in any order with up to three others between. What is counted of a term leaves out any one
document on request, so that a ranker can be trained on the very documents that the dictionary is made of.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.model.tokens import Integers, Numbers, Tokens

LONGEST: Final = 8
"""Stems of a term; longer evidence is a sentence, seldom met twice."""
CODES: Final = 4
"""Codes that are kept of a term, by the documents in which it was their evidence."""
_MULTIPLIER: Final = 0x9E3779B97F4A7C15 | 1
_WINDOWS: Final = {2: 5, 3: 6, 4: 6, 5: 6, 6: 7}
"""For a term of so many stems, the words among which they may stand when not in a row."""
_SIEVE_BITS: Final = 20


class Matches(NamedTuple):
    """Where terms stand: rows of terms, and places in `Tokens.content` of their first and last words."""

    term: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]


class Counts(NamedTuple):
    """What a corpus says of terms, a row each.

    Attributes:
        annotated: documents in which the term is evidence. occurring: documents in which it stands at all.
        outermost: documents in which it stands outside any other term somewhere.
        total: sum over its codes of the documents in which it is their evidence.
        code, documents: its CODES best codes (-1: none) and in how many documents it is evidence of each.
        gold, gold_outermost: of the documents in which it is (outermost) the number that has the code.
    """

    annotated: Integers
    occurring: Integers
    outermost: Integers
    total: Integers
    code: Integers
    documents: Integers
    gold: Integers
    gold_outermost: Integers


_NONE: Final = Counts(*(np.zeros((0, CODES) if i > 3 else 0, np.int32) for i in range(len(Counts._fields))))


def ordered(numbers: Iterable[int]) -> int:
    """The key of stems in their order."""
    key = 0
    for each in numbers:
        key = (key * _MULTIPLIER + each) % 2**64
    return key


def unordered(numbers: Iterable[int]) -> int:
    """The key of a set of stems."""
    return sum(set(numbers)) % 2**64


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms by ascending key, with their numbers of stems; `sieve` tells keys that are none at once."""

    key: Numbers
    size: Integers
    sieve: NDArray[np.bool_]

    def rows(self, keys: Numbers) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which of the keys are terms: their places in `keys`, and their rows here."""
        maybe = np.flatnonzero(self.sieve[keys >> np.uint64(64 - _SIEVE_BITS)])
        if not len(maybe) or not len(self.key):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        row = np.minimum(np.searchsorted(self.key, keys[maybe]), len(self.key) - 1)
        known = self.key[row] == keys[maybe]
        return maybe[known], row[known]


def terms(key: Numbers, size: Integers) -> Terms:
    """Terms, ready to be looked up. Keys must ascend."""
    sieve = np.zeros(1 << _SIEVE_BITS, dtype=bool)
    sieve[key >> np.uint64(64 - _SIEVE_BITS)] = True
    return Terms(key, size, sieve)


def in_a_row(known: Terms, stems: Numbers, tokens: Tokens) -> Matches:
    """Every term whose stems stand in a row within a sentence, those inside others too.

    Args:
        stems: the numbers of the content tokens' stems.
    """
    sentence = tokens.sentence[tokens.content]
    found: list[tuple[Any, Any, int]] = []
    keys = np.zeros(len(stems), np.uint64)
    multiplier = np.uint64(_MULTIPLIER)
    for length in range(1, min(LONGEST, len(stems)) + 1):
        keys = keys[: len(stems) - length + 1] * multiplier + stems[length - 1 :]
        place, row = known.rows(keys)
        whole = sentence[place] == sentence[place + length - 1]
        found.append((row[whole], place[whole], length))
    if not found:
        return Matches(*(np.zeros(0, np.intp),) * 3)
    term = np.concatenate([row for row, _, _ in found])
    first = np.concatenate([place for _, place, _ in found])
    last = np.concatenate([place + length - 1 for _, place, length in found])
    return Matches(term, first, last)


def _offsets(length: int) -> NDArray[np.intp]:
    return np.array([(0, *rest) for rest in combinations(range(1, _WINDOWS[length]), length - 1)], dtype=np.intp)


_PLACES: Final = {length: _offsets(length) for length in _WINDOWS}
"""For a term of so many stems, their places after the first one's that are tried."""
_LAST: Final = np.concatenate([places[:, -1] for places in _PLACES.values()])
"""The last of these, of each that is tried."""


def scattered(known: Terms, stems: Numbers, tokens: Tokens) -> Matches:
    """Every term of two stems or more whose stems stand near one another within a sentence, in any order."""
    size = len(stems)
    if not size:
        return Matches(*(np.zeros(0, np.intp),) * 3)
    sentence = tokens.sentence[tokens.content]
    padded = np.concatenate([stems, np.zeros(max(_WINDOWS.values()), np.uint64)])
    parts = []
    for places in _PLACES.values():
        keys = np.zeros((len(places), size), np.uint64)
        for row_of_keys, offsets in zip(keys, places.tolist(), strict=True):
            for offset in offsets:
                row_of_keys += padded[offset : offset + size]
        parts.append(keys.ravel())
    place, row = known.rows(np.concatenate(parts))
    first = place % size
    last = first + _LAST[place // size]
    inside = np.flatnonzero(last < size)
    whole = inside[sentence[first[inside]] == sentence[last[inside]]]
    return Matches(row[whole], first[whole], last[whole])


class Evidence(NamedTuple):
    """Which term was evidence of which code in which document; each a number, the triple at most once."""

    term: int
    document: int
    code: int


def inside(matches: Matches) -> NDArray[np.bool_]:
    """Which matches lie inside a longer one."""
    first, last = matches.first, matches.last
    within = (first[None, :] <= first[:, None]) & (last[None, :] >= last[:, None])
    within &= (last - first)[None, :] > (last - first)[:, None]
    return np.asarray(within.any(axis=1), bool) if len(first) else np.zeros(0, bool)


@dataclass(frozen=True, slots=True)
class Counting:
    """A corpus's counts of terms, with and without one of its documents.

    Attributes:
        evidence: by term. stands, outermost: by term, the documents in which it stands, and stands outermost.
        gold: by document, its codes.
        where: by document, the terms that stand in it or are evidence there.
        whole: the counts over all documents.
    """

    evidence: Sequence[Sequence[Evidence]]
    stands: Sequence[set[int]]
    outermost: Sequence[set[int]]
    gold: Sequence[frozenset[int]]
    where: Sequence[set[int]]
    whole: Counts

    def counts(self, terms: NDArray[np.intp], without: int) -> Counts:
        """The counts of terms (rows, that may repeat) over all documents but one."""
        found = Counts(*(column[terms] for column in self.whole))
        here = self.where[without]
        own: dict[int, list[int]] = {}
        for i, term in enumerate(terms.tolist()):
            if term in here:
                own.setdefault(term, []).append(i)
        for term, rows in own.items():
            told = [each for each in self.evidence[term] if each.document != without]
            one = _counts(told, self.stands[term] - {without}, self.outermost[term] - {without}, self.gold)
            for column, value in zip(found, one, strict=True):
                column[rows] = np.asarray(value)
        return found


def counted(
    size: int, evidence: Sequence[Evidence], matches: Sequence[Matches], gold: Sequence[frozenset[int]]
) -> Counting:
    """Count terms over a corpus.

    Args:
        size: how many terms there are.
        matches, gold: by document, the terms that stand in it, and its codes.
    """
    by_term: list[list[Evidence]] = [[] for _ in range(size)]
    stands: list[set[int]] = [set() for _ in range(size)]
    outermost: list[set[int]] = [set() for _ in range(size)]
    where: list[set[int]] = []
    for document, here in enumerate(matches):
        outer = ~inside(here)
        for term in here.term.tolist():
            stands[term].add(document)
        for term in here.term[outer].tolist():
            outermost[term].add(document)
        where.append(set(here.term.tolist()))
    for each in evidence:
        by_term[each.term].append(each)
        where[each.document].add(each.term)
    rows = [_counts(*each, gold) for each in zip(by_term, stands, outermost, strict=True)]
    whole = Counts(*(np.array(column, np.int32) for column in zip(*rows, strict=True))) if rows else _NONE
    return Counting(by_term, stands, outermost, gold, where, whole)


def _counts(
    told: Sequence[Evidence], stands: set[int], outermost: set[int], gold: Sequence[frozenset[int]]
) -> tuple[int, int, int, int, list[int], list[int], list[int], list[int]]:
    """A term's counts, in the order of `Counts`."""
    by_code = sorted(Counter(each.code for each in told).items(), key=lambda item: (-item[1], item[0]))[:CODES]
    codes = [code for code, _ in by_code]
    columns = (
        codes,
        [seen for _, seen in by_code],
        [sum(code in gold[document] for document in stands) for code in codes],
        [sum(code in gold[document] for document in outermost) for code in codes],
    )
    code, documents, right, right_outermost = (
        column + [empty] * (CODES - len(codes)) for column, empty in zip(columns, (-1, 0, 0, 0), strict=True)
    )
    annotated = len({each.document for each in told})
    return annotated, len(stands), len(outermost), len(told), code, documents, right, right_outermost
