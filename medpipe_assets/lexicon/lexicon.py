"""The compiled lexicon at work: finding terms in a text, and codes for a term.

A text becomes a string in which each character stands for a word (in normal form), a term a short string of the same
alphabet. One Aho-Corasick pass then finds the longest terms from the left, always on whole words, and offsets come
back from the word's own place in the text, so that they are exact whatever the normal form did to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from ahocorasick_rs import AhoCorasick, MatchKind

from medpipe_assets.lexicon import build, words
from medpipe_assets.lexicon.terms import KINDS

Offsets = tuple[int, int]

_UNKNOWN: Final = " "
_PARTED: Final = "\n"
_FIRST: Final = 0x100
_SURROGATES: Final = 0xD800
_REMEMBERED: Final = 200_000
"""Distinct words whose normal form is kept in memory, per language: more than any day's documents use."""


@dataclass(frozen=True, slots=True)
class Sense:
    """What a term means: its codes, best first, and how we know (see terms.KINDS); `ambiguous` for abbreviations."""

    codes: tuple[str, ...]
    kind: str
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A term found in a text: text[begin:end] normalises to `term`."""

    begin: int
    end: int
    term: str
    sense: Sense


class Lexicon:
    """The terms of one language. Make it with `load`, which keeps one a language a process."""

    def __init__(self, language: str) -> None:
        artefact = build.language(language)
        self.language = language
        self._terms: list[str] = artefact["term"]
        self._codes: list[str] = artefact["codes"]
        self._kinds: list[int] = artefact["kind"]
        self._index = {term: i for i, term in enumerate(self._terms)}
        self._abbreviations = {
            text: Sense((code,), "abbreviation", ambiguous)
            for text, (code, ambiguous) in artefact["abbreviations"].items()
        }
        lower = {text.lower(): sense for text, sense in self._abbreviations.items() if not sense.ambiguous}
        self._abbreviations |= {text: sense for text, sense in lower.items() if len(text) > 2}
        letters: dict[str, str] = {}
        patterns = [
            "".join([letters.get(w) or letters.setdefault(w, _letter(len(letters))) for w in term.split(" ")])
            for term in self._terms
        ]
        self._letters = letters
        self._seen: dict[str, str] = {}
        self._automaton = AhoCorasick(patterns, matchkind=MatchKind.LeftmostLongest) if patterns else None

    def find(self, text: str) -> Iterator[Found]:
        """The terms and abbreviations named in a text, in order, never overlapping."""
        places = words.spans(text)
        for first, last, term, sense in self._matches(text, places):
            yield Found(places[first][0], places[last][1], term, sense)

    def sense(self, text: str) -> Sense | None:
        """What a text, taken whole, means; None where it is no term. An abbreviation is known by its surface."""
        surface = text.strip()
        if surface in self._abbreviations:
            return self._abbreviations[surface]
        place = self._index.get(" ".join(words.normals(text, self.language)))
        return None if place is None else self._sense(place)

    def _sense(self, place: int) -> Sense:
        return Sense(tuple(self._codes[place].split(" ")), KINDS[self._kinds[place]])

    def _matches(self, text: str, places: Sequence[Offsets]) -> Iterator[tuple[int, int, str, Sense]]:
        letters, at = self._spelled(text, places)
        done = 0
        matches = self._automaton.find_matches_as_indexes(letters) if self._automaton else []
        for place, begin, end in matches:
            first, last = at[begin], at[end - 1]
            yield from self._short(text, places, done, first)
            yield first, last, self._terms[place], self._sense(place)
            done = last + 1
        yield from self._short(text, places, done, len(places))

    def _short(
        self, text: str, places: Sequence[Offsets], begin: int, end: int
    ) -> Iterator[tuple[int, int, str, Sense]]:
        """Abbreviations among the words that no term covers."""
        for i in range(begin, end):
            surface = text[places[i][0] : places[i][1]]
            sense = self._abbreviations.get(surface) if len(surface) < 12 else None
            if sense is not None and not (sense.ambiguous and _shouted(text, places, i)):
                yield i, i, surface, sense

    def _spelled(self, text: str, places: Sequence[Offsets]) -> tuple[str, list[int]]:
        """The text as one letter a word, with `_PARTED` between words that no term may join, and each letter's word."""
        letters: list[str] = []
        at: list[int] = []
        for i, (begin, end) in enumerate(places):
            if i and words.parted(text, places[i - 1], (begin, end)):
                letters.append(_PARTED)
                at.append(i)
            letters.append(self._letter_of(text[begin:end]))
            at.append(i)
        return "".join(letters), at

    def _letter_of(self, surface: str) -> str:
        letter = self._seen.get(surface)
        if letter is None:
            letter = self._letters.get(words.normal(surface, self.language), _UNKNOWN)
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[surface] = letter
        return letter


def _letter(index: int) -> str:
    point = _FIRST + index
    return chr(point if point < _SURROGATES else point + 0x800)


def _shouted(text: str, places: Sequence[Offsets], i: int) -> bool:
    """Whether a neighbouring word is in upper case too: then upper case marks no abbreviation."""
    near = (places[j] for j in (i - 1, i + 1) if 0 <= j < len(places))
    return any(end - begin > 4 and text[begin:end].isupper() for begin, end in near)


@cache
def load(language: str) -> Lexicon:
    """The lexicon of a language; of English where we have no terms in it."""
    return Lexicon(language if language in words.LANGUAGES else "en")
