"""The ICD-10-CM code set as plain rows and rules, read from the files that the CDC publishes: the tabular list (XML,
with all notes) or the order file (codes and titles only).

The package simple_icd_10_cm, which carries a tabular list, is never imported: its import builds a tree of 98,000
objects, which takes seconds. Only reading is done here; which files there are is the affair of `releases`, what the
rows mean for matching of `terms`, what they mean for a claim of the coding stage.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from medpipe_assets.errors import ConfigurationError

EXCLUDES1: Final = "excludes1"
CODE_FIRST: Final = "codeFirst"
USE_ADDITIONAL: Final = "useAdditionalCode"
KINDS: Final = (EXCLUDES1, CODE_FIRST, USE_ADDITIONAL)
"""Kinds of rules, by the tabular list's own names."""


@dataclass(frozen=True, slots=True)
class Row:
    """A code of the set.

    Attributes:
        code: with its dot.
        parent: the next more general code; '' for a three-character category.
        seventh: for a code that needs a seventh character, the characters allowed, each with its meaning.
        inclusions: inclusion terms: names that are coded here.
        includes: notes naming examples of the category.
    """

    code: str
    title: str
    parent: str
    leaf: bool
    seventh: dict[str, str]
    inclusions: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A note on codes that must not, or should, stand beside others.

    Attributes:
        kind: one of KINDS.
        first, last: the codes that it holds for: those from `first` to `last` in the order of the rows.
        targets: the codes that it names, as ranges (first, last) with all that is below them; () where it names none.
    """

    kind: str
    first: str
    last: str
    targets: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A release: rows in the order of the tabular list (a parent stands before its children), and rules."""

    rows: list[Row] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)


def read(path: Path, confirmed: Path | None = None) -> CodeSet:
    """A release's codes, from a tabular list or an order file.

    Args:
        confirmed: a list of all codes without their dots, one a line: a seventh character counts only if the code with
            it is there. Without it all characters count that the tabular list's notes allow.

    Raises:
        ConfigurationError: the file is not there, or is neither.
    """
    try:
        content = path.read_bytes()
        codes = None if confirmed is None else frozenset(confirmed.read_text(encoding="utf-8").split())
        found = _of_xml(content, codes) if content.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<") else _of_order(content)
    except OSError as error:
        raise ConfigurationError(f"The code set {path} cannot be read: {error.strerror}") from None
    except (ElementTree.ParseError, UnicodeDecodeError):
        found = CodeSet()
    if not found.rows:
        raise ConfigurationError(
            f"{path} is no release of ICD-10-CM: neither a tabular list (icd10cm-tabular-2027.xml) nor an order file "
            "(icd10cm-order-2027.txt)"
        )
    return found


def extended(code: str, seventh: str) -> str:
    """A code with its seventh character, padded with the placeholder: ('T36.0X1', 'A') and ('S06.9', 'A')."""
    dotted = code if len(code) > 3 else code + "."
    return dotted.ljust(7, "X") + seventh


def dotted(code: str) -> str:
    """A code, written with or without its dot, as the code set writes it."""
    plain = code.strip().upper().replace(".", "")
    return plain if len(plain) <= 3 else f"{plain[:3]}.{plain[3:]}"


def _of_xml(content: bytes, confirmed: frozenset[str] | None) -> CodeSet:
    found = CodeSet()
    for chapter in ElementTree.fromstring(content).iter("chapter"):
        in_chapter = _seventh(chapter)
        chapter_begins = len(found.rows)
        for section in chapter.iterfind("section"):
            begins = len(found.rows)
            for category in section.iterfind("diag"):
                _add(found, category, "", _seventh(section) or in_chapter, confirmed)
            found.rules.extend(_rules(section, found.rows[begins:]))
        found.rules.extend(_rules(chapter, found.rows[chapter_begins:]))
    return found


def _add(
    found: CodeSet,
    element: ElementTree.Element,
    parent: str,
    inherited: dict[str, str],
    confirmed: frozenset[str] | None,
) -> None:
    code = _text(element, "name")
    seventh = _seventh(element) or inherited
    children = element.findall("diag")
    allowed = {} if children else seventh
    if confirmed is not None:
        allowed = {c: m for c, m in allowed.items() if extended(code, c).replace(".", "") in confirmed}
    begins = len(found.rows)
    found.rows.append(
        Row(
            code=code,
            title=_text(element, "desc"),
            parent=parent,
            leaf=not children,
            seventh=allowed,
            inclusions=_notes(element, "inclusionTerm"),
            includes=_notes(element, "includes"),
        )
    )
    for child in children:
        _add(found, child, code, seventh, confirmed)
    found.rules.extend(_rules(element, found.rows[begins:]))


