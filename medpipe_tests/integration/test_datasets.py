"""Datasets through Dagster and the command line: what a user of `medpipe load` and of the web UI gets."""

import csv
import datetime as dt
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from medpipe_assets.cli import main
from medpipe_assets.definitions import build_defs
from medpipe_assets.defs.resources import LakeResource
from medpipe_assets.etlt.tables import open_lake
from medpipe_assets.lake.location import LakeLocation

SAMPLES = Path(__file__).parents[2] / "samples"
TODAY = dt.datetime.now(dt.UTC).date()
PROVIDERS = ("clinicians", "practices", "canonical_providers", "detail_tables")


@pytest.fixture
def lake_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDPIPE_LAKE", str(tmp_path / "lake"))
    return tmp_path / "lake"


def medpipe(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == code, result.output
    return result.stdout


def load(dataset: str, *inputs: Path, code: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(medpipe("load", dataset, *map(str, inputs), "--json", code=code).splitlines()[0])
    return told


def query(sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(medpipe("query", sql, "--format", "json"))
    return rows


def hospital(**more: Any) -> dict[str, Any]:
    return {
        "facility_id": "F-1",
        "facility_name": "Harbor View",
        "location": {"address": "1 Quay", "city": "Salem", "state": "OR", "zip": "97301"},
        "employee_count": 12,
        "services": ["Radiology"],
        "labs": [],
        "accreditations": [
            {"accreditation_body": "DNV", "accreditation_id": "D1", "valid_until": "2031-12-31"},
            {"accreditation_body": "CAP", "accreditation_id": "C1", "valid_until": "2030-06-30"},
        ],
        **more,
    }


def write(path: Path, *records: Mapping[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, records)))
    return path


@pytest.mark.slow
def test_a_load_tells_where_every_record_went_and_a_second_changes_nothing(lake_root: Path) -> None:
    first = load("facilities", SAMPLES / "facilities")
    assert first["rows_in"] == first["rows_out"] + sum(first["rows_rejected"].values()) + first["duplicates"]
    assert first["rows_out"] == first["tables"]["facilities"] > 0
    assert first["rows_rejected"]["malformed"] > 0
    assert {"facility_metrics", "accredited_facilities_by_state"} <= first["tables"].keys()
    lake = open_lake(LakeLocation.under(lake_root))
    before = {name: lake.snapshot_id(name) for name in first["tables"]}
    second = load("facilities", SAMPLES / "facilities")
    varying = ("seconds", "total_seconds")
    assert {k: v for k, v in second.items() if k not in varying} == {k: v for k, v in first.items() if k not in varying}
    assert {name: lake.snapshot_id(name) for name in first["tables"]} == before


@pytest.mark.long
def test_files_that_were_loaded_on_another_day_are_told_with_that_day(lake_root: Path, tmp_path: Path) -> None:
    file, day = write(tmp_path / "one.json", hospital()), "2026-03-01"
    first = json.loads(medpipe("load", "facilities", str(file), "--day", day, "--json").splitlines()[0])
    again = load("facilities", file)
    assert again["load_date"] == first["load_date"] == day
    assert again["rows_in"] == first["rows_in"] == 1


def test_results_are_there_as_files_with_what_they_were_made_from(lake_root: Path, tmp_path: Path) -> None:
    load("facilities", write(tmp_path / "one.json", hospital()))
    told = json.loads((lake_root / "staging/results/facility_metrics/facility_metrics.json").read_text())
    assert told["metadata"]["row_count"] == 1
    assert told["metadata"]["as_of"] == TODAY.isoformat()
    assert told["metadata"]["engine"] == "duckdb"
    assert [row["facility_id"] for row in told["rows"]] == ["F-1"]
    with (lake_root / "staging/results/facility_metrics/facility_metrics.csv").open() as lines:
        assert [row["facility_name"] for row in csv.DictReader(lines)] == ["Harbor View"]


def test_a_file_that_cannot_be_read_is_in_quarantine_and_the_others_are_loaded(lake_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "broken.json").write_bytes(b"\x00\x01\x02 nothing of the kind")
    write(folder / "fine.json", hospital())
    told = load("facilities", folder)
    assert told["rows_out"] == 1
    rows = query("SELECT stage, reason FROM quarantine") + query("SELECT stage, reason FROM dataset_rejects")
    assert rows


def test_a_dataset_that_is_not_there_is_told_with_those_that_are(lake_root: Path) -> None:
    result = CliRunner().invoke(main, ["load", "hospitals", "."])
    assert result.exit_code == 2
    assert "facilities" in result.stderr


def test_a_contract_can_be_tried_and_drafted_without_a_lake(tmp_path: Path) -> None:
    file = write(tmp_path / "one.json", hospital(employee_count="250 staff"))
    told = json.loads(medpipe("contract", "check", "facilities", str(file), "--json"))
    assert told["loadable"] is True
    drafted = medpipe("contract", "infer", str(file), "--dataset", "clinics")
    assert drafted.startswith("#") or "dataset: clinics" in drafted
    assert not (tmp_path / "lake").exists()


@pytest.mark.slow
def test_a_branch_that_fails_leaves_the_other_three_whole(lake_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for dataset in PROVIDERS:
        shutil.copytree(SAMPLES / "providers" / dataset, lake_root / "uploads" / dataset)
    from medpipe_assets.defs.datasets import assets

    def refuses(lake: Any, contract: Any, *rest: Any, **more: Any) -> Any:
        if contract.dataset == "practices":
            raise OSError("the disk is gone")
        return whole(lake, contract, *rest, **more)

    whole = assets.extract
    monkeypatch.setattr(assets, "extract", refuses)
    monkeypatch.setattr(assets, "RETRY", None)
    defs = build_defs({"lake": LakeResource(root=str(lake_root))})
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("providers")
        result = job.execute_in_process(instance=instance, partition_key=TODAY.isoformat(), raise_on_error=False)
    done = {key.to_user_string() for key in (e.asset_key for e in result.get_asset_materialization_events()) if key}
    assert not result.success
    assert {"clinicians", "canonical_providers", "detail_tables"} <= done
    assert not any(name.startswith("practice") for name in done)
    lake = open_lake(LakeLocation.under(lake_root))
    assert all(lake.read(name).num_rows for name in ("clinicians", "canonical_providers", "detail_tables"))


@pytest.mark.slow
def test_no_value_and_no_file_name_reaches_the_event_log(lake_root: Path, tmp_path: Path) -> None:
    name, person = "patients-of-dr-quillfeather", "Quillfeather"
    file = tmp_path / f"{name}.json"
    write(file, hospital(employee_count=f"{person} staff", zip="x"), {"facility_name": person})
    assert load("facilities", file)["rows_rejected"] == {"missing": 1}
    logs = [path for path in (lake_root / "dagster").rglob("*") if path.is_file()]
    assert logs
    assert not [path for path in logs if name.encode() in path.read_bytes() or person.encode() in path.read_bytes()]
