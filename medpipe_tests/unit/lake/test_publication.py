"""Publication: what is refused leaves no trace, what is published replaces its days alone, the old can be read."""

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import EqualTo
from pyiceberg.io.pyarrow import schema_to_pyarrow

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.leases import Lease, LeaseLostError
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.publication import (
    ALL_FILES,
    All,
    Finding,
    Findings,
    Publication,
    Staged,
    built_from,
    publish,
    publish_files,
)
from medpipe_assets.lake.schemas import TABLES, Column, TableContract
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, document, rows

TABLE = "diagnoses"


@pytest.fixture
def lease(lake: Lake) -> Iterator[Lease]:
    with lake.leases.hold(TABLE) as held:
        yield held


def diagnosis(code: str, day: dt.date = DAY) -> dict[str, object]:
    return {"document_id": document(1), "code": code, "ingest_date": day}


def passing(staged: pa.Table) -> Findings:
    return {"fine": set()}


def put_out(lake: Lake, lease: Lease, notes: dict[dt.date, str], *given: dict[str, object]) -> Findings:
    return publish(lake, TABLE, rows(TABLE, *given), passing, lease, notes=notes)


def codes(lake: Lake, snapshot_id: int | None = None) -> list[tuple[dt.date, str]]:
    found = lake.read(TABLE, ("ingest_date", "code"), snapshot_id=snapshot_id).to_pylist()
    return sorted((row["ingest_date"], row["code"]) for row in found)


def branches(lake: Lake) -> set[str]:
    return set(lake.table(TABLE).refs())


def test_what_passes_the_audit_is_published_with_its_note(lake: Lake, lease: Lease) -> None:
    assert put_out(lake, lease, {DAY: "note"}, diagnosis("A")) == {"fine": set()}
    assert codes(lake) == [(DAY, "A")]
    assert built_from(lake, TABLE, DAY) == "note"
    assert built_from(lake, TABLE, NEXT_DAY) is None
    assert branches(lake) == {"main"}


def test_published_days_replace_themselves_alone(lake: Lake, lease: Lease) -> None:
    put_out(lake, lease, {DAY: "1", NEXT_DAY: "1"}, diagnosis("A"), diagnosis("B", NEXT_DAY))
    put_out(lake, lease, {DAY: "2"}, diagnosis("C"))
    assert codes(lake) == [(DAY, "C"), (NEXT_DAY, "B")]
    assert [built_from(lake, TABLE, day) for day in (DAY, NEXT_DAY)] == ["2", "1"]


def test_a_day_can_be_published_empty(lake: Lake, lease: Lease) -> None:
    put_out(lake, lease, {DAY: "1"}, diagnosis("A"))
    put_out(lake, lease, {DAY: "2"})
    assert codes(lake) == []
    assert built_from(lake, TABLE, DAY) == "2"


def test_the_audit_sees_what_was_written_of_these_days_alone(lake: Lake, lease: Lease) -> None:
    put_out(lake, lease, {NEXT_DAY: "1"}, diagnosis("B", NEXT_DAY))
    seen: list[pa.Table] = []

    def look(staged: pa.Table) -> Findings:
        seen.append(staged)
        assert codes(lake) == [(NEXT_DAY, "B")], "readers saw rows that were not audited yet"
        return {}

    publish(lake, TABLE, rows(TABLE, diagnosis("A")), look, lease, notes={DAY: "1"})
    assert [table["code"].to_pylist() for table in seen] == [["A"]]


@pytest.mark.parametrize("published_before", [True, False])
def test_a_refused_audit_leaves_the_table_as_it_was(lake: Lake, lease: Lease, published_before: bool) -> None:
    if published_before:
        put_out(lake, lease, {DAY: "1"}, diagnosis("A"))
    before = (codes(lake), built_from(lake, TABLE, DAY))
    findings = publish(
        lake, TABLE, rows(TABLE, diagnosis("B")), lambda staged: {"wrong": {document(1)}}, lease, notes={DAY: "2"}
    )
    assert findings == {"wrong": {document(1)}}
    assert (codes(lake), built_from(lake, TABLE, DAY)) == before
    assert branches(lake) == {"main"}


