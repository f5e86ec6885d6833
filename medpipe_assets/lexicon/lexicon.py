"""The compiled lexicon at work: finding terms in a text, and codes for a term.

A term is a bag of concepts (see `concepts`). Each concept has a random-looking number, and a bag the sum of its
concepts' numbers (modulo 2^64), so that all windows of n words of a text are looked up at once by differences of a
running sum: order-free, whole words only, and as fast as reading the words. Two different bags of a lexicon of 10^5
terms meet by chance in one of 10^14 windows.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.lexicon import build, words
from medpipe_assets.lexicon.concepts import concept, wording
from medpipe_assets.lexicon.terms import KINDS

Numbers = NDArray[np.uint64]

_STOP, _COUNTS, _STRANGE, _SHORT = 0, 1, 2, 4
"""A word that changes nothing, one that is part of some term, one that is part of none, and an abbreviation."""
_REMEMBERED: Final = 50_000
"""Words, and mentions, kept in memory with what they mean, per language."""
_PLACE_BITS: Final = 16
_PLACED: Final = np.uint64(64 - _PLACE_BITS)
_MIXING: Final = np.uint64(0xD6E8FEB86659FD93)
_SIEVE_BITS: Final = 21
_SIFTED: Final = np.uint64(64 - _SIEVE_BITS)
_BAG: Final = "bag"
_ABBREVIATED: Final = 1 << 62
"""In the place of a term's place: so that a term of the same words comes first."""
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


class Found(NamedTuple):
    """A term found in a text, as text[begin:end]."""

    begin: int
    end: int
    sense: Sense


