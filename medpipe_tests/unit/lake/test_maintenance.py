"""Maintenance: fewer files, the same rows; what is old and unneeded goes, what anybody needs stays."""

import contextlib
import datetime as dt
import os
import sqlite3
from pathlib import Path

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake import maintenance
from medpipe_assets.lake.lake import Lake, days_in
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.maintenance import maintain
from medpipe_assets.lake.schemas import TABLES
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, content, document, put, receive, rows, verdict_row

pytestmark = pytest.mark.usefixtures("quick_polls")
FILES = 3


@pytest.fixture(autouse=True)
def few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "COMPACT_FROM_FILES", FILES)


def in_days(days: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


def fill(lake: Lake) -> None:
    """Two days of pages in many files, with their verdicts."""
    for n in range(FILES):
        put(lake, "pages", {"document_id": document(n), "text": f"ñ{n}"})
        put(lake, "stage_status", verdict_row(document(n), "extracted_text"), verdict_row(document(n)))
    put(lake, "pages", {"document_id": document(99), "ingest_date": NEXT_DAY})
    put(lake, "stage_status", verdict_row(document(99), "extracted_text", ingest_date=NEXT_DAY))


def everything(lake: Lake) -> dict[str, list[str]]:
    return content(lake, [name for name in TABLES if lake.exists(name)], leave_out=())


def stored_files(lake: Lake, name: str) -> set[Path]:
    return {p for p in Path(lake.table(name).location()).rglob("*") if p.is_file()}


def make_old(path: Path, hours: float) -> None:
    then = dt.datetime.now().timestamp() - hours * 3600
    os.utime(path, (then, then))


def test_compaction_keeps_every_row_in_fewer_files(lake: Lake) -> None:
    fill(lake)
    before = everything(lake)
    report = maintain(lake)
    assert everything(lake) == before
    assert len(lake.files("pages")) == 2, "one file a day"
    assert len(lake.files("stage_status")) == 3, "one file a stage and day"
    assert report["days_compacted"] == 2


def test_no_run_commits_while_maintenance_does(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both would change one table's metadata, and the loser's run would fail."""
    fill(lake)
    met: list[str] = []

    def meet(what: str) -> None:
        leases = sqlite3.connect(lake.location.home / "leases.db", timeout=0)
        with contextlib.closing(leases), contextlib.suppress(sqlite3.OperationalError):
            leases.execute("begin immediate")
            met.append(what)

    rewrite, expire = Lake.rewrite, maintenance._expire
    monkeypatch.setattr(Lake, "rewrite", lambda *given: (meet("compaction"), rewrite(*given))[1])
    monkeypatch.setattr(maintenance, "_expire", lambda *given: (meet("expiry"), expire(*given))[1])
    maintain(lake)
    assert met == []


def test_days_of_few_files_are_left_alone(lake: Lake) -> None:
    fill(lake)
    next_day = [f for f in lake.files("pages") if NEXT_DAY.isoformat() in f]
    maintain(lake)
    assert [f for f in lake.files("pages") if NEXT_DAY.isoformat() in f] == next_day


def test_maintaining_twice_is_maintaining_once(lake: Lake) -> None:
    fill(lake)
    maintain(lake)
    files, rows_then = lake.files("pages"), everything(lake)
    report = maintain(lake)
    assert set(report.values()) == {0}
    assert (lake.files("pages"), everything(lake)) == (files, rows_then)


def test_tables_without_days_are_left_as_they_are(lake: Lake) -> None:
    for n in range(FILES + 1):
        put(lake, "stage_versions", {"stage": "entities", "stage_version": str(n)})
    before = everything(lake)
    maintain(lake)
    assert everything(lake) == before


def test_an_empty_lake_needs_no_maintenance(lake: Lake) -> None:
    assert set(maintain(lake).values()) == {0}
    assert not any(lake.exists(name) for name in TABLES)


def test_old_snapshots_expire_and_their_files_go_while_the_rows_stay(lake: Lake) -> None:
    for text in ("old", "new"):
        lake.write("pages", rows("pages", {"text": text}), replace=days_in([DAY]))
    before = everything(lake)
    old = set(lake.files("pages", dt.datetime.now(dt.UTC)))
    report = maintain(lake, in_days(maintenance.KEEP_SNAPSHOTS_DAYS + 2))
    assert report["snapshots_expired"] >= 1
    assert report["files_removed"] >= 1
    assert report["bytes_removed"] > 0
    assert len(lake.table("pages").metadata.snapshots) == 1
    assert everything(lake) == before
    assert old == set(lake.files("pages")) <= {str(p) for p in stored_files(lake, "pages")}


def test_snapshots_within_time_travels_reach_stay_readable(lake: Lake) -> None:
    fill(lake)
    snapshots = {s.snapshot_id: lake.read("pages", snapshot_id=s.snapshot_id) for s in lake.table("pages").snapshots()}
    for path in stored_files(lake, "pages"):
        make_old(path, hours=48)
    maintain(lake, in_days(maintenance.KEEP_SNAPSHOTS_DAYS - 1))
    for snapshot_id, then in snapshots.items():
        assert lake.read("pages", snapshot_id=snapshot_id).sort_by("document_id").equals(then.sort_by("document_id"))


def test_an_orphan_older_than_a_day_goes_and_a_younger_one_stays(lake: Lake) -> None:
    fill(lake)
    folder = Path(lake.table("pages").location(), "data")
    old, young = folder / "old.parquet", folder / "young.parquet"
    for path, hours in ((old, 25), (young, 23)):
        path.write_bytes(b"12345")
        make_old(path, hours)
    before = everything(lake)
    report = maintain(lake)
    assert (old.exists(), young.exists()) == (False, True)
    assert (report["files_removed"], report["bytes_removed"]) == (1, 5)
    assert everything(lake) == before


def test_nothing_that_the_tables_need_is_ever_removed(lake: Lake) -> None:
    fill(lake)
    receive(lake, [document(n) for n in range(3)])
    before = everything(lake)
    for name in before:
        for path in stored_files(lake, name):
            make_old(path, hours=24 * 400)
    for _ in range(2):
        maintain(lake, in_days(400))
        assert everything(lake) == before
    put(lake, "pages", {"document_id": document("new")})
    assert everything(Lake(lake.location))["pages"] != before["pages"], "the lake can still be written to"


def test_an_orphan_is_removed_in_a_lake_with_an_odd_name(tmp_path: Path) -> None:
    lake = Lake(LakeLocation.under(tmp_path / "a b#c?d%20ñ"))
    fill(lake)
    before = everything(lake)
    for path in stored_files(lake, "pages"):
        make_old(path, hours=48)
    orphan = Path(lake.table("pages").location(), "data", "orphan.parquet")
    orphan.write_bytes(b"x")
    make_old(orphan, hours=48)
    maintain(lake)
    assert not orphan.exists()
    assert everything(lake) == before


def test_compaction_sweeps_what_a_killed_run_left_rather_than_keeping_it_for_good(lake: Lake) -> None:
    fill(lake)
    put(lake, "pages", {"document_id": document("cut off"), "run_id": "killed"})
    with pytest.raises(ZeroDivisionError), lake.leases.hold(f"extracted_text {DAY}"):
        raise ZeroDivisionError
    maintain(lake)
    assert document("cut off") not in lake.read("pages")["document_id"].to_pylist()
    assert lake.read("pages").num_rows == FILES + 1


def test_a_branch_under_audit_outlives_maintenance(lake: Lake) -> None:
    put(lake, "diagnoses", {"code": "A"})
    table = lake.table("diagnoses")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_branch(snapshot.snapshot_id, "audit-x").commit()
    table.refresh()
    table.overwrite(rows("diagnoses", {"code": "B"}), branch="audit-x")
    staged = table.refresh().refs()["audit-x"].snapshot_id
    maintain(lake, in_days(400))
    assert lake.read("diagnoses", ("code",), snapshot_id=staged)["code"].to_pylist() == ["B"]
    assert lake.read("diagnoses", ("code",))["code"].to_pylist() == ["A"]


def test_asking_for_a_time_before_the_oldest_kept_snapshot_is_refused_rather_than_answered_by_nothing(
    lake: Lake,
) -> None:
    for text in ("old", "new"):
        lake.write("pages", rows("pages", {"text": text}), replace=days_in([DAY]))
    maintain(lake, in_days(maintenance.KEEP_SNAPSHOTS_DAYS + 2))
    with pytest.raises(ConfigurationError, match="pages"):
        lake.files("pages", in_days(-1))
