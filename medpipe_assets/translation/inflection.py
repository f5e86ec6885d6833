"""From a lexicon's base form to the forms that stand in text, each with its English.

Only regular, safe rules: a wrong form that no text contains does no harm, a wrong English form does. What is irregular
stands in the lexicon itself. Reading the lexicon and translating are not here.
"""

import re
from collections.abc import Iterator

Form = tuple[str, str]
"""A form in the source language and its English."""

_PLURALS = {
    "child": "children", "man": "men", "woman": "women", "foot": "feet", "tooth": "teeth", "wife": "wives",
    "bacterium": "bacteria", "fungus": "fungi", "vertebra": "vertebrae", "life": "lives", "half": "halves",
}  # fmt: skip
_PASTS = {
    "show": "showed", "take": "took", "begin": "began", "find": "found", "undergo": "underwent", "withdraw": "withdrew",
    "drink": "drank", "eat": "ate", "sleep": "slept", "bleed": "bled", "fall": "fell", "lose": "lost", "go": "went",
    "become": "became", "stop": "stopped", "admit": "admitted", "refer": "referred", "control": "controlled",
    "plan": "planned",
}  # fmt: skip
_PARTICIPLES = {"take": "taken", "undergo": "undergone", "withdraw": "withdrawn", "drink": "drunk", "eat": "eaten",
                "fall": "fallen", "go": "gone", "show": "shown"}  # fmt: skip
_UNACCENTED = str.maketrans("áéíóú", "aeiou")


def forms(source: str, target: str, kind: str, extra: str, language: str) -> Iterator[Form]:
    """All forms of a lexicon entry, the base form first.

    Args:
        source: base form: singular, masculine, infinitive.
        target: English base form; empty for words that English leaves out.
        kind: 'n' noun, 'u' noun whose English has no plural, 'a' adjective, 'v' verb, anything else unchanging.
        extra: irregular plural (nouns, several joined by a comma) or present stem (verbs); empty where regular.
        language: ISO 639-1 code.
    """
    yield source, target
    if kind in "nu":
        plural = target if kind == "u" else english_plural(target)
        for form in extra.split(",") if extra else _noun_plurals(source, language):
            yield form, plural
    elif kind == "a":
        for form in _adjectives(source, language):
            yield form, target
    elif kind == "v":
        yield from _verbs(source, target, extra, language)


def english_plural(noun: str) -> str:
    """The plural of an English noun phrase: of its head, before 'of' or 'for', else of its last word."""
    head, joint, rest = noun.partition(" of ") if " of " in noun else noun.partition(" for ")
    before, space, last = head.rpartition(" ")
    return before + space + _plural_word(last) + joint + rest


