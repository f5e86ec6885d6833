"""Words of six languages as English concepts, so that a wording in one language meets a term in another.

'renal', 'rénale' and 'kidney' are one concept by our own table (`terms/words.tsv`); 'nefropatía' and 'nephropathy' one
by their skeleton: what is left of a learned word of Greek or Latin stock once the habits of each language's spelling
are taken away. Which concepts make a term is not known here.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from medpipe_assets.lexicon import terms
from medpipe_assets.lexicon.words import LANGUAGES, folded, normal, normals, spans

STOP_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "en": frozenset("of the a an in to by for on at from as is with due its into".split()),
    "es": frozenset("de del la el los las en con por un una a al su se lo nivel debido".split()),
    "fr": frozenset("de du des le la les l d en dans avec par un une a au aux sur".split()),
    "pt": frozenset("de do da dos das em no na nos nas com por um uma a o ao os as nivel".split()),
    "it": frozenset(
        "di del della dello dei delle degli dell in nel nella nell con da dal dalla per un una il lo la i le l "
        "a al alla all d".split()
    ),
    "de": frozenset("der die das des dem den in im mit bei durch von vom zu zur am an ein eine einer".split()),
}
"""Words that change nothing about what is named, as folded; left out of terms and texts alike. 'And' and 'or' do change
it: blood and urine are not blood in the urine."""

SHORTEST: Final = 5
"""Letters of a skeleton: shorter ones meet by chance ('parto' and 'part', 'diario' and 'diarrhea')."""

_PART: Final = 4
"""Letters of the shortest part of a German compound."""
_RESPELLED: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^es(?=[cptqfl])", "s"),
        (r"ph", "f"),
        (r"^h|(?<=[rtcg])h(?!e)|(?<=[rt])h", ""),
        (r"^p(?=[sn])", ""),
        (r"[yj]", "i"),
        (r"qu(?=[ei])|k", "c"),
        (r"z", "c"),
        (r"[ao]e", "e"),
        (r"(?:cc|x)ion", "ction"),
        (r"cion|cao$", "tion"),
        (r"sao$", "sion"),
        (r"(.)\1+", r"\1"),
        (r"mn", "n"),
        (r"oss?ea$", "os"),
    )
)
_ENDINGS: Final = tuple(
    (re.compile(f"(?:{pattern})$"), replacement)
    for pattern, replacement in (
        ("it(?:is|ides|e|id)", "itis"),
        ("os(?:is|e|i)", "osis"),
        ("ation(?:es)?", "ation"),
        ("ic(?:aly?|[oa]s?|he|i)?|iqu(?:es?)?|isch(?:e[rsn]?)?", "ic"),
        ("ous|os[oa]s?|eux|euse", "os"),
        ("iv[eoa]s?|if|iv", "iv"),
        ("ari[oa]s?|ar[ies]?|aire|arius", "ar"),
        ("al[ei]s?|aux|al", "al"),
        ("ism[eoai]?|ismus", "ism"),
        ("ad[oa]s?|at[oai]|ated?", "at"),
        ("idade?|it(?:y|i|at|a)", "it"),
        ("enci[ae]|enc[eiya]|ens", "enc"),
        ("anci[ae]|anc[eiya]|ans", "anc"),
        ("[aeiou]+s?|[uo][ms]|s", ""),
    )
)
"""Spellings and endings that differ between the languages and mean the same; the first ending that fits is taken."""


def skeleton(word: str) -> str:
    """A folded word without its language's spelling: 'nefropatia' and 'nephropathy' both give 'nefropat'."""
    for pattern, replacement in _RESPELLED:
        word = pattern.sub(replacement, word)
    for pattern, replacement in _ENDINGS:
        if pattern.search(word):
            return pattern.sub(replacement, word)
    return word


def skeletons(concepts: Iterable[str]) -> dict[str, str]:
    """The concept that each skeleton stands for; of several the first, so give the most frequent first.

    Words too short to have a skeleton stand for themselves: 'anemia' is written alike in four languages.
    """
    found: dict[str, str] = {}
    for concept in concepts:
        if concept.isalpha() and (bones := _bones(concept)):
            found.setdefault(bones, concept)
    return found


def _bones(word: str) -> str:
    bones = skeleton(word)
    return bones if len(bones) >= SHORTEST else f"={word}" if len(word) >= SHORTEST else ""


@cache
def table() -> Mapping[str, Mapping[str, str]]:
    """By language, the normal words of our table with their concepts: the normal form of a row's first English word
    (two, parted by a space, where the other languages have one word for what English has two: 'ferropénico').

    Adjectives are listed in the masculine; where the stemmer leaves gender alone ('derecho'), the feminine is added.
    """
    found: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for row in terms.table("words.tsv"):
        concept = " ".join(normals(row["en"].split("|")[0], "en"))
        for language in LANGUAGES:
            for word in filter(None, (row[language] or "").split("|")):
                found[language].setdefault(normal(word, language), concept)
    for language in ("es", "pt"):
        for word, concept in list(found[language].items()):
            if word.endswith("o"):
                found[language].setdefault(f"{word[:-1]}a", concept)
    return found


def concept(word: str, language: str, cognates: Mapping[str, str]) -> str:
    """The concept of a word as written; '' for a stop word (but not the A of 'hepatitis A') or where nothing is left.

    A German compound that our table has the parts of is several concepts, parted by spaces ('Nierenstein').

    A word that has no English concept is one of its own, marked with its language, so that it never meets an English
    word by chance ('pie', 'red').

    Args:
        cognates: concepts by skeleton.
    """
    plain = folded(word)
    if not plain or (plain in STOP_WORDS[language] and not (len(word) == 1 and word.isupper())):
        return ""
    form = normal(word, language)
    known = table()[language].get(form)
    if known is not None or language == "en":
        return known or form
    if form.isdigit() or len(form) == 1:
        return form
    if language == "de":
        parts = _compound(plain)
        if parts:
            return parts
        plain = folded(word.lower().replace("ä", "ae").replace("ö", "oe"))
    cognate = cognates.get(_bones(plain))
    return table()["en"].get(cognate, cognate) if cognate else f"{language}:{form}"


def wording(text: str, language: str) -> str:
    """The normal words of a text without stop words: what tells two terms of the same concepts apart."""
    found = (text[begin:end] for begin, end in spans(text))
    return " ".join(normal(word, language) for word in found if folded(word) not in STOP_WORDS[language])


def _compound(plain: str) -> str:
    """The concepts of a German compound's two parts, where our table has both; '' for any other word."""
    known = table()["de"]
    for place in range(len(plain) - _PART, _PART - 1, -1):
        right = known.get(normal(plain[place:], "de"))
        left = right and (known.get(plain[:place]) or known.get(re.sub("(?:en|s|n|e)$", "", plain[:place])))
        if left:
            return f"{left} {right}"
    return ""
