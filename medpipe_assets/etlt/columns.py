"""A file's own columns: their names, the types that their values show, and the fields of a contract that they become.

How columns are found in a file is the readers' matter.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from medpipe_assets.etlt.contract import Contract, normalised

_SHAPES = (
    ("integer", re.compile(r"[+-]?(0|[1-9]\d{0,17})")),
    ("double", re.compile(r"[+-]?(0|[1-9]\d*)?\.?\d+([eE][+-]?\d+)?")),
    ("date", re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}/\d{1,2}/\d{4}")),
    ("timestamp", re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")),
    ("boolean", re.compile(r"y|n|yes|no|t|f|true|false", re.IGNORECASE)),
)
_LOST_ZEROS = re.compile(r"0\d")


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column of a file.

    Attributes:
        name: its header, or its dotted path in JSON.
        type: what its values look like: 'text', 'integer', 'double', 'date', 'timestamp', 'boolean', of JSON also
            'array', 'object' and 'mixed'; empty where it has no value in the sample.
        field: the field that it becomes; None where the contract has none for it.
    """

    name: str
    type: str
    field: str | None


@dataclass(frozen=True)
class Match:
    """How a file's headers fit a contract.

    Attributes:
        headers: the file's, in order.
        layout: the contract's layout that it has.
        fields: field -> places of its headers, from 0, best first; only fields that the file has.
    """

    headers: tuple[str, ...]
    layout: str | None
    fields: Mapping[str, tuple[int, ...]]

    @cached_property
    def field_at(self) -> Mapping[int, str]:
        """Place -> the field that is read there."""
        return {place: name for name, places in reversed(list(self.fields.items())) for place in places}

    def absent(self, contract: Contract) -> tuple[str, ...]:
        """The fields that the file does not have."""
        return tuple(name for name in contract.fields if name not in self.fields)

    def columns(self, types: Sequence[str]) -> tuple[SourceColumn, ...]:
        """The file's columns, with their types in the same order."""
        named = enumerate(zip(self.headers, types, strict=True))
        return tuple(SourceColumn(name, kind, self.field_at.get(place)) for place, (name, kind) in named)


def match(contract: Contract, headers: Sequence[str]) -> Match:
    """Find the contract's fields among a file's headers, without regard to case, spaces and punctuation."""
    places: dict[str, list[int]] = {}
    for place, header in enumerate(headers):
        places.setdefault(normalised(header), []).append(place)
    layout = contract.layout_of(frozenset(places) - {""})
    fields = {}
    for name, spec in contract.fields.items():
        wanted = dict.fromkeys(map(normalised, spec.names(name, layout)))
        if found := [place for key in wanted if key for place in places.get(key, ())]:
            fields[name] = tuple(found)
    return Match(tuple(headers), layout, fields)


def names_of(contract: Contract) -> frozenset[str]:
    """Every name by which any file may have any field, normalised."""
    layouts = [None, *contract.layouts]
    return frozenset(
        normalised(alias)
        for name, spec in contract.fields.items()
        for layout in layouts
        for alias in spec.names(name, layout)
    )


def type_seen(values: Iterable[str | None]) -> str:
    """The narrowest type that all values have, of 'text', 'integer', 'double', 'date', 'timestamp' and 'boolean'.

    Numbers that begin with a zero are text: they are ids, and would lose it. Empty where there is no value.
    """
    stated = [value.strip() for value in values if value and not value.isspace()]
    if not stated:
        return ""
    if not any(_LOST_ZEROS.match(value) for value in stated):
        for name, shape in _SHAPES:
            if all(map(shape.fullmatch, stated)):
                return name
    dates = dict(_SHAPES)["date"]
    return "date" if all(map(dates.fullmatch, stated)) else "text"


def to_json(columns: Iterable[SourceColumn]) -> str:
    """Columns as the ledger keeps them."""
    return json.dumps([asdict(column) for column in columns], ensure_ascii=False)


def from_json(text: str) -> tuple[SourceColumn, ...]:
    """The inverse of `to_json`."""
    return tuple(SourceColumn(**column) for column in json.loads(text))
