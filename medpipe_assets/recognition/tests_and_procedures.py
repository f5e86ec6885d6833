"""Tests with their values, procedures and treatments in a text.

Belongs here: laboratory tests, imaging, vital signs, procedures and kinds of treatment by name
(data/tests_and_procedures.tsv), and the values and units behind tests. Does not belong here: medications, or what a
value means.
"""

import re
from functools import cache

from medpipe_assets.recognition.engine import Attribute, Mention
from medpipe_assets.recognition.terms import LANGUAGES, Reading, Terms, read, read_concepts

SCORE = 0.9
"""Score of a test found by its whole name, and of a value by the grammar: trust in the rule."""

RELATION = 0.95
"""Relationship score of a value right behind its test."""

SHORT = 3
"""Names up to this length are abbreviations that are also words ('us', 'alt', 'art'), so their case counts."""

_LINK = (
    r"(?:[:=(~-]|of|was|is|at|level|levels|count|with an?|a|de|del|es|fue|era|en|est|a ete|di|e|era|pari a|von|bei|war"
    r"|ist|foi|<|>|low|high|elevated|elevad[oa]|baj[oa]|alt[oa]|total|hasta|up to|around|approximately|approx)"
)
_NUMBER = r"(?:[<>≥≤]\s?)?-?\d+(?:[.,]\d+)*(?:\s?[/x-]\s?\d+(?:[.,]\d+)?)?"
_WORD = (
    r"(?:negative|positive|normal|elevated|negativ[oaie]s?|positiv[oaie]s?|normal(?:e|es|i)?|elevad[oa]s?|negatif|negatifs"
    r"|positif|positifs|negativ|positiv|unauffallig|erhoht|reactive|nonreactive|within normal limits|unremarkable)"
)
_UNIT = (
    r"(?:(?:x\s?10(?:\^|e)?\d+|10\^?\d+|k|m|mio|mil|mill)?\s?/\s?(?:mm3|[uμ]l|mcl|l|ml|min|campo|hpf)|%|mm\s?hg|bpm|lpm|rpm"
    r"|x'|°\s?[cf]|oc|degrees|grados|kg\s?/\s?m2|kgs?|lbs?|pounds|cms?|(?:[munp]|mc|[uμ])?(?:g|mol|eq|ui|iu|u|ie|kat)"
    r"\s?/\s?(?:dl|l|ml|h|24\s?h|g|mmol|mol|min|d)|ml\s?/\s?min(?:/1[.,]73\s?m2)?|mm\s?/\s?h|l\s?/\s?min|fl|pg|seg|sec|ms"
    r"|mm|cells|mil|g%)"
)
_VALUE = re.compile(
    rf"\s?(?:{_LINK}\s?){{0,3}}(?:(?P<number>{_NUMBER})(?![\w/])?(?:\s?(?P<unit>{_UNIT})(?![^\W_]))?|(?P<word>{_WORD})(?![^\W_]))"
)


@cache
def _names(language: str) -> tuple[Terms, tuple[str, ...]]:
    terms, rows = read_concepts("tests_and_procedures.tsv", language)
    return Terms(terms), tuple(row["type"] for row in rows)


def find(text: str, language: str) -> list[Mention]:
    """Tests (TEST_NAME), procedures (PROCEDURE_NAME) and treatments (TREATMENT_NAME) in order.

    A value right behind a test is its TEST_VALUE attribute, the unit behind that its TEST_UNIT.
    """
    if language not in LANGUAGES:
        return []
    terms, types = _names(language)
    folded = read(text)
    mentions = []
    for match in terms.find_folded(folded):
        begin, end = folded.span(match.begin, match.end)
        if _is_plain_word(text[begin:end]):
            continue
        kind = types[match.index]
        attributes = _value(text, folded, match.end) if kind == "TEST_NAME" else ()
        mentions.append(Mention("TEST_TREATMENT_PROCEDURE", kind, ((begin, end),), SCORE, attributes=attributes))
    return mentions


def _is_plain_word(name: str) -> bool:
    """Whether a short name is written as a word, not as an abbreviation; without a vowel it can be no word."""
    letters = name.strip(":")
    if len(letters) > SHORT or letters.lower() in ("tac", "eco"):
        return False
    return letters.islower() and (len(letters) < SHORT or any(vowel in letters for vowel in "aeiou"))


def _value(text: str, folded: Reading, begin: int) -> tuple[Attribute, ...]:
    found = _VALUE.match(folded.text, begin)
    if not found:
        return ()
    attributes = []
    for group, kind in (("number", "TEST_VALUE"), ("word", "TEST_VALUE"), ("unit", "TEST_UNIT")):
        if found[group]:
            lead = len(found[group]) - len(found[group].lstrip())
            span = folded.span(found.start(group) + lead, found.end(group))
            attributes.append(
                Attribute(kind, "TEST_TREATMENT_PROCEDURE", text[slice(*span)], (span,), SCORE, RELATION, kind)
            )
    return tuple(attributes)
