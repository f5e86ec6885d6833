"""How a field's text becomes a value: one entry a kind, as SQL that DuckDB runs and the Arrow type that it gives.

A kind gives null for text that does not fit: no rounding, no other date, no guess. Whether that rejects the record is
the contract's matter. Nested kinds judge each value inside by itself, so that one bad date does not cost its list.
"""

import re
import sys
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
        lost: SQL for the number of values inside a nested value that did not fit and became null; empty where there is
            nothing inside.
    """

    arrow: pa.DataType
    sql: str
    lost: str = ""

    def of(self, text: str) -> str:
        """The SQL for the value of a text, itself given as SQL (see text_of)."""
        return self.sql.replace("{x}", text)

    def lost_in(self, text: str) -> str:
        """The SQL for the number of values lost inside that of a text."""
        return self.lost.replace("{x}", text)


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


_SPACES = "".join(filter(str.isspace, map(chr, range(sys.maxunicode + 1)))) + "\u200b\ufeff"
"""What Python calls a space, and the two of no width that files bring along."""


def text_of(column: str) -> str:
    """SQL for a text without spaces at its ends, null where nothing is left.

    Most texts begin and end with a visible ASCII character, which is told far faster than spaces are trimmed.
    """
    visible = f"{column} between '!' and '~' and {column}[-1] between '!' and '~'"
    return f"case when {visible} then {column} else nullif(trim({column}, {literal(_SPACES)}), '') end"


def _first_that_fits(text: str, forms: Mapping[str, str]) -> str:
    """SQL for the value by the first form (a regular expression over the whole text) that a text has; else null."""
    cases = (f"when regexp_full_match({text}, {literal(form)}) then {value}" for form, value in forms.items())
    return f"case {' '.join(cases)} end"


_CLOCK = r"[T ]\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?"
_US_CLOCK = r" \d{1,2}:\d\d(:\d\d)?( ?[AaPp][Mm])?"
_US_CLOCKS = "['%m/%d/%Y %I:%M:%S %p', '%m/%d/%Y %I:%M %p', '%m/%d/%Y %H:%M:%S', '%m/%d/%Y %H:%M']"
_MOMENTS = {
    r"\d{4}-\d{1,2}-\d{1,2}": "try_cast({x} as timestamp)",
    r"\d{1,2}/\d{1,2}/\d{4}": "try_strptime({x}, '%m/%d/%Y')",
    r"\d{8}": "try_strptime({x}, '%Y%m%d')",
    r"\d{1,2}-[A-Za-z]{3}-\d{4}": "try_strptime({x}, '%d-%b-%Y')",
    r"\d{1,2}/\d{1,2}/\d{4}" + _US_CLOCK: f"try_strptime({{x}}, {_US_CLOCKS})",
}
"""Forms of a day, with or without a time. With slashes it is month, day, year: nobody can tell 03/04 from 04/03."""
_ISO = r"\d{4}-\d{1,2}-\d{1,2}" + _CLOCK
_ISO_DAY = (
    "try_cast(case when try_cast({x} as timestamptz) is not null then regexp_extract({x}, '^[0-9-]+') end as date)"
)
"""The day as it is written, whatever its zone, if its time exists."""
_BEGIN = "0001-01-01"
"""The first day that all engines have."""

_DIGITS = r"regexp_replace(regexp_replace({x}, '[.]0+$', ''), '[\s=''\x22-]', '', 'g')"
"""Digits without what people and spreadsheets put between and around them."""

_STATES = {
    **{"AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado"},
    **{"CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia"},
    **{"HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas"},
    **{"KY": "Kentucky", "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts"},
    **{"MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana"},
    **{"NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico"},
    **{"NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma"},
    **{"OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota"},
    **{"TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington"},
    **{"WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming", "AS": "American Samoa", "GU": "Guam"},
    **{"MP": "Northern Mariana Islands", "PR": "Puerto Rico", "VI": "Virgin Islands", "PW": "Palau"},
    **{"FM": "Federated States of Micronesia", "MH": "Marshall Islands", "AA": "Armed Forces Americas"},
    **{"AE": "Armed Forces Europe", "AP": "Armed Forces Pacific"},
}
"""USPS Publication 28, appendix B: states, the district, possessions, associated states, military."""
_STATE_CODES = ", ".join(map(literal, _STATES))
_STATE_NAMES = ", ".join(
    f"{literal(name.replace(' ', '').upper())}: {literal(code)}"
    for code, name in [*((code, code) for code in _STATES), *_STATES.items(), ("VI", "US Virgin Islands")]
)

KINDS: Mapping[str, Kind] = {
    "text": Kind(pa.string(), "{x}"),
    "integer": Kind(
        pa.int64(), _first_that_fits("{x}", {r"[+-]?\d{1,19}(\.0*)?": "try_cast(split_part({x}, '.', 1) as bigint)"})
    ),
    "double": Kind(
        pa.float64(),
        _first_that_fits(
            "{x}",
            {
                r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?": "case when isfinite(try_cast({x} as double)) "
                "then try_cast({x} as double) end"
            },
        ),
    ),
    "boolean": Kind(
        pa.bool_(),
        "case when lower({x}) in ('y', 'yes', 'true', 't', '1') then true "
        "when lower({x}) in ('n', 'no', 'false', 'f', '0') then false end",
    ),
    "date": Kind(
        pa.date32(),
        _first_that_fits(
            "{x}",
            {
                **{
                    form: f"case when {moment} >= '{_BEGIN}' then cast({moment} as date) end"
                    for form, moment in _MOMENTS.items()
                },
                _ISO: f"case when {_ISO_DAY} >= '{_BEGIN}' then {_ISO_DAY} end",
            },
        ),
    ),
    "timestamp": Kind(
        TIMESTAMP,
        _first_that_fits(
            "{x}",
            {
                form: f"case when {moment} >= '{_BEGIN}' then cast({moment} as timestamptz) end"
                for form, moment in {**_MOMENTS, _ISO: "try_cast({x} as timestamptz)"}.items()
            },
        ),
    ),
    "code": Kind(
        pa.string(),
        r"case when not contains({x}, '.') then {x} "
        r"when regexp_full_match({x}, '\d+\.0+') then split_part({x}, '.', 1) "
        r"when not regexp_full_match({x}, '\d\.\d+[eE]\+?\d+') then {x} end",
    ),
    "npi": Kind(
        pa.string(),
        r"case when regexp_full_match({x}, '\d{10}') then {x} "
        rf"when regexp_full_match({_DIGITS}, '\d{{1,10}}') then lpad({_DIGITS}, 10, '0') end",
    ),
    "zip": Kind(
        pa.string(),
        _first_that_fits(
            "{x}",
            {
                r"0+[.-]?0*": "null",
                r"\d{5}|\d{9}": "{x}",
                r"(\d{3,5}[- ]\d{4}|\d{3,5}-?|\d{7,9})(\.0+)?": f"lpad({_DIGITS}, "
                f"case when length({_DIGITS}) > 5 then 9 else 5 end, '0')",
            },
        ),
    ),
    "state": Kind(
        pa.string(),
        f"case when {{x}} in ({_STATE_CODES}) then {{x}} "
        f"else map {{{_STATE_NAMES}}}[regexp_replace(upper({{x}}), '[^A-Z]', '', 'g')] end",
    ),
}
"""Kinds by name; `identifier(width)` and Athena's types stand beside them, see kind_of.

