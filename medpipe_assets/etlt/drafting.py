"""A first contract from a file: names, kinds, a key and what may be patient data, guessed from a sample for a person.

Nothing here decides how a file is loaded: that is the contract's, once somebody has read it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.etlt.columns import type_seen
from medpipe_assets.etlt.contract import normalised
from medpipe_assets.etlt.csv_dialect import head_of
from medpipe_assets.etlt.encodings import as_utf8, encoding_of
from medpipe_assets.etlt.json_records import sample_of, values_of
from medpipe_assets.etlt.json_text import is_lines, part
from medpipe_assets.etlt.lines import MAX_RECORD_BYTES
from medpipe_assets.etlt.packing import is_zip, members, unpacked

ENCODINGS = ("utf-8", "cp1252", "latin-1")
PHI_WORDS = frozenset(
    "name names first last middle surname maiden address street addr city zip postal phone telephone fax email mail "
    "dob birth birthdate ssn mrn patient member beneficiary guardian contact photo "
    "nm lst frst mdl mid adr cty phn".split()  # as CMS shortens them
)
"""Words in a column's name that speak of a person: the identifiers of 45 CFR 164.514(b)(2), as columns are called."""
KEY_WORDS = frozenset("id key code number npi ccn".split())
SMALL_KEY = 3
"""Columns of the widest key that is looked for."""
KEY_CANDIDATES = 12
_NO_KEY = ("zip", "state", "double", "date", "timestamp", "boolean")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_WRAPPER = re.compile(r'\s*\{\s*"((?:[^"\\]|\\.)+)"\s*:\s*\[\s*\{')
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")
_MAX_NAME = 63
_NAMED = {"npi": re.compile(r"(.*_)?npi"), "zip": re.compile(r"(.*_)?zip(_code|_cd)?")}
"""Kinds that columns are named for."""
_STATE = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True)
class _Column:
    source: str  # header, or dotted path
    name: str
    kind: str
    values: tuple[Any, ...]


def draft(path: Path, folder: Path, dataset: str = "") -> dict[str, Any]:
    """What a contract for files like this one may say.

    Args:
        folder: an empty one for what is unpacked.
        dataset: its name; made from the file's when empty.

    Raises:
        DocumentError: where the file cannot be read.
        ConfigurationError: for a name that no dataset can have.
    """
    name = dataset or _snake(path.name.split(".")[0])
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ConfigurationError("name the dataset: lower-case letters, digits and '_', a letter first")
    text = _text(path, folder)
    source, columns = _of_json(text, folder) if _is_json(text) else _of_csv(text)
    key = _key(columns)
    return {
        "dataset": name,
        "line": name,
        "description": f"Drafted from a file: say what {name} are.",
        "row": f"a record of {name}",
        "source": source,
        "load_mode": "merge",
        "primary_key": key,
        "fields": {column.name: _field(column, column.name in key) for column in columns},
    }


def _text(path: Path, folder: Path) -> Path:
    if not path.is_file():
        raise DocumentError(Reason.UNREADABLE, "not a regular file")
    if is_zip(path):
        _, found = next(members(path, folder))
        if isinstance(found, DocumentError):
            raise found
        path = found
    plain = unpacked(path, folder)
    if not plain.stat().st_size:
        raise DocumentError(Reason.EMPTY)
    return as_utf8(plain, encoding_of(plain, ENCODINGS), folder / "text")


