"""The compiled lexicon at work: finding terms in a text, and codes for a term.

A term is a bag of concepts (see `concepts`). Each concept has a random-looking number, and a bag the sum of its
concepts' numbers (modulo 2^64), so that all windows of n words of a text are looked up at once by differences of a
running sum: order-free, whole words only, and as fast as reading the words. Two different bags of a lexicon of 10^5
terms meet by chance in one of 10^14 windows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.lexicon import build, words
from medpipe_assets.lexicon.concepts import concept, wording
from medpipe_assets.lexicon.terms import KINDS

Offsets = tuple[int, int]
Numbers = NDArray[np.uint64]

_PARTED: Final = build.number("\n")
"""Stands between two words that no term joins: no window that holds it is a term."""
_REMEMBERED: Final = 200_000
"""Distinct words kept in memory with their concept, per language: more than any day's documents use."""
_SIEVE_BITS: Final = 20
_BAG: Final = "bag"
_LEAD: Final = re.compile(r"\b(\w+)\s+$")
_LONGEST_LEAD: Final = 12
_DROP_BEFORE: Final = re.compile(r"(?:\d|\bun[ae]?|\buma|\b[aà])\s$", re.IGNORECASE)
_DROP_AFTER: Final = re.compile(r"\s(?:[aà]\b|cada|por|par|gruesa|espessa|épaisse)", re.IGNORECASE)
"""Beside 'gota' or 'goutte' they make it a drop."""


@dataclass(frozen=True, slots=True)
class Sense:
    """What a term means: its codes, best first, and how we know (see terms.KINDS); `ambiguous` for abbreviations."""

    codes: tuple[str, ...]
    kind: str
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A term found in a text, as text[begin:end]."""

    begin: int
    end: int
    sense: Sense


class _Known(NamedTuple):
    """What there is to know of a word as written: its concept ('' for a stop word), its number, and its sense where it
    is an abbreviation."""

    concept: str
    number: int
    short: Sense | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text as the words that count: where each is, its concept and number; and the abbreviations, by place.

    Where no term reaches across stands an empty word numbered `_PARTED`.
    """

    places: list[Offsets]
    concepts: list[str]
    numbers: list[int]
    short: list[tuple[int, Sense]]