text: as it is. integer: whole, `.0` allowed, 12.5 not. date, timestamp: see _MOMENTS; UTC where no zone is stated.
code: an id; a spreadsheet's `1234567890.0` is made whole, its 1.23E+09 has lost digits and does not fit.
npi: 10 digits, zeros restored; whether it can be one is told by functions.npi_is_valid. zip: 5 or 9 digits, zeros
restored; no ZIP code begins with three, nor is all zeros. state: USPS code, also for a state's name.
"""

_IDENTIFIER = (
    "case when strlen({x}) = {width} and not contains({x}, '.') then {x} "
    r"when regexp_full_match({x}, '\d+(\.0+)?') then case when length(split_part({x}, '.', 1)) <= {width} "
    "then lpad(split_part({x}, '.', 1), {width}, '0') end when length({x}) <= {width} then {x} end"
)
"""Only what is all digits can have lost zeros: a spreadsheet takes 05T123 for a text."""


@cache
def kind_of(name: str) -> Kind:
    """The kind of a name: one of KINDS, `identifier(width)` (zeros restored), or a type of Athena's.

    Raises:
        ValueError: for anything else.
    """
    if found := KINDS.get(name):
        return found
    if width := re.fullmatch(r"identifier\((\d{1,2})\)", name):
        return Kind(pa.string(), _IDENTIFIER.replace("{width}", width[1]))
    return _of_type(_parsed(name), 0)


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
    exp.DataType.Type.VARCHAR: KINDS["text"],
    exp.DataType.Type.TEXT: KINDS["text"],
    exp.DataType.Type.INT: Kind(pa.int32(), f"try_cast({KINDS['integer'].sql} as integer)"),
    exp.DataType.Type.BIGINT: KINDS["integer"],
    exp.DataType.Type.DOUBLE: KINDS["double"],
    exp.DataType.Type.BOOLEAN: KINDS["boolean"],
    exp.DataType.Type.DATE: KINDS["date"],
    exp.DataType.Type.TIMESTAMP: KINDS["timestamp"],
}


def _arrow(parsed: exp.DataType) -> pa.DataType:
    return _of_type(parsed, 0).arrow


def _of_type(parsed: exp.DataType, depth: int) -> Kind:
    """The kind of a type, for JSON text where it is nested: each level gives the texts of the next, which are judged
    by themselves.

    Args:
        depth: of the type within another, for names of its own.
    """
    if parsed.this == exp.DataType.Type.ARRAY:
        return _list_of(_of_type(parsed.expressions[0], depth + 1), f"e{depth}")
    if parsed.this == exp.DataType.Type.STRUCT:
        return _row_of({part.name: _of_type(part.args["kind"], depth + 1) for part in parsed.expressions}, f"e{depth}")
    if parsed.this not in _SCALARS:
        raise ValueError(f"the type {parsed.sql('athena')} is not one that a column may have")
    return _SCALARS[parsed.this]


def _list_of(inner: Kind, name: str) -> Kind:
    elements, text = "try(from_json({x}, '[\"VARCHAR\"]'))", text_of(name)
    lost = _lost(inner, text)
    return Kind(
        pa.list_(inner.arrow),
        f"list_transform({elements}, lambda {name}: {inner.of(text)})",
        f"coalesce(list_sum(list_transform({elements}, lambda {name}: {lost})), 0)" if lost else "0",
    )


def _row_of(parts: Mapping[str, Kind], name: str) -> Kind:
    """A row; what is no JSON object is none. The lambda is there to read the text once.

    Keys are compared as headers are. What has each key as it is written here is read as it stands; where one is
    missing, it is looked for under other spellings.
    """
    form = literal("{" + ", ".join(f'"{part}": "VARCHAR"' for part in parts) + "}")
    as_it_stands = f"try(from_json(case when starts_with({{x}}, '{{') then {{x}} end, {form}))"
    respelled, missing = "{x}", " or ".join(f'{name}."{part}" is null' for part in parts)
    for part in parts:
        spellings = literal(f'(?i)"[ _.-]*{"[ _.-]*".join(part.split("_"))}[ _.-]*"\\s*:')
        spelled = literal(f'"{part}":')
        respelled = f"regexp_replace({respelled}, {spellings}, {spelled}, 'g')"
    row = (
        f"list_transform([{as_it_stands}], lambda {name}: case when {name} is not null and ({missing}) "
        f"then coalesce(try(from_json({respelled}, {form})), {name}) else {name} end)"
    )
    texts = {part: text_of(f'{name}."{part}"') for part in parts}
    values = ", ".join(f'"{part}" := {kind.of(texts[part])}' for part, kind in parts.items())
    lost = " + ".join(filter(None, (_lost(kind, texts[part]) for part, kind in parts.items()))) or "0"
    return Kind(
        pa.struct([(part, kind.arrow) for part, kind in parts.items()]),
        f"list_transform({row}, lambda {name}: case when {name} is not null then struct_pack({values}) end)[1]",
        f"list_transform({row}, lambda {name}: {lost})[1]",
    )


def _lost(kind: Kind, text: str) -> str:
    """SQL for how many values are lost in one that is part of another: itself, or those inside; empty where none can
    be."""
    if kind.sql == "{x}":
        return ""
    inside = f" + coalesce({kind.lost_in(text)}, 0)" if kind.lost else ""
    return f"(cast({text} is not null and {kind.of(text)} is null as bigint){inside})"
