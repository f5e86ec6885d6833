"""Words of a text, with exact offsets, and their normal form: the one place that decides when two words are equal.

Terms and texts go through the same functions, so that a term and its mention meet whatever their case, accents,
hyphens, line breaks, plurals or (where a language has it) adjective endings. No term lists and no matching here.
"""

import re
from collections.abc import Callable
from typing import Final

import regex

from medpipe_assets.lexicon.normalise import normalise

LANGUAGES: Final = ("en", "es", "fr", "pt", "it", "de")
"""Languages with terms of their own, ISO 639-1."""

_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}\u00ad\u200b-\u200d]*(?:['’]s(?![\p{L}\p{N}]))?")
"""A run of letters, digits, combining marks and typesetting hints, with a possessive ending (Crohn's = Crohn)."""

_BREAK = re.compile(r"[.;:!?()|•\x00]|\n[ \t]*\n")
"""What no term reaches across. Commas and single line breaks may stand inside one ('Pneumonia, unspecified')."""

_POSSESSIVE = re.compile(r"['’]s$")
_NUMERALS: Final = {"ii": "2", "iii": "3", "iv": "4"}
"""Roman numerals of types and stages; 'i' is a word of three of the languages and stays."""


def spans(text: str) -> list[tuple[int, int]]:
    """Begin and end (exclusive, code points) of each word of the text, ascending."""
    return [match.span() for match in _WORD.finditer(text)]


def parted(text: str, before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether something no term reaches across stands between two neighbouring words."""
    begin, end = before[1], after[0]
    if end - begin == 1:
        return text[begin] not in " -,/'’\n\t\u00a0"
    gap = text[begin:end]
    if gap.startswith(".") and before[1] - before[0] == 1 and "\n" not in gap:
        return False  # an initial: 'E. coli'
    return end - begin > 12 or _BREAK.search(gap) is not None


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
