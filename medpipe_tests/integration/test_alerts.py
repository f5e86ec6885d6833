"""Alerts of runs that the command line starts: sent to the same people as those of the daemon's, and once."""

import json
import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from medpipe_assets.aws.metering import BudgetReachedError
from medpipe_assets.defs.alerts import failed_run_alerts, finished_run_alerts
from medpipe_assets.defs.documents import assets
from medpipe_assets.defs.execution import dagster_home
from medpipe_assets.defs.resources import resources
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.running import RunResult, run_inputs


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("MEDPIPE_LAKE", str(tmp_path / "lake"))
    return Lake(LakeLocation.under(tmp_path / "lake"))


def sent(lake: Lake) -> list[dict[str, Any]]:
    file = lake.location.home / "alerts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def run(lake: Lake, *inputs: Path) -> RunResult:
    return run_inputs(lake, [str(path) for path in inputs], workers=0)


def daemon_looks(lake: Lake) -> None:
    """What the daemon's sensors do about the last run."""
    with dg.DagsterInstance.from_config(str(dagster_home(lake.location))) as instance:
        (record,) = instance.get_run_records(limit=1)
        failed = record.dagster_run.status is dg.DagsterRunStatus.FAILURE
        kind = dg.DagsterEventType.RUN_FAILURE if failed else dg.DagsterEventType.RUN_SUCCESS
        event = instance.all_logs(record.dagster_run.run_id, of_type=kind)[-1].get_dagster_event()
        sensor = failed_run_alerts if failed else finished_run_alerts
        bound = resources()
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_instance=instance,
            dagster_run=record.dagster_run,
            dagster_event=event,
            resources={name: bound[name] for name in ("lake", "aws")},
        )
        sensor(context.for_run_failure() if failed else context)


def test_too_much_in_quarantine_is_told_once_though_the_daemon_runs_too(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDPIPE_MAX_QUARANTINED_SHARE", "0")
    (tmp_path / "Zyxwvutson.pdf").write_bytes(b"%PDF-1.7 cut off")
    assert not run(lake, tmp_path / "Zyxwvutson.pdf").failures
    daemon_looks(lake)
    (alert,) = sent(lake)
    assert alert["kind"] == "quarantine" and alert["reasons"] == {"corrupt": 1}
    assert "Zyx" not in json.dumps(alert)
    assert "alert" not in capfd.readouterr().err, "who waits at the terminal sees the run's own report"


def test_a_budget_reached_is_told_once_though_the_daemon_runs_too(
    lake: Lake, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise BudgetReachedError(3)

    monkeypatch.setattr(assets, "run_stage", stop)
    assert run(lake, notes).budget_reached
    daemon_looks(lake)
    (alert,) = sent(lake)
    assert (alert["kind"], alert["ids"]["job"]) == ("budget_reached", "documents")


def test_alerts_that_cannot_be_sent_fail_no_run_and_are_missed_in_the_log(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MEDPIPE_MAX_QUARANTINED_SHARE", "0")
    (tmp_path / "cut.pdf").write_bytes(b"%PDF-1.7 cut off")
    (lake.location.home / "alerts.jsonl").mkdir()
    with caplog.at_level(logging.ERROR):
        assert not run(lake, tmp_path / "cut.pdf").failures
    assert "no alerts were sent: failed with IsADirectoryError" in caplog.text
