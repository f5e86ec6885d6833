"""Words of a text, with exact offsets, and their normal form: the one place that decides when two words are equal.

Terms and texts go through the same functions, so that a term and its mention meet whatever their case, accents,
hyphens, line breaks, plurals or (where a language has it) adjective endings. No term lists and no matching here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
import regex
from numpy.typing import NDArray

from medpipe_assets.lexicon.normalise import normalise

LANGUAGES: Final = ("en", "es", "fr", "pt", "it", "de")
"""Languages with terms of their own, ISO 639-1."""

Places = NDArray[np.int64]
Kinds = NDArray[np.uint8]

_LETTER: Final = r"\p{L}\p{N}"
_INNER: Final = r"\p{M}\u00ad\u200b-\u200d"
_WORD = regex.compile(rf"[{_LETTER}][{_LETTER}{_INNER}]*(?:['’]s(?![{_LETTER}{_INNER}]))?")
"""A run of letters, digits, combining marks and typesetting hints, with a possessive ending (Crohn's = Crohn)."""

_JOINS: Final = " -,/'’\n\t\u00a0"
"""Of single characters between two words, those that a term reaches across."""
_BREAKS: Final = ".;:!?()|•\x00"
_BREAK = re.compile(rf"[{re.escape(_BREAKS)}]|\n[ \t]*\n")
"""What no term reaches across. Commas and single line breaks may stand inside one ('Pneumonia, unspecified')."""
_WIDEST: Final = 12
"""Characters between two words of a term; more is a column of a table."""

_POSSESSIVE = re.compile(r"['’]s$")
_NUMERALS: Final = {"ii": "2", "iii": "3", "iv": "4"}
"""Roman numerals of types and stages; 'i' is a word of three of the languages and stays."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text by columns, ascending.

    Attributes:
        begins, ends: code points, the end exclusive.
        prints: random-looking numbers; words written differently have different ones, but for one pair in 10^19.
        parted: whether something no term reaches across stands before the word; true of the first.
    """

    begins: Places
    ends: Places
    prints: NDArray[np.uint64]
    parted: NDArray[np.bool_]


def read(text: str) -> Words:
    """The words of a text: `spans` and `parted` for long texts, a few passes over arrays instead of a step a word."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    if len(text) >= _SHORT:
        kinds = _kinds(points)
        if (found := _bounds(points, kinds)) is not None:
            return Words(*found, _prints(points, *found), _parted(text, kinds, *found))
    places = spans(text)
    begins, ends = np.array(places, np.int64).reshape(-1, 2).T
    between = [parted(text, before, after) for before, after in pairwise(places)]
    return Words(begins, ends, _prints(points, begins, ends), np.array([True, *between][: len(places)], np.bool_))


def spans(text: str) -> list[tuple[int, int]]:
    """Begin and end (exclusive, code points) of each word of the text, ascending."""
    return [match.span() for match in _WORD.finditer(text)]


def parted(text: str, before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether something no term reaches across stands between two neighbouring words."""
    begin, end = before[1], after[0]
    if end - begin == 1:
        return text[begin] not in _JOINS
    gap = text[begin:end]
    if gap.startswith(".") and before[1] - before[0] == 1 and "\n" not in gap:
        return False  # an initial: 'E. coli'
    return end - begin > _WIDEST or _BREAK.search(gap) is not None


_SHORT: Final = 200
"""Characters below which a step a word is quicker than arrays."""
_TABLED: Final = 0x3000
"""Code points whose kinds are worked out at once: alphabets and signs. Others (Han, emoji) are as they come."""
_IS_LETTER, _IS_INNER, _IS_JOIN, _IS_BREAK, _IS_LINE, _IS_APOSTROPHE = 1, 2, 4, 8, 16, 32
_KINDS: Final = tuple(
    (kind, regex.compile(f"[{characters}]"))
    for kind, characters in (
        (_IS_LETTER, _LETTER),
        (_IS_INNER, _INNER),
        (_IS_JOIN, re.escape(_JOINS)),
        (_IS_BREAK, re.escape(_BREAKS)),
        (_IS_LINE, r"\n"),
        (_IS_APOSTROPHE, "'’"),
    )
)


def _kinds(points: NDArray[np.uint32]) -> Kinds:
    """What each character is: the _IS_... that hold for it."""
    kinds = _tabled().take(points, mode="clip")
    others = (points >= _TABLED).nonzero()[0]
    if len(others):
        characters, which = np.unique(points[others], return_inverse=True)
        kinds[others] = np.array([_kind(chr(character)) for character in characters.tolist()], np.uint8)[which]
    return kinds


@cache
def _tabled() -> Kinds:
    signs = "".join(map(chr, range(_TABLED)))
    kinds = np.zeros(_TABLED, np.uint8)
    for kind, pattern in _KINDS:
        kinds[[match.start() for match in pattern.finditer(signs)]] |= kind
    return kinds


@cache
def _kind(character: str) -> int:
    return sum(kind for kind, pattern in _KINDS if pattern.match(character))


def _bounds(points: NDArray[np.uint32], kinds: Kinds) -> tuple[Places, Places] | None:
    """As `spans`; None where a possessive has a possessive."""
    inside = np.zeros(len(points) + 2, np.bool_)
    inside[1:-1] = kinds & (_IS_LETTER | _IS_INNER)
    edges = (inside[1:] != inside[:-1]).nonzero()[0]
    begins, ends = edges[::2], edges[1::2]
    marked = ((kinds[begins] & _IS_LETTER) == 0).nonzero()[0]
    if len(marked):  # marks before the first letter are no part of a word
        letters = [np.flatnonzero(kinds[begins[i] : ends[i]] & _IS_LETTER) for i in marked]
        begins[marked] += [found[0] if len(found) else 0 for found in letters]
        empty = marked[[not len(found) for found in letters]]
        begins, ends = np.delete(begins, empty), np.delete(ends, empty)
    ending = ((ends - begins == 1) & (points[begins] == ord("s"))).nonzero()[0]
    ending = ending[ending > 0]
    before = ends[ending - 1]
    ending = ending[(begins[ending] - before == 1) & (kinds[before] & _IS_APOSTROPHE != 0)]
    if not len(ending):
        return begins, ends
    if (np.diff(ending) == 1).any():
        return None
    ends[ending - 1] = ends[ending]
    return np.delete(begins, ending), np.delete(ends, ending)


def _parted(text: str, kinds: Kinds, begins: Places, ends: Places) -> NDArray[np.bool_]:
    """`Words.parted`. Most gaps are of one or two characters (', ' and '. '); the others are looked at one by one, and
    those behind a single letter ('E. coli')."""
    found = np.ones(len(begins), np.bool_)
    gap_begins, gap_ends = ends[:-1], begins[1:]
    found[1:] = (kinds[gap_begins] & _IS_JOIN) == 0
    wide = (gap_ends - gap_begins > 1).nonzero()[0]
    first, second = kinds[gap_begins[wide]], kinds[gap_begins[wide] + 1]
    found[wide + 1] = (first | second) & _IS_BREAK
    intricate = (gap_ends[wide] - gap_begins[wide] > 2) | (first & second & _IS_LINE != 0)
    intricate |= gap_begins[wide] - begins[wide] == 1
    for i in wide[intricate].tolist():
        found[i + 1] = parted(text, (int(begins[i]), int(ends[i])), (int(begins[i + 1]), int(ends[i + 1])))
    return found


_BASE: Final = 0x9E3779B97F4A7C15
_POWERS: Final = 1 << 13


@cache
def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of `_BASE` and of its inverse modulo 2^64."""
    inverse = pow(_BASE, -1, 1 << 64)
    factors = (np.full(_POWERS - 1, base, np.uint64) for base in (_BASE, inverse))
    up, down = (np.cumprod(np.concatenate([np.ones(1, np.uint64), factor])) for factor in factors)
    return up, down


def _prints(points: NDArray[np.uint32], begins: Places, ends: Places) -> NDArray[np.uint64]:
    """`Words.prints`: a word's letters as the digits of a number to a large base, all words in a few passes.

    A word that stands across a multiple of `_POWERS` has another print there than elsewhere, but its own.
    """
    up, down = _powers()
    sums = np.zeros(len(points) + 1, np.uint64)
    weights = up if len(points) <= _POWERS else np.resize(up, len(points))
    (points * weights[: len(points)]).cumsum(out=sums[1:])
    return (sums[ends] - sums[begins]) * down[begins % _POWERS]


def folded(word: str) -> str:
    """Lower case without accents, possessive ending or anything but letters and digits."""
    if word.isascii() and word.isalnum():
        return word.lower()
    return "".join(c for c in normalise(_POSSESSIVE.sub("", word)).text if c.isalnum())


def normal(word: str, language: str) -> str:
    """The form under which a word is compared; '' where nothing comparable is left.

    Stemming is light on purpose: it removes number and, where regular, gender, and never changes a word of fewer
    than four letters ('as', 'tos', 'gas').
    """
    plain = folded(word)
    if plain in _NUMERALS:
        return _NUMERALS[plain]
    stem = _STEMS.get(language, _english)
    return stem(plain) if len(plain) > 3 and not plain.isdigit() else plain


def normals(text: str, language: str) -> list[str]:
    """The normal forms of all words of a text, in order."""
    forms = (normal(text[begin:end], language) for begin, end in spans(text))
    return [form for form in forms if form]


def _english(word: str) -> str:
    for british, american in (("aem", "em"), ("oed", "ed"), ("oeso", "eso"), ("rrhoe", "rrhe"), ("umour", "umor")):
        word = word.replace(british, american)
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _plural_es_s(word: str) -> str:
    if word.endswith("ces"):
        return word[:-3] + "z"
    if word.endswith("es") and len(word) > 5 and word[-3] in "lrndj":
        return word[:-2]
    if word.endswith("s") and not word.endswith(("is", "us", "ss")):
        return word[:-1]
    return word


_GENDER = re.compile(r"(?<=ic|os|ad|id|iv|ri|ud|in|am|rn|st|en|an)[ao]$")


def _iberian_gender(word: str) -> str:
    return _GENDER.sub("", word) if len(word) > 5 else word


def _spanish(word: str) -> str:
    return _iberian_gender(_plural_es_s(word))


def _portuguese(word: str) -> str:
    for plural, singular in (("oes", "ao"), ("aes", "ao"), ("ais", "al"), ("eis", "el"), ("ns", "m")):
        if word.endswith(plural) and len(word) > 5:
            return word[: -len(plural)] + singular
    return _iberian_gender(_plural_es_s(word))


def _italian(word: str) -> str:
    if len(word) < 5:
        return word
    stem = word[:-1] if word[-1] in "aeio" else word
    return stem[:-1] if stem.endswith(("h", "i")) and len(stem) > 4 else stem


def _french(word: str) -> str:
    if len(word) < 5:
        return word
    if word.endswith("aux"):
        return word[:-2] + "l"
    return re.sub(r"(?<!s)e?[sx]$|e$", "", word)


def _german(word: str) -> str:
    return re.sub(r"(?:e[nmrs]?|s|n)$", "", word) if len(word) > 6 else word


_STEMS: Final[dict[str, Callable[[str], str]]] = {
    "en": _english,
    "es": _spanish,
    "pt": _portuguese,
    "it": _italian,
    "fr": _french,
    "de": _german,
}
