"""A dataset's typed rows as SQL: from flat text records to fields, computed columns, and what is wrong with a record.

Text in, text out, for DuckDB: what is done with the rows, and where they lie, is not here.
"""

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import sqlglot
from sqlglot import exp

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.functions import expand
from medpipe_assets.etlt.kinds import KINDS, kind_of, literal, text_of, type_of
from medpipe_assets.warehouse import athena_dialect
from medpipe_assets.warehouse.athena_dialect import AthenaQuery
from medpipe_assets.warehouse.athena_macros import create_macros
from medpipe_assets.warehouse.engine import QueryError

ROW_BITS, CODE_BITS = 34, 12
"""A record's place is its file's number and its own in the file, in one integer; its mark is the place and a code. So
a file may have 17 billion records, a day 131,072 files, and a contract 4,095 ways to fail."""
PLACE, MARK = "_place", "_mark"
CODE_OF_MARK = f"{MARK} & {2**CODE_BITS - 1}"
PLACE_OF_MARK = f"{MARK} >> {CODE_BITS}"
FILE_OF_PLACE = f"{PLACE} >> {ROW_BITS}"
ROW_OF_PLACE = f"{PLACE} & {2**ROW_BITS - 1}"
MISSING, INVALID = "missing", "invalid"
MAX_PARTITION_BYTES = 200
"""Parquet's statistics, by which Iceberg knows the partition of a file, have no longer texts (DuckDB cuts at 256)."""
_AS_OF = re.compile(r"(?<![:\w]):as_of\b")
_TYPES = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
}


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Collection[str], table: str = "") -> str:
    """Names as SQL, separated by commas, each of a table where one is given."""
    return ", ".join(f"{table}.{quoted(name)}" if table else quoted(name) for name in names)


