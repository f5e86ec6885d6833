"""Finding many terms in a text at once: whole words, case and accents ignored, the longest of those that overlap.

Belongs here: the matcher and the reading of term tables. Does not belong here: what a term means.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from medpipe_assets.lexicon.normalise import Normalised, normalise

LANGUAGES = ("en", "es", "fr", "pt", "it", "de")
"""The languages of the term tables, in the order of their columns."""

_WHITESPACE = re.compile(r"\s{2,}|[^\S ]")


@lru_cache(maxsize=2)
def fold(text: str) -> Normalised:
    """Normalise a text for look-up: any white space within a paragraph is one space, between paragraphs one newline.

    Terms thus match across a line break but never across a blank line. The last texts are kept, because each finder of
    this stage folds the same page.
    """
    folded = normalise(text)
    if not _WHITESPACE.search(folded.text):
        return folded
    parts: list[str] = []
    kept: list[int] = []
    done = 0
    for run in _WHITESPACE.finditer(folded.text):
        parts += (folded.text[done : run.start()], "\n" if run.group().count("\n") > 1 else " ")
        kept.extend(range(done, run.start() + 1))
        done = run.end()
    parts.append(folded.text[done:])
    kept.extend(range(done, len(folded.text)))
    if isinstance(folded.offsets, range):
        return Normalised("".join(parts), kept, [at + 1 for at in kept])
    offsets, ends = (list(map(places.__getitem__, kept)) for places in (folded.offsets, folded.offsets_end))
    return Normalised("".join(parts), offsets, ends)


@dataclass(frozen=True, slots=True)
class Match:
    """An occurrence of a term: `index` counts the matcher's terms, offsets are those of the original text."""

    begin: int
    end: int
    index: int


class Terms:
    """A set of terms compiled for search."""

    def __init__(self, terms: Iterable[str]) -> None:
        """Terms are folded as texts are; an empty one never matches, of equal ones the first counts."""
        first: dict[str, int] = {}
        for index, term in enumerate(terms):
            folded = " ".join(normalise(term).text.split())
            if folded:
                first.setdefault(folded, index)
        self._indexes = list(first.values())
        # An edge that is no letter or digit ('?', ':') needs no word boundary beside it.
        self._edges = [(folded[0].isalnum(), folded[-1].isalnum()) for folded in first]
        self._automaton = AhoCorasick(
            list(first), matchkind=MatchKind.Standard, implementation=Implementation.ContiguousNFA
        )

    def find(self, text: str) -> list[Match]:
        """All matches in order; where matches overlap the leftmost wins, then the longest."""
        folded = fold(text)
        return [Match(*folded.span(m.begin, m.end), m.index) for m in self.find_folded(folded.text)]

    def find_all(self, text: str) -> list[Match]:
        """As `find`, but where matches overlap only those go that lie within another."""
        folded = fold(text)
        matches: list[Match] = []
        reached = 0
        for pattern, begin, end in self._whole(folded.text):
            if end > reached:
                matches.append(Match(*folded.span(begin, end), self._indexes[pattern]))
                reached = end
        return matches

    def find_folded(self, folded: str) -> list[Match]:
        """As `find`, in a text already folded by `fold`, with offsets of that."""
        matches: list[Match] = []
        free_from = 0
        for pattern, begin, end in self._whole(folded):
            if begin >= free_from:
                matches.append(Match(begin, end, self._indexes[pattern]))
                free_from = end
        return matches

    def _whole(self, folded: str) -> list[tuple[int, int, int]]:
        """Pattern, begin and end of every occurrence that is of whole words, by begin, the longest first."""
        found = self._automaton.find_matches_as_indexes(folded, overlapping=True)
        return sorted((m for m in found if self._is_whole(folded, *m)), key=lambda m: (m[1], -m[2]))

    def _is_whole(self, text: str, pattern: int, begin: int, end: int) -> bool:
        word_before, word_after = self._edges[pattern]
        if word_before and begin and text[begin - 1].isalnum():
            return False
        return not (word_after and end < len(text) and text[end].isalnum())


def read_table(name: str) -> Iterator[dict[str, str]]:
    """The rows of a tab-separated table in this stage's data folder, by column name."""
    table = (files(__package__) / "data" / name).read_text(encoding="utf-8")
    yield from csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)


def read_concepts(name: str, language: str) -> tuple[list[str], list[dict[str, str]]]:
    """The terms of one language in a concept table, and for each its row.

    A concept table has a column for each language with synonyms separated by '|'; other columns are the caller's.
    """
    terms: list[str] = []
    rows: list[dict[str, str]] = []
    for row in read_table(name):
        for term in (row[language] or "").split("|"):
            terms.append(term)
            rows.append(row)
    return terms, rows
