"""The compiled lexicon at work: finding terms in a text, and codes for a term.

A term is a bag of concepts (see `concepts`). Each concept has a random-looking number, and a bag the sum of its
concepts' numbers (modulo 2^64), so that all windows of n words of a text are looked up at once by differences of a
running sum: order-free, whole words only, and as fast as reading the words. Two different bags of a lexicon of 10^5
terms meet by chance in one of 10^14 windows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.lexicon import build, words
from medpipe_assets.lexicon.concepts import concept
from medpipe_assets.lexicon.terms import KINDS

Numbers = NDArray[np.uint64]

_PARTED: Final = build.number("\n")
"""Stands between two words that no term joins: no window that holds it is a term."""
_REMEMBERED: Final = 200_000
"""Distinct words kept in memory with their concept, per language: more than any day's documents use."""
_SIEVE_BITS: Final = 20
_BAG: Final = "bag"


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


@dataclass(frozen=True, slots=True)
class _Word:
    begin: int
    end: int
    concept: str


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
        self._longest = max(a["longest"] for a in artefacts)
        self._sieve = np.zeros(1 << _SIEVE_BITS, dtype=np.bool_)
        self._sieve[self._numbers >> np.uint64(64 - _SIEVE_BITS)] = True
        self._abbreviations = _abbreviations(artefacts[0]["abbreviations"])
        self._seen: dict[str, tuple[int, str]] = {}

    def find(self, text: str) -> Iterator[Found]:
        """The terms and abbreviations named in a text, in order, never overlapping: the leftmost, then the longest."""
        places = words.spans(text)
        sequence, numbers = self._read(text, places)
        taken = self._windows(text, sequence, numbers)
        short = self._short(text, places)
        free_from = 0
        for found in sorted([*taken, *short], key=lambda f: (f.begin, -f.end)):
            if found.begin >= free_from:
                yield found
                free_from = found.end

    def sense(self, text: str) -> Sense | None:
        """What a text, taken whole, means; None where it is no term. An abbreviation is known by its surface."""
        surface = text.strip()
        if surface in self._abbreviations:
            return self._abbreviations[surface]
        sequence, numbers = self._read(text, words.spans(text))
        total = np.add.reduce(np.array([n for n in numbers if n != _PARTED], dtype=np.uint64))
        place = int(np.searchsorted(self._numbers, total))
        if not sequence or place == len(self._numbers) or self._numbers[place] != total:
            return None
        return self._sense(self._places[place], [word for word in sequence if word.concept])

    def _read(self, text: str, places: Sequence[tuple[int, int]]) -> tuple[list[_Word], list[int]]:
        """The text's words that count, and their numbers, with `_PARTED` (and an empty word) where no term reaches."""
        sequence: list[_Word] = []
        numbers: list[int] = []
        seen = self._seen
        last = 0, 0
        for place in places:
            begin, end = place
            if not (begin - last[1] == 1 and text[last[1]] == " ") and words.parted(text, last, place):
                sequence.append(_Word(begin, begin, ""))
                numbers.append(_PARTED)
            last = place
            surface = text[begin:end]
            number, name = seen.get(surface) or self._learn(surface)
            if name:
                sequence.append(_Word(begin, end, name))
                numbers.append(number)
        return sequence, numbers

    def _learn(self, surface: str) -> tuple[int, str]:
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        name = concept(surface, self.language, self._cognates)
        self._seen[surface] = learnt = build.number(name), name
        return learnt

    def _windows(self, text: str, sequence: Sequence[_Word], numbers: Sequence[int]) -> Iterator[Found]:
        """All windows of the text that are terms; they may overlap."""
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(np.array(numbers, dtype=np.uint64))])
        for length in range(1, min(self._longest, len(numbers)) + 1):
            totals = sums[length:] - sums[:-length]
            starts = np.flatnonzero(self._sieve[totals >> np.uint64(64 - _SIEVE_BITS)])
            at = np.searchsorted(self._numbers, totals[starts])
            at[at == len(self._numbers)] = 0
            hits = self._numbers[at] == totals[starts]
            for start, place in zip(starts[hits].tolist(), at[hits].tolist(), strict=True):
                window = sequence[start : start + length]
                sense = self._sense(self._places[place], window)
                begin, end = window[0].begin, window[-1].end
                if sense.kind != _BAG or "," not in text[begin:end]:
                    yield Found(begin, end, sense)

    def _sense(self, place: int, window: Sequence[_Word]) -> Sense:
        in_order = self._terms[place] == " ".join([word.concept for word in window])
        return Sense(tuple(self._codes[place].split(" ")), KINDS[self._kinds[place]] if in_order else _BAG)

    def _short(self, text: str, places: Sequence[tuple[int, int]]) -> Iterator[Found]:
        """Abbreviations, which count as they are written."""
        for i, (begin, end) in enumerate(places):
            sense = self._abbreviations.get(text[begin:end]) if end - begin < 12 else None
            if sense is not None and not (sense.ambiguous and _shouted(text, places, i)):
                yield Found(begin, end, sense)


def _abbreviations(listed: dict[str, tuple[str, bool]]) -> dict[str, Sense]:
    senses = {text: Sense((code,), "abbreviation", ambiguous) for text, (code, ambiguous) in listed.items()}
    lower = {text.lower(): sense for text, sense in senses.items() if not sense.ambiguous and len(text) > 2}
    return lower | senses


def _shouted(text: str, places: Sequence[tuple[int, int]], i: int) -> bool:
    """Whether a neighbouring word is in upper case too: then upper case marks no abbreviation."""
    near = (places[j] for j in (i - 1, i + 1) if 0 <= j < len(places))
    return any(end - begin > 4 and text[begin:end].isupper() for begin, end in near)


@cache
def load(language: str) -> Lexicon:
    """The lexicon of a language; of English where we have no terms in it."""
    return Lexicon(language if language in words.LANGUAGES else "en")
