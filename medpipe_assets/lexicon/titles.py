"""A table of code titles in some language, which a user brings along: a code and its title a line.

Such tables come from a country's health ministry or the WHO, most often without dots in the codes, in capitals and
with no header. What the titles are good for is decided where they are used.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from medpipe_assets.errors import ConfigurationError

_CODE: Final = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?[*†+]?", re.IGNORECASE)
_DELIMITERS: Final = "\t;,"


@dataclass(frozen=True, slots=True)
class Title:
    """A code, with its dot, and what it is called in the table's language; never all in capitals."""

    code: str
    text: str


def read(path: Path) -> list[Title]:
    """The titles of a table, in its order: tab, semicolon or comma between columns, code first and title last.

    Lines that begin with no code (a header, a chapter) are passed over.

    Raises:
        ConfigurationError: the file cannot be read, or no line of it begins with a code.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The titles {path} cannot be read: {error.strerror}") from None
    lines = _text(content).splitlines()
    counts = {delimiter: sum(delimiter in line for line in lines) for delimiter in _DELIMITERS}
    rows = csv.reader(lines, delimiter=max(_DELIMITERS, key=lambda d: counts[d]))
    found = [
        Title(_dotted(row[0]), _sentence(row[-1]))
        for row in rows
        if len(row) > 1 and _CODE.fullmatch(row[0].strip()) and row[-1].strip()
    ]
    if not found:
        raise ConfigurationError(f"{path} is no table of titles: no line has an ICD-10 code first and a title last")
    return found


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")  # what spreadsheets save where it is not UTF-8


def _dotted(code: str) -> str:
    plain = code.strip().upper().rstrip("*†+").replace(".", "")
    return plain if len(plain) == 3 else f"{plain[:3]}.{plain[3:]}"


def _sentence(title: str) -> str:
    plain = " ".join(title.split())
    return plain.capitalize() if plain.isupper() else plain
