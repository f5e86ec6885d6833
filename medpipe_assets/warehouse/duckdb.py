"""The warehouse on one machine: Athena's SQL on DuckDB, in memory, over the tables that a query names.

It knows Parquet files and Arrow, not Iceberg: which files make up a table is asked of the function it is given. Each
query has a connection of its own, which can read the files of the tables it names and nothing else.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from medpipe_assets.lake.processes import owned_prefix
from medpipe_assets.warehouse import athena_dialect
from medpipe_assets.warehouse.athena_macros import FAILURES, create_macros
from medpipe_assets.warehouse.engine import ParquetFiles, QueryError, QueryReport, TableData, unknown_table

R = TypeVar("R")

_ADVICE = {
    "DECIMAL_DIVISION": "a division of decimals whose scale is not known here; cast both sides to double or to "
    "decimal(p, s)",
    "DECIMAL_AVERAGE": "avg of a decimal is not supported here; cast it to double",
    "DATE_SUBTRACTION": "a date minus a date is an interval in Athena and not supported here; use date_diff",
    "TEXT_OF": "a cast of a double, a timestamp or an array to varchar is not supported here (Athena writes them "
    "otherwise); use date_format, or cast to decimal(p, s) first",
    "JSON_OF": "a cast of rows, timestamps or doubles to JSON is not supported here; cast the parts to varchar first",
    "UNNEST_OF": "UNNEST of an array of rows whose type is not known here; cast it to array(row(...))",
}
"""What this engine cannot do as Athena would, found only when types are known."""

_SETTINGS = {
    "TimeZone": "UTC",
    "integer_division": True,
    "default_null_order": "nulls_last",
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
}


@dataclass(frozen=True, slots=True)
class DuckDBWarehouse:
    """Answers Athena's SQL with DuckDB.

    Attributes:
        tables: gives the data of a table by its name (lower case), None where there is none.
        names: the names of all tables, for the message about an unknown one.
        views: name to a SELECT in DuckDB's SQL that stands for it; it may name tables, and itself for the table below.
        memory_limit: DuckDB's, e.g. '2GB'; beyond it, it spills into temp_directory.
        temp_directory: where to spill; a folder of the query's own, gone afterwards, is made in it.
        threads: how many threads a query may use; None lets DuckDB choose.
    """

    tables: Callable[[str], TableData | None]
    names: Callable[[], Iterable[str]] = tuple
    views: Mapping[str, str] = field(default_factory=dict)
    memory_limit: str = "2GB"
    temp_directory: Path | None = None
    threads: int | None = None

    def ask(self, sql: str) -> tuple[pa.Table, QueryReport | None]:
        """As `query`; nothing is charged for."""
        return self.query(sql), None

    def query(self, sql: str) -> pa.Table:
        """Answer one query; see `Warehouse.query`."""
        return self._answered(sql, lambda connection, made: connection.sql(made).to_arrow_table())

    def write(self, sql: str, folder: Path, schema: pa.Schema, partition_by: Sequence[str] = ()) -> list[str]:
        """Answer one query into Parquet files (Snappy), however large the answer is.

        Args:
            folder: an empty one.
            schema: of the files. The answer has these columns, its types being these or narrower ones.
            partition_by: columns; each file holds rows of one combination of their values, and the columns too.

        Returns:
            The files' paths; none where the answer has no rows.

        Raises:
            QueryError: see `Warehouse.query`; or a column is not what the schema says.
        """
        return self._answered(sql, lambda c, made: _copied(c, made, folder, schema, partition_by), folder)

    def _answered(
        self, sql: str, answer: Callable[[duckdb.DuckDBPyConnection, str], R], output: Path | None = None
    ) -> R:
        """What a function makes of the translated query, on a connection that sees the query's tables."""
        parsed = athena_dialect.parse(sql)
        named = athena_dialect.tables_in(parsed)
        views = _views_needed(named, self.views)
        data = {name: self._data(name) for name in _bases(named, views)}
        with tempfile.TemporaryDirectory(dir=self.temp_directory, prefix=owned_prefix()) as spill:
            connection = duckdb.connect(":memory:", config={"temp_directory": spill, "memory_limit": self.memory_limit})
            try:
                if output is not None:
                    allowed = exp.convert([str(output)]).sql("duckdb")
                    connection.execute(f"SET allowed_directories = {allowed}")
                made = self._translated(connection, parsed, data, views)
                return _safely(lambda: answer(connection, made))
            finally:
                connection.close()

    def _data(self, name: str) -> TableData:
        found = self.tables(name)
        if found is not None:
            return found
        raise unknown_table(name, {*self.names(), *self.views})

    def _translated(
        self,
        connection: duckdb.DuckDBPyConnection,
        parsed: exp.Expr,
        data: Mapping[str, TableData],
        views: Mapping[str, str],
    ) -> str:
        """The query in DuckDB's SQL, its columns of types that Athena has, and the connection made ready for it."""
        hidden = athena_dialect.names_path(parsed)
        _safely(lambda: self._prepare(connection, data, views, hidden))
        schemas = _safely(lambda: {name: _schema(connection, name) for name in athena_dialect.tables_in(parsed)})
        translated = athena_dialect.translate(parsed, schemas)
        _safely(lambda: connection.execute(create_macros(translated)))
        return _safely(lambda: _athena_types(connection, translated))

    def _prepare(
        self,
        connection: duckdb.DuckDBPyConnection,
        data: Mapping[str, TableData],
        views: Mapping[str, str],
        with_path: bool,
    ) -> None:
        """Register tables and views, then lock the connection: no other file, no other setting."""
        settings = dict(_SETTINGS) | ({"threads": self.threads} if self.threads else {})
        for name, value in settings.items():
            connection.execute(f"SET {name} = {exp.convert(value).sql('duckdb')}")
        paths = [str(p) for table in data.values() if isinstance(table, ParquetFiles) for p in table.paths]
        connection.execute(f"SET allowed_paths = {exp.convert(paths).sql('duckdb')}")
        connection.execute("SET enable_external_access = false")
        for name, table in data.items():
            _register(connection, _below(name, views), table, with_path)
        for name, body in _in_order(views):
            connection.execute(f"CREATE VIEW {_quoted(name)} AS {_over_tables_below(body, name, views)}")
        connection.execute("SET lock_configuration = true")


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql("duckdb")


