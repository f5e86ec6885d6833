"""What a contract's checks find in a table that is staged: how many rows offend, never which.

Each check is a few queries in Athena's dialect. Rows that were published under the same checks are not judged again
where a check is about each row by itself; what concerns rows together is asked of the whole table.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import sqlglot
from sqlglot import exp

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.contract import Check, Contract
from medpipe_assets.etlt.functions import expand
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.publication import Finding, Staged
from medpipe_assets.warehouse.athena_dialect import AthenaQuery, tables_in
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles, QueryError, TableData

CHECKS = "medpipe.checks"
"""The table's property that says under which checks its rows were published."""
_ADDED, _KEPT = "_added", "_kept"
"""By these names checks read the staged files that were written now, and those that stay."""
WHOLE = _ADDED
_OVER_ROWS = (exp.Group, exp.Having, exp.Distinct, exp.Window, exp.Subquery, exp.Join, exp.CTE, exp.Limit, exp.Exists)


def checks_of(contract: Contract, table: str) -> dict[str, Check]:
    """The checks of one of a dataset's tables, by name."""
    return {name: check for name, check in contract.checks.items() if (check.table or contract.table_name) == table}


def version_of(contract: Contract, table: str) -> str:
    """What to note under CHECKS."""
    stated = {name: check.model_dump(mode="json") for name, check in checks_of(contract, table).items()}
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:16]


def audit(
    lake: Lake,
    contract: Contract,
    table: str,
    staged: Staged,
    *,
    parameters: Mapping[str, str],
    counted: Mapping[str, int] | None = None,
    scratch: Path | None = None,
    memory_limit: str = "1500MB",
) -> list[Finding]:
    """Run a table's checks over its staged files.

    Args:
        parameters: what `:name` stands for in their SQL, itself SQL.
        counted: what `queries_of` gave, where the engine that wrote the files has asked them.
        scratch: to spill into, and for copies of files on S3; the lake's own when None.

    Raises:
        ConfigurationError: naming a check whose SQL is wrong, or fails.
    """
    checks = checks_of(contract, table)
    if counted is not None:
        return [Finding(name, counted[name] + _change(check, staged), check.blocking) for name, check in checks.items()]
    scratch = scratch or lake.location.scratch
    known = lake.table(table).properties.get(CHECKS) == version_of(contract, table)
    files = _files_of(lake, table, staged, scratch, known)
    schema = lake.tables[table].schema

    def data(name: str) -> TableData | None:
        if name in files:
            return ParquetFiles(files[name], schema)
        if name not in lake.tables:
            return None
        if not lake.exists(name):
            return lake.tables[name].schema.empty_table()
        contents = lake.contents(name)
        return contents if isinstance(contents, pa.Table) else ParquetFiles(contents, lake.tables[name].schema)

    warehouse = DuckDBWarehouse(data, lambda: list(lake.tables), memory_limit=memory_limit, temp_directory=scratch)
    asked: list[tuple[str, str]] = []
    for name, check in checks.items():
        try:
            asked += [(name, sql) for sql in _queries(check, table, bool(files[_KEPT]), parameters)]
        except QueryError as error:
            raise ConfigurationError(f"{contract.dataset}: the check {name}: {error}") from None
    found = Counter({name: _change(check, staged) for name, check in checks.items()})
    for (name, _), offenders in zip(asked, _answers(warehouse, contract, asked), strict=True):
        found[name] += offenders
    return [Finding(name, found[name], check.blocking) for name, check in checks.items()]


def queries_of(contract: Contract, table: str, parameters: Mapping[str, str]) -> dict[str, list[str]]:
    """The checks of a table that is replaced as a whole, each as queries that give a number of offenders.

    They read the table by its own name and as WHOLE.
    """
    checks = checks_of(contract, table).items()
    return {name: list(_queries(check, table, False, parameters)) for name, check in checks}


def _answers(warehouse: DuckDBWarehouse, contract: Contract, asked: Sequence[tuple[str, str]]) -> list[int]:
    """What the queries of checks give, asked for in one: most of a small query's time goes into opening the files."""
    if not asked:
        return []
    together = ", ".join(f"({sql}) AS n{number}" for number, (_, sql) in enumerate(asked))
    try:
        answer = warehouse.query(f"SELECT {together}")
    except QueryError as error:
        for name, sql in asked if len(asked) > 1 else ():
            _answers(warehouse, contract, [(name, sql)])
        raise ConfigurationError(f"{contract.dataset}: the check {asked[0][0]}: {error}") from None
    return [int(count or 0) for count in answer.to_pylist()[0].values()]


