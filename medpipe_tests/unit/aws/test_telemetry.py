"""Log lines and metrics are JSON that CloudWatch takes, with ids and counts and nothing else."""

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.telemetry import DIMENSIONS, ID_NAMES, Telemetry, check_ids, log_line, metric_line, sink_at

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
IDS = {"stage": "entities", "run_id": "0f8fad5b-d9cb-469f-a165-70867728950e", "day": "2026-11-20"}


def test_a_log_line_has_time_level_event_ids_and_counts() -> None:
    line = json.loads(log_line("chunk_committed", IDS, {"documents": 12, "seconds": 1.5}, level="INFO", now=NOW))
    assert line == {
        "time": "2026-11-20T12:00:00+00:00",
        "level": "INFO",
        "event": "chunk_committed",
        **IDS,
        "documents": 12,
        "seconds": 1.5,
    }


def test_metrics_are_in_the_embedded_format_with_few_dimensions() -> None:
    line = json.loads(
        metric_line("stage_done", IDS, {"documents": 12, "seconds": 1.5}, {"seconds": "Seconds"}, now=NOW)
    )
    assert line["_aws"]["Timestamp"] == int(NOW.timestamp() * 1000)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive == {
        "Namespace": "medpipe",
        "Dimensions": [["stage"]],  # a metric for each run or document would cost more than the run
        "Metrics": [{"Name": "documents", "Unit": "Count"}, {"Name": "seconds", "Unit": "Seconds"}],
    }
    assert all(name in line for name in ("stage", "run_id", "documents", "seconds"))


def test_dimensions_are_ids() -> None:
    assert DIMENSIONS <= ID_NAMES
    assert not DIMENSIONS & {"document_id", "source_id", "run_id"}


@given(st.text())
def test_prose_gets_into_neither_ids_nor_events_nor_names(text: str) -> None:
    prose = text + " of the patient"
    for refused in (
        lambda: log_line("event", {"stage": prose}, {}, level="INFO", now=NOW),
        lambda: log_line("event", {prose: "x"}, {}, level="INFO", now=NOW),
        lambda: log_line("event", {}, {prose: 1}, level="INFO", now=NOW),
        lambda: log_line(prose, {}, {}, level="INFO", now=NOW),
        lambda: log_line("event", {}, {"count": prose}, level="INFO", now=NOW),  # type: ignore[dict-item]
        lambda: metric_line(prose, {}, {}, {}, now=NOW),
    ):
        with pytest.raises(ValueError) as error:
            refused()
        assert prose not in str(error.value)


def test_ids_of_the_kinds_that_runs_have_are_taken() -> None:
    ids = {"document_id": "a" * 64, "asset": "documents/entities", "job": "nightly", "operation": "DetectEntitiesV2"}
    assert check_ids(ids) == ids


def test_a_count_is_a_finite_number() -> None:
    for value in (float("nan"), float("inf"), True):
        with pytest.raises(ValueError, match="not a count"):
            log_line("event", {}, {"n": value}, level="INFO", now=NOW)


def test_a_line_has_no_more_metrics_than_cloudwatch_takes() -> None:
    with pytest.raises(ValueError, match="100"):
        metric_line("event", {}, {f"n{number}": 1 for number in range(101)}, {}, now=NOW)


def test_lines_are_written_one_by_one() -> None:
    written: list[str] = []
    telemetry = Telemetry(written.append)
    telemetry.log("run_started", IDS)
    telemetry.metrics("run_done", IDS, {"documents": 3})
    assert [json.loads(line)["event"] for line in written] == ["run_started", "run_done"]
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in written)


def test_a_file_of_telemetry_grows_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "metrics.jsonl"
    for documents in (1, 2):
        Telemetry(sink_at(str(file))).metrics("run_done", IDS, {"documents": documents})
    assert [json.loads(line)["documents"] for line in file.read_text().splitlines()] == [1, 2]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("place", "streams"), [("stdout", (1, 0)), ("stderr", (0, 1)), ("off", (0, 0))])
def test_a_place_is_a_stream_or_none(place: str, streams: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    Telemetry(sink_at(place)).log("run_started", IDS)
    told = capsys.readouterr()
    assert (told.out.count("\n"), told.err.count("\n")) == streams


def test_telemetry_that_cannot_be_written_fails_nothing_and_is_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Telemetry(sink_at(str(tmp_path))).log("run_started", IDS)  # a folder is there
    assert "lost" in caplog.text
