"""Loads: every record is accounted for, the best of a key stands whatever the order of the loads, and a load that was
killed comes out as one that was not.
"""

import contextlib
import datetime as dt
import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.table.update.snapshot import ManageSnapshots

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt import load as load_module
from medpipe_assets.etlt import not_loaded
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.load import LoadReport, load
from medpipe_assets.lake import publication
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.publication import Finding
from medpipe_tests.unit.etlt.flat import CLINICS, DAY, Record, contract, lake_of, put_file, rows_of

DAYS = [DAY + dt.timedelta(days=n) for n in range(3)]
ROW = ("id", "state", "name", "since", "_pipeline_load_date", "_pipeline_source_row")


@pytest.fixture
def clinics() -> Contract:
    return contract()


@pytest.fixture
def lake(tmp_path: Path, clinics: Contract) -> Lake:
    return lake_of(tmp_path / "lake", clinics)


def load_of(lake: Lake, stated: Contract, day: dt.date = DAY) -> LoadReport:
    report = load(lake, stated, day, run_id="a run")
    assert balances(report)
    return report


def balances(report: LoadReport) -> bool:
    counted = report.rows_out + report.rows_rejected + report.duplicates
    return report.rows_in == counted and sum(report.rejected_by_reason.values()) == report.rows_rejected


def clinic(number: int, **more: str | None) -> dict[str, str | None]:
    return {"id": str(number), "place": "TX", "name": f"clinic {number}", "since": "2020-01-01", "beds": "5", **more}


def test_texts_become_typed_rows_with_their_provenance(lake: Lake, clinics: Contract) -> None:
    file_id = put_file(lake, clinics, [clinic(7, place="Texas", since="11/02/2018"), clinic(8, place="?", beds=None)])
    report = load_of(lake, clinics)
    assert report.published
    assert report.rows_out == 2
    assert report.partitions == ("TX", "UNKNOWN")
    assert rows_of(lake, "clinics", "id", "state", "since", "beds", "years") == [
        ("007", "TX", dt.date(2018, 11, 2), 5, 8),
        ("008", "UNKNOWN", dt.date(2020, 1, 1), None, 6),
    ]
    provenance = ("_pipeline_execution_id", "_pipeline_source_file", "_pipeline_file_id", "_pipeline_source_row")
    assert rows_of(lake, "clinics", *provenance) == [
        ("a run", "file-1.csv", file_id, 1),
        ("a run", "file-1.csv", file_id, 2),
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_wrong_is_rejected_with_column_and_reason(lake: Lake, clinics: Contract, as_json: bool) -> None:
    records = [
        clinic(1),
        clinic(2, id=None),
        clinic(3, id="12345"),
        clinic(4, since="2026-02-30"),
        clinic(5, name="nobody"),
    ]
    put_file(lake, clinics, records, as_json=as_json, rejected={6: "blank", 7: "malformed"})
    report = load_of(lake, clinics)
    assert report.rows_in == 7
    assert report.rejected_by_reason == {"blank": 1, "malformed": 1, "missing": 1, "invalid": 2, "has_a_name": 1}
    assert rows_of(lake, "dataset_rejects", "row_number", "stage", "column", "reason") == [
        (2, "loaded", "id", "missing"),
        (3, "loaded", "id", "invalid"),
        (4, "loaded", "since", "invalid"),
        (5, "loaded", None, "has_a_name"),
        (6, "flattened", None, "blank"),
        (7, "flattened", None, "malformed"),
    ]
    rejected = rows_of(lake, "dataset_rejects", "row_number", "record")
    assert '"since":"2026-02-30"' in rejected[2][1]


@pytest.mark.parametrize("as_json", [False, True])
def test_records_keep_their_numbers_though_others_before_them_were_rejected(
    lake: Lake, clinics: Contract, as_json: bool
) -> None:
    rejected = dict.fromkeys([1, 4, 5, *range(9, 5_009)], "blank")
    records = [clinic(n, place="CA") for n in range(1, 11)]
    put_file(lake, clinics, [*records[:5], clinic(6, name="nobody"), *records[6:]], as_json=as_json, rejected=rejected)
    load_of(lake, clinics)
    numbers = [2, 3, 6, 7, 8, 5_009, 5_010, 5_011, 5_012, 5_013]
    there = dict(rows_of(lake, "clinics", "id", "_pipeline_source_row"))
    assert there == {f"{n:03}": number for n, number in enumerate(numbers, 1) if n != 6}
    rejects = lake.read("dataset_rejects", ("row_number", "stage")).to_pylist()
    assert [row["row_number"] for row in rejects if row["stage"] == "loaded"] == [5_009]


def test_files_flattened_by_another_contract_are_left_out(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(1)], version="an older one")
    assert load_of(lake, clinics).files == 0


