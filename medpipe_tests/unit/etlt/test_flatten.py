"""A day's files become flat records once, with a line in the ledger for each and the rejects beside them."""

import datetime as dt
import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from medpipe_assets.etlt import flatten as flatten_module
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.flatten import flatten, flatten_version
from medpipe_assets.etlt.sources import extract, request
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import TABLES
from medpipe_tests.unit.etlt.contracts import people

DAY = dt.date(2026, 11, 2)
GOOD = b"person_id,last_name,city\n1,Abel,Riga\n,,\n2,Berg\n3,Cruz,Lima\n"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(LakeLocation.under(tmp_path / "lake [1]"), tables=TABLES)


def received(lake: Lake, folder: Path, files: dict[str, bytes], contract: Contract | None = None) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    request(lake, contract or people(), [str(folder)], DAY)
    extract(lake, contract or people(), DAY, run_id="r1")


def test_a_days_files_are_flat_and_accounted_for(lake: Lake, tmp_path: Path) -> None:
    received(lake, tmp_path / "in", {"a.csv": GOOD, "b.json": json.dumps([{"person_id": "9", "x": 1}]).encode()})
    report = flatten(lake, people(), DAY, run_id="r1")
    assert (report.files, report.failed, report.records, report.rows) == (2, 0, 5, 3)
    assert report.rejected == {"blank": 1, "malformed": 1}
    lines = {row["format"]: row for row in lake.read("dataset_flattened").to_pylist()}
    assert (lines["csv"]["records"], lines["csv"]["rows"], lines["csv"]["rejected"]) == (4, 2, 2)
    assert lines["json"]["absent"] == "last_name city"
    flat = Path(lake.location.preprocessed) / lines["csv"]["path"]
    assert pq.ParquetFile(flat).read().to_pylist()[1] == {"person_id": "3", "last_name": "Cruz", "city": "Lima"}
    assert flat.stat().st_mode & 0o077 == 0
    assert (Path(lake.location.preprocessed) / lines["json"]["path"]).suffix == ".ndjson"
    rejects = lake.read("dataset_rejects").sort_by("row_number").to_pylist()
    assert [(row["row_number"], row["reason"], row["record"]) for row in rejects] == [
        (2, "blank", ",,"),
        (3, "malformed", "2,Berg"),
    ]


def test_what_is_flat_stays_so_until_the_contract_reads_it_otherwise(lake: Lake, tmp_path: Path) -> None:
    received(lake, tmp_path / "in", {"a.csv": GOOD})
    flatten(lake, people(), DAY, run_id="r1")
    again = flatten(lake, people(), DAY, run_id="r2")
    assert (again.files, again.unchanged) == (0, 1)
    other = people(delimiter=",")
    assert flatten_version(other) != flatten_version(people())
    assert flatten(lake, other, DAY, run_id="r3").files == 1
    assert lake.read("dataset_rejects").num_rows == 2
    assert lake.read("dataset_flattened").num_rows == 2


def test_a_file_that_cannot_be_read_does_not_keep_others_from_it(lake: Lake, tmp_path: Path) -> None:
    received(
        lake, tmp_path / "in", {"a.csv": GOOD, "b.csv": b"shoe,size\n1,2\n", "c.csv": b"", "d.csv.gz": b"\x1f\x8bx"}
    )
    report = flatten(lake, people(), DAY, run_id="r1")
    assert (report.files, report.failed) == (1, 3)
    reasons = sorted(row["reason"] for row in lake.read("quarantine").to_pylist())
    assert reasons == ["corrupt", "empty", "inconsistent"]


def test_a_file_that_can_be_read_after_all_leaves_quarantine(lake: Lake, tmp_path: Path) -> None:
    received(lake, tmp_path / "in", {"a.csv": b"person_id;last_name\n1;Abel\n"})
    assert flatten(lake, people(delimiter="|", format="csv"), DAY, run_id="r1").failed == 1
    assert flatten(lake, people(), DAY, run_id="r2").files == 1
    (row,) = lake.read("quarantine").to_pylist()
    assert row["resolved_at"] is not None


def test_a_run_killed_between_records_and_ledger_leaves_nothing_twice(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received(lake, tmp_path / "in", {"a.csv": GOOD, "b.csv.gz": gzip.compress(GOOD + b"4\n")})
    write = Lake.write

    def killed(self: Lake, name: str, *args: object, **options: object) -> None:
        if name == "dataset_flattened":
            raise KeyboardInterrupt
        write(self, name, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Lake, "write", killed)
        flatten(lake, people(), DAY, run_id="r1")
    assert lake.read("dataset_rejects").num_rows == 5
    report = flatten(lake, people(), DAY, run_id="r2")
    assert (report.files, report.rows) == (2, 4)
    assert lake.read("dataset_rejects").num_rows == 5
    left = [path for path in Path(lake.location.preprocessed).rglob("*") if path.is_file()]
    assert len([path for path in left if "datasets" in path.parts]) == 2
    assert not [path for path in left if ".drafts" in path.parts]


def test_rejects_by_the_thousand_are_written_in_parts(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flatten_module, "CHUNK_REJECTS", 100)
    received(lake, tmp_path / "in", {"a.csv": GOOD + b"x\n" * 950})
    assert flatten(lake, people(), DAY, run_id="r1").rejected == {"blank": 1, "malformed": 951}
    assert sorted(lake.read("dataset_rejects")["row_number"].to_pylist()) == [2, 3, *range(5, 955)]
