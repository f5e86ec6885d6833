"""Finding many terms in a text at once: whole words, case and accents ignored, the longest of those that overlap.

Belongs here: the matcher and the reading of term tables. Does not belong here: what a term means.

A text is a row of words (runs of letters and digits) and signs; white space only parts them, and nothing reaches across
a blank line. Each word has a random-looking number, and so has each row of words, as the value of a polynomial
(Karp and Rabin 1987); the numbers of all rows of up to `LONGEST` words are made once a text, in a few passes over
arrays, and every set of terms looks for its own among them. Two different rows meet by chance in one of 10^15 look-ups.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.lexicon.normalise import normalise
from medpipe_assets.recognition.engine import Offsets

LANGUAGES = ("en", "es", "fr", "pt", "it", "de")
"""The languages of the term tables, in the order of their columns."""

LONGEST: Final = 12
"""Words of the longest term."""

Places = NDArray[np.int64]
Numbers = NDArray[np.uint64]
Points = NDArray[np.uint32]

_SIGN = re.compile(r"([^\w\s]|_)")
_SIEVE_BITS: Final = 17
_SIFTED: Final = np.uint64(64 - _SIEVE_BITS)
_BASE: Final = 0x9E3779B97F4A7C15
_MIXING: Final = np.uint64(0xD6E8FEB86659FD93)
_MIXED: Final = np.uint64(32)
_TABLED: Final = 0x10000
"""Code points whose kind is in a table; a text with others (emoji) is looked at character by character."""


@dataclass(frozen=True, slots=True)
class Match:
    """An occurrence of a term: `index` counts the matcher's terms, offsets are those of the original text."""

    begin: int
    end: int
    index: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A text made ready for look-up.

    Attributes:
        text: the text folded: case and accents away, any white space within a paragraph one space, between paragraphs
            one line end.
        offsets, offsets_end: where each of its characters begins and ends in the original.
        begins, ends: of its words and signs, in the folded text.
        rows: numbers of the rows of 1, 2, ... LONGEST words that begin at each word, all of one length together; zero
            where the text ends before the row does.
    """

    text: str
    offsets: Places
    offsets_end: Places
    begins: Places
    ends: Places
    rows: Numbers

    def span(self, begin: int, end: int) -> Offsets:
        """The original's offsets of `text[begin:end]`, which must not be empty."""
        return int(self.offsets[begin]), int(self.offsets_end[end - 1])


@lru_cache(maxsize=2)
def read(text: str) -> Reading:
    """Read a text. The last texts are kept, because each finder of this stage reads the same page."""
    points, offsets, ends = _spaced(*_folded(text))
    begins, behind, sums = _sums(points)
    count = len(begins)
    rows = np.zeros((LONGEST, count), np.uint64)
    for length in range(1, min(LONGEST, count) + 1):
        np.subtract(sums[length:], sums[:-length], out=rows[length - 1, : count + 1 - length])
    rows *= _powers(count)[1][:count]
    return Reading(_text(points), offsets, ends, begins, behind, rows.ravel())


def canonical(term: str) -> str:
    """A term's words and signs, folded, with one space between: terms that are found alike are written alike."""
    return " ".join(_SIGN.sub(r" \1 ", normalise(term).text).split())


class Terms:
    """A set of terms compiled for search."""

    def __init__(self, terms: Iterable[str]) -> None:
        """Terms are folded as texts are; an empty one never matches, of equal ones the first counts.

        Raises:
            ValueError: a term has more than `LONGEST` words and signs.
        """
        written = [canonical(term) for term in terms]
        begins, _, sums = _sums(_points("\n".join(written)))
        counts = np.array([len(term.split()) for term in written], np.int64)
        self._longest = int(counts.max(initial=0))
        if self._longest > LONGEST:
            raise ValueError(f"a term has more than {LONGEST} words: {written[int(counts.argmax())]}")
        # Between two terms stands a line end, which is a sign.
        first = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts + 1)])[:-1]
        numbers = (sums[first + counts] - sums[first]) * _powers(len(begins))[1][first]
        kept, indexes = np.unique(numbers[counts > 0], return_index=True)
        self._numbers: Numbers = kept
        self._indexes: Places = np.flatnonzero(counts)[indexes]
        self._sieve = np.zeros(1 << _SIEVE_BITS, np.bool_)
        self._sieve[self._numbers >> _SIFTED] = True

    def find(self, text: str) -> list[Match]:
        """All matches in order; where matches overlap the leftmost wins, then the longest."""
        reading = read(text)
        return [Match(*reading.span(m.begin, m.end), m.index) for m in self.find_folded(reading)]

    def find_all(self, text: str) -> list[Match]:
        """As `find`, but where matches overlap only those go that lie within another."""
        reading = read(text)
        matches: list[Match] = []
        reached = 0
        for begin, end, index in self._occurrences(reading):
            if end > reached:
                matches.append(Match(*reading.span(begin, end), index))
                reached = end
        return matches

    def find_folded(self, reading: Reading) -> list[Match]:
        """As `find`, with offsets of the folded text."""
        matches: list[Match] = []
        free_from = 0
        for begin, end, index in self._occurrences(reading):
            if begin >= free_from:
                matches.append(Match(begin, end, index))
                free_from = end
        return matches

    def _occurrences(self, reading: Reading) -> Iterator[tuple[int, int, int]]:
        """Begin, end and index of every occurrence, by begin, the longest first."""
        rows = reading.rows[: self._longest * len(reading.begins)]
        likely = np.flatnonzero(self._sieve[rows >> _SIFTED])
        numbers = rows[likely]
        at = np.searchsorted(self._numbers, numbers)
        at[at == len(self._numbers)] = 0
        hits = np.flatnonzero(self._numbers[at] == numbers) if len(self._numbers) else at[:0]
        lengths, first = np.divmod(likely[hits], max(1, len(reading.begins)))
        within = first + lengths < len(reading.begins)
        lengths, first, at = lengths[within], first[within], at[hits][within]
        order = np.argsort(first * LONGEST - lengths)
        begins, ends = reading.begins[first[order]], reading.ends[(first + lengths)[order]]
        return zip(begins.tolist(), ends.tolist(), self._indexes[at[order]].tolist(), strict=True)