def test_values_that_may_be_null_are_nulled_and_counted(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(1, beds="12.5", place="Ontario"), clinic(2, beds=" "), clinic(3)])
    report = load_of(lake, clinics)
    assert (report.rows_out, report.nulled) == (3, 2)
    assert report.warned == {"has_beds": 2}


def test_bad_values_inside_lists_are_nulled_counted_and_cost_nothing_else(tmp_path: Path) -> None:
    text = """
dataset: sites
line: facilities
description: Sites.
row: a site
primary_key: [id]
fields:
  id: {description: id, required: true}
  papers: {kind: "array(row(body varchar, until date))", description: papers, invalid: "null"}
"""
    sites = contract(text)
    lake = lake_of(tmp_path, sites)
    papers = '[{"body": "A", "until": "2026-02-30"}, {"body": "B", "until": "2026-02-28"}]'
    put_file(lake, sites, [{"id": "1", "papers": papers}, {"id": "2", "papers": "none"}, {"id": "3"}], as_json=True)
    report = load_of(lake, sites)
    assert (report.rows_out, report.nulled, report.partitions) == (3, 2, ("*",))
    assert duckdb.sql(f"select id, papers from read_parquet({lake.files('sites')}) order by id").fetchall() == [
        ("1", [{"body": "A", "until": None}, {"body": "B", "until": dt.date(2026, 2, 28)}]),
        ("2", None),
        ("3", None),
    ]


def test_of_one_key_the_order_decides_and_then_what_came_last(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(1, since="2020-01-01", name="older"), clinic(2, name="first")], sequence=1)
    put_file(lake, clinics, [clinic(1, since=None, name="undated"), clinic(2, name="second")], sequence=2)
    put_file(lake, clinics, [clinic(2, name="third"), clinic(2, name="fourth")], sequence=3)
    report = load_of(lake, clinics)
    assert rows_of(lake, "clinics", "id", "name") == [("001", "older"), ("002", "fourth")]
    assert report.duplicates == 4


def test_a_small_load_never_erases_other_keys(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(n, place=state) for n, state in enumerate(["CA", "CA", "TX", "NY"])])
    load_of(lake, clinics)
    files = set(lake.files("clinics"))
    put_file(lake, clinics, [clinic(0, place="CA", since="2021-01-01"), clinic(9, place="WA")], day=DAYS[1])
    report = load_of(lake, clinics, DAYS[1])
    assert report.rows_replaced == 1
    assert rows_of(lake, "clinics", "id", "state") == [
        ("000", "CA"),
        ("001", "CA"),
        ("002", "TX"),
        ("003", "NY"),
        ("009", "WA"),
    ]
    assert len(files & set(lake.files("clinics"))) == 2, "other states' files are as they were"


def test_a_key_that_moves_to_another_partition_leaves_no_second_row(tmp_path: Path) -> None:
    moving = contract(primary_key=("id",), checks={})
    lake = lake_of(tmp_path, moving)
    put_file(lake, moving, [clinic(1, place="TX"), clinic(2, place="TX")])
    load_of(lake, moving)
    put_file(lake, moving, [clinic(1, place="CA", since="2022-01-01")], day=DAYS[1])
    load_of(lake, moving, DAYS[1])
    assert rows_of(lake, "clinics", "id", "state") == [("001", "CA"), ("002", "TX")]