def duckdb_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type."""
    if pa.types.is_list(kind):
        return f"{duckdb_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{quoted(part.name)} {duckdb_type(part.type)}' for part in kind)})"
    return _TYPES[kind]


@dataclass(frozen=True)
class Fault:
    """A way for a record to be rejected: the column that is wrong (None for the record as a whole), and why."""

    column: str | None
    reason: str
    condition: str


@dataclass(frozen=True)
class TypedRecords:
    """The typed rows of a day's records.

    A relation `records` is expected beside the SQL that is made here: PLACE, and the text of the fields, null or
    missing where a file does not have them.
    """

    contract: Contract
    day: dt.date

    @cached_property
    def expressions(self) -> Mapping[str, exp.Expr]:
        """Columns and, as `_rule_<name>`, rules, parsed, with the day in place of `:as_of`.

        Raises:
            ConfigurationError: naming the one that does not parse.
        """
        stated = {name: column.sql for name, column in self.contract.columns.items()}
        stated |= {_rule(name): rule.sql for name, rule in self.contract.rules.items()}
        return {name: self._parsed(name, sql) for name, sql in stated.items()}

    def _parsed(self, name: str, sql: str) -> exp.Expr:
        try:
            dated = _AS_OF.sub(f"DATE '{self.day.isoformat()}'", sql)
            return expand(sqlglot.parse_one(dated, read=AthenaQuery))
        except sqlglot.errors.SqlglotError:
            raise ConfigurationError(f"{self.contract.dataset}: the SQL of {name} does not parse") from None
        except QueryError as error:
            raise ConfigurationError(f"{self.contract.dataset}: {name}: {error}") from None

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """Fields, kept or not, and columns, with their types."""
        fields = {name: kind_of(field.kind).arrow for name, field in self.contract.fields.items()}
        columns = {name: type_of(column.type) for name, column in self.contract.columns.items()}
        return {**fields, **columns, **{_rule(name): pa.bool_() for name in self.contract.rules}}

    def _references(self, name: str) -> list[str]:
        """Fields and columns that a column or rule names."""
        columns = list(self.expressions[name].find_all(exp.Column))
        named = [part.lower() for column in columns for part in (column.name, column.text("table")) if part]
        return [other for other in dict.fromkeys(named) if other in self.types and other != name]

    def _layers(self, names: Collection[str]) -> tuple[list[str], list[list[str]]]:
        """The fields that some names need, and the computed ones among them and between, each layer over those before.

        Raises:
            ConfigurationError: where columns are defined by each other.
        """
        needed: dict[str, None] = dict.fromkeys(names)
        for name in (queue := list(needed)):
            new = [other for other in self._references(name) if other not in needed] if name in self.expressions else []
            needed.update(dict.fromkeys(new))
            queue += new
        known = [name for name in self.contract.fields if name in needed]
        fields, waiting, layers = list(known), [name for name in self.expressions if name in needed], []
        while waiting:
            ready = [name for name in waiting if set(self._references(name)) <= set(known)]
            if not ready:
                raise ConfigurationError(f"{self.contract.dataset}: {', '.join(waiting)}: defined by each other")
            layers.append(ready)
            known += ready
            waiting = [name for name in waiting if name not in ready]
        return fields, layers

    def fields_for(self, names: Collection[str]) -> list[str]:
        """The fields whose text must be in `records` for some fields and columns."""
        return self._layers(names)[0]

    def rows(self, names: Sequence[str], texts: Collection[str] = (), where: str = "") -> str:
        """SQL for PLACE and some fields and columns; `_text_<field>` for some fields' texts.

        Args:
            where: a condition on PLACE, which spares the rest of the work for other records.
        """
        fields, layers = self._layers(names)
        fields += [name for name in texts if name not in fields]
        kept = {name: f"_text_{name}" for name in texts}
        trimmed = ", ".join(f"{text_of(quoted(name))} AS {quoted(name)}" for name in fields)
        typed = [f"{kind_of(self.contract.fields[name].kind).of(quoted(name))} AS {quoted(name)}" for name in fields]
        typed += [f"{quoted(name)} AS {quoted(other)}" for name, other in kept.items()]
        condition = f" WHERE {where}" if where else ""
        parts = [
            f"texts AS (SELECT {PLACE}{', ' + trimmed if trimmed else ''} FROM records{condition})",
            f"layer0 AS (SELECT {', '.join([PLACE, *typed])} FROM texts)",
        ]
        known = {PLACE: "BIGINT", **{name: duckdb_type(self.types[name]) for name in fields}}
        known |= dict.fromkeys(kept.values(), "VARCHAR")
        for number, layer in enumerate(layers):
            parts.append(f"layer{number + 1} AS ({self._layer(f'layer{number}', known, layer)})")
            known |= {name: duckdb_type(self.types[name]) for name in layer}
        shown = listed([PLACE, *names, *kept.values()])
        return f"WITH {', '.join(parts)} SELECT {shown} FROM layer{len(layers)}"

    def _layer(self, below: str, known: Mapping[str, str], names: Sequence[str]) -> str:
        """SQL that adds computed columns to a relation."""
        computed = [f"({self.expressions[name].sql(AthenaQuery)}) AS {quoted(name)}" for name in names]
        query = f"SELECT {listed(known)}, {', '.join(computed)} FROM {below}"
        try:
            translated = athena_dialect.to_duckdb(query, {below: known})
        except QueryError as error:
            raise ConfigurationError(f"{self.contract.dataset}, {' or '.join(names)}: {error}") from None
        casts = [f"CAST({quoted(name)} AS {duckdb_type(self.types[name])}) AS {quoted(name)}" for name in names]
        return f"SELECT * REPLACE ({', '.join(casts)}) FROM ({translated})"

    @cached_property
    def removals(self) -> list[str]:
        """Rules that remove; the code of a record that breaks one of them is its place here, from 1."""
        return [name for name, rule in self.contract.rules.items() if rule.otherwise == "remove"]

    @cached_property
    def warnings(self) -> list[str]:
        """Rules that warn."""
        return [name for name, rule in self.contract.rules.items() if rule.otherwise == "warn"]

    @cached_property
    def faults(self) -> list[Fault]:
        """Ways to be rejected, the first that applies counts; their codes follow those of the removals."""
        fields = self.contract.fields.items()
        found = [Fault(name, MISSING, f"{_text(name)} IS NULL") for name, field in fields if field.required]
        found += [
            Fault(name, INVALID, f"{quoted(name)} IS NULL AND {_text(name)} IS NOT NULL")
            for name, field in fields
            if field.invalid == "reject" and _may_not_fit(field.kind)
        ]
        found += [Fault(name, MISSING, f"{quoted(name)} IS NULL") for name in self.contract.primary_key]
        texts = [name for name in self.contract.partition_by if self.types[name] == pa.string()]
        found += [Fault(name, INVALID, f"strlen({quoted(name)}) > {MAX_PARTITION_BYTES}") for name in texts]
        return found + [
            Fault(None, name, _broken(name)) for name, rule in self.contract.rules.items() if rule.otherwise == "reject"
        ]

    def fault_of(self, code: int) -> Fault | None:
        """What a mark's code says; None for a record that is fine, or is removed."""
        return self.faults[code - len(self.removals) - 1] if code > len(self.removals) else None

    def verdicts(self) -> str:
        """SQL for every record's MARK and PLACE, the columns of the primary key and of the order, `_lost` (values made
        null) and `_warned_<n>` (by the number of the warning).
        """
        fields = self.contract.fields.items()
        judged = [name for name, field in fields if field.required or _may_not_fit(field.kind)]
        columns = [*self.contract.primary_key, *(name for name, _ in self.contract.order_terms)]
        partitions = self.contract.partition_by
        names = dict.fromkeys(
            [*columns, *partitions, *(n for n in judged if _may_not_fit(self.contract.fields[n].kind))]
        )
        rules = [_rule(name) for name in self.contract.rules]
        codes = [f"WHEN {fault.condition} THEN {n}" for n, fault in enumerate(self.faults, len(self.removals) + 1)]
        codes += [f"WHEN {_broken(name)} THEN {n}" for n, name in enumerate(self.removals, 1)]
        code = f"CASE {' '.join(codes)} ELSE 0 END" if codes else "0"
        warned = [f"CAST({_broken(name)} AS BIGINT) AS _warned_{n}" for n, name in enumerate(self.warnings)]
        shown = [
            f"({PLACE} << {CODE_BITS}) + {code} AS {MARK}",
            PLACE,
            *map(quoted, dict.fromkeys(columns)),
            f"{self._lost()} AS _lost",
            *warned,
        ]
        return f"SELECT {', '.join(shown)} FROM ({self.rows([*names, *rules], judged)})"

    def _lost(self) -> str:
        """SQL for the number of a record's values that were made null."""
        terms = []
        for name, field in self.contract.fields.items():
            kind = kind_of(field.kind)
            if field.invalid == "null" and _may_not_fit(field.kind):
                terms.append(f"CAST({_text(name)} IS NOT NULL AND {quoted(name)} IS NULL AS BIGINT)")
            if kind.lost not in ("", "0"):
                terms.append(f"coalesce({kind.lost_in(_text(name))}, 0)")
        return " + ".join(terms) or "0"

    def macros(self, *statements: str) -> str:
        """SQL that makes what some statements need beside DuckDB's own functions, whether it is there or not."""
        return create_macros(" ".join(statements)).replace("CREATE MACRO", "CREATE OR REPLACE MACRO")