class _Vocabulary:
    """Words met before, by what there is to know of each: in the columns below, found by a word's print. Where two
    words fall on the same place, the later one takes it, and the other is looked into again when it comes."""

    def __init__(self, learn: Callable[[str], tuple[int, int]]) -> None:
        self._learn = lru_cache(_REMEMBERED)(learn)
        self._prints: Numbers = np.zeros(1 << _PLACE_BITS, np.uint64)
        self._numbers: Numbers = np.zeros(1 << _PLACE_BITS, np.uint64)
        self._natures: NDArray[np.uint8] = np.zeros(1 << _PLACE_BITS, np.uint8)

    def look_up(self, text: str, found: words.Words) -> tuple[Numbers, NDArray[np.uint8]]:
        """For each word the number of its concept (0 for a stop word) and its nature."""
        at = found.prints * _MIXING >> _PLACED
        numbers, natures = self._numbers[at], self._natures[at]
        for i in (self._prints[at] != found.prints).nonzero()[0].tolist():
            numbers[i], natures[i] = self._learn(text[found.begins[i] : found.ends[i]])
            place = at[i]
            self._prints[place], self._numbers[place], self._natures[place] = found.prints[i], numbers[i], natures[i]
        return numbers, natures


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as its words that are part of some term, by columns.

    Attributes:
        begins, ends: of all words, in code points.
        places: which of them are part of some term, ascending.
        numbers: the numbers of their concepts.
        groups: words of different groups are parted by something that no term reaches across.
        short: the words that are abbreviations.
    """

    begins: words.Places
    ends: words.Places
    places: words.Places
    numbers: Numbers
    groups: NDArray[np.int64]
    short: words.Places


class Lexicon:
    """The terms of one language. Make it with `load`, which keeps one a language a process."""

    def __init__(self, language: str) -> None:
        compiled = build.language(language)
        self.language = language
        self._cognates: Mapping[str, str] = compiled.about["cognates"]
        self._numbers: Numbers = compiled.arrays["number"]
        self._known: Numbers = compiled.arrays["known"]
        self._kinds: NDArray[np.uint8] = compiled.arrays["kind"]
        self._terms = compiled.texts("term")
        self._codes = compiled.texts("codes")
        self._longest: int = compiled.about["longest"]
        self._exact: dict[int, dict[str, str]] = dict(compiled.about["exact"])
        self._led: dict[int, list[str]] = dict(compiled.about["led"])
        self._sieve = np.zeros(1 << _SIEVE_BITS, dtype=np.bool_)
        self._sieve[self._numbers >> _SIFTED] = True
        self._abbreviations = _abbreviations(compiled.about["abbreviations"])
        self._seen = _Vocabulary(self._learn)
        self._lock = Lock()
        self._sense_of = lru_cache(_REMEMBERED)(self._sense)
        self._meaning_of = lru_cache(_REMEMBERED)(self._meaning)

    def find(self, text: str) -> Iterator[Found]:
        """The terms and abbreviations named in a text, in order, never overlapping: the leftmost, then the longest."""
        reading = self.read(text)
        first, last, at = self.matches(reading)
        begins = reading.begins[reading.places[first]].tolist()
        ends = (-reading.ends[reading.places[last]]).tolist()
        hits = list(zip(begins, ends, at.tolist(), self._numbers[at].tolist(), strict=True))
        for i in reading.short.tolist():
            hits.append((int(reading.begins[i]), -int(reading.ends[i]), _ABBREVIATED, i))
        free_from = 0
        for begin, minus_end, place, number in sorted(hits):
            if begin < free_from:
                continue
            named = self._named(text, reading, begin, -minus_end, place, number)
            if named is not None and named.begin >= free_from:
                yield named
                free_from = named.end

    def sense(self, text: str) -> Sense | None:
        """What a text, taken whole, means; None where it is no term. An abbreviation is known by its surface."""
        return self._meaning_of(text)

    def _meaning(self, text: str) -> Sense | None:
        surface = text.strip()
        if surface in self._abbreviations:
            return self._abbreviations[surface]
        counting = [(begin, end) for begin, end in words.spans(text) if self._concept(text[begin:end])]
        total = sum(build.number(self._concept(text[begin:end])) for begin, end in counting) % 2**64
        place = int(np.searchsorted(self._numbers, np.uint64(total)))
        if not counting or place == len(self._numbers) or int(self._numbers[place]) != total:
            return None
        if self._begin(total, text, counting[0][0]) is None:
            return None
        return self._sense(place, total, text)

    def read(self, text: str) -> Reading:
        """A text, ready for `matches`."""
        found = words.read(text)
        with self._lock:
            numbers, natures = self._seen.look_up(text, found)
        places = (natures & _COUNTS).nonzero()[0]
        groups = (found.parted | (natures & _STRANGE != 0)).cumsum()
        short = (natures & _SHORT).nonzero()[0]
        return Reading(found.begins, found.ends, places, numbers[places], groups[places], short)

    def matches(self, reading: Reading) -> tuple[words.Places, words.Places, words.Places]:
        """All terms in a text, as columns: their first and last word, counted among `reading.places`, and the term's
        place among the lexicon's. They may overlap."""
        numbers, groups = reading.numbers, reading.groups
        sums = np.zeros(len(numbers) + 1, np.uint64)
        numbers.cumsum(out=sums[1:])
        each = np.arange(len(groups))
        lengths = np.minimum(groups.searchsorted(groups, side="right") - each, self._longest)
        first = each.repeat(lengths)
        last = first + np.arange(len(first)) - (lengths.cumsum() - lengths).repeat(lengths)
        totals = sums[last + 1] - sums[first]
        likely = self._sieve[totals >> _SIFTED].nonzero()[0]
        totals = totals[likely]
        at = self._numbers.searchsorted(totals)
        at[at == len(self._numbers)] = 0
        hits = self._numbers[at] == totals
        return first[likely[hits]], last[likely[hits]], at[hits]

    def _named(self, text: str, reading: Reading, begin: int, end: int, place: int, number: int) -> Found | None:
        """What a match names; None where it is none after all. `number` is an abbreviation's word."""
        mention = text[begin:end]
        if place == _ABBREVIATED:
            sense = self._abbreviations[mention]
            return Found(begin, end, sense) if not sense.ambiguous or _counts(text, reading, number) else None
        led_from = self._begin(number, text, begin) if number in self._led else begin
        sense = self._sense_of(place, number, mention)
        return None if led_from is None or (sense.kind == _BAG and "," in mention) else Found(led_from, end, sense)

    def _learn(self, surface: str) -> tuple[int, int]:
        """The number and the nature of a word."""
        short = _SHORT if surface in self._abbreviations else 0
        name = self._concept(surface)
        if not name:
            return 0, short
        parts = np.array([build.number(part) for part in name.split(" ")], np.uint64)
        known = (self._known.take(self._known.searchsorted(parts), mode="clip") == parts).all()
        return build.number(name), short | (_COUNTS if known else _STRANGE)

    def _concept(self, surface: str) -> str:
        return concept(surface, self.language, self._cognates)

    def _begin(self, number: int, text: str, begin: int) -> int | None:
        """Where a mention begins whose first word that counts is at `begin`; None where its leading word is missing."""
        if number not in self._led:
            return begin
        lead = _LEAD.search(text, max(0, begin - _LONGEST_LEAD), begin)
        return lead.start() if lead and lead.group(1).lower() in self._led[number] else None

    def _sense(self, place: int, number: int, mention: str) -> Sense:
        """What the term at a place of our columns means, written as it is in its mention."""
        if number in self._exact and (codes := self._exact[number].get(wording(mention, self.language))):
            return Sense(tuple(codes.split(" ")), KINDS[0])
        concepts = (self._concept(mention[begin:end]) for begin, end in words.spans(mention))
        in_order = self._terms[place] == " ".join(filter(None, concepts))
        return Sense(tuple(self._codes[place].split(" ")), KINDS[self._kinds[place]] if in_order else _BAG)


def _abbreviations(listed: dict[str, tuple[str, bool]]) -> dict[str, Sense]:
    senses = {text: Sense((code,), "abbreviation", ambiguous) for text, (code, ambiguous) in listed.items()}
    lower = {text.lower(): sense for text, sense in senses.items() if not sense.ambiguous and len(text) > 2}
    return lower | senses


def _counts(text: str, reading: Reading, i: int) -> bool:
    """Whether an ambiguous abbreviation, the i-th word, is one here. In capitals it is none where a neighbour is in
    capitals as well; a word that our list calls ambiguous ('gota') none where it is a drop."""
    begin, end = int(reading.begins[i]), int(reading.ends[i])
    if not text[begin:end].isupper():
        return not (_DROP_BEFORE.search(text, max(0, begin - 5), begin) or _DROP_AFTER.match(text, end))
    near = (text[reading.begins[j] : reading.ends[j]] for j in (i - 1, i + 1) if 0 <= j < len(reading.begins))
    return not any(len(word) > 4 and word.isupper() for word in near)


def load(language: str) -> Lexicon:
    """The lexicon of a language; of English where we have no terms in it."""
    return _load(language if language in words.LANGUAGES else "en", build.fingerprint())


@cache
def _load(language: str, fingerprint: str) -> Lexicon:
    """The lexicon of a language; `fingerprint` tells lists that were replaced from those before."""
    return Lexicon(language)
