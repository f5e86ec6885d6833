"""What a run tells of itself, for CloudWatch or whoever reads JSON lines: valid, and free of patients' words."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from medpipe_assets.cli import main
from medpipe_assets.defs.resources import TelemetryResource
from medpipe_assets.lake.schemas import STAGES
from medpipe_tests.integration.conftest import NOTES

SAMPLES = Path(__file__).parents[2] / "samples" / "documents"
UNITS = frozenset(
    boto3.Session(region_name="us-east-1")._session.get_service_model("cloudwatch").shape_for("StandardUnit").enum
)


def check_embedded_metrics(line: dict[str, Any]) -> None:
    """As the specification of CloudWatch's embedded metric format has it."""
    assert isinstance(line["_aws"]["Timestamp"], int)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "medpipe"
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30 and all(isinstance(line[name], str) for name in dimensions)
        for metric in directive["Metrics"]:
            assert metric["Unit"] in UNITS and isinstance(line[metric["Name"]], int | float)


def run(tmp_path: Path, *inputs: Path) -> Any:
    given = ["run", "--lake", str(tmp_path / "lake"), "--workers", "0", "--json", *map(str, inputs)]
    return CliRunner().invoke(main, given, catch_exceptions=False)


@pytest.mark.slow
def test_a_run_tells_each_stage_in_metrics_without_a_word_or_a_name_of_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "telemetry.jsonl"
    monkeypatch.setenv("MEDPIPE_TELEMETRY", str(file))
    inputs = sorted(SAMPLES.glob("*.txt"))
    result = run(tmp_path, *inputs, SAMPLES / "empty.pdf")
    assert result.exit_code == 0
    json.loads(result.stdout)
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        check_embedded_metrics(line)
    done = {line.get("stage") or line["table"]: line for line in lines}
    assert list(done) == [*STAGES, "diagnoses", "document_summary"]
    assert done["entities"]["documents_done"] == len(inputs)
    assert sum(done[stage]["documents_quarantined"] for stage in STAGES) == 1
    assert done["diagnoses"]["rows"] > 0
    words = {
        word for path in inputs for word in path.read_text(encoding="utf-8", errors="ignore").split() if len(word) > 6
    }
    assert words and not {word for word in words | {path.stem for path in inputs} if word in text}


@pytest.mark.long
def test_a_run_of_the_command_line_is_silent_by_default_and_never_mixes_its_answer(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPIPE_TELEMETRY", "stdout")
    told = run(tmp_path, notes)
    assert json.loads(told.stdout)["documents"] == len(NOTES)
    assert sum(line.startswith('{"_aws"') for line in told.stderr.splitlines()) == len(STAGES) + 2
    monkeypatch.delenv("MEDPIPE_TELEMETRY")
    silent = run(tmp_path, notes)
    assert json.loads(silent.stdout) and "_aws" not in silent.stderr


@pytest.mark.parametrize(
    ("environment", "command_line", "told"),
    [
        ({}, False, False),
        ({"MEDPIPE_PROFILE": "aws"}, False, True),
        ({"MEDPIPE_PROFILE": "aws"}, True, False),
        ({"MEDPIPE_PROFILE": "aws", "MEDPIPE_TELEMETRY": "off"}, False, False),
        ({"MEDPIPE_TELEMETRY": "stdout"}, False, True),
    ],
)
def test_telemetry_is_on_under_the_profile_aws_and_where_it_is_asked_for(
    environment: dict[str, str],
    command_line: bool,
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with TelemetryResource(command_line=command_line).step(stage="entities") as counts:
        counts["documents_done"] = 1
    assert bool(capsys.readouterr().out) == told


def test_a_step_that_fails_leaves_a_line_that_says_so_and_no_metrics(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDPIPE_TELEMETRY", "stdout")
    with pytest.raises(RuntimeError), TelemetryResource().step(stage="entities"):
        raise RuntimeError("Jane Doe has asthma")
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["event"], line["stage"]) == ("ERROR", "step_failed", "entities")
    assert "Jane" not in json.dumps(line)