def _may_not_fit(kind: str) -> bool:
    return kind_of(kind).sql != KINDS["text"].sql


def _rule(name: str) -> str:
    return f"_rule_{name}"


def _text(field: str) -> str:
    return quoted(f"_text_{field}")


def _broken(rule: str) -> str:
    return f"{quoted(_rule(rule))} IS NOT TRUE"


@dataclass(frozen=True)
class RecordFile:
    """Flat records in a file of this machine.

    Attributes:
        path: Parquet, or NDJSON with `_row`; Parquet may have it too, else its rows are the file's records in order.
        is_json: NDJSON.
        columns: of a Parquet file.
    """

    path: str
    is_json: bool
    columns: frozenset[str] = frozenset()


MAX_RECORD_BYTES = 32 << 20


def records(files: Sequence[RecordFile], fields: Sequence[str]) -> str:
    """SQL for the relation `records` of files, whose numbers are their places in the list."""
    parts = [_of_parquet(files, fields), _of_json(files, fields)]
    return " UNION ALL BY NAME ".join(filter(None, parts))


def _of_parquet(files: Sequence[RecordFile], fields: Sequence[str]) -> str:
    numbers = [number for number, file in enumerate(files) if not file.is_json]
    if not numbers:
        return ""
    there = frozenset().union(*(files[number].columns for number in numbers))
    row = "coalesce(_row, file_row_number + 1)" if "_row" in there else "file_row_number + 1"
    shown = [_place(numbers, row), *(quoted(name) for name in fields if name in there)]
    shown += [f"CAST(NULL AS VARCHAR) AS {quoted(name)}" for name in fields if name not in there]
    paths = ", ".join(literal(files[number].path) for number in numbers)
    return f"SELECT {', '.join(shown)} FROM read_parquet([{paths}], union_by_name = {len(numbers) > 1})"


def _of_json(files: Sequence[RecordFile], fields: Sequence[str]) -> str:
    numbers = [number for number, file in enumerate(files) if file.is_json]
    if not numbers:
        return ""
    columns = ", ".join([*(f"{literal(name)}: 'VARCHAR'" for name in fields), "'_row': 'BIGINT'"])
    paths = ", ".join(literal(files[number].path) for number in numbers)
    return (
        f"SELECT {', '.join([_place(numbers, '_row'), *map(quoted, fields)])} FROM read_json([{paths}], "
        f"format = 'newline_delimited', columns = {{{columns}}}, maximum_object_size = {MAX_RECORD_BYTES})"
    )


def _place(numbers: Sequence[int], row: str) -> str:
    if len(numbers) == 1:
        number = str(numbers[0])
    elif list(numbers) == list(range(len(numbers))):
        number = "CAST(file_index AS BIGINT)"
    else:
        number = f"{list(numbers)}[file_index + 1]"
    return f"({number} << {ROW_BITS}) + {row} AS {PLACE}"
