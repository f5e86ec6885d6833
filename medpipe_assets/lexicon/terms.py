"""Where terms come from: the tabular list's wording turned into what people write, and our own term lists.

Each function yields `Term`s; nothing here compiles, matches or scores. Our own lists are `terms/*.tsv`, one concept a
line; they are self-made and checked against the code table by the tests.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from medpipe_assets.lexicon import alphabetic_index
from medpipe_assets.lexicon.tabular import Row
from medpipe_assets.lexicon.words import LANGUAGES

FILES: Final = Path(__file__).parent / "terms"

KINDS: Final = ("own", "abbreviation", "title", "unspecified", "inclusion", "index", "include", "vague", "bag")
"""Where a term's code comes from, most trusted first; the coder's calibration has a row for each:
our own list, our abbreviations, a title, a title after 'unspecified' was taken out, an inclusion term, a line of the
user's Alphabetic Index, an 'includes' note, a term of a code that names neither site nor cause (VAGUE), and one found
by its words alone, in another order."""

VAGUE: Final = frozenset("B99.9 C79.9 C80.1 D36.9 D49.9 F99 G89 K46.9 R69 T14.8 T14.90 T78.40".split())
"""Codes for 'cancer', 'tumor', 'fracture', 'wound', 'infection' and the like where the record says no more. A text that
names them has nearly always said more elsewhere, so the mention is worth having and its code hardly ever."""


@dataclass(frozen=True, slots=True)
class Term:
    """A way to write a code's concept in a language, and which of KINDS it is."""

    text: str
    code: str
    kind: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """An abbreviation with its code; an ambiguous one counts only in upper case, and for less."""

    text: str
    code: str
    ambiguous: bool
    language: str


def table(name: str) -> list[dict[str, str]]:
    """The rows of one of our own lists, by column."""
    with (FILES / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def own() -> Iterator[Term]:
    """Terms of `conditions.tsv`."""
    for row in table("conditions.tsv"):
        for language in LANGUAGES:
            for text in (row[language] or "").split("|"):
                if text:
                    yield Term(text, row["code"], "own", language)


def abbreviations() -> Iterator[Abbreviation]:
    """Abbreviations of `abbreviations.tsv`."""
    for row in table("abbreviations.tsv"):
        yield Abbreviation(row["abbreviation"], row["code"], row["ambiguous"] == "yes", row["language"])


@cache
def not_conditions(language: str) -> frozenset[str]:
    """Terms that in running text hardly ever name what their code means ('contact', 'stage 2'); never looked for."""
    return frozenset(row["term"] for row in table("not_conditions.tsv") if row["language"] == language)


_BRACKETS = re.compile(r"\s*\[[^\]]*\]")
_PARENTHESES = re.compile(r"\s*\([^)]*\)")
_NOT_SAID = re.compile(
    r",? (?:NOS|NEC|not elsewhere classified|not otherwise specified|without (?:mention of )?complications?"
    r"|uncomplicated|unspecified as to [a-z ,]+)(?=,|$)",
    re.IGNORECASE,
)
_UNSPECIFIED = re.compile(
    r",? ?\b(?:or )?unspecified(?: (?:(?:part|parts|site|portion|quadrant|area|region) of|"
    r"(?:site|organism|type|cause|severity|stage|laterality|trimester|degree|part|location|etiology|chronicity))\b)?"
    r"(?=( |,|$))|^unspecified ",
    re.IGNORECASE,
)
_NO_NAME = re.compile(
    r"^(?:other|certain|encounter for|contact with|exposure to|problems? related)\b|\bclassified elsewhere$|:$",
    re.IGNORECASE,
)
_ALIAS = re.compile(r"(?:(?!of|in|with|to)[^\W\d_]+[ -]){1,4}\[([^\]]+ [^\]]+)\]$", re.IGNORECASE)
"""Another name in brackets behind a short title; behind a long one it names only a part ('Sepsis due to X [Y]')."""
_CANCER = re.compile(r"^malignant neoplasm of (?:the )?", re.IGNORECASE)
_SECONDARY = re.compile(r"^secondary malignant neoplasm of (?:the )?", re.IGNORECASE)
_EITHER = re.compile(r"^(.* )?(?:of|in) ([a-z]+) (?:and|or) ([a-z]+)$", re.IGNORECASE)
_UNNAMED: Final = re.compile("[VWXY]|T3[6-9]|T[45]|T6[0-5]")
"""Codes whose wording names no condition: external causes read like police reports, poisonings like a list of drugs."""
_PLACES: Final = "S"


def of_tabular(rows: Iterable[Row]) -> Iterator[Term]:
    """English terms of the tabular list: titles, inclusion terms and 'includes' notes with their usual variants."""
    for row in rows:
        if _UNNAMED.match(row.code) or "classified elsewhere" in row.title:
            continue  # a manifestation's code never stands alone, so its names belong to other codes
        title = "unspecified" if "unspecified" in row.title.lower() else "title"
        for kind, texts in ((title, (row.title,)), ("inclusion", row.inclusions), ("include", row.includes)):
            for text in texts:
                if row.code[0] in _PLACES and kind.startswith("inclu") and " " not in text:
                    continue  # 'Axis', 'Astragalus': where the injury is, not what
                for variant in variants(text):
                    if not variant.isupper():  # abbreviations are ours to choose: HR, PCP and FFA mean other things
                        yield Term(variant, row.code, kind)


def of_index(path: Path | None) -> Iterator[Term]:
    """English terms of the user's Alphabetic Index; none where there is none. Its words for what is no disease (code
    Z: 'follow-up', 'newborn') are in every note."""
    for wording in alphabetic_index.wordings(alphabetic_index.read(path)) if path else ():
        if not (_UNNAMED.match(wording.code) or wording.code[0] == "Z" or wording.text.isupper()):
            yield Term(wording.text, wording.code, "index")


def variants(text: str) -> Iterator[str]:
    """What a person may write for a wording of the tabular list, most literal first.

    'Pneumonia, unspecified organism' gives 'Pneumonia'; 'Hypertension (arterial) (benign)' gives 'Hypertension' and
    the whole without parentheses; 'Polyp, cervix' gives 'cervix Polyp'. A wording that says 'other' or 'classified
    elsewhere' names no concept and gives nothing.
    """
    if _NO_NAME.search(text):
        return
    yield text
    for plain in {_PARENTHESES.sub("", text): None, re.sub(r"[()]", "", text): None}:
        said = " ".join(_UNSPECIFIED.sub(" ", _NOT_SAID.sub("", _BRACKETS.sub("", plain))).split()).strip(" ,")
        said = re.sub(r"(?: (?:of|with|and|or|in))+$", "", said.replace(" ,", ","))
        if not said:
            continue
        yield said
        yield from _reworded(said)
    alias = _ALIAS.match(text)
    if alias:
        yield alias.group(1)


def _reworded(said: str) -> Iterator[str]:
    parts = [part.strip() for part in said.split(",")]
    if len(parts) == 2 and not parts[1].startswith(("with", "due to", "not ")):
        yield f"{parts[1]} {parts[0]}"
    for pattern, words in ((_CANCER, ("cancer", "carcinoma")), (_SECONDARY, ("metastasis",))):
        site = pattern.sub("", said)
        if site != said:
            for name in words:
                yield f"{name} of {site}"
                yield f"{site} {name}"
    either = _EITHER.match(said)
    if either:
        head = said[: either.start(2)]
        yield head + either.group(2)
        yield head + either.group(3)
