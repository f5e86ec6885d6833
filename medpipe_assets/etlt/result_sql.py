"""What a dataset's `.sql` files state: a table each, its columns, what it is made from, in which order they are built.

The header is comment lines at the top of the file; the SQL is Athena's, with `:name` for the contract's parameters.
Nothing is run here.

    -- table: facility_metrics
    -- row: a facility
    -- description: What it offers.
    -- partition_by: state
    -- results: json, csv
    -- column facility_id varchar: the facility's id
    -- column manager array(row(name varchar)) phi: a line that begins with more spaces
    --     goes on with the line before
"""

import datetime as dt
import graphlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources.abc import Traversable
from typing import cast

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.contract import Contract, Parameter, folder_of
from medpipe_assets.etlt.functions import expand
from medpipe_assets.etlt.kinds import type_of
from medpipe_assets.lake.schemas import Column, TableContract
from medpipe_assets.warehouse.athena_dialect import AthenaQuery, tables_in
from medpipe_assets.warehouse.engine import QueryError

RESULT_FORMS = ("json", "csv")
ZONE = "staging"
Value = dt.date | int | str
"""Of a parameter."""

_ENTRY = re.compile(r"--\s?(table|row|description|partition_by|results|column\s[^:]*):(?:\s+(.*))?")
_CONTINUED = re.compile(r"--\s{3,}(\S.*)")
_COLUMN = re.compile(r"column\s+(\w+)\s+(.*?)(\s+phi)?\s*")


@dataclass(frozen=True)
class Transform:
    """A result table and the SQL that makes it.

    Attributes:
        name: of the table.
        sql: Athena's, header included.
        columns: those that the SQL gives, in order. Nullable in the files; the contract's checks say what may not be.
        results: which of RESULT_FORMS the table is also written in.
        parsed: the SQL's tree, not to be changed.
        parameters: those that the SQL names, of the contract's.
    """

    name: str
    row: str
    description: str
    sql: str
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    parsed: exp.Query = field(repr=False, compare=False, default_factory=exp.Select)
    parameters: Mapping[str, Parameter] = field(default_factory=dict, compare=False)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The tables that the SQL reads."""
        return tuple(tables_in(self.parsed))

    @cached_property
    def table_contract(self) -> TableContract:
        """The table as the lake has it."""
        return TableContract(self.name, ZONE, self.row, self.columns, self.partition_by)

    def bound(self, values: Mapping[str, Value]) -> str:
        """The SQL with values for its parameters, put in as literals of their types.

        Raises:
            ConfigurationError: a value is missing or of another type.
        """
        query = self.parsed.copy()
        for place in list(query.find_all(exp.Placeholder)):
            place.replace(literal(place.name, self.parameters[place.name], values.get(place.name)))
        return query.sql(AthenaQuery, comments=False)

    def lineage(self, schemas: Mapping[str, pa.Schema]) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """For each column of the table, the (table, column) that its values are made from.

        Args:
            schemas: those of the inputs, by name.
        """
        known: dict[str, object] = {table: dict.fromkeys(schemas[table].names, "VARCHAR") for table in self.inputs}
        query = self.parsed.copy()
        for place in list(query.find_all(exp.Placeholder)):
            place.replace(exp.Null())
        query = qualify(query, dialect=AthenaQuery, schema=known, validate_qualify_columns=False, identify=False)
        scope = build_scope(query)
        found = {}
        for column in self.columns:
            nodes = lineage(
                column.name, query, schema=known, dialect=AthenaQuery, scope=scope, trim_selects=False
            ).walk()
            leaves = {
                (node.expression.name, node.name.rpartition(".")[2].strip('"'))
                for node in nodes
                if isinstance(node.expression, exp.Table)
            }
            found[column.name] = tuple(sorted(leaves))
        return found


def literal(name: str, parameter: Parameter, value: Value | None) -> exp.Expr:
    """A value as the SQL has it: `DATE '...'`, a number, or a quoted text.

    Raises:
        ConfigurationError: it is missing, or not of the parameter's type.
    """
    if parameter.type == "date" and isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return exp.cast(exp.Literal.string(value.isoformat()), "date")
    if parameter.type == "integer" and isinstance(value, int) and not isinstance(value, bool):
        number = exp.Literal.number(abs(value))
        return exp.Paren(this=exp.Neg(this=number)) if value < 0 else number
    if parameter.type == "varchar" and isinstance(value, str):
        return exp.Literal.string(value)
    raise ConfigurationError(f"parameter {name}: give a value of type {parameter.type}")


def values_of(parameters: Mapping[str, Parameter], as_of: dt.date, given: Mapping[str, Value]) -> dict[str, Value]:
    """Values of parameters: what is given, or the default, or for a date the as-of day.

    Raises:
        ConfigurationError: what is given has no such parameter, or a default is no date.
    """
    if unknown := sorted(given.keys() - parameters.keys()):
        raise ConfigurationError(f"there is no parameter {unknown[0]}: choose from {', '.join(parameters) or 'none'}")
    values: dict[str, Value] = {}
    for name, parameter in parameters.items():
        stated = given.get(name, parameter.default)
        if parameter.type == "date" and isinstance(stated, str):
            try:
                stated = dt.date.fromisoformat(stated)
            except ValueError:
                raise ConfigurationError(f"parameter {name}: a date is written YYYY-MM-DD") from None
        values[name] = as_of if stated is None and parameter.type == "date" else cast(Value, stated)
    return values


def transforms_of(contract: Contract) -> tuple[Transform, ...]:
    """The result tables of a dataset, each after those that it reads.

    Raises:
        ConfigurationError: naming the file and what is wrong in it; or tables that need each other.
    """
    return in_order(read(folder_of(contract.dataset), contract))


def read(folder: Traversable, contract: Contract) -> list[Transform]:
    """The transforms of a folder's `.sql` files, by the files' names."""
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    found = [parse(file.read_text(encoding="utf-8"), f"{folder.name}/{file.name}", contract) for file in files]
    names = [contract.table_name, *(transform.name for transform in found)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{folder.name}: two tables are called {twice[0]}")
    return found


def in_order(transforms: Iterable[Transform]) -> tuple[Transform, ...]:
    """Transforms, each after those whose tables it reads.

    Raises:
        ConfigurationError: where they need each other.
    """
    by_name = {transform.name: transform for transform in transforms}
    needs = {name: [other for other in transform.inputs if other in by_name] for name, transform in by_name.items()}
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        raise ConfigurationError(f"result tables need each other: {' <- '.join(error.args[1])}") from None
    return tuple(by_name[name] for name in order)


def parse(sql: str, place: str, contract: Contract) -> Transform:
    """A transform from a file's text.

    Args:
        place: what to call it in a message.

    Raises:
        ConfigurationError: naming the place and what is wrong.
    """
    try:
        entries = _entries(sql)
        query = _query(sql)
        parameters = _parameters(query, contract)
        columns = tuple(_column(entry, text) for entry, text in entries if entry.startswith("column"))
        stated = {entry: text for entry, text in entries if not entry.startswith("column")}
        transform = Transform(
            name=_required(stated, "table"),
            row=_required(stated, "row"),
            description=_required(stated, "description"),
            sql=sql,
            columns=columns,
            partition_by=_list(stated.get("partition_by", "")),
            results=_list(stated.get("results", "")),
            parsed=query,
            parameters=parameters,
        )
        _check(transform)
    except (ValueError, QueryError) as error:
        raise ConfigurationError(f"{place}: {error}") from None
    return transform


def _entries(sql: str) -> list[tuple[str, str]]:
    """The header's entries and their texts, in order."""
    entries: list[tuple[str, str]] = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        if entry := _ENTRY.fullmatch(line.rstrip()):
            entries.append((entry[1].strip(), entry[2] or ""))
        elif entries and (continued := _CONTINUED.fullmatch(line.rstrip())):
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {continued[1]}".strip())
        else:
            raise ValueError(f"the header has a line that is no entry: {line}")
    return entries


