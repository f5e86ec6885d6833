"""Athena's SQL (Trino) in, DuckDB's SQL out, with Athena's meaning; what cannot keep its meaning is a QueryError.

The query is parsed with every function kept by its own name; each node is then looked up in a table of what is known
(ALLOWED, FUNCTIONS, REPAIRS), and what is in no table is refused. So a query can only read, and only what the tables
name. The macros of `athena_macros` and the settings that `duckdb` makes (integer_division, UTC) belong to the output.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, UnsupportedError
from sqlglot.tokenizer_core import TokenType

from medpipe_assets.warehouse import athena_types as types
from medpipe_assets.warehouse.athena_repairs import place, rewrite
from medpipe_assets.warehouse.engine import QueryError

_KEPT_PARSERS = ("CAST", "TRY_CAST", "EXTRACT", "LISTAGG", "POSITION", "SUBSTRING", "TRIM")


class AthenaQuery(Trino):
    """Trino's SQL as sqlglot reads it, but with functions and array indexes left as they are written."""

    INDEX_OFFSET = 0

    class Parser(Trino.Parser):  # type: ignore[misc, valid-type]
        FUNCTIONS: dict[str, Callable[..., Any]] = {}  # noqa: RUF012 (sqlglot's own form)
        FUNCTION_PARSERS = {k: v for k, v in Trino.Parser.FUNCTION_PARSERS.items() if k in _KEPT_PARSERS}  # noqa: RUF012

    class Generator(Trino.Generator):  # type: ignore[misc, valid-type]  # sqlglot makes its class at run time
        TRANSFORMS: dict[type[exp.Expr], Callable[..., str]] = {  # noqa: RUF012 (sqlglot's own form)
            **Trino.Generator.TRANSFORMS,
            exp.AtTimeZone: lambda self, e: f"{self.sql(e, 'this')} AT TIME ZONE {self.sql(e, 'zone')}",
        }


_OPENINGS = {TokenType.SELECT, TokenType.WITH, TokenType.VALUES, TokenType.L_PAREN}


def parse(sql: str) -> exp.Expr:
    """Parse one query.

    Raises:
        QueryError: it does not parse, is not one statement, or is not a query.
    """
    problem = None
    statements: list[exp.Expr | None] = []
    try:
        # A command is refused before sqlglot parses it, which would write its text to the log.
        if {token.token_type for token in AthenaQuery().tokenize(sql)[:1]} <= _OPENINGS:
            statements = sqlglot.parse(sql, read=AthenaQuery)
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        problem = (
            f"SQL does not parse at line {first.get('line')}, column {first.get('col')}: {first.get('description')}"
        )
    except SqlglotError:
        problem = "SQL does not parse: an open quote or comment"
    if problem:
        raise QueryError(problem)
    if len(statements) != 1 or not isinstance(statements[0], exp.Select | exp.SetOperation | exp.Subquery | exp.Values):
        raise QueryError(
            "only one SELECT (or WITH ... SELECT) is run here; use the medpipe commands to change the lake"
        )
    _check(statements[0])
    return statements[0]


def tables_in(query: exp.Expr) -> list[str]:
    """Names of the tables that a query reads, in lower case, each once; its own named queries are none."""
    named = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    found = [t.name.lower() for t in query.find_all(exp.Table) if isinstance(t.this, exp.Identifier)]
    return list(dict.fromkeys(name for name in found if name not in named))