def _below(name: str, views: Mapping[str, str]) -> str:
    """A table that a view of the same name hides goes by another name."""
    return f"{name} (all rows)" if name in views else name


def _over_tables_below(body: str, name: str, views: Mapping[str, str]) -> str:
    """A view's text in which its own name means the table that it hides."""
    parsed = sqlglot.parse_one(body, read="duckdb")
    for table in parsed.find_all(exp.Table):
        if table.name.lower() == name:
            alias = table.alias or table.name
            table.set("this", exp.to_identifier(_below(name, views), quoted=True))
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    return parsed.sql("duckdb")


def _named_by(body: str) -> list[str]:
    return athena_dialect.tables_in(sqlglot.parse_one(body, read="duckdb"))


def _views_needed(named: list[str], views: Mapping[str, str]) -> dict[str, str]:
    """The views that a query reads, and those that they read."""
    needed: dict[str, str] = {}
    waiting = list(named)
    while waiting:
        name = waiting.pop()
        if name in views and name not in needed:
            needed[name] = views[name]
            waiting += _named_by(views[name])
    return needed


def _bases(named: list[str], views: Mapping[str, str]) -> list[str]:
    """The tables to be had from outside: what no view stands for, and what a view names as the table it hides."""
    bases = [name for name in named if name not in views]
    for name, body in views.items():
        bases += [other for other in _named_by(body) if other not in views or other == name]
    return list(dict.fromkeys(bases))


def _in_order(views: Mapping[str, str]) -> list[tuple[str, str]]:
    """Views such that each comes after those it names."""
    ordered: dict[str, str] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise QueryError(f"view {name} is defined by itself over {' and '.join(above)}")
        for other in _named_by(views[name]):
            if other in views and other != name and other not in ordered:
                visit(other, (*above, name))
        ordered[name] = views[name]

    for name in views:
        if name not in ordered:
            visit(name, ())
    return list(ordered.items())


def _register(connection: duckdb.DuckDBPyConnection, name: str, table: TableData, with_path: bool) -> None:
    """Make a table's rows known under its name, with the columns, types and order of its schema."""
    if not isinstance(table, ParquetFiles):
        connection.register(name, table)
        return
    connection.register(f"{name} (schema)", table.schema.empty_table())
    shown = [_quoted(column) for column in table.schema.names] + (['"$path"'] if with_path else [])
    rows = f"SELECT *{_NO_PATH if with_path else ''} FROM {_quoted(f'{name} (schema)')}"
    if table.paths:
        files = exp.convert([str(p) for p in table.paths]).sql("duckdb")
        rows += (
            f" UNION ALL BY NAME SELECT *{_PATH if with_path else ''} FROM read_parquet({files}, "
            f"union_by_name = true, hive_partitioning = false, filename = {'true' if with_path else 'false'})"
        )
    connection.execute(f"CREATE VIEW {_quoted(name)} AS SELECT {', '.join(shown)} FROM ({rows})")


_NO_PATH = ', CAST(NULL AS VARCHAR) AS "$path"'
_PATH = ' EXCLUDE (filename), filename AS "$path"'