def test_partitions_may_have_any_value_but_endless_ones(tmp_path: Path) -> None:
    odd = contract(partition_by=("name", "beds"), primary_key=("id",), checks={}, rules={})
    lake = lake_of(tmp_path, odd)
    names = [None, "a/b é*%20='\"", "ñ" * 100, "x" * 201]
    put_file(lake, odd, [clinic(n, name=name, beds=["", "3"][n % 2]) for n, name in enumerate(names)])
    report = load_of(lake, odd)
    assert report.rejected_by_reason == {"invalid": 1}
    assert rows_of(lake, "dataset_rejects", "column") == [("name",)]
    put_file(lake, odd, [clinic(1, name="b", since="2021-01-01")], day=DAYS[1])
    load_of(lake, odd, DAYS[1])
    assert dict(rows_of(lake, "clinics", "id", "name")) == {"000": None, "001": "b", "002": names[2]}


def test_a_closed_account_goes_and_no_older_record_brings_it_back(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(1), clinic(2)])
    load_of(lake, clinics)
    put_file(lake, clinics, [clinic(1, since="2023-01-01", status="closed")], day=DAYS[2])
    report = load_of(lake, clinics, DAYS[2])
    assert (report.rows_out, report.rows_replaced, report.rejected_by_reason) == (0, 1, {"is_open": 1})
    put_file(lake, clinics, [clinic(1, since="2022-01-01"), clinic(3)], day=DAYS[1])
    late = load_of(lake, clinics, DAYS[1])
    assert (late.rows_out, late.duplicates) == (1, 1)
    assert rows_of(lake, "clinics", "id") == [("002",), ("003",)]


def test_a_load_that_stands_is_not_done_again(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(1), clinic(2, id=None)])
    first = load_of(lake, clinics)
    snapshot = lake.snapshot_id("clinics")
    second = load(lake, clinics, DAY, run_id="another")
    assert second.repeated
    assert lake.snapshot_id("clinics") == snapshot
    for name in ("rows_in", "rows_out", "rows_rejected", "duplicates", "rejected_by_reason", "partitions"):
        assert getattr(second, name) == getattr(first, name)


def test_a_day_loaded_by_another_contract_is_replaced(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(1, name="ab"), clinic(2, name="abc")])
    load_of(lake, clinics)
    rule = {"sql": "length(name) < 3", "description": "short", "otherwise": "reject"}
    stricter = contract(rules={"is_short": rule})
    report = load_of(lake, stricter)
    assert (report.rows_out, report.rows_replaced) == (1, 2)
    assert rows_of(lake, "clinics", "id") == [("001",)]
    assert rows_of(lake, "dataset_rejects", "row_number", "reason") == [(2, "is_short")]
    assert len(rows_of(lake, "dataset_loads", "load_date")) == 1


def test_a_contract_may_gain_columns(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(1)])
    load_of(lake, clinics)
    column = {"type": "varchar", "sql": "upper(name)", "description": "loud"}
    more = contract(columns={**clinics.model_dump()["columns"], "loud": column})
    lake.tables = {**lake.tables, "clinics": more.table_contract}
    put_file(lake, more, [clinic(2)], day=DAYS[1])
    load_of(lake, more, DAYS[1])
    assert rows_of(lake, "clinics", "id", "loud") == [("001", None), ("002", "CLINIC 2")]


def test_columns_may_be_made_of_columns(tmp_path: Path, clinics: Contract) -> None:
    column = {"type": "varchar", "sql": "state || '-' || cast(years as varchar)", "description": "both"}
    more = contract(columns={"both": column, **clinics.model_dump()["columns"]})
    lake = lake_of(tmp_path, more)
    put_file(lake, more, [clinic(1)])
    load_of(lake, more)
    assert rows_of(lake, "clinics", "both") == [("TX-6",)]


def test_what_a_blocking_check_finds_is_not_published(lake: Lake, clinics: Contract) -> None:
    put_file(lake, clinics, [clinic(1)])
    load_of(lake, clinics)
    check = {"sql": "select id from clinics where name = 'bad'", "description": "none is bad"}
    strict = contract(checks={"none_is_bad": check, "same": {"row_count_change": 0.5, "blocking": False}})
    put_file(lake, strict, [clinic(2, name="bad"), clinic(3, name="bad")], day=DAYS[1])
    report = load(lake, strict, DAYS[1], run_id="a run")
    assert not report.published
    assert [f for f in report.findings if f.offenders] == [
        Finding("none_is_bad", 2),
        Finding("same", 2, blocking=False),
    ]
    assert rows_of(lake, "clinics", "id") == [("001",)]
    assert len(rows_of(lake, "dataset_loads", "load_date")) == 1
    assert not any(lake.location.scratch.iterdir())