def _required(stated: Mapping[str, str], entry: str) -> str:
    if not stated.get(entry):
        raise ValueError(f"the header lacks '-- {entry}: ...'")
    return stated[entry]


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


def _column(entry: str, text: str) -> Column:
    stated = _COLUMN.fullmatch(entry)
    if stated is None or not text:
        raise ValueError(f"'{entry}' is not of the form '-- column name type: meaning'")
    return Column(stated[1], type_of(stated[2]), text, nullable=True, phi=stated[3] is not None)


def _query(sql: str) -> exp.Query:
    try:
        statements = sqlglot.parse(sql, read=AthenaQuery)
    except SqlglotError as error:
        raise ValueError(f"the SQL does not parse: {str(error).partition('.')[0]}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ValueError("the SQL is not one SELECT (or WITH ... SELECT)")
    return cast(exp.Query, expand(statements[0]))


def _parameters(query: exp.Query, contract: Contract) -> dict[str, Parameter]:
    named = dict.fromkeys(place.name for place in query.find_all(exp.Placeholder))
    if unknown := [name for name in named if name not in contract.parameters]:
        raise ValueError(f":{unknown[0]} is no parameter of the contract")
    return {name: contract.parameters[name] for name in named}


def _check(transform: Transform) -> None:
    names = [column.name for column in transform.columns]
    given = [name.lower() for name in transform.parsed.named_selects]
    if "*" in given:
        raise ValueError("the outermost SELECT names its columns; a star would hide what the table has")
    if names != given:
        raise ValueError(f"the header has the columns {', '.join(names)}, the SQL gives {', '.join(given)}")
    _among(transform.partition_by, names, "partition_by")
    _among(transform.results, RESULT_FORMS, "results")


def _among(names: Sequence[str], known: Sequence[str], what: str) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{what} names {unknown[0]}, which is none of {', '.join(known)}")