def to_duckdb(sql: str, schemas: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """Translate a query of Athena's SQL into DuckDB's.

    Args:
        sql: one SELECT or WITH ... SELECT.
        schemas: table name (lower case) to column name to DuckDB type, for the meanings that hang on types.

    Raises:
        QueryError: see `parse`; or a function, a clause or a meaning that is not known here.
    """
    return translate(parse(sql), schemas)


def translate(query: exp.Expr, schemas: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """As `to_duckdb`, for a parsed query (which it changes)."""
    known: types.Sources = {
        table: {name.lower(): exp.DataType.build(kind, dialect="duckdb") for name, kind in columns.items()}
        for table, columns in (schemas or {}).items()
    }
    name_columns(query)
    types.annotate(query, known)
    rewrite(query)
    _hide_path(query)
    try:
        return query.sql("duckdb", unsupported_level=ErrorLevel.RAISE, identify=True)
    except UnsupportedError as error:
        raise QueryError(f"not supported here: {error}") from None


ALLOWED: frozenset[type[exp.Expr]] = frozenset(
    {
        *(exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.Values, exp.With, exp.CTE, exp.From),
        *(exp.Join, exp.Lateral, exp.Unnest, exp.Table, exp.TableAlias, exp.Where, exp.Group, exp.Having, exp.Order),
        *(exp.Ordered, exp.Limit, exp.Offset, exp.Fetch, exp.LimitOptions, exp.Distinct, exp.GroupingSets, exp.Rollup),
        *(exp.Cube, exp.Window, exp.WindowSpec, exp.Filter, exp.GroupConcat, exp.IgnoreNulls, exp.RespectNulls),
        *(exp.Star, exp.Column, exp.Identifier, exp.Alias, exp.Literal, exp.Null, exp.Boolean, exp.Var, exp.Paren),
        *(exp.Tuple, exp.Array, exp.Dot, exp.Bracket, exp.Lambda, exp.Anonymous, exp.Exists, exp.All, exp.Any),
        *(exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.Like, exp.Escape, exp.Case, exp.If),
        *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
        *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.DPipe, exp.Interval, exp.AtTimeZone),
        *(exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam, exp.ColumnDef, exp.Extract, exp.StrPosition),
        *(exp.Substring, exp.Trim, exp.CurrentDate, exp.CurrentTimestamp, exp.Localtimestamp),
    }
)
"""Every kind of node that may stand in a query. Anything else (commands, samples, time travel, ...) is refused."""

_REFUSED_ARGUMENTS = {
    exp.Table: ("db", "catalog", "version", "when", "sample", "pivots", "hints"),
    exp.With: ("recursive",),
    exp.Select: ("kind", "into", "laterals", "qualify", "pivots", "match", "distribute", "sort", "cluster", "sample"),
    exp.Group: ("all", "totals"),
    exp.LimitOptions: ("percent", "with_ties"),
    exp.Distinct: ("on",),
    exp.Star: ("except_", "replace", "rename"),
    exp.SetOperation: ("by_name", "side", "kind"),
    exp.Join: ("method", "match_condition"),
}
"""What Athena has not, or this warehouse cannot do, though the node is allowed."""


def _check(query: exp.Expr) -> None:
    for node in query.walk():
        if type(node) not in ALLOWED:
            raise QueryError(f"{type(node).__name__} is not supported here{place(node)}; write the query without it")
        for kind, names in _REFUSED_ARGUMENTS.items():
            if isinstance(node, kind):
                _check_arguments(node, names)
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
            raise QueryError(f"a table function is not supported here{place(node)}; name a table of the lake")


def _check_arguments(node: exp.Expr, refused: tuple[str, ...]) -> None:
    for name in refused:
        if node.args.get(name):
            what = name.strip("_").replace("db", "a database name").replace("_", " ")
            raise QueryError(f"{type(node).__name__}: {what} is not supported here{place(node)}; leave it out")


def name_columns(query: exp.Expr) -> None:
    """Name what has no name _col0, _col1, ... by its position, as Athena does; a field keeps its own name."""
    for select in list(query.find_all(exp.Select)):
        for i, item in enumerate(select.expressions):
            if not isinstance(item, exp.Alias | exp.Column | exp.Star):
                name = item.expression.name if isinstance(item, exp.Dot) else f"_col{i}"
                item.replace(exp.alias_(item.copy(), name, quoted=True))


PATH = "$path"
"""Athena's hidden column of every table: the file that a row comes from."""


def names_path(query: exp.Expr) -> bool:
    """Whether a query names the hidden column; only then do tables have it."""
    return any(column.name.lower() == PATH for column in query.find_all(exp.Column))


def _hide_path(query: exp.Expr) -> None:
    """A star does not mean the hidden column."""
    if not names_path(query):
        return
    for select in query.find_all(exp.Select):
        sources = [select.args.get("from_"), *(select.args.get("joins") or [])]
        if any(isinstance(source.this, exp.Table) for source in sources if source):
            for item in select.expressions:
                star = item.this if isinstance(item, exp.Column) else item
                if isinstance(star, exp.Star):
                    star.set("except_", [exp.to_identifier(PATH, quoted=True)])
