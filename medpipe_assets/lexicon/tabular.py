"""The ICD-10-CM tabular list as plain rows, read from the XML that the simple_icd_10_cm package carries.

The package itself is never imported: its import builds a tree of 98,000 objects, which takes seconds. Only reading is
done here; what the rows mean for matching is in `terms`, what they mean for a claim in the coding stage.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from medpipe_assets.errors import ConfigurationError

RELEASE = "2026-04-01"
"""Effective date of the tabular list in the pinned simple_icd_10_cm; the file names below carry it too."""
_TABULAR = "icd10c-tabular-April-1-2026.xml"
_CONFIRMED = "code-list-April-2026.txt"


@dataclass(frozen=True, slots=True)
class Row:
    """A code of the tabular list.

    Attributes:
        code: with its dot.
        parent: the next more general code; '' for a three-character category.
        seventh: for a code that needs a seventh character, the characters allowed, each with its meaning.
        excludes1: codes (or ranges, as printed) that must never stand beside this one.
        inclusions: inclusion terms: names that are coded here.
        includes: notes naming examples of the category.
    """

    code: str
    title: str
    parent: str
    leaf: bool
    seventh: dict[str, str]
    excludes1: tuple[str, ...]
    inclusions: tuple[str, ...]
    includes: tuple[str, ...]


def folder() -> Path:
    """Where the code set's files are installed.

    Raises:
        ConfigurationError: the package is missing, or is another release than the one this version was made for.
    """
    spec = find_spec("simple_icd_10_cm")
    places = spec.submodule_search_locations if spec else None
    data = Path(next(iter(places))) / "data" if places else Path()
    if not (data / _TABULAR).is_file():
        raise ConfigurationError(
            f"The ICD-10-CM release {RELEASE} is not installed ({_TABULAR} in the package simple-icd-10-cm). "
            "Install with the pinned versions: pip install -c constraints.txt ."
        )
    return data


def read() -> list[Row]:
    """All codes written out in the tabular list, in its order (about 47,000; without seventh characters)."""
    data = folder()
    confirmed = frozenset((data / _CONFIRMED).read_text(encoding="utf-8").split())
    root = ElementTree.parse(data / _TABULAR).getroot()
    rows: list[Row] = []
    for chapter in root.iter("chapter"):
        inherited = _seventh(chapter)
        for section in chapter.iter("section"):
            for category in section.iterfind("diag"):
                rows.extend(_rows(category, "", _seventh(section) or inherited, confirmed))
    return rows


def extended(code: str, seventh: str) -> str:
    """A code with its seventh character, padded with the placeholder: ('T36.0X1', 'A') and ('S06.9', 'A')."""
    dotted = code if len(code) > 3 else code + "."
    return dotted.ljust(7, "X") + seventh


def _rows(
    element: ElementTree.Element, parent: str, inherited: dict[str, str], confirmed: frozenset[str]
) -> Iterator[Row]:
    code = _text(element, "name")
    seventh = _seventh(element) or inherited
    children = element.findall("diag")
    allowed = {} if children else {c: m for c, m in seventh.items() if extended(code, c).replace(".", "") in confirmed}
    yield Row(
        code=code,
        title=_text(element, "desc"),
        parent=parent,
        leaf=not children,
        seventh=allowed,
        excludes1=_notes(element, "excludes1"),
        inclusions=_notes(element, "inclusionTerm"),
        includes=_notes(element, "includes"),
    )
    for child in children:
        yield from _rows(child, code, seventh, confirmed)


def _text(element: ElementTree.Element, tag: str) -> str:
    return " ".join((element.findtext(tag) or "").split())


def _notes(element: ElementTree.Element, tag: str) -> tuple[str, ...]:
    return tuple(" ".join(note.text.split()) for note in element.iterfind(f"{tag}/note") if note.text)


def _seventh(element: ElementTree.Element) -> dict[str, str]:
    return {e.attrib["char"]: " ".join((e.text or "").split()) for e in element.iterfind("sevenChrDef/extension")}