def _plural_word(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    if word.endswith("sis"):
        return word[:-2] + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(?:s|x|z|ch|sh)$", word) else "s")


def _english_verb(verb: str) -> tuple[str, str, str, str]:
    """Third person, past, past participle and -ing form of an English verb, particle kept."""
    word, space, particle = verb.partition(" ")
    tail = space + particle
    past = _PASTS.get(word) or (word + "d" if word.endswith("e") else re.sub(r"([^aeiou])y$", r"\1i", word) + "ed")
    stem = past[:-2] if word in ("stop", "admit", "refer", "control", "plan") else word
    if stem.endswith("e") and stem[-2:-1] not in ("e", "i"):
        stem = stem[:-1]
    elif stem.endswith("ie"):
        stem = stem[:-2] + "y"
    third = _plural_word(word) if word != "go" else "goes"
    return third + tail, past + tail, _PARTICIPLES.get(word, past) + tail, stem + "ing" + tail


def _noun_plurals(noun: str, language: str) -> list[str]:
    """Plurals of a noun and the adjectives that follow it, up to a preposition."""
    if language == "de":
        return []
    head, joint, rest = _head(noun)
    words = [_plural(word, language) for word in head.split(" ")]
    plural = " ".join(words) + joint + rest
    return [] if plural == noun else [plural]


def _head(noun: str) -> tuple[str, str, str]:
    match = re.search(r" (?:(?:d[eaoiu]|del|des|dell[aeo]|à|aux?|para|con|em|en|no|c) |d['’]|dell['’])", noun)
    return (noun, "", "") if match is None else (noun[: match.start()], match[0], noun[match.end() :])


def _plural(word: str, language: str) -> str:
    for pattern, replacement in _PLURAL_RULES[language]:
        changed, count = re.subn(pattern, replacement, word)
        if count:
            return changed
    return word


_PLURAL_RULES: dict[str, list[tuple[str, str]]] = {
    "es": [
        (r"z$", "ces"), (r"([aeiouéáó])$", r"\1s"), (r"[íú]$", r"\g<0>es"), (r"ión$", "iones"), (r"ón$", "ones"),
        (r"ín$", "ines"), (r"án$", "anes"), (r"én$", "enes"), (r"és$", "eses"), (r"(?<=[aeiou])s$", "s"),
        (r"([lrndj])$", r"\1es"),
    ],
    "fr": [(r"[sxz]$", r"\g<0>"), (r"al$", "aux"), (r"(?:eau|eu)$", r"\g<0>x"), (r"$", "s")],
    "pt": [
        (r"ão$", "ões"), (r"m$", "ns"), (r"([rz])$", r"\1es"), (r"al$", "ais"), (r"ível$", "íveis"),
        (r"ável$", "áveis"), (r"el$", "éis"), (r"ol$", "óis"), (r"il$", "is"), (r"ês$", "eses"), (r"s$", "s"),
        (r"$", "s"),
    ],
    "it": [
        (r"io$", "i"), (r"([cg])a$", r"\1he"), (r"go$", "ghi"), (r"ologo$", "ologi"), (r"co$", "ci"), (r"o$", "i"),
        (r"(?:sis|[sàèìòù])$", r"\g<0>"), (r"a$", "e"), (r"e$", "i"),
    ],
}  # fmt: skip


def _adjectives(adjective: str, language: str) -> set[str]:
    if language == "de":
        stem = adjective.removesuffix("e")
        return {stem + ending for ending in ("e", "en", "er", "es", "em")}
    feminine = _feminine(adjective, language)
    masculine_plural = adjective if " " in adjective else _plural(adjective, language)
    found = {feminine, masculine_plural, _plural(feminine, language)}
    if language == "it" and adjective.endswith(("co", "go")):
        found |= {adjective[:-1] + "hi"}
    return found


def _feminine(adjective: str, language: str) -> str:
    if language == "fr":
        for pattern, replacement in _FRENCH_FEMININES:
            changed, count = re.subn(pattern, replacement, adjective)
            if count:
                return changed
    if adjective.endswith("o"):
        return adjective[:-1] + "a"
    return adjective + "a" if language in ("es", "pt") and adjective.endswith(("dor", "sor")) else adjective


_FRENCH_FEMININES = [
    (r"e$", "e"), (r"f$", "ve"), (r"x$", "se"), (r"eur$", "euse"), (r"er$", "ère"), (r"(el|en|on|os|as)$", r"\1\1"),
    (r"(?<=l)(ell|enn|onn)$", r"\1e"), (r"et$", "ète"), (r"$", "e"),
]  # fmt: skip


def _verbs(verb: str, target: str, stem_now: str, language: str) -> Iterator[Form]:
    third, past, participle, ing = _english_verb(target)
    endings = _VERBS[language].get(re.sub(r"^.*(?=(?:ieren|are|ere|ire|ar|er|ir|en)$)", "", verb))
    if endings is None:
        return
    stem = verb[: -int(endings["cut"])]
    english = {"now": third, "now_all": target, "past": past, "participle": participle, "ing": ing, "we": f"we {past}"}
    for tense, english_form in english.items():
        for form in _tense_forms(stem, stem_now, tense, endings, language):
            yield form, english_form
            yield from _negated_and_passive(form, tense, target, participle, language)


def _tense_forms(stem: str, stem_now: str, tense: str, endings: "dict[str, str | int]", language: str) -> list[str]:
    listed = str(endings.get(tense, "")).split()
    if language == "de" and tense == "participle":
        bare = re.match(r"(?:be|ver|ent|er|über|zer)", stem) or stem.endswith("ier")
        return [("" if bare else "ge") + stem + ending for ending in listed]
    if tense.startswith("now") and stem_now:
        return [stem_now + ending for ending in listed]
    found = [stem + ending for ending in listed]
    if language == "es" and stem_now and tense == "past":
        raised = re.sub(r"e([^aeiou]*)$", r"i\1", re.sub(r"o([^aeiou]*)$", r"u\1", stem))
        found += [raised + ending for ending in ("ió", "ieron")] + [stem_now + ending for ending in ("ó", "eron")]
    return found


_SELF = {"es": "se", "pt": "se", "it": "si"}
_NOT = {"es": "no", "pt": "não", "it": "non"}


def _negated_and_passive(form: str, tense: str, target: str, participle: str, language: str) -> Iterator[Form]:
    """'no presenta' and 'se realiza': two words that mean more than their sum."""
    if language == "fr":
        yield from _french_negated(form, tense, target)
    if language not in _SELF:
        return
    if tense in ("participle", "ing", "we"):
        if tense != "we":
            yield (
                f"{_NOT[language]} {form}",
                "not " + (participle if tense == "participle" else _english_verb(target)[3]),
            )
        return
    plural = form.endswith(("n", "m", "no", "ono"))
    be = {"now": "is", "now_all": "are", "past": "were" if plural else "was"}[tense]
    do = {"now": "does", "now_all": "do", "past": "did"}[tense]
    yield f"{_NOT[language]} {form}", f"{do} not {target}"
    yield f"{_SELF[language]} {form}", f"{be} {participle}"
    yield f"{_NOT[language]} {_SELF[language]} {form}", f"{be} not {participle}"


def _french_negated(form: str, tense: str, target: str) -> Iterator[Form]:
    do = {"now": "does", "now_all": "do", "past": "did"}.get(tense)
    if do is not None:
        ne = "n'" if form[0] in "aeiouéèêh" else "ne "
        for pas in ("pas", "pas de", "pas d'"):
            yield f"{ne}{form} {pas}", f"{do} not {target}"


_VERBS: dict[str, dict[str, dict[str, str | int]]] = {
    "es": {
        "ar": {"cut": 2, "now": "a", "now_all": "an", "we": "amos", "past": "ó aron aba aban",
               "participle": "ado ada ados adas", "ing": "ando ándose"},
        "er": {"cut": 2, "now": "e", "now_all": "en", "we": "imos", "past": "ió ieron ía ían",
               "participle": "ido ida idos idas", "ing": "iendo iéndose"},
        "ir": {"cut": 2, "now": "e", "now_all": "en", "we": "imos", "past": "ió ieron ía ían",
               "participle": "ido ida idos idas", "ing": "iendo iéndose"},
    },
    "fr": {
        "er": {"cut": 2, "now": "e", "now_all": "ent", "past": "ait aient a èrent",
               "participle": "é ée és ées", "ing": "ant"},
    },
    "pt": {
        "ar": {"cut": 2, "now": "a", "now_all": "am", "we": "ámos amos", "past": "ou aram ava avam",
               "participle": "ado ada ados adas", "ing": "ando"},
        "er": {"cut": 2, "now": "e", "now_all": "em", "we": "emos", "past": "eu eram ia iam",
               "participle": "ido ida idos idas", "ing": "endo"},
        "ir": {"cut": 2, "now": "e", "now_all": "em", "we": "imos", "past": "iu iram ia iam",
               "participle": "ido ida idos idas", "ing": "indo"},
    },
    "it": {
        "are": {"cut": 3, "now": "a", "now_all": "ano", "past": "ò arono ava avano",
                "participle": "ato ata ati ate", "ing": "ando"},
        "ere": {"cut": 3, "now": "e", "now_all": "ono", "past": "eva evano",
                "participle": "uto uta uti ute", "ing": "endo"},
        "ire": {"cut": 3, "now": "e", "now_all": "ono", "past": "ì irono iva ivano",
                "participle": "ito ita iti ite", "ing": "endo"},
    },
    "de": {
        "en": {"cut": 2, "now": "t", "now_all": "en", "past": "te ten", "participle": "t te ten ter tes", "ing": "end"},
        "ieren": {"cut": 2, "now": "t", "now_all": "en", "past": "te ten", "participle": "t te ten ter tes",
                  "ing": "end"},
    },
}  # fmt: skip
"""Endings by infinitive; third persons, participles and gerund, which are what clinical text is written in."""