class Lexicon:
    """The terms of one language. Make it with `load`, which keeps one a language a process."""

    def __init__(self, language: str) -> None:
        artefacts = [build.language(language)]
        if language != "en":
            artefacts.append(build.language("en"))  # its own terms first: they overrule English ones of the same words
        self.language = language
        self._cognates: dict[str, str] = artefacts[-1]["cognates"]
        numbers = np.concatenate([np.array(a["number"], dtype=np.uint64) for a in artefacts])
        order = np.argsort(numbers, kind="stable")
        self._numbers: Numbers = numbers[order]
        self._places: list[int] = order.tolist()
        self._terms: list[str] = [term for a in artefacts for term in a["term"]]
        self._codes: list[str] = [codes for a in artefacts for codes in a["codes"]]
        self._kinds: list[int] = [kind for a in artefacts for kind in a["kind"]]
        self._exact: dict[int, dict[str, str]] = {place: by for place, by in artefacts[0]["exact"]}
        self._led: dict[int, list[str]] = dict(artefacts[0]["led"])
        if language != "en":
            self._led |= {len(artefacts[0]["term"]) + place: leads for place, leads in artefacts[1]["led"]}
        self._longest = max(a["longest"] for a in artefacts)
        self._sieve = np.zeros(1 << _SIEVE_BITS, dtype=np.bool_)
        self._sieve[self._numbers >> np.uint64(64 - _SIEVE_BITS)] = True
        self._abbreviations = _abbreviations(artefacts[0]["abbreviations"])
        self._seen: dict[str, _Known] = {}

    def find(self, text: str) -> Iterator[Found]:
        """The terms and abbreviations named in a text, in order, never overlapping: the leftmost, then the longest."""
        spans = words.spans(text)
        reading = self._read(text, spans)
        short = (Found(*spans[i], sense) for i, sense in reading.short if _counts(text, spans, i, sense))
        free_from = 0
        for found in sorted([*self._windows(text, reading), *short], key=lambda f: (f.begin, -f.end)):
            if found.begin >= free_from:
                yield found
                free_from = found.end

    def sense(self, text: str) -> Sense | None:
        """What a text, taken whole, means; None where it is no term. An abbreviation is known by its surface."""
        surface = text.strip()
        if surface in self._abbreviations:
            return self._abbreviations[surface]
        reading = self._read(text, words.spans(text))
        total = np.uint64(sum(n for n in reading.numbers if n != _PARTED) % 2**64)
        place = int(np.searchsorted(self._numbers, total))
        if not reading.places or place == len(self._numbers) or self._numbers[place] != total:
            return None
        if self._begin(self._places[place], text, reading.places[0][0]) is None:
            return None
        return self._sense(self._places[place], [name for name in reading.concepts if name], text)

    def _read(self, text: str, spans: Sequence[Offsets]) -> _Reading:
        places: list[Offsets] = []
        concepts: list[str] = []
        numbers: list[int] = []
        short: list[tuple[int, Sense]] = []
        seen = self._seen
        last = 0, 0
        for i, place in enumerate(spans):
            begin, end = place
            if not (begin - last[1] == 1 and text[last[1]] == " ") and words.parted(text, last, place):
                places.append(place)
                concepts.append("")
                numbers.append(_PARTED)
            last = place
            surface = text[begin:end]
            name, number, sense = seen.get(surface) or self._learn(surface)
            if sense is not None:
                short.append((i, sense))
            if name:
                places.append(place)
                concepts.append(name)
                numbers.append(number)
        return _Reading(places, concepts, numbers, short)

    def _learn(self, surface: str) -> _Known:
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        name = concept(surface, self.language, self._cognates)
        known = _Known(name, build.number(name), self._abbreviations.get(surface))
        self._seen[surface] = known
        return known

    def _windows(self, text: str, reading: _Reading) -> Iterator[Found]:
        """All windows of the text that are terms; they may overlap."""
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(np.array(reading.numbers, dtype=np.uint64))])
        for length in range(1, min(self._longest, len(reading.numbers)) + 1):
            totals = sums[length:] - sums[:-length]
            starts = np.flatnonzero(self._sieve[totals >> np.uint64(64 - _SIEVE_BITS)])
            at = np.searchsorted(self._numbers, totals[starts])
            at[at == len(self._numbers)] = 0
            hits = self._numbers[at] == totals[starts]
            for start, place in zip(starts[hits].tolist(), at[hits].tolist(), strict=True):
                last = start + length
                begin, end = (
                    self._begin(self._places[place], text, reading.places[start][0]),
                    reading.places[last - 1][1],
                )
                if begin is None:
                    continue
                sense = self._sense(self._places[place], reading.concepts[start:last], text[begin:end])
                if sense.kind != _BAG or "," not in text[begin:end]:
                    yield Found(begin, end, sense)

    def _begin(self, place: int, text: str, begin: int) -> int | None:
        """Where a mention begins whose first word that counts is at `begin`; None where its leading word is missing."""
        if place not in self._led:
            return begin
        lead = _LEAD.search(text, max(0, begin - _LONGEST_LEAD), begin)
        return lead.start() if lead and lead.group(1).lower() in self._led[place] else None

    def _sense(self, place: int, concepts: Sequence[str], text: str) -> Sense:
        """What the term at a place of our columns means, given as the concepts and the words of its mention."""
        if place in self._exact and (codes := self._exact[place].get(wording(text, self.language))):
            return Sense(tuple(codes.split(" ")), KINDS[0])
        in_order = self._terms[place] == " ".join(concepts)
        return Sense(tuple(self._codes[place].split(" ")), KINDS[self._kinds[place]] if in_order else _BAG)


def _abbreviations(listed: dict[str, tuple[str, bool]]) -> dict[str, Sense]:
    senses = {text: Sense((code,), "abbreviation", ambiguous) for text, (code, ambiguous) in listed.items()}
    lower = {text.lower(): sense for text, sense in senses.items() if not sense.ambiguous and len(text) > 2}
    return lower | senses


def _counts(text: str, spans: Sequence[Offsets], i: int, sense: Sense) -> bool:
    """Whether an abbreviation is one here. An ambiguous one is none where a neighbour is in upper case as well; a word
    that our list calls ambiguous ('gota') none where it is a drop."""
    begin, end = spans[i]
    if not sense.ambiguous:
        return True
    if not text[begin:end].isupper():
        return not (_DROP_BEFORE.search(text, max(0, begin - 5), begin) or _DROP_AFTER.match(text, end))
    near = (text[slice(*spans[j])] for j in (i - 1, i + 1) if 0 <= j < len(spans))
    return not any(len(word) > 4 and word.isupper() for word in near)


@cache
def load(language: str) -> Lexicon:
    """The lexicon of a language; of English where we have no terms in it."""
    return Lexicon(language if language in words.LANGUAGES else "en")
