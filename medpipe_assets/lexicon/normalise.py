"""Folding text for lexicon look-up, with an exact way back to the text as written.

Belongs here: what counts as the same letter when a term is looked up. Does not belong here: tokenising, stemming,
matching, and anything that changes words rather than letters.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# What Unicode's compatibility decomposition leaves alone, though a typist treats it as the plain letter or sign.
_BY_HAND = {
    **{"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "þ": "th", "ð": "d"},
    **dict.fromkeys("‘’‚‛ʼ´′", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    # Soft hyphen and the zero-width characters are hints to the typesetter, not part of the word.
    **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", ""),
}


@dataclass(frozen=True, slots=True)
class Normalised:
    """A folded text and where each of its characters came from.

    Attributes:
        text: lower-case, without accents; may be shorter or longer than the original ('ß' gives 'ss').
        offsets: for each character of `text`, the code point of the original at which it begins.
        offsets_end: the same for its end (exclusive); combining marks belong to the letter before them.
    """

    text: str
    offsets: Sequence[int]
    offsets_end: Sequence[int]

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """The original's offsets of `text[begin:end]`, which must not be empty."""
        return self.offsets[begin], self.offsets_end[end - 1]


@lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    """One code point, folded: usually one character, sometimes none (a combining mark) or several (a ligature)."""
    if char in _BY_HAND:
        return _BY_HAND[char]
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(_BY_HAND.get(part, part) for part in decomposed if not unicodedata.combining(part))


def normalise(text: str) -> Normalised:
    """Fold case, accents, ligatures, quotes and dashes; exact for any Unicode text.

    Most text folds letter for letter, so its offsets are ranges and cost nothing.
    """
    if text.isascii():
        return Normalised(text.lower(), range(len(text)), range(1, len(text) + 1))
    folds = {char: _fold(char) for char in set(text)}
    if all(len(folded) == 1 for folded in folds.values()):
        return Normalised("".join(map(folds.__getitem__, text)), range(len(text)), range(1, len(text) + 1))
    parts: list[str] = []
    offsets: list[int] = []
    ends: list[int] = []
    for position, char in enumerate(text):
        folded = folds[char]
        if folded:
            parts.append(folded)
            offsets.extend([position] * len(folded))
            ends.extend([position + 1] * len(folded))
        elif ends and ends[-1] == position and unicodedata.combining(char):
            ends[-1] = position + 1
    return Normalised("".join(parts), offsets, ends)
