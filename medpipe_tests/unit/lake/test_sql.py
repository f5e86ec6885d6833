"""What SQL sees of the lake: the rows that readers in Python see, and nothing that no verdict vouches for."""

import datetime as dt
from pathlib import Path

import pytest

from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import read_vouched
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.warehouse.lake_tables import Scope, base_tables, lake_warehouse
from medpipe_tests.unit.lake.builders import NOW, document, put, verdict_row

LATER = NOW + dt.timedelta(hours=1)


def fill(lake: Lake) -> None:
    kept, failed, redone, cut_off = (document(n) for n in range(4))
    put(
        lake,
        "pages",
        {"document_id": kept, "text": "kept"},
        {"document_id": failed, "text": "quarantined"},
        {"document_id": redone, "text": "old"},
        {"document_id": redone, "text": "new", "run_id": "second"},
        {"document_id": cut_off, "text": "no verdict"},
    )
    put(
        lake,
        "stage_status",
        verdict_row(kept, "extracted_text"),
        verdict_row(failed, "extracted_text", outcome="quarantined", reason="corrupt"),
        verdict_row(redone, "extracted_text", processed_at=LATER),
        verdict_row(redone, "extracted_text", run_id="second", fence=2),
    )


@pytest.mark.parametrize("name", ["lake", "a b#c?ñ%20", "[x]*"])
def test_sql_sees_the_rows_in_force_as_python_does(tmp_path: Path, name: str) -> None:
    lake = Lake(LakeLocation.under(tmp_path / name))
    fill(lake)
    found = lake_warehouse(lake).query("select text from pages order by text")["text"].to_pylist()
    assert found == sorted(read_vouched(lake, "pages", ("text",))["text"].to_pylist()) == ["kept", "new"]


def test_the_ledger_in_force_has_one_verdict_a_document(lake: Lake) -> None:
    fill(lake)
    found = lake_warehouse(lake).query("select run_id from stage_status_in_force where fence = 2")
    assert found["run_id"].to_pylist() == ["second"]
    assert lake_warehouse(lake).query("select count(*) as n from stage_status_in_force")["n"].to_pylist() == [3]


def test_a_table_that_was_never_written_is_empty(lake: Lake) -> None:
    assert lake_warehouse(lake).query("select * from segments").num_rows == 0
    assert base_tables(lake)("no_table") is None


def test_sql_as_of_a_time_before_everything_sees_nothing(lake: Lake) -> None:
    fill(lake)
    assert (
        lake_warehouse(lake, Scope(dt.datetime.now(dt.UTC) - dt.timedelta(days=1)))
        .query("select * from pages")
        .num_rows
        == 0
    )
