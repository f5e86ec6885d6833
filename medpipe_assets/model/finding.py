"""All finders of a language and kind of code together: from a text to its candidates.

What is counted of terms, entries and codes comes from outside (`Counted`): in use it is what the whole corpus says, in
training what it says without the document at hand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from medpipe_assets.model import candidates, comparison, dictionary, knowledge, likeness
from medpipe_assets.model.candidates import Candidates, Codes, Found, Inside, Proposed
from medpipe_assets.model.dictionary import Counts, Matches, Terms
from medpipe_assets.model.knowledge import Entries, Meanings, Standing
from medpipe_assets.model.ranges import ranges
from medpipe_assets.model.tokens import Integers, Numbers, Tokens, Words

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

_LIKE_TERMS: Final = 5
_LIKE_ENTRIES: Final = 4
"""Codes proposed for a span by its likeness to the corpus's terms, and to entries."""


class Counted(Protocol):
    """What is counted of a corpus."""

    def rows(self, terms: Places) -> Counts:
        """Of terms in a row."""
        ...

    def bags(self, terms: Places) -> Counts:
        """Of scattered terms."""
        ...

    def entries(self, entry: Places, pair: Places) -> tuple[Integers, Integers]:
        """In how many documents entries stand, and how many of these have a pair's code."""
        ...

    def prior(self) -> Floats:
        """By code, the share of documents that have it."""
        ...


class Stands(NamedTuple):
    """The entries that stand in a text, and what its words stand for."""

    entries: Standing
    words: comparison.Standing


@dataclass(frozen=True, slots=True)
class TermStems:
    """The corpus's terms (in a row) by their stems, to be compared with spans."""

    stem: Numbers
    idf: Floats
    matrix: sparse.csr_array


@dataclass(frozen=True, slots=True)
class Finders:
    """What finds candidates; `entries` with its matrix and meanings where there is knowledge beside the corpus."""

    words: Words
    rows: Terms
    bags: Terms
    codes: Codes
    terms: TermStems
    entries: Entries | None = None
    matrix: sparse.csr_array | None = None
    meanings: Meanings | None = None

    def stems(self, tokens: Tokens) -> Numbers:
        """Numbers of the stems of a text's content tokens."""
        stems: Numbers = self.words.stem.rows[tokens.word[tokens.content]]
        return stems

    def standing(self, tokens: Tokens) -> Stands | None:
        """What the words of a text stand for, and the entries that stand in it."""
        if self.entries is None or self.meanings is None:
            return None
        meant = self.meanings.of(tokens.word[tokens.content])
        found = knowledge.standing(self.entries, tokens, *meant)
        return Stands(found, comparison.Standing(*meant, self.entries.idf))

    def candidates(
        self,
        tokens: Tokens,
        told: Inside | None,
        counted: Counted,
        found: tuple[Matches, Matches],
        stand: Stands | None,
    ) -> Candidates:
        """A text's candidates.

        Args:
            told: what the tagger says. found: terms in a row, and scattered ones. stand: see `standing`.
        """
        rows, bags = found
        proposed = [
            candidates.in_rows(tokens, Found(rows, counted.rows(rows.term), self.rows.size[rows.term])),
            candidates.in_bags(tokens, Found(bags, counted.bags(bags.term), self.bags.size[bags.term]), rows),
        ]
        if stand is not None:
            proposed.append(self._standing(stand.entries, counted))
        if told is not None and len(tokens.content):
            proposed += self._like(tokens, told, counted, stand)
        words = stand.words if stand else None
        return candidates.together(tokens, self.words, told, proposed, self.codes, counted.prior(), words)

    def matches(self, tokens: Tokens) -> tuple[Matches, Matches]:
        """A text's terms, in a row and scattered."""
        stems = self.stems(tokens)
        return dictionary.in_a_row(self.rows, stems, tokens), dictionary.scattered(self.bags, stems, tokens)

    def _standing(self, stand: Standing, counted: Counted) -> Proposed:
        known = self.entries
        assert known is not None  # an entry stands only where there are entries
        size = known.pair_begin[stand.entry + 1] - known.pair_begin[stand.entry]
        at = np.repeat(np.arange(len(stand.entry)), size)
        pair = ranges(known.pair_begin[stand.entry], size)
        met, right = counted.entries(stand.entry[at], pair)
        features: dict[str, NDArray[Any]] = {
            "entry_precision": (right + 0.09) / (met + 0.3),
            "entry_met": met,
            "entry_size": (known.begin[stand.entry + 1] - known.begin[stand.entry])[at],
            "entry_weight": stand.weight[at],
            "entry_kind": known.pair_kind[pair],
            "entry_gap": np.maximum(stand.gap, 0)[at],
        }
        return Proposed(stand.first[at], stand.last[at], known.pair_code[pair], features)

    def _like(self, tokens: Tokens, told: Inside, counted: Counted, stand: Stands | None) -> list[Proposed]:
        first, last = candidates.spans(tokens, self.words, told)
        if not len(first) or not len(self.terms.stem):
            return []
        stems = self.stems(tokens)
        at = np.minimum(np.searchsorted(self.terms.stem, stems), len(self.terms.stem) - 1)
        place = np.flatnonzero(self.terms.stem[at] == stems)
        spans = likeness.queries(tokens, first, last, place, at[place], self.terms.idf[at[place]], len(self.terms.stem))
        span, code, like, rank, _ = likeness.nearest(spans, self.terms.matrix, _LIKE_TERMS, _by_term(counted))
        features: dict[str, NDArray[Any]] = {"like_term": like, "like_term_rank": rank}
        proposed = [Proposed(first[span], last[span], code, features)]
        if stand is not None and self.entries is not None:
            place, feature, weight, idf = stand.words
            weighted = weight * idf[feature]
            spans = likeness.queries(tokens, first, last, place, feature, weighted, len(self.entries.idf))
            span, code, like, rank, kind = likeness.nearest(spans, self.matrix, _LIKE_ENTRIES, self._by_entry)
            features = {"like_entry": like, "like_entry_rank": rank, "like_entry_kind": kind}
            proposed.append(Proposed(first[span], last[span], code, features))
        return proposed

    def _by_entry(self, entry: Places, like: Floats) -> tuple[Any, ...]:
        known = self.entries
        assert known is not None  # only entries are alike to something
        size = known.pair_begin[entry + 1] - known.pair_begin[entry]
        at = np.repeat(np.arange(len(entry)), size)
        pair = ranges(known.pair_begin[entry], size)
        return at, known.pair_code[pair], like[at], known.pair_kind[pair]


def _by_term(counted: Counted) -> Callable[[Places, Floats], tuple[Any, ...]]:
    """Codes of terms, weighed by how often the term is evidence of the code rather than of another."""

    def best(term: Places, like: Floats) -> tuple[Any, ...]:
        counts = counted.rows(term)
        at, rank = np.nonzero(counts.code >= 0)
        share = counts.documents[at, rank] / counts.total[at]
        return at, counts.code[at, rank], like[at] * (0.5 + 0.5 * share), np.zeros(len(at), np.int32)

    return best
