"""The Alphabetic Index of ICD-10-CM, which a user brings along: what it says, and what people write for what it says.

Read are the CDC's XML (`icd10cm_index_2026.xml`, main terms with terms below them) and a flat table of the same with
the columns Level, Term, See, SeeAlso, NonEssModif and Code. No package carries the Index, and none of it is kept here.
What its wordings are worth beside the tabular list's is decided where they are compiled.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from medpipe_assets.errors import ConfigurationError

_COLUMNS: Final = ("Level", "Term", "See", "NonEssModif", "Code")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the Index.

    Attributes:
        path: the main term and the terms below it down to this line, as printed, without nonessential modifiers.
        modifiers: nonessential modifiers of each part of the path, as printed: '(acute) (chronic)'; '' for most.
        code: without the dash that says that the tabular list divides it further; '' where the line has none.
        see: the line to go to instead, as printed; '' for most.
    """

    path: tuple[str, ...]
    modifiers: tuple[str, ...]
    code: str
    see: str


@dataclass(frozen=True, slots=True)
class Wording:
    """A way to write what a line of the Index names. `depth` is the number of parts of its path."""

    text: str
    code: str
    depth: int


def read(path: Path) -> list[Entry]:
    """The lines of an Index, in order, those without a code too.

    Raises:
        ConfigurationError: the file is not there, or is neither the CDC's XML nor such a table.
    """
    try:
        content = path.read_bytes()
        if content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
            return list(_of_xml(content))
        return list(_of_table(content.decode("utf-8-sig")))
    except OSError as error:
        raise ConfigurationError(f"The Alphabetic Index {path} cannot be read: {error.strerror}") from None
    except (ElementTree.ParseError, UnicodeDecodeError, ValueError, csv.Error):
        raise ConfigurationError(
            f"{path} is no Alphabetic Index: neither the CDC's XML (icd10cm_index_2026.xml) nor a table in UTF-8 with "
            f"the columns {', '.join(_COLUMNS)}"
        ) from None


def _of_xml(content: bytes) -> Iterator[Entry]:
    mains = list(ElementTree.fromstring(content).iter("mainTerm"))
    if not mains:
        raise ValueError("no main term")
    for main in mains:
        yield from _lines(main, (), ())


def _lines(element: ElementTree.Element, path: tuple[str, ...], modifiers: tuple[str, ...]) -> Iterator[Entry]:
    title = element.find("title")
    if title is None:
        return
    path = (*path, _plain((title.text or "") + "".join(child.tail or "" for child in title)))
    modifiers = (*modifiers, _plain(" ".join(child.text or "" for child in title.iter("nemod"))))
    yield Entry(path, modifiers, _code(element.findtext("code") or ""), _plain(element.findtext("see") or ""))
    for child in element.iterfind("term"):
        yield from _lines(child, path, modifiers)


def _of_table(text: str) -> Iterator[Entry]:
    lines = csv.DictReader(io.StringIO(text), delimiter="\t" if "\t" in text.partition("\n")[0] else ",")
    if not set(_COLUMNS) <= set(lines.fieldnames or ()):
        raise ValueError("columns missing")
    above: list[tuple[str, str]] = []
    for line in lines:
        del above[int(line["Level"]) :]
        behind = _PARENTHESES.sub("", line["NonEssModif"])  # 'Old (previous) myocardial infarction' goes on
        above.append((_plain(f"{line['Term']} {behind}"), _plain(" ".join(_PARENTHESES.findall(line["NonEssModif"])))))
        path, modifiers = zip(*above, strict=True)
        yield Entry(path, modifiers, _code(line["Code"]), _plain(line["See"]))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _code(printed: str) -> str:
    """'S32.40-' is S32.40, 'E11.-' E11, and 'E11.621 [L97.-]' E11.621."""
    return printed.split("[")[0].strip().rstrip("-.")


_LINK: Final = re.compile(r"^(?:with|in|due to|of|by|from|following|associated with|\(?due to\)?)\b ?", re.IGNORECASE)
"""How a term below another is tied to it; people mostly leave it out or put it between the two."""
_NOT_SAID: Final = re.compile(r"\b(?:NEC|NOS)\b|\bspecified\b|\bunspecified\b")
_PARENTHESES: Final = re.compile(r"\s*\([^)]*\)")
_DEEPEST: Final = 4
"""Parts of a path. Deeper lines ('hip, fracture, displaced, initial ...') are never written out as such."""
_STEM: Final = 3
"""Letters that the forms of a main term share, which is printed with all of them: 'Abnormal, abnormality'."""


def wordings(entries: Sequence[Entry]) -> Iterator[Wording]:
    """What people write for the lines that have a code, their own or the one they send to, most literal first.

    'Angina > unstable' gives 'Angina unstable' and 'unstable Angina'; 'Zona', which sends to 'Herpes, zoster', gives
    'Zona' with its code.
    """
    codes = _codes(entries)
    for entry in entries:
        code = entry.code or codes.get(_key(entry.see.split(", ")), "")
        cut = entry.modifiers[-1].startswith("(-")  # 'May (-Hegglin)': tables lose the rest of the name
        if code and not cut and len(entry.path) <= _DEEPEST:
            for text in dict.fromkeys(_said(entry.path)):
                yield Wording(text, code, len(entry.path))


def _codes(entries: Sequence[Entry]) -> Mapping[tuple[str, ...], str]:
    """Code by path, as a 'see' would name it: each form of the main term, then the terms below."""
    found: dict[tuple[str, ...], str] = {}
    for entry in entries:
        if entry.code:
            for head in _heads(entry.path[0]):
                found.setdefault(_key([head, *entry.path[1:]]), entry.code)
    return found


def _key(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.lower() for part in path for word in re.findall(r"\w+", _LINK.sub("", part)))


def _heads(main: str) -> list[str]:
    """A main term's forms: 'Abnormal, abnormality' are two; 'Kidney, fused' is one, and said in the other order."""
    parts = [part.strip() for part in main.split(",") if part.strip()]
    stem = parts[0][:_STEM].lower() if parts else ""
    if all(part.lower().startswith(stem) for part in parts):
        return parts
    return [" ".join(reversed(parts))]


def _said(path: Sequence[str]) -> Iterator[str]:
    """What a person may write for a path: as printed and with the last first; by each form of its main term."""
    plain = [_plain(_PARENTHESES.sub("", part)) for part in path]
    below = [_plain(_NOT_SAID.sub("", part)) for part in plain[1:]]
    if not all(below):
        return  # 'specified NEC' names nothing
    bare = [_plain(_LINK.sub("", part.split(",")[0])) for part in below]
    for head in _heads(plain[0]):
        yield " ".join([head, *below])
        if all(bare):
            yield " ".join([*reversed(bare), head])