def test_a_full_load_is_the_whole_table_and_an_older_one_changes_nothing(tmp_path: Path) -> None:
    full = contract(load_mode="full")
    lake = lake_of(tmp_path, full)
    put_file(lake, full, [clinic(1), clinic(2)])
    put_file(lake, full, [clinic(2, place="NY"), clinic(3)], day=DAYS[1])
    put_file(lake, full, [clinic(4)], day=DAYS[2])
    load_of(lake, full, DAYS[0])
    assert load_of(lake, full, DAYS[2]).rows_replaced == 2
    late = load_of(lake, full, DAYS[1])
    assert (late.rows_out, late.duplicates) == (0, 2)
    assert rows_of(lake, "clinics", "id") == [("004",)]
    assert load(lake, full, DAYS[1], run_id="again").repeated


def test_a_day_without_files_changes_nothing(lake: Lake, clinics: Contract) -> None:
    report = load_of(lake, clinics)
    assert not report.published
    assert rows_of(lake, "clinics", "id") == []


def test_sql_that_fails_on_a_record_names_the_dataset_and_no_value(lake: Lake, clinics: Contract) -> None:
    column = {"type": "bigint", "sql": "cast(name as bigint)", "description": "wrong"}
    wrong = contract(columns={**clinics.model_dump()["columns"], "wrong": column})
    lake.tables = {**lake.tables, "clinics": wrong.table_contract}
    put_file(lake, wrong, [clinic(1, name="SECRET")])
    with pytest.raises(ConfigurationError, match="clinics") as caught:
        load(lake, wrong, DAY, run_id="a run")
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert rows_of(lake, "clinics", "id") == []


@pytest.mark.parametrize("sql", ["nam || 'x'", "name ||", "length(name, 2, 3)", "as_of(name)", "(select 1)"])
def test_sql_that_cannot_be_run_is_a_wrong_contract(tmp_path: Path, clinics: Contract, sql: str) -> None:
    column = {"type": "varchar", "sql": sql, "description": "wrong"}
    wrong = contract(columns={**clinics.model_dump()["columns"], "wrong": column})
    lake = lake_of(tmp_path, wrong)
    put_file(lake, wrong, [clinic(1)])
    if sql == "(select 1)":
        return
    with pytest.raises(ConfigurationError, match="clinics"):
        load(lake, wrong, DAY, run_id="a run")


class _Killed(BaseException):
    """The end of a process."""


