"""Which records of a load stand in its table, and which rows of the table they supersede.

All of it is SQL on one DuckDB connection, over narrow relations that may spill: keys, what decides among rows of the
same key, and places. Typing is done elsewhere, and so is writing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from medpipe_assets.etlt.kinds import literal
from medpipe_assets.etlt.typed import (
    CODE_OF_MARK,
    MARK,
    PLACE,
    PLACE_OF_MARK,
    TypedRecords,
    duckdb_type,
    listed,
    quoted,
)
from medpipe_assets.lake.schemas import TableContract

LOAD_DAY = "_pipeline_load_date"


@dataclass(frozen=True)
class Judged:
    """What became of a load's records.

    Attributes:
        rejected: (column or None, reason) -> records.
        duplicates: records that lost against another of the load.
        best: records that are the best of the load for their key, by code: 0 for those that are rows, above for those
            that remove (see TypedRecords.removals).
        nulled, warned: values made null, and records by warning, of those not rejected.
    """

    rejected: dict[tuple[str | None, str], int]
    duplicates: int
    best: dict[int, int]
    nulled: int
    warned: dict[str, int]


def judge(connection: duckdb.DuckDBPyConnection, typed: TypedRecords) -> Judged:
    """Judge every record, and pick the best of each key.

    It leaves the table `standing`: a rejected record a row, and a row for each key with the MARK of its best record,
    both with `records`, how many they stand for.
    """
    contract = typed.contract
    key = listed(contract.primary_key)
    order = ", ".join(f"{quoted(name)}, {literal(f'{way} nulls last')}" for name, way in contract.order_terms)
    # Of two marks the higher is that of the record received later.
    best = f"arg_min({MARK}, create_sort_key({order}, {PLACE}, 'desc nulls last'))" if order else f"max({MARK})"
    counts = ["count(*) AS records", "sum(_lost) AS _lost"]
    counts += [f"sum(_warned_{n}) AS _warned_{n}" for n in range(len(typed.warnings))]
    verdicts = typed.verdicts()
    connection.execute(typed.macros(verdicts))
    connection.execute(
        f"CREATE TEMP TABLE standing AS SELECT {key}, {best} AS {MARK}, {', '.join(counts)} FROM ({verdicts}) "
        f"GROUP BY {key}, CASE WHEN {CODE_OF_MARK} > {len(typed.removals)} THEN {MARK} END"
    )
    sums = ", ".join(["sum(_lost)", *(f"sum(_warned_{n})" for n in range(len(typed.warnings)))])
    counted = connection.execute(
        f"SELECT {CODE_OF_MARK}, count(*), sum(records), {sums} FROM standing GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return _summed(typed, counted)


def _summed(typed: TypedRecords, counted: Sequence[tuple[int, ...]]) -> Judged:
    rejected: Counter[tuple[str | None, str]] = Counter()
    fine = [row for row in counted if row[0] <= len(typed.removals)]
    for code, records, *_ in counted:
        if fault := typed.fault_of(code):
            rejected[fault.column, fault.reason] += records
    return Judged(
        rejected=dict(rejected),
        duplicates=sum(records - winners for _, winners, records, *_ in fine),
        best={row[0]: row[1] for row in fine},
        nulled=sum(row[3] for row in fine),
        warned={name: sum(row[4 + n] for row in fine) for n, name in enumerate(typed.warnings)},
    )


def bounds(connection: duckdb.DuckDBPyConnection, typed: TypedRecords) -> list[tuple[str, object, object]]:
    """The least and greatest value of each part of the key among the records that are not rejected."""
    key = typed.contract.primary_key
    shown = ", ".join(f"min({quoted(name)}), max({quoted(name)})" for name in key)
    found = connection.execute(f"SELECT {shown} FROM standing WHERE {CODE_OF_MARK} <= {len(typed.removals)}").fetchone()
    assert found is not None
    return [(name, found[2 * n], found[2 * n + 1]) for n, name in enumerate(key)]


def values_of(
    connection: duckdb.DuckDBPyConnection, typed: TypedRecords, column: str, limit: int
) -> list[object] | None:
    """The values of a part of the key among the records that are not rejected; None where there are more than that."""
    condition = f"{CODE_OF_MARK} <= {len(typed.removals)} LIMIT {limit + 1}"
    found = connection.execute(f"SELECT DISTINCT {quoted(column)} FROM standing WHERE {condition}").fetchall()
    return None if len(found) > limit else [value for (value,) in found]


def compare(
    connection: duckdb.DuckDBPyConnection,
    typed: TypedRecords,
    table: TableContract,
    rows: Sequence[Path],
    removed: Sequence[Path],
) -> None:
    """Compare the load with rows of the table, and with records that removed rows of it.

    It leaves `beaten`: the MARKs of records that lost; and `superseded`: places in the table's files (`_file`, `_row`,
    both from 0) of rows that lost, and, as `own`, of all rows of the load's day, which it replaces.

    Args:
        rows: files of the table that may hold rows of the load's keys, or of its day.
        removed: such files of records that removed rows.
    """
    contract = typed.contract
    columns = list(dict.fromkeys([*contract.primary_key, *(name for name, _ in contract.order_terms), LOAD_DAY]))
    key, day = listed(contract.primary_key), f"DATE '{typed.day.isoformat()}'"
    fine = f"SELECT {key} FROM standing WHERE {CODE_OF_MARK} <= {len(typed.removals)}"
    parts = [
        f"SELECT {listed(columns)}, _file, _row, {'true' if gone else 'false'} AS gone "
        f"FROM ({stored(connection, table, paths, columns)})"
        for gone, paths in ((False, rows), (True, removed))
        if paths
    ]
    if not parts:
        parts = [f"SELECT {key}, NULL AS {LOAD_DAY}, 0 AS _file, 0 AS _row, false AS gone FROM standing WHERE false"]
    connection.execute(
        f"CREATE TEMP TABLE rivals AS SELECT * FROM ({' UNION ALL '.join(parts)}) "
        f"WHERE {LOAD_DAY} = {day} OR ({key}) IN ({fine})"
    )
    others = f"SELECT * FROM rivals WHERE {LOAD_DAY} IS DISTINCT FROM {day}"
    marks = (
        f"SELECT {MARK} FROM standing SEMI JOIN ({others}) USING ({key}) WHERE {CODE_OF_MARK} <= {len(typed.removals)}"
    )
    connection.execute(f"CREATE TEMP TABLE contended AS {marks}")
    contenders = typed.rows(columns[:-1], where=f"{PLACE} IN (SELECT {PLACE_OF_MARK} FROM contended)")
    connection.execute(typed.macros(contenders))
    terms = [f"{quoted(name)} {way} NULLS LAST" for name, way in contract.order_terms]
    connection.execute(
        "CREATE TEMP TABLE places AS SELECT place, _file, _row, gone, row_number() OVER "
        f"(PARTITION BY {key} ORDER BY {', '.join([*terms, f'{LOAD_DAY} DESC NULLS LAST'])}) AS rank FROM ("
        f"SELECT {PLACE} AS place, {listed(columns[:-1])}, {day} AS {LOAD_DAY}, NULL AS _file, NULL AS _row, "
        f"false AS gone FROM ({contenders}) UNION ALL BY NAME ({others}))"
    )
    connection.execute(
        f"CREATE TEMP TABLE beaten AS SELECT {MARK} FROM contended SEMI JOIN "
        f"(SELECT place FROM places WHERE rank > 1 AND place IS NOT NULL) AS lost ON lost.place = {PLACE_OF_MARK}"
    )
    connection.execute(
        f"CREATE TEMP TABLE superseded AS SELECT _file, _row, true AS own FROM rivals "
        f"WHERE NOT gone AND {LOAD_DAY} = {day} UNION ALL "
        "SELECT _file, _row, false FROM places WHERE place IS NULL AND NOT gone AND rank > 1"
    )


def nothing_to_compare(connection: duckdb.DuckDBPyConnection) -> None:
    """Leaves the relations of `compare` for a load that meets no rows."""
    connection.execute(f"CREATE TEMP TABLE beaten ({MARK} BIGINT)")
    connection.execute("CREATE TEMP TABLE superseded (_file BIGINT, _row BIGINT, own BOOLEAN)")


def stored(
    connection: duckdb.DuckDBPyConnection, table: TableContract, paths: Sequence[Path], columns: Sequence[str]
) -> str:
    """SQL for rows of a table's files with `_file` (the path's place in the list) and `_row`, both from 0; columns that
    none of the files has are null.
    """
    listing = f"[{', '.join(literal(str(path)) for path in paths)}]"
    source = f"read_parquet({listing}, union_by_name = true, hive_partitioning = false)"
    there = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    shown = []
    for name in columns:
        kind, value = duckdb_type(table.schema.field(name).type), quoted(name) if name in there else "NULL"
        shown.append(f"CAST({value} AS {kind}) AS {quoted(name)}")
    return f"SELECT {', '.join(shown)}, CAST(file_index AS BIGINT) AS _file, file_row_number AS _row FROM {source}"