def _files_of(lake: Lake, table: str, staged: Staged, scratch: Path, known: bool) -> dict[str, list[str]]:
    """The files by the names under which checks read them. Under other checks than before all are as if added."""
    added, kept = (
        [str(path) for path in lake.local_copies(paths, scratch / "staged")] for paths in (staged.added, staged.kept)
    )
    return {
        table: [*added, *kept],
        _ADDED: added if known else [*added, *kept],
        _KEPT: kept if known else [],
    }


def _queries(check: Check, table: str, some_kept: bool, parameters: Mapping[str, str]) -> Iterator[str]:
    """Queries of which each gives a number of offenders."""
    if check.not_null:
        yield f"SELECT count(*) FROM {_ADDED} WHERE {' OR '.join(f'{_name(c)} IS NULL' for c in check.not_null)}"
    if check.unique:
        yield from _doubles(check, some_kept)
    for column, values in check.accepted.items():
        accepted = ", ".join(exp.Literal.string(value).sql(AthenaQuery) for value in values)
        yield f"SELECT count(*) FROM {_ADDED} WHERE {_name(column)} NOT IN ({accepted})"
    for column, place in check.references.items():
        other, _, key = place.partition(".")
        known = f"SELECT {_name(key)} FROM {other} WHERE {_name(key)} IS NOT NULL"
        yield f"SELECT count(*) FROM {_ADDED} WHERE {_name(column)} IS NOT NULL AND {_name(column)} NOT IN ({known})"
    if check.sql:
        yield f"SELECT count(*) FROM ({_offending(check.sql, table, parameters)}) AS offenders"


def _doubles(check: Check, some_kept: bool) -> Iterator[str]:
    columns = ", ".join(map(_name, check.unique))
    groups = f"SELECT count(*) AS n FROM {_ADDED} GROUP BY {columns} HAVING count(*) > 1"
    yield f"SELECT sum(n - 1) FROM ({groups}) AS doubles"
    if some_kept:
        same = " AND ".join(f"k.{_name(column)} = a.{_name(column)}" for column in check.unique)
        yield f"SELECT count(*) FROM {_KEPT} k JOIN (SELECT DISTINCT {columns} FROM {_ADDED}) a ON {same}"


def _name(column: str) -> str:
    return exp.to_identifier(column, quoted=True).sql(AthenaQuery)


def _offending(sql: str, table: str, parameters: Mapping[str, str]) -> str:
    """A check's own query, with its parameters; of rows by themselves only the added ones are asked for."""
    try:
        parsed = sqlglot.parse_one(sql, read=AthenaQuery)
    except sqlglot.errors.SqlglotError:
        raise QueryError("its SQL does not parse") from None

    def valued(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder) and node.name in parameters:
            return sqlglot.parse_one(parameters[node.name], read=AthenaQuery)
        return node

    query = expand(parsed.transform(valued))
    if _is_of_rows(query, table):
        for named in query.find_all(exp.Table):
            named.set("alias", exp.TableAlias(this=exp.to_identifier(named.alias or named.name)))
            named.set("this", exp.to_identifier(_ADDED))
    return query.sql(AthenaQuery)


_AGGREGATES = frozenset(["count", "sum", "min", "max", "avg", "approx_distinct", "array_agg", "bool_and", "bool_or"])


def _is_of_rows(query: exp.Expr, table: str) -> bool:
    """Whether a query is about each row of the table by itself."""
    if not isinstance(query, exp.Select) or tables_in(query) != [table] or query.find(*_OVER_ROWS):
        return False
    return not any(call.name.lower() in _AGGREGATES for call in query.find_all(exp.Anonymous))


def _change(check: Check, staged: Staged) -> int:
    """By how many rows the table changes, where that is more than it may."""
    if check.row_count_change is None or not staged.rows_before:
        return 0
    change = abs(staged.rows - staged.rows_before)
    return change if change > check.row_count_change * staged.rows_before else 0
