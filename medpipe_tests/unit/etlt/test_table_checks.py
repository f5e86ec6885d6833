"""Checks count the rows that offend, in what is staged, as a contract states them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt import table_checks
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.load import load
from medpipe_assets.etlt.table_checks import audit
from medpipe_assets.lake.publication import Finding, Staged
from medpipe_tests.unit.etlt.flat import DAY, contract, lake_of, put_file

Row = tuple[str | None, str | None, int | None]
"""id, state and beds of a clinic."""


def staged(folder: Path, stated: Contract, added: Sequence[Row], kept: Sequence[Row] = (), before: int = 0) -> Staged:
    """Files of rows."""
    schema = stated.table_contract.schema
    paths = []
    for name, rows in (("added", added), ("kept", kept)):
        values: list[dict[str, Any]] = [dict(zip(("id", "state", "beds"), row, strict=True)) for row in rows]
        pq.write_table(pa.Table.from_pylist(values, schema=schema), path := folder / f"{name}.parquet")
        paths.append((str(path),) if rows else ())
    return Staged(paths[0], paths[1], len(added) + len(kept), before)


def found(
    folder: Path,
    check: dict[str, Any],
    added: Sequence[Row],
    kept: Sequence[Row] = (),
    *,
    before: int = 0,
    same_checks: bool = True,
) -> int:
    """Offenders of a check of clinics."""
    stated = contract(checks={"the_check": {"description": "it", **check}})
    lake = lake_of(folder / "lake", stated)
    table = lake.table("clinics")
    if same_checks:
        with table.transaction() as transaction:
            transaction.set_properties({table_checks.CHECKS: table_checks.version_of(stated, "clinics")})
    of_rows = staged(folder, stated, added, kept, before)
    parameters = {"as_of": f"DATE '{DAY.isoformat()}'"}
    (finding,) = audit(lake, stated, "clinics", of_rows, parameters=parameters)
    assert finding.check == "the_check"
    return finding.offenders


CHECKS = [
    ({"not_null": ["id", "state"]}, [("1", "TX", 1), (None, "TX", 1), ("2", None, 1), (None, None, None)], 3),
    ({"unique": ["id"]}, [("1", "TX", 1), ("1", "CA", 1), ("1", "NY", 1), ("2", "TX", 1)], 2),
    ({"unique": ["id", "state"]}, [("1", "TX", 1), ("1", "CA", 1), ("1", "TX", 2)], 1),
    ({"accepted": {"state": ["TX", "it's"]}}, [("1", "TX", 1), ("2", "it's", 1), ("3", None, 1), ("4", "CA", 1)], 1),
    ({"sql": "select id from clinics where beds > 5"}, [("1", "TX", 6), ("2", "TX", 5)], 1),
    ({"sql": "select id from clinics where date_diff('day', :as_of, date '2026-11-05') = beds"}, [("1", "T", 3)], 1),
    ({"sql": "select id from clinics where not npi_is_valid(id)"}, [("1234567893", "T", 3), ("7", "T", 3)], 1),
    ({"sql": "select 1 where (select sum(beds) from clinics) > 10"}, [("1", "T", 6), ("2", "T", 5)], 1),
    ({"sql": "select id from clinics c group by id having count(*) > 1"}, [("1", "T", 6), ("1", "C", 5)], 1),
]


@pytest.mark.parametrize(("check", "rows", "offenders"), CHECKS)
def test_offenders_are_counted(tmp_path: Path, check: dict[str, Any], rows: list[Row], offenders: int) -> None:
    assert found(tmp_path, check, rows) == offenders


@pytest.mark.parametrize(("check", "rows", "offenders"), CHECKS)
def test_rows_that_stay_are_judged_where_the_checks_are_new(
    tmp_path: Path, check: dict[str, Any], rows: list[Row], offenders: int
) -> None:
    assert found(tmp_path, check, [], rows, same_checks=False) == offenders


def test_a_row_is_unique_among_those_that_stay(tmp_path: Path) -> None:
    assert found(tmp_path, {"unique": ["id"]}, [("1", "TX", 1), ("2", "TX", 1)], [("1", "CA", 1), ("3", "CA", 1)]) == 1


def test_what_is_about_rows_together_is_asked_of_all(tmp_path: Path) -> None:
    sql = "select id from clinics group by id having count(*) > 1"
    assert found(tmp_path, {"sql": sql}, [("1", "TX", 1)], [("1", "CA", 1)]) == 1


def test_a_row_published_under_the_same_checks_is_not_judged_again(tmp_path: Path) -> None:
    check = {"not_null": ["state"], "sql": "select id from clinics where beds > 5"}
    assert found(tmp_path, check, [("1", "TX", 1)], [("2", None, 9)]) == 0


@pytest.mark.parametrize(("before", "offenders"), [(0, 0), (4, 0), (3, 0), (5, 0), (10, 6), (2, 2)])
def test_a_table_may_change_by_a_share(tmp_path: Path, before: int, offenders: int) -> None:
    rows: list[Row] = [(str(n), "TX", 1) for n in range(4)]
    assert found(tmp_path, {"row_count_change": 0.5}, rows, before=before) == offenders


def test_values_must_be_among_those_of_another_table(tmp_path: Path) -> None:
    stated = contract(checks={"known": {"references": {"id": "clinics.id"}, "blocking": False, "table": "others"}})
    lake = lake_of(tmp_path / "lake", stated)
    put_file(lake, stated, [{"id": "1", "name": "a"}])
    load(lake, stated, DAY, run_id="a run")
    lake.tables = {**lake.tables, "others": contract(table="others").table_contract}
    of_rows = staged(tmp_path, stated, [("001", None, None), ("002", None, None), (None, None, None)])
    assert audit(lake, stated, "others", of_rows, parameters={}) == [Finding("known", 1, blocking=False)]


@pytest.mark.parametrize(
    "sql", ["select nothing from clinics", "select", "select id from clinics where cast(state as bigint) = 1", "x"]
)
def test_sql_that_is_wrong_names_its_check(tmp_path: Path, sql: str) -> None:
    with pytest.raises(ConfigurationError, match="the_check"):
        found(tmp_path, {"sql": sql}, [("1", "TX", 1)])
