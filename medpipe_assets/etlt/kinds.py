"""How a field's text becomes a value: one entry a kind, as SQL that DuckDB runs and the Arrow type that it gives.

A kind gives null for text that does not fit. Whether that rejects the record is the contract's matter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
import sqlglot
from sqlglot import exp

from medpipe_assets.lake.schemas import TIMESTAMP


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Attributes:
        arrow: the type of its values.
        sql: DuckDB's SQL for the value of a text; `{x}` stands for the text, trimmed, null where it is empty.
    """

    arrow: pa.DataType
    sql: str


_WHOLE = r"case when regexp_full_match({x}, '[+-]?\d{{1,18}}(\.0+)?') then cast(split_part({x}, '.', 1) as bigint) end"
_DATE_FORMATS = "['%Y-%m-%d', '%m/%d/%Y', '%Y%m%d', '%Y-%m-%dT%H:%M:%S', '%Y-%m-%d %H:%M:%S']"
_CODE = r"(case when regexp_full_match({x}, '\d+\.0+') then split_part({x}, '.', 1) else {x} end)"
"""An id that went through a spreadsheet came back as a number: `1234567890.0`."""

KINDS: Mapping[str, Kind] = {
    "text": Kind(pa.string(), "{x}"),
    "integer": Kind(pa.int64(), _WHOLE),
    "double": Kind(pa.float64(), "try_cast({x} as double)"),
    "boolean": Kind(
        pa.bool_(),
        "case when lower({x}) in ('y', 'yes', 'true', 't', '1') then true "
        "when lower({x}) in ('n', 'no', 'false', 'f', '0') then false end",
    ),
    "date": Kind(pa.date32(), f"cast(try_strptime({{x}}, {_DATE_FORMATS}) as date)"),
    "timestamp": Kind(TIMESTAMP, "try_cast({x} as timestamptz)"),
    "code": Kind(pa.string(), _CODE),
    "npi": Kind(
        pa.string(),
        f"case when regexp_full_match({_CODE}, '\\d{{{{1,10}}}}') then lpad({_CODE}, 10, '0') end",
    ),
    "zip": Kind(pa.string(), ""),
    "state": Kind(pa.string(), ""),
}
"""Kinds by name; `identifier(width)` and Athena's types stand beside them, see kind_of."""


@cache
def kind_of(name: str) -> Kind:
    """The kind of a name: one of KINDS, `identifier(width)` (zeros restored), or a type of Athena's.

    Raises:
        ValueError: for anything else.
    """
    if found := KINDS.get(name):
        return found
    if width := re.fullmatch(r"identifier\((\d{1,2})\)", name):
        return Kind(pa.string(), f"lpad({_CODE}, greatest({width[1]}, length({_CODE})), '0')")
    parsed = _parsed(name)
    return Kind(_arrow(parsed), f"try_cast({{x}} as {parsed.sql('duckdb')})")


def type_of(name: str) -> pa.DataType:
    """The Arrow type of one of Athena's, e.g. `array(row(code varchar, since date))`.

    Raises:
        ValueError: for a type that a column may not have.
    """
    return _arrow(_parsed(name))


def _parsed(name: str) -> exp.DataType:
    try:
        return exp.DataType.build(name, dialect="athena")
    except sqlglot.errors.ParseError:
        raise ValueError(
            f"'{name}' is neither one of {', '.join(KINDS)}, identifier(n), nor a type of Athena's"
        ) from None


_SCALARS = {
    exp.DataType.Type.VARCHAR: pa.string(),
    exp.DataType.Type.TEXT: pa.string(),
    exp.DataType.Type.INT: pa.int32(),
    exp.DataType.Type.BIGINT: pa.int64(),
    exp.DataType.Type.DOUBLE: pa.float64(),
    exp.DataType.Type.BOOLEAN: pa.bool_(),
    exp.DataType.Type.DATE: pa.date32(),
    exp.DataType.Type.TIMESTAMP: TIMESTAMP,
}


def _arrow(parsed: exp.DataType) -> pa.DataType:
    if parsed.this == exp.DataType.Type.ARRAY:
        return pa.list_(_arrow(parsed.expressions[0]))
    if parsed.this == exp.DataType.Type.STRUCT:
        return pa.struct([(part.name, _arrow(part.args["kind"])) for part in parsed.expressions])
    if parsed.this not in _SCALARS:
        raise ValueError(f"the type {parsed.sql('athena')} is not one that a column may have")
    return _SCALARS[parsed.this]