def _schema(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    return _schema_of(connection, _quoted(name))


def _schema_of(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    """Column types by name, of a table or a query in parentheses."""
    relation = connection.sql(f"SELECT * FROM {source}")
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


def _athena_types(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The query, its results cast where DuckDB's type is none of Athena's (sum of integers is 128 bits wide here)."""
    relation = connection.sql(sql)
    casts = []
    for i, kind in enumerate(map(str, relation.types)):
        narrow = re.sub(r"\b(?:UHUGEINT|HUGEINT|UBIGINT|UINTEGER)\b", "BIGINT", kind).replace('"NULL"', "VARCHAR")
        casts.append(f"CAST(c{i} AS {narrow})" if narrow != kind else f"c{i}")
    if all(cast == f"c{i}" for i, cast in enumerate(casts)):
        return sql
    names = ", ".join(f"c{i}" for i in range(len(casts)))
    items = ", ".join(f"{c} AS {_quoted(n)}" for c, n in zip(casts, relation.columns, strict=True))
    return f"SELECT {items} FROM ({sql}) AS result({names})"


_ANSWER = "(the answer's schema)"
_WIDER = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER"), ("INTEGER", "BIGINT")),
    **{"FLOAT": ("DOUBLE",), "TIMESTAMP": ("TIMESTAMP WITH TIME ZONE",)},
}
"""Types whose values others hold unchanged."""


def _copied(
    connection: duckdb.DuckDBPyConnection, sql: str, folder: Path, schema: pa.Schema, partition_by: Sequence[str]
) -> list[str]:
    """Write a query's answer into files of a schema."""
    connection.register(_ANSWER, schema.empty_table())
    given, wanted = _schema_of(connection, f"({sql})"), _schema_of(connection, _quoted(_ANSWER))
    if [name.lower() for name in given] != list(wanted):
        raise QueryError(f"the query gives the columns {', '.join(given)}, and is said to give {', '.join(wanted)}")
    for (name, kind), expected in zip(given.items(), wanted.values(), strict=True):
        if kind not in (expected, '"NULL"') and expected not in _WIDER.get(kind, ()):
            raise QueryError(f"column {name} is {kind} in the query's answer, and is said to be {expected}")
    casts = ", ".join(
        f"CAST({_quoted(name)} AS {kind}) AS {_quoted(kept)}"
        for name, (kept, kind) in zip(given, wanted.items(), strict=True)
    )
    target = folder / "rows.parquet"
    options = "FORMAT parquet, COMPRESSION snappy, RETURN_FILES true"
    if partition_by:
        target = folder / "partitions"
        options += f", PARTITION_BY ({', '.join(map(_quoted, partition_by))}), WRITE_PARTITION_COLUMNS true"
    copy = f"COPY (SELECT {casts} FROM ({sql})) TO {exp.convert(str(target)).sql('duckdb')} ({options})"
    row = connection.execute(copy).fetchone()
    assert row is not None
    count, files = row
    return sorted(files) if count else []


def _safely(work: Callable[[], R]) -> R:
    """Do it; what DuckDB says about failures is put into words without its quotations of values."""
    message = ""
    try:
        return work()
    except duckdb.Error as error:
        message = explain(error)
    raise QueryError(message)


_TRANSLATED_PLACE = re.compile(r"\s*LINE \d+:.*", re.DOTALL)
_WORDS: dict[type[duckdb.Error], str] = {
    duckdb.ConversionException: "a value does not have the form of the type it is cast to; use try_cast",
    duckdb.OutOfRangeException: "NUMERIC_VALUE_OUT_OF_RANGE: a number does not fit its type; cast to a wider one",
    duckdb.OutOfMemoryException: "the query needs more memory than it may use; select fewer rows or columns",
    duckdb.IOException: "a file of a table cannot be read; run medpipe's maintenance, or look at the disk",
    duckdb.PermissionException: "a file of a table cannot be read: it is gone, or belongs to no table named",
    duckdb.InvalidInputException: "a function was given a value that it refuses; use try() around it",
}


def explain(error: duckdb.Error) -> str:
    """What DuckDB's error means, never with a value of a row in it (its own messages quote them)."""
    text = str(error)
    marker = re.search(r"medpipe[:!]([A-Z_]+)", text)
    if marker:
        return FAILURES.get(marker[1]) or _ADVICE.get(marker[1], marker[1])
    if "Division by zero" in text:
        return "DIVISION_BY_ZERO: put nullif(..., 0) around the divisor, or try() around the division"
    if "TRY can not be used" in text or "not allowed inside the TRY" in text:
        return "what stands in try() or try_cast() is not supported here in it; take it out of try(), or cast its parts"
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
        return "the query does not fit the tables: " + _TRANSLATED_PLACE.sub("", text).split("\n")[0]
    if "out of range" in text and "field value" not in text:
        return _WORDS[duckdb.OutOfRangeException]
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    return f"DuckDB gave up ({type(error).__name__}); simplify the query"
