"""Compaction of a dataset's tables: fewer files, the same rows, and loads that go on as if nothing had been."""

import datetime as dt
from pathlib import Path

import duckdb
import pytest

from medpipe_assets.etlt.load import load
from medpipe_assets.lake import maintenance
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.maintenance import maintain
from medpipe_tests.unit.etlt.flat import DAY, contract, lake_of, put_file, rows_of

FILES = 3
TEXT = """
dataset: sites
line: facilities
description: Sites.
row: a site
primary_key: [id]
history: true
fields:
  id: {description: id, required: true}
  papers: {kind: "array(row(body varchar, until date))", description: papers, invalid: "null"}
"""


def everything(lake: Lake, table: str) -> list[tuple[object, ...]]:
    """A table's rows as they lie in its files."""
    return sorted(duckdb.sql(f"select id, papers from read_parquet({lake.files(table)})").fetchall(), key=repr)


def test_small_files_become_one_and_no_row_or_null_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "COMPACT_FROM_FILES", FILES)
    sites = contract(TEXT)
    lake = lake_of(tmp_path, sites)
    for n in range(FILES):
        day = DAY + dt.timedelta(days=n)
        papers = [None, "[]", '[{"body": "A", "until": "2026-02-30"}, null]'][n]
        put_file(lake, sites, [{"id": str(n), "papers": papers}], day=day, as_json=True)
        load(lake, sites, day, run_id="a run")
    more = contract(TEXT + "  city: {description: city}\n")
    lake = lake_of(tmp_path, more)
    before = everything(lake, "sites")
    assert before[0] == ("0", None)
    report = maintain(lake)
    assert report["partitions_compacted"] >= 1
    assert len(lake.files("sites")) == 1
    assert everything(lake, "sites") == before
    assert maintain(lake)["partitions_compacted"] == 0
    last = DAY + dt.timedelta(days=FILES)
    put_file(lake, more, [{"id": "1", "papers": "[]", "city": "Salem"}], day=last, as_json=True)
    assert load(lake, more, last, run_id="a run").rows_replaced == 1
    assert rows_of(lake, "sites", "id", "city") == [("0", None), ("1", "Salem"), ("2", None)]
    assert rows_of(lake, "sites_history", "id") == [("1",)]


def test_files_that_others_replace_meanwhile_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "COMPACT_FROM_FILES", 2)
    sites = contract(TEXT)
    lake = lake_of(tmp_path, sites)
    for n in range(2):
        put_file(lake, sites, [{"id": str(n)}], day=DAY + dt.timedelta(days=n))
        load(lake, sites, DAY + dt.timedelta(days=n), run_id="a run")
    adopt = Lake.adopt

    def interrupted(self: Lake, name: str, path: Path) -> str:
        monkeypatch.setattr(Lake, "adopt", adopt)
        self.change("sites", lambda table: table.delete())
        return adopt(self, name, path)

    monkeypatch.setattr(Lake, "adopt", interrupted)
    maintain(lake)
    assert rows_of(lake, "sites", "id") == []