def kill_at(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """Make the load end just before the n-th of its writes, from 0."""
    count = itertools.count()

    def around(function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            if next(count) == place:
                raise _Killed
            return function(*given, **named)

        return call

    for owner, name in [
        (load_module, "write"),
        (load_module, "publish_files"),
        (load_module, "write_line"),
        (not_loaded, "write"),
        (not_loaded, "exchange"),
        (publication, "exchange"),
        (ManageSnapshots, "commit"),
        (Lake, "adopt"),
    ]:
        monkeypatch.setattr(owner, name, around(getattr(owner, name)))


def content(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    loads = ("load_date", "rows_in", "rows_out", "rows_rejected", "duplicates", "rows_replaced", "nulled", "partitions")
    return {
        "clinics": rows_of(lake, "clinics", *ROW),
        "clinics_history": rows_of(lake, "clinics_history", *ROW, "_pipeline_standing"),
        "dataset_rejects": rows_of(lake, "dataset_rejects", "load_date", "row_number", "reason"),
        "dataset_loads": rows_of(lake, "dataset_loads", *loads),
    }


def two_days(folder: Path, stated: Contract) -> None:
    """A lake in which the first of two days is loaded."""
    lake = lake_of(folder, stated)
    put_file(lake, stated, [clinic(1), clinic(2), clinic(2, name="twice"), clinic(5, id=None)])
    put_file(
        lake, stated, [clinic(1, since="2021-01-01"), clinic(3, status="closed"), clinic(4, name="nobody")], day=DAYS[1]
    )
    load(lake, stated, DAYS[0], run_id="a run")


@pytest.mark.long
def test_a_load_killed_anywhere_comes_out_the_same_when_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = contract(history=True)
    home, before = tmp_path / "lake", tmp_path / "before"
    two_days(home, stated)
    shutil.copytree(home, before)
    expected: dict[str, list[tuple[Any, ...]]] = {}
    for place in itertools.count(-1):
        shutil.rmtree(home)
        shutil.copytree(before, home)
        lake = lake_of(home, stated)
        with monkeypatch.context() as patch:
            kill_at(patch, place)
            with contextlib.suppress(_Killed):
                load(lake, stated, DAYS[1], run_id="a run")
                if place >= 0:
                    break
        assert balances(load(lake, stated, DAYS[1], run_id="a run"))
        expected = expected or content(lake)
        assert content(lake) == expected, f"killed at {place}"
        assert not any(lake.location.scratch.iterdir())
    assert place > 10, "the kills were not where the writes are"


RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["1", "2", "2.0", "3", None, "99999"]),
            "place": st.sampled_from(["TX", "tx", "CA", "?"]),
            "name": st.sampled_from(["a", "b", "nobody"]),
            "since": st.sampled_from(["2020-01-01", "2021-01-01", "1/1/2021", None, "2021-02-30"]),
            "status": st.sampled_from([None, None, "closed"]),
        }
    ),
    max_size=6,
)
FILES = st.lists(st.tuples(st.sampled_from(DAYS), RECORDS), min_size=1, max_size=4)
DATES = {"2020-01-01": dt.date(2020, 1, 1), "2021-01-01": dt.date(2021, 1, 1), "1/1/2021": dt.date(2021, 1, 1)}


def expected_rows(files: Sequence[tuple[dt.date, Sequence[Record]]]) -> tuple[list[Any], list[Any]]:
    """What stands, and what does not, by the rules alone: (id, state, name, since, day, row)."""
    best: dict[tuple[str, str], tuple[Any, ...]] = {}
    fine = []
    for sequence, (day, records) in enumerate(files):
        for number, record in enumerate(records, 1):
            identifier, since = record["id"], record["since"]
            if identifier in (None, "99999") or since == "2021-02-30" or record["name"] == "nobody":
                continue
            key = (
                str(identifier)[0].zfill(3),
                {"TX": "TX", "tx": "TX", "CA": "CA"}.get(str(record["place"]), "UNKNOWN"),
            )
            date = DATES.get(since or "")
            rank = (date or dt.date.min, day, sequence, number)
            row = (*key, record["name"], date, day, number)
            entry = (rank, record["status"], row)
            fine.append(entry)
            best[key] = max(best.get(key, entry), entry, key=lambda item: item[0])
    stands = [entry for entry in best.values() if entry[1] is None]
    others = [entry[2] for entry in fine if entry not in stands]
    return sorted((entry[2] for entry in stands), key=repr), sorted(others, key=repr)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, seed=st.randoms(use_true_random=False), history=st.booleans())
def test_any_split_into_loads_in_any_order_gives_the_same_table(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[tuple[dt.date, list[dict[str, str | None]]]],
    seed: Any,
    history: bool,
) -> None:
    stated = contract(history=history)
    lake = lake_of(tmp_path_factory.mktemp("lake"), stated)
    arrivals = list(enumerate(files, 1))
    seed.shuffle(arrivals)
    loaded: set[dt.date] = set()
    for sequence, (day, records) in arrivals:
        put_file(lake, stated, records, day=day, sequence=sequence, nonce=str(sequence))
        if seed.random() < 0.6:
            assert load_of(lake, stated, day).published
            loaded.add(day)
    days = sorted({day for day, _ in files})
    seed.shuffle(days)
    for day in days:
        load_of(lake, stated, day)
    stand, others = expected_rows(files)
    assert rows_of(lake, "clinics", *ROW) == stand
    if history:
        assert rows_of(lake, "clinics_history", *ROW) == others
    total = sum(out for (out,) in rows_of(lake, "dataset_loads", "rows_out"))
    assert total >= len(stand)


def test_the_contract_of_this_test_is_one_that_people_could_write() -> None:
    assert contract(CLINICS).column_names == ("id", "name", "since", "beds", "state", "years")