def _is_json(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.read(1 << 16).lstrip()[:1] in ("{", "[")


def _of_csv(path: Path) -> tuple[dict[str, Any], list[_Column]]:
    head = head_of(path, frozenset())
    if head is None:
        raise DocumentError(Reason.INCONSISTENT, "no header")
    names = _names([header or f"column {place + 1}" for place, header in enumerate(head.headers)])
    columns = []
    for place, (header, name) in enumerate(zip(head.headers, names, strict=True)):
        values = tuple(record[place].strip() for record in head.sample)
        if header:
            columns.append(_Column(header, name, _kind_of_text(name, values), values))
    return {"format": "csv", "delimiter": head.dialect.delimiter}, columns


def _of_json(path: Path, folder: Path) -> tuple[dict[str, Any], list[_Column]]:
    lines = is_lines(path, ())
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        wrapper = _WRAPPER.match(file.read(1 << 16))
    record_path = [wrapper[1]] if wrapper and not (lines and _has_two_lines(path)) else []
    if record_path or not lines:
        path = part(path, record_path, folder / "records")
    sample = sample_of(path)
    if not sample:
        raise DocumentError(Reason.INCONSISTENT, "no JSON object among its records")
    by_path: dict[tuple[str, ...], list[Any]] = {}
    for record in sample:
        for place, value in values_of(record, ()):
            by_path.setdefault(place, []).append(value)
    leaves = {place: values for place, values in by_path.items() if not any(isinstance(v, dict) for v in values)}
    columns = [
        _Column(".".join(place), name, _kind_of_json(name, values), tuple(map(_as_text, values)))
        for (place, values), name in zip(leaves.items(), _names([" ".join(place) for place in leaves]), strict=True)
    ]
    return {"format": "json"} | ({"record_path": ".".join(record_path)} if record_path else {}), columns


def _has_two_lines(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(file.readline(MAX_RECORD_BYTES)) and bool(file.readline(MAX_RECORD_BYTES).strip())


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def _snake(header: str) -> str:
    """A header as a name: 'Provider Last Name' and 'providerLastName' are provider_last_name."""
    name = "_".join(_WORD.findall(header)).lower()
    return (name if not name[:1].isdigit() else f"c_{name}")[:_MAX_NAME]


def _names(headers: Sequence[str]) -> list[str]:
    taken: dict[str, None] = {}
    for place, header in enumerate(headers):
        name = _snake(header) or f"column_{place + 1}"
        number = 2
        unique = name
        while unique in taken:
            unique = f"{name[: _MAX_NAME - 4]}_{number}"
            number += 1
        taken[unique] = None
    return list(taken)


def _kind_of_text(name: str, values: Sequence[str]) -> str:
    stated = [value for value in values if value]
    if kind := next((kind for kind, form in _NAMED.items() if form.fullmatch(name)), ""):
        return kind
    if "state" in name.split("_") and stated and all(map(_STATE.fullmatch, stated)):
        return "state"
    widths = {len(value) for value in stated}
    if stated and all(value.isascii() and value.isdigit() for value in stated):
        if any(value.startswith("0") and len(value) > 1 for value in stated):
            return f"identifier({max(widths)})" if max(widths) <= 99 else "text"
        if KEY_WORDS & set(name.split("_")):
            return "code"
    return type_seen(stated) or "text"


def _kind_of_json(name: str, values: Sequence[Any]) -> str:
    stated = [value for value in values if value is not None]
    kinds = {type(value) for value in stated}
    if kinds == {str}:
        return _kind_of_text(name, [value.strip() for value in stated])
    if kinds == {list}:
        return _array(stated) or "text"
    if kinds == {bool}:
        return "boolean"
    if kinds and kinds <= {int, float}:
        return "integer" if kinds == {int} else "double"
    return "text"


def _array(values: Sequence[Sequence[Any]]) -> str | None:
    """Athena's type of arrays; None where they have no one type."""
    inner = _type([element for value in values for element in value if element is not None])
    return f"array({inner})" if inner else None


def _type(values: Sequence[Any]) -> str | None:
    kinds = {type(value) for value in values}
    if kinds == {dict}:
        return _row(values)
    if kinds == {list}:
        return _array(values)
    if kinds == {bool}:
        return "boolean"
    if kinds and kinds <= {int, float}:
        return "bigint" if kinds == {int} else "double"
    return None if kinds & {dict, list} else "varchar"


def _row(values: Sequence[Mapping[str, Any]]) -> str | None:
    keys = dict.fromkeys(key for value in values for key in value)
    parts = {key: _type([value[key] for value in values if value.get(key) is not None]) for key in keys}
    simple = all(_IDENTIFIER.fullmatch(key) for key in keys)
    return (
        f"row({', '.join(f'{key} {kind}' for key, kind in parts.items())})" if simple and all(parts.values()) else None
    )


def _key(columns: Sequence[_Column]) -> list[str]:
    """The fewest columns, those named as keys first, whose values together are unique in the sample; else the first."""
    if not columns:
        raise DocumentError(Reason.INCONSISTENT, "no columns")
    records = max(len(column.values) for column in columns)
    there = [column for column in columns if records and len(column.values) == records and all(column.values)]
    full = [column for column in there if "(" not in column.kind[:6]]
    likely = sorted(full, key=_unlikely)[:KEY_CANDIDATES]
    for chosen in _combinations(likely):
        rows = list(zip(*(column.values for column in chosen), strict=True))
        if len(set(rows)) == len(rows):
            return [column.name for column in chosen]
    return [likely[0].name if likely else columns[0].name]


def _unlikely(column: _Column) -> int:
    """How little a column looks like a part of a key."""
    words = set(column.name.split("_"))
    return (0 if KEY_WORDS & words else 1) + 2 * (bool(PHI_WORDS & words) or column.kind in _NO_KEY)


def _combinations(columns: Sequence[_Column]) -> Iterator[tuple[_Column, ...]]:
    for width in range(1, SMALL_KEY + 1):
        yield from combinations(columns, width)


def _field(column: _Column, is_key: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": column.kind, "description": column.source}
    if normalised(column.source) != normalised(column.name):
        said["aliases"] = [column.source]
    if is_key:
        said["required"] = True
    if PHI_WORDS & set(column.name.split("_")):
        said["phi"] = True
    return said