def test_an_audit_that_fails_itself_leaves_the_table_as_it_was(lake: Lake, lease: Lease) -> None:
    put_out(lake, lease, {DAY: "1"}, diagnosis("A"))
    snapshot = lake.table(TABLE).current_snapshot()
    with pytest.raises(ZeroDivisionError):
        publish(lake, TABLE, rows(TABLE, diagnosis("B")), lambda staged: {"x": [1 // 0]}, lease, notes={DAY: "2"})  # type: ignore[list-item]
    assert lake.table(TABLE).current_snapshot() == snapshot
    assert branches(lake) == {"main"}


def test_whoever_lost_the_lease_publishes_nothing(lake: Lake) -> None:
    stale = Lease(TABLE, 0, clean=True)
    with lake.leases.hold(TABLE) as lease:
        put_out(lake, lease, {DAY: "1"}, diagnosis("A"))
    with pytest.raises(LeaseLostError):
        put_out(lake, stale, {DAY: "2"}, diagnosis("B"))
    assert codes(lake) == [(DAY, "A")]
    assert built_from(lake, TABLE, DAY) == "1"
    assert branches(lake) == {"main"}


def test_a_branch_left_by_a_publication_that_was_killed_goes_with_the_next(lake: Lake, lease: Lease) -> None:
    put_out(lake, lease, {DAY: "1"}, diagnosis("A"))
    table = lake.table(TABLE)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_branch(snapshot.snapshot_id, "audit-0123456789ab").commit()
    put_out(lake, lease, {DAY: "2"}, diagnosis("B"))
    assert branches(lake) == {"main"}
    assert codes(lake) == [(DAY, "B")]


def test_the_rows_of_before_can_still_be_read(lake: Lake, lease: Lease) -> None:
    put_out(lake, lease, {DAY: "1"}, diagnosis("A"))
    then = lake.table(TABLE).current_snapshot()
    old_files = lake.files(TABLE)
    stamp = dt.datetime.now(dt.UTC)
    while int(dt.datetime.now(dt.UTC).timestamp() * 1000) <= int(stamp.timestamp() * 1000):
        pass
    put_out(lake, lease, {DAY: "2"}, diagnosis("B"))
    assert then is not None
    assert codes(lake, then.snapshot_id) == [(DAY, "A")]
    assert lake.files(TABLE, stamp) == old_files
    assert codes(lake) == [(DAY, "B")]


def test_time_travel_to_the_time_of_an_audit_gives_what_readers_saw_then(lake: Lake, lease: Lease) -> None:
    put_out(lake, lease, {DAY: "1"}, diagnosis("A"))
    old_files = lake.files(TABLE)
    stamps: list[dt.datetime] = []

    def take_time(staged: pa.Table) -> Findings:
        begun = dt.datetime.now(dt.UTC)
        while dt.datetime.now(dt.UTC) - begun < dt.timedelta(milliseconds=5):
            pass
        stamps.append(dt.datetime.now(dt.UTC))
        return {}

    publish(lake, TABLE, rows(TABLE, diagnosis("B")), take_time, lease, notes={DAY: "2"})
    assert lake.files(TABLE, stamps[0]) == old_files


def test_rows_that_do_not_fit_the_contract_are_not_staged(lake: Lake, lease: Lease) -> None:
    with pytest.raises(ValueError, match="code"):
        publish(lake, TABLE, rows(TABLE, diagnosis("A")).drop_columns(["code"]), passing, lease, notes={DAY: "1"})
    assert built_from(lake, TABLE, DAY) is None


def test_rows_of_days_that_are_not_published_are_refused(lake: Lake, lease: Lease) -> None:
    with pytest.raises(ValueError, match="days"):
        put_out(lake, lease, {DAY: "1"}, diagnosis("A"), diagnosis("B", NEXT_DAY))
    assert codes(lake) == []


WARDS = TableContract(
    "wards",
    "parquet",
    "a ward",
    (Column("ward", pa.string(), "name", nullable=True), Column("site", pa.string(), "site", nullable=True)),
    ("site",),
)


@pytest.fixture
def wards(tmp_path: Path) -> Lake:
    return Lake(LakeLocation.under(tmp_path / "lake"), tables={**TABLES, WARDS.name: WARDS})


def ward_file(lake: Lake, site: str, *names: str) -> Path:
    """A Parquet file of a site's wards, in scratch."""
    path = lake.location.scratch / f"{site}-{'-'.join(names)}.parquet"
    rows = pa.table({"ward": list(names), "site": [site] * len(names)}, schema=WARDS.schema)
    pq.write_table(rows.cast(schema_to_pyarrow(lake.table("wards").schema())), path)
    return path


def put_out_files(lake: Lake, add: list[Path], remove: Collection[str] | All = (), **more: Any) -> Publication:
    given = {"audit": lambda staged: [], "properties": {}, **more}
    with lake.leases.hold("wards") as lease:
        return publish_files(lake, "wards", add=add, remove=remove, **{"lease": lease, **given})


def ward_names(lake: Lake) -> list[str]:
    return sorted(lake.read("wards", ("ward",))["ward"].to_pylist())


def test_files_are_added_removed_and_noted_in_one_commit(wards: Lake) -> None:
    first = put_out_files(wards, [ward_file(wards, "A", "a1", "a2"), ward_file(wards, "B", "b1")])
    assert first.snapshot_id == wards.snapshot_id("wards")
    assert ward_names(wards) == ["a1", "a2", "b1"]
    (gone,) = [file.file_path for file in wards.data_files("wards", EqualTo("site", "A"))]
    put_out_files(wards, [ward_file(wards, "A", "a3")], [gone], properties={"note": "of the second"})
    assert ward_names(wards) == ["a3", "b1"]
    assert wards.table("wards").properties["note"] == "of the second"
    assert ward_names_at(wards, first.snapshot_id) == ["a1", "a2", "b1"]
    put_out_files(wards, [ward_file(wards, "C", "c1")], ALL_FILES)
    assert ward_names(wards) == ["c1"]
    put_out_files(wards, [], ALL_FILES)
    assert ward_names(wards) == []
    assert not list(wards.location.scratch.iterdir()), "what was published is moved, not copied"


def ward_names_at(lake: Lake, snapshot_id: int | None) -> list[str]:
    return sorted(lake.read("wards", ("ward",), snapshot_id=snapshot_id)["ward"].to_pylist())


def test_an_audit_of_files_sees_what_is_new_and_what_stays_while_readers_see_neither(wards: Lake) -> None:
    put_out_files(wards, [ward_file(wards, "A", "a1"), ward_file(wards, "B", "b1", "b2")])
    (gone,) = [file.file_path for file in wards.data_files("wards", EqualTo("site", "A"))]

    def refuse(staged: Staged) -> list[Finding]:
        assert (staged.rows, staged.rows_before) == (4, 3)
        assert pq.read_table(staged.added[0])["ward"].to_pylist() == ["a2", "a3"]
        assert pq.read_table(staged.kept[0])["ward"].to_pylist() == ["b1", "b2"]
        assert ward_names(wards) == ["a1", "b1", "b2"]
        return [Finding("wrong", 1), Finding("odd", 2, blocking=False)]

    refused = put_out_files(wards, [ward_file(wards, "A", "a2", "a3")], [gone], audit=refuse, properties={"note": "x"})
    assert (refused.snapshot_id, [finding.stops for finding in refused.findings]) == (None, [True, False])
    assert ward_names(wards) == ["a1", "b1", "b2"]
    assert "note" not in wards.table("wards").properties
    assert set(wards.table("wards").refs()) == {"main"}


def test_a_warning_does_not_keep_files_from_being_published(wards: Lake) -> None:
    found = put_out_files(wards, [ward_file(wards, "A", "a")], audit=lambda staged: [Finding("odd", 1, blocking=False)])
    assert found.snapshot_id is not None
    assert ward_names(wards) == ["a"]


def test_files_that_are_not_there_cannot_be_removed(wards: Lake) -> None:
    put_out_files(wards, [ward_file(wards, "A", "a")])
    with pytest.raises(ValueError, match="not there"):
        put_out_files(wards, [ward_file(wards, "A", "b")], ["another.parquet"])
    assert ward_names(wards) == ["a"]


def test_whoever_lost_the_lease_publishes_no_files(wards: Lake) -> None:
    put_out_files(wards, [ward_file(wards, "A", "a")])
    with pytest.raises(LeaseLostError):
        put_out_files(wards, [ward_file(wards, "A", "b")], ALL_FILES, lease=Lease("wards", 0, clean=True))
    assert ward_names(wards) == ["a"]


def test_a_column_may_come_but_not_become_another_type(wards: Lake) -> None:
    put_out_files(wards, [ward_file(wards, "A", "a")])
    grown = replace(WARDS, columns=(*WARDS.columns, Column("beds", pa.int64(), "beds", nullable=True)))
    changed = replace(WARDS, columns=(Column("ward", pa.date32(), "day", nullable=True), WARDS.columns[1]))
    wards.tables = {**wards.tables, "wards": grown}
    assert wards.following_contract("wards").schema().column_names == ["ward", "site", "beds"]
    wards.tables = {**wards.tables, "wards": changed}
    with pytest.raises(ConfigurationError, match="wards: a column's type"):
        wards.following_contract("wards")


def test_a_table_may_be_partitioned_anew_and_keeps_its_rows(wards: Lake) -> None:
    put_out_files(wards, [ward_file(wards, "A", "a"), ward_file(wards, "B", "b")])
    wards.tables = {**wards.tables, "wards": replace(WARDS, partition_by=("ward",))}
    (gone,) = [file.file_path for file in wards.data_files("wards", EqualTo("site", "A"))]
    put_out_files(wards, [ward_file(wards, "C", "c")], [gone])
    assert ward_names(wards) == ["b", "c"]
    assert len(wards.data_files("wards", EqualTo("ward", "c"))) == 1