def _text(element: ElementTree.Element, tag: str) -> str:
    return " ".join((element.findtext(tag) or "").split())


def _notes(element: ElementTree.Element, tag: str) -> tuple[str, ...]:
    return tuple(" ".join(note.text.split()) for note in element.iterfind(f"{tag}/note") if note.text)


def _seventh(element: ElementTree.Element) -> dict[str, str]:
    return {e.attrib["char"]: " ".join((e.text or "").split()) for e in element.iterfind("sevenChrDef/extension")}


_PARENTHESES: Final = re.compile(r"\(([^()]*)\)")
_CODE: Final = r"([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?)"
_NAMED: Final = re.compile(rf"\b{_CODE}\b(?:\s*-\s*{_CODE}\b)?")
"""A code or a range of codes as printed: 'E10.-', 'K50.013', 'A00-A09', 'I60-I69'."""
_CONDITIONAL: Final = re.compile(r"\b(?:if|any)\b", re.IGNORECASE)
"""'Use additional code, if applicable', 'code first any associated': nothing is wrong where there is none."""
_DEMANDING: Final = re.compile(r"\b(?:underlying|associated)\b", re.IGNORECASE)
"""Without one of these words a 'code first' note lists causes that are coded first where one of them is the cause."""
_CIRCUMSTANCE: Final = re.compile("[VWXYZ]|F1[07]|P96.81|B9[5-7]|T3[6-9]|T[45]|T6[0-5]")
"""Codes of germs, drugs, tobacco and the like, which 'use additional code' notes want where the record has them."""


def _rules(element: ElementTree.Element, below: list[Row]) -> Iterator[Rule]:
    """The rules of a chapter, a section or a code, which hold for all rows below it and its own."""
    for kind in KINDS if below else ():
        for group in element.iterfind(kind):
            notes = [" ".join((note.text or "").split()) for note in group.iterfind("note")]
            targets = tuple(target for note in notes for target in _targets(note))
            if kind == USE_ADDITIONAL:
                targets = tuple(target for target in targets if not _CIRCUMSTANCE.match(target[0]))
            demands = kind == EXCLUDES1 or not any(map(_CONDITIONAL.search, notes))
            if kind == CODE_FIRST:
                demands = demands and any(map(_DEMANDING.search, notes))
            if demands and (targets or kind == CODE_FIRST):
                yield Rule(kind, below[0].code, below[-1].code, targets)


def _targets(note: str) -> Iterator[tuple[str, str]]:
    for inside in _PARENTHESES.findall(note):
        for match in _NAMED.finditer(inside):
            yield match.group(1), match.group(2) or match.group(1)


def _of_order(content: bytes) -> CodeSet:
    """Codes of an order file, by the layout that comes with it: code in columns 7 to 13, 1 in column 15 where a claim
    may carry it, long title from column 78. Codes of seven characters are their parent's seventh characters."""
    lines = content.decode("utf-8-sig").splitlines()
    listed = dict(sorted((line[6:13].strip(), line[77:].strip()) for line in lines if _ORDERED.match(line)))
    above = {code: _parent(code, listed) for code in listed}
    seventh: dict[str, dict[str, str]] = {code: {} for code in listed}
    for code, title in listed.items():
        if len(code) == 7:
            seventh[above[code]][code[6]] = title.removeprefix(listed[above[code]]).strip(" ,")
    divided = {above[code] for code in listed if len(code) < 7}
    return CodeSet(
        [
            Row(dotted(code), title, dotted(above[code]), code not in divided, seventh[code])
            for code, title in listed.items()
            if len(code) < 7
        ]
    )


_ORDERED: Final = re.compile(r"\d{5} [A-Z]\d[0-9A-Z][0-9A-Z]{0,4} +[01] ")


def _parent(code: str, listed: dict[str, str]) -> str:
    """The longest listed code that this one continues; '' for a category.

    Raises:
        ConfigurationError: a code stands alone.
    """
    for length in range(len(code) - 1, 2, -1):
        if code[:length] in listed:
            return code[:length]
    if len(code) > 3:
        raise ConfigurationError(f"the order file has {code}, but not its category {code[:3]}")
    return ""