_LETTER, _SPACE, _LINE_END = 1, 2, 4
_UNKNOWN, _SEVERAL = 0xFFFFFFFF, 0xFFFFFFFE
"""In the table of folds: a character not met yet, and one that folds to none or to several."""


@cache
def _kinds() -> NDArray[np.uint8]:
    signs = [chr(point) for point in range(_TABLED)]
    letters, spaces = ([test(sign) for sign in signs] for test in (str.isalnum, str.isspace))
    kinds = np.array(letters, np.uint8) * _LETTER + np.array(spaces, np.uint8) * _SPACE
    kinds[ord("\n")] |= _LINE_END
    return kinds


@cache
def _folds() -> NDArray[np.uint32]:
    return np.full(_TABLED, _UNKNOWN, np.uint32)


def _points(text: str) -> Points:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _text(points: Points) -> str:
    return points.tobytes().decode("utf-32-le", "surrogatepass")


def _folded(text: str) -> tuple[Points, Places, Places]:
    """A text's characters as `normalise` folds them, and where each begins and ends in the text."""
    points = _points(text)
    if points.max(initial=0) < _TABLED:
        table = _folds()
        folded = table[points]
        if _UNKNOWN in folded:
            for point in np.unique(points[folded == _UNKNOWN]).tolist():
                fold = normalise(chr(point)).text
                table[point] = ord(fold) if len(fold) == 1 else _SEVERAL
            folded = table[points]
        if _SEVERAL not in folded:
            places = np.arange(len(points) + 1)
            return folded, places[:-1], places[1:]
    normal = normalise(text)
    return _points(normal.text), np.array(normal.offsets, np.int64), np.array(normal.offsets_end, np.int64)


def _spaced(points: Points, offsets: Places, ends: Places) -> tuple[Points, Places, Places]:
    """The same with one space, or one line end between paragraphs, for each run of white space."""
    kinds = _kinds_of(points)
    blank = np.zeros(len(points) + 1, np.bool_)
    blank[1:] = kinds & _SPACE
    begin = np.flatnonzero(blank[1:] & ~blank[:-1])
    spaced = points.copy()
    spaced[begin] = ord(" ")
    line_ends = np.flatnonzero(kinds & _LINE_END)
    _, in_run = np.unique(np.searchsorted(begin, line_ends, side="right"), return_index=True)
    several = np.delete(line_ends, in_run)
    spaced[begin[np.searchsorted(begin, several, side="right") - 1]] = ord("\n")
    blank[begin + 1] = False
    kept = np.flatnonzero(~blank[1:])
    return spaced[kept], offsets[kept], ends[kept]


def _kinds_of(points: Points) -> NDArray[np.uint8]:
    """What each character is; one beyond our table may be a letter, and is no space."""
    kinds = _kinds().take(points, mode="clip")
    for i in np.flatnonzero(points >= _TABLED).tolist():
        kinds[i] = chr(int(points[i])).isalnum() * _LETTER
    return kinds


@lru_cache(maxsize=4)
def _powers_of_size(size: int) -> tuple[Numbers, Numbers]:
    factors = (np.full(size, base, np.uint64) for base in (_BASE, pow(_BASE, -1, 1 << 64)))
    up, down = (np.cumprod(np.concatenate([np.ones(1, np.uint64), factor])) for factor in factors)
    return up, down


def _powers(least: int) -> tuple[Numbers, Numbers]:
    """Powers of `_BASE` and of its inverse modulo 2^64, at least as many as asked for."""
    return _powers_of_size(max(1 << 13, 1 << least.bit_length()))


def _sums(points: Points) -> tuple[Places, Places, Numbers]:
    """Begins and ends of a folded text's words and signs, and for each the polynomial of those before it, and of all.

    A word is the number of its letters, mixed: or 'ab' beside 'c' would be 'ac' beside 'b'.
    """
    up, down = _powers(len(points))
    inside = np.zeros(len(points) + 2, np.bool_)
    inside[1:-1] = _kinds_of(points) & _LETTER
    begin = np.flatnonzero(inside[1:-1] & ~inside[:-2] | ~inside[1:-1] & (points != ord(" ")))
    # A word ends before the next character that is no letter; a sign behind itself.
    outside = np.append(np.flatnonzero(~inside[1:-1]), len(points))
    ends = outside[np.searchsorted(outside, begin)]
    ends += ends == begin
    sums = _running(points * up[: len(points)])
    words = (sums[ends] - sums[begin]) * down[begin]
    words = (words ^ (words >> _MIXED)) * _MIXING
    return begin, ends, _running((words ^ (words >> _MIXED)) * up[: len(words)])


def _running(numbers: Numbers) -> Numbers:
    sums = np.zeros(len(numbers) + 1, np.uint64)
    np.cumsum(numbers, out=sums[1:])
    return sums


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
