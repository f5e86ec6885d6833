"""A text as the model sees it: tokens with exact offsets, sentences, and a number for each word's stem.

Whatever hangs on a word alone is worked out once a process and looked up after that, so that reading a text is a few
passes over arrays. No dictionary and no statistics here.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import Stemmer
from numpy.typing import NDArray

Integers = NDArray[np.int32]
Numbers = NDArray[np.uint64]

_TOKEN: Final = re.compile(r"([^\W_]+|[^\w\s]|_)")
SENTENCE_END: Final = re.compile(r"(?<=[^\s.]{2})[.]\s+|\n+")
"""Ends of sentences: a full stop behind two characters (not an initial) before space, and line ends."""

_STEMMERS: Final = {
    "es": "spanish",
    "en": "english",
    "fr": "french",
    "pt": "portuguese",
    "it": "italian",
    "de": "german",
}
_STOP: Final = {
    "es": "de del la el los las en y a al un una por e o su se lo",
    "en": "the of a an and or in to by for on at from as is",
    "fr": "de du la le les des en et a au un une par ou d l",
    "pt": "de do da o os as em e a ao um uma por ou no na se",
    "it": "di del della il la i gli le in e a al un una per o",
    "de": "der die das des dem den ein eine und oder in zu im am von",
}
"""Words that make no difference to what a term names."""
_DENYING: Final = {
    "es": "no sin niega negaba descarta descartandose descarto descartar ausencia negativo negativa negativos "
    "negativas ni tampoco",
    "en": "no not without denies denied negative absence absent never nor excluded",
}
_SIDES: Final = {
    "es": ("derech dcho dcha dch od", "izquierd izdo izda izq oi", "bilateral ambos ambas ao"),
    "en": ("right rt", "left lt", "bilateral both"),
    "pt": ("direit dta dto", "esquerd esq", "bilatera ambos ambas"),
    "fr": ("droit", "gauche", "bilatera deux"),
    "it": ("destr dx", "sinistr sn sx", "bilatera entramb"),
    "de": ("recht rechts rechte rechten rechter", "links linke linken linker", "beide bilatera"),
}
"""Words of the right side, the left one and both, by how they begin; those of less than five letters as they are."""
_LETTERS: Final = 5
_REMEMBERED: Final = 300_000
"""Distinct words kept; with more than that we begin anew."""


@cache
def number(text: str) -> int:
    """A random-looking number of 64 bits for a string, the same everywhere."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def numbers(texts: list[str]) -> Numbers:
    """`number` of each, without remembering them."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8")


def folded(word: str) -> str:
    """Lower case without accents."""
    if word.isascii():
        return word.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c))


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's tokens. All arrays have one item a token.

    Attributes:
        begin, end: offsets in code points.
        sentence: number of its sentence, from 0.
        word: row of the word in the `Words` that read it.
        content: places of the tokens that count in a term: words that are no stop words.
    """

    text: str
    begin: Integers
    end: Integers
    sentence: Integers
    word: Integers
    content: NDArray[np.intp]


class Grown:
    """An array that grows by rows; `rows` shows those that are there."""

    def __init__(self, dtype: Any, width: tuple[int, ...] = ()) -> None:
        self._kept = np.zeros((1024, *width), dtype)
        self._size = 0

    @property
    def rows(self) -> NDArray[Any]:
        return self._kept[: self._size]

    def __len__(self) -> int:
        return self._size

    def append(self, row: Any) -> None:
        if self._size == len(self._kept):
            self._kept = np.concatenate([self._kept, np.zeros_like(self._kept)])
        self._kept[self._size] = row
        self._size += 1


class Words:
    """What there is to know of each word as written, by row, in the order in which the words were met.

    Attributes:
        written: the words. folded: without case and accents. stem: the stem's `number`.
        content, denying: whether it counts in a term, and whether it denies what follows.
        side: 1 for a word of the right side, 2 of the left one, 3 of both, else 0.
        beginnings: how often we began anew; rows told before mean nothing after.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._stemmer = Stemmer.Stemmer(_STEMMERS.get(language, "english"), 0)
        self._stop = frozenset(_STOP.get(language, "").split())
        self._denying = frozenset(_DENYING.get(language, "").split())
        self._sides = [tuple(begins.split()) for begins in _SIDES.get(language, ("", "", ""))]
        self.beginnings = 0
        self.clear()

    def clear(self) -> None:
        """Forget all words."""
        self.beginnings += 1
        self._row: dict[str, int] = {}
        self.written: list[str] = []
        self.folded: list[str] = []
        self.stems: list[str] = []
        self.stem, self.content, self.denying = Grown(np.uint64), Grown(bool), Grown(bool)
        self.side = Grown(np.int8)

    def read(self, text: str) -> Tokens:
        """A text's tokens; words not met before get their rows."""
        pieces = _TOKEN.split(text)  # what stands between tokens, and tokens, in turn
        written = pieces[1::2]
        ends = np.cumsum(np.fromiter(map(len, pieces), np.int32, len(pieces)))
        begin, end = ends[:-1:2].astype(np.int32), ends[1::2].astype(np.int32)
        breaks = np.array([match.end() for match in SENTENCE_END.finditer(text)], dtype=np.int32)
        sentence = np.searchsorted(breaks, begin, side="right").astype(np.int32)
        rows = list(map(self._row.get, written))
        if None in rows:
            rows = [self._met(word) if row is None else row for word, row in zip(written, rows, strict=True)]
        word = np.array(rows, dtype=np.int32)
        content = np.flatnonzero(self.content.rows[word]) if len(word) else np.zeros(0, np.intp)
        return Tokens(text, begin, end, sentence, word, content)

    def full(self) -> bool:
        """Whether so many words were met that it is time for `clear`."""
        return len(self.written) > _REMEMBERED

    def _met(self, word: str) -> int:
        row = self._row.get(word)
        if row is not None:
            return row
        row = self._row[word] = len(self.written)
        plain = folded(word)
        stem = self._stemmer.stemWord(plain)
        self.written.append(word)
        self.folded.append(plain)
        self.stems.append(stem)
        self.stem.append(number(stem))
        self.content.append((plain[:1].isalnum() or plain == "+") and plain not in self._stop)
        self.denying.append(plain in self._denying)
        self.side.append(next((i for i, words in enumerate(self._sides, start=1) if _begins(plain, words)), 0))
        return row


def _begins(word: str, beginnings: tuple[str, ...]) -> bool:
    return any(word.startswith(each) if len(each) >= _LETTERS else word == each for each in beginnings)
