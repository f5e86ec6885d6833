"""The medpipe command as a person or a script uses it: in a process of its own, over a lake of its own."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result
from moto import mock_aws

from medpipe_assets.aws.metering import Budget, Cost, record
from medpipe_assets.cli import main
from medpipe_assets.defs.resources import ENGINES
from medpipe_assets.documents.intake import receive
from medpipe_assets.documents.news import quarantine_letters
from medpipe_assets.inbox import sqs
from medpipe_assets.inbox.local import LocalInbox
from medpipe_assets.inbox.sqs import dead_letters
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.quarantine import open_failures
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_tests.integration.conftest import NOTES

MEDPIPE = [sys.executable, "-c", "from medpipe_assets.cli import main; main()"]


def medpipe(*words: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("MEDPIPE_", "DAGSTER_", "AWS_"))}
    outside |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"}
    return subprocess.run(
        [*MEDPIPE, *words], input=stdin, capture_output=True, text=True, env={**outside, **environment}, check=False
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any], str]:
    """Notes, lake, the JSON of a run over them, and what the run printed on standard error."""
    notes = tmp_path_factory.mktemp("notes")
    for name, text in NOTES.items():
        (notes / name).write_text(text, encoding="utf-8")
    (notes / "Zyxwvutson.pdf").write_bytes(b"%PDF-1.7\ncut off")
    lake = tmp_path_factory.mktemp("lakes") / "lake"
    ran = medpipe("run", str(notes), "--lake", str(lake), "--workers", "1", "--json")
    assert ran.returncode == 0, ran.stderr
    return notes, lake, json.loads(ran.stdout), ran.stderr


def test_a_run_says_what_became_of_each_document(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    _, lake, told, errors = done
    assert told["documents"] == 4 and told["pages"] == 3 and told["words"] > 20
    assert told["entities"] >= 6 and told["codes"] >= 5
    (quarantined,) = told["quarantined"]
    assert quarantined["stage"] == "extracted_text" and quarantined["reason"] == "corrupt"
    assert set(told["seconds"]) >= {"raw_documents", "extracted_text", "entities", "icd10_mappings", "diagnoses"}
    assert told["lake"] == str(lake)
    assert "extracted_text: 4 to do" in errors


def test_names_of_files_stay_out_of_json_unless_asked_for(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    notes, lake, told, errors = done
    assert "Zyxwvutson" not in json.dumps(told) + errors
    shown = medpipe("run", str(notes), "--lake", str(lake), "--json", "--show-sources")
    assert "Zyxwvutson" in shown.stdout


def test_a_second_run_processes_nothing_and_tells_the_same(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    notes, lake, told, _ = done
    again = json.loads(medpipe("run", str(notes), "--lake", str(lake), "--json").stdout)
    volatile = ("seconds", "total_seconds")
    assert {k: v for k, v in again.items() if k not in volatile} == {k: v for k, v in told.items() if k not in volatile}
    assert again["seconds"] == {}


def test_the_result_is_a_table_for_a_person(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    notes, lake, _, _ = done
    shown = medpipe("run", str(notes), "--lake", str(lake), "--show-sources", COLUMNS="160")
    for text in ("spanish.txt", "E11.9", "text layer", "quarantined: corrupt", "medpipe query", str(lake)):
        assert text in shown.stdout


def test_sql_answers_in_three_formats(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    lake = str(done[1])
    sql = "SELECT code, evidence_text FROM diagnoses WHERE code = 'E11.9'"
    (row,) = json.loads(medpipe("query", sql, "--lake", lake, "--format", "json").stdout)
    assert row["code"] == "E11.9" and row["evidence_text"].startswith("diabetes")
    assert medpipe("query", sql, "--lake", lake, "--format", "csv").stdout.splitlines()[0] == "code,evidence_text"
    assert "E11.9" in medpipe("query", sql, "--lake", lake).stdout


def test_sql_sees_the_lake_as_it_was(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    sql = "SELECT count(*) AS n FROM diagnoses"
    answer = medpipe("query", sql, "--lake", str(done[1]), "--as-of", "2001-01-01", "--format", "json")
    assert json.loads(answer.stdout) == [{"n": 0}]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("query", "SELECT * FROM diagnosis"), "Did you mean diagnoses"),
        (("query", "SELEC 1"), "Error"),
        (("query", "SELECT 1", "--as-of", "yesterday"), "--as-of"),
        (("show", "nosuchdocument"), "no such document"),
        (("reprocess", "--from-stage", "nowhere"), "there is no stage"),
        (("run", "/no/such/folder"), "no such file"),
        (("run", "s3://bucket/prefix"), "set AWS_REGION and credentials"),
        (("run", "s3://"), "s3://bucket/prefix"),
        (("run", "setup.cfg", "--profile", "nowhere"), "there is no profile"),
        (("run",), "Missing argument"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_2(
    done: tuple[Path, Path, dict[str, Any], str], words: tuple[str, ...], hint: str
) -> None:
    failed = medpipe(*words, "--lake", str(done[1]))
    assert failed.returncode == 2
    assert hint in failed.stderr and "Traceback" not in failed.stderr


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an account that exists in this process alone, with a bucket `clinic`."""
    variables = {"ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing", "DEFAULT_REGION": "us-east-1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="clinic")
        yield client


def invoke(*words: str, code: int = 0) -> Result:
    """A command in this process, for tests that stand in for AWS in it."""
    told = CliRunner().invoke(main, words)
    assert told.exit_code == code, told.output
    return told


def test_objects_on_s3_are_processed_as_files_are_and_kept_in_a_local_lake(
    s3: Any, done: tuple[Path, Path, dict[str, Any], str], tmp_path: Path
) -> None:
    for name, text in NOTES.items():
        s3.put_object(Bucket="clinic", Key=f"in/Jane Doe+é {name}", Body=text.encode())
    s3.put_object(Bucket="clinic", Key="elsewhere/x.txt", Body=b"asthma")
    words = ("run", "s3://clinic/in/", "--lake", str(tmp_path / "lake"), "--workers", "0", "--json")
    told = json.loads(invoke(*words).stdout)
    assert told["documents"] == 3 and not told["quarantined"]
    assert all(told[count] == done[2][count] for count in ("pages", "words", "entities", "codes"))
    assert json.loads(invoke(*words).stdout)["seconds"] == {}, "what has not changed is not read again"


def test_a_bucket_that_is_not_there_is_one_clear_line(s3: Any, tmp_path: Path) -> None:
    told = invoke("run", "s3://nowhere/in/", "--lake", str(tmp_path / "lake"), code=2)
    assert "NoSuchBucket" in told.output


# --- money ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PaidRecognition(EmbeddedRecognition):
    """The embedded recogniser, at a dollar a document."""

    budget: Budget
    io_bound: bool = True

    def recognise(self, text: str, language: str) -> Any:
        self.budget.reserve(1.0)
        self.budget.settle(1.0, 1.0)
        record(Cost("comprehendmedical", "DetectEntitiesV2", 1, "100 characters", 1.0))
        return super().recognise(text, language)


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> None:
    makers = {"paid": lambda given: PaidRecognition(budget=Budget(given.settings.budget_dollars))}
    monkeypatch.setitem(ENGINES, "recognition", makers)  # type: ignore[arg-type]
    monkeypatch.setenv("MEDPIPE_RECOGNITION_ENGINE", "paid")


def test_a_run_stops_at_its_budget_says_how_to_go_on_and_does(paid: None, tmp_path: Path) -> None:
    for name, text in NOTES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    words = ("run", *(str(tmp_path / name) for name in NOTES), "--lake", str(tmp_path / "lake"), "--workers", "0")
    stopped = invoke(*words, "--budget", "2", code=1)
    assert "the budget is reached: 2.00 dollars" in stopped.output and "--budget" in stopped.output
    went_on = json.loads(invoke(*words, "--budget", "2", "--json").stdout)
    assert went_on["dollars"] == 1.0 and went_on["documents"] == 3 and went_on["codes"] >= 3
    told = json.loads(invoke("cost", "report", "--lake", str(tmp_path / "lake"), "--json").stdout)
    assert told["dollars"] == 3.0 and {row["stage"] for row in told["operations"]} == {"entities"}
    shown = invoke("cost", "report", "--lake", str(tmp_path / "lake")).stdout
    assert "DetectEntitiesV2" in shown and shown.splitlines()[-1].startswith(" 3.0000")


def test_a_budget_is_of_the_whole_run_whatever_its_days(paid: None, tmp_path: Path) -> None:
    lake = Lake(LakeLocation.under(tmp_path / "lake"))
    files = [tmp_path / name for name in list(NOTES)[:2]]
    for day, file in enumerate(files, start=1):
        file.write_text(NOTES[file.name], encoding="utf-8")
        receive(lake, LocalInbox((file,)).arrivals(), dt.date(2026, 11, day))
    words = ("run", *map(str, files), "--lake", str(tmp_path / "lake"), "--workers", "0")
    assert "1.00 dollars were paid" in invoke(*words, "--budget", "1", code=1).output


def test_a_cost_is_estimated_before_a_run_and_for_documents_in_the_lake(
    done: tuple[Path, Path, dict[str, Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, lake, _, _ = done
    before = json.loads(invoke("cost", "estimate", str(notes), "--json").stdout)
    after = json.loads(invoke("cost", "estimate", "--lake", str(lake), "--json").stdout)
    assert before["documents"] == 3 and before["unreadable_documents"] == {"corrupt": 1}
    assert set(before["characters"]) == {"en", "es", "fr"}
    assert before["characters"] == after["characters"]
    assert before["digital_pages"] == after["digital_pages"] == 0, "notes have pages, and nothing to be read by eye"
    assert {row["operation"] for row in before["operations"]} >= {"TranslateText", "DetectEntitiesV2", "InferICD10CM"}
    monkeypatch.setenv("MEDPIPE_CODES_ONLY", "true")
    cheap = json.loads(invoke("cost", "estimate", str(notes), "--json").stdout)
    assert cheap["dollars"] < before["dollars"] / 4
    assert "DetectEntitiesV2 (codes_only)" in invoke("cost", "estimate", str(notes)).stdout


def test_a_lake_that_paid_nothing_says_so(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    assert "nothing was paid" in invoke("cost", "report", "--lake", str(done[1])).stdout


# --- dead letters -----------------------------------------------------------------------------------------------------


def _cannot_move(call: Any) -> Any:
    """Moto cannot move messages either, and says so in a way of its own."""

    def refusing(client: Any, operation: str, request: Any) -> Any:
        if operation == "StartMessageMoveTask":
            raise ClientError({"Error": {"Code": "AWS.SimpleQueueService.UnsupportedOperation"}}, operation)
        return call(client, operation, request)

    return refusing


def test_dead_letters_go_back_to_their_queue_and_leave_quarantine(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs, "POLL_SECONDS", 0)
    monkeypatch.setattr(BaseClient, "_make_api_call", _cannot_move(BaseClient._make_api_call))
    lake, client = Lake(LakeLocation.under(tmp_path / "lake")), boto3.client("sqs")
    dead, queue = (client.create_queue(QueueName=name)["QueueUrl"] for name in ("dead", "news"))
    monkeypatch.setenv("MEDPIPE_INBOX_QUEUE", queue)
    assert "MEDPIPE_INBOX_DEAD_LETTERS" in invoke("redrive", "--lake", str(tmp_path / "lake"), code=2).output
    monkeypatch.setenv("MEDPIPE_INBOX_DEAD_LETTERS", dead)
    client.send_message(QueueUrl=dead, MessageBody="not S3's")
    day = dt.date(2026, 11, 20)
    assert quarantine_letters(lake, dead_letters(dead, client), day, run_id="night") == 1
    assert "1 messages are back" in invoke("redrive", "--lake", str(tmp_path / "lake")).output
    assert not open_failures(lake)
    assert client.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "not S3's"


def test_asking_a_lake_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    failed = medpipe("query", "SELECT 1", "--lake", str(tmp_path / "none"))
    assert failed.returncode == 2 and "medpipe run" in failed.stderr
    assert not (tmp_path / "none").exists()


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = medpipe("run", str(tmp_path / "empty"), "--lake", str(tmp_path / "lake"))
    assert told.returncode == 0 and "no file" in told.stdout


def test_a_documents_story_has_pages_words_codes_and_verdicts(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    notes, lake, _, _ = done
    story = medpipe("show", str(notes / "spanish.txt"), "--lake", str(lake), COLUMNS="200").stdout
    for text in ("page 1: es", "diabetes mellitus tipo 2", "E11.9", "negated", "icd10_mappings: done"):
        assert text in story
    told = json.loads(medpipe("show", str(notes / "spanish.txt"), "--lake", str(lake), "--json").stdout)
    assert told["stages"]["entities"]["outcome"] == "done"


def test_a_quarantined_documents_story_says_why(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    notes, lake, _, _ = done
    story = medpipe("show", str(notes / "Zyxwvutson.pdf"), "--lake", str(lake)).stdout
    assert "extracted_text: quarantined (corrupt)" in story and "translated_text: not reached" in story


def test_annotate_needs_no_lake(tmp_path: Path) -> None:
    told = medpipe("annotate", "--language", "es", stdin="Paciente con neumonía. Niega fiebre.\n", HOME=str(tmp_path))
    found = {row["text"]: row for row in map(json.loads, told.stdout.splitlines())}
    assert found["neumonía"]["codes"][0]["code"] == "J18.9"
    assert "NEGATION" in {trait["name"] for trait in found["fiebre"]["traits"]}


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_a_table_is_exported(done: tuple[Path, Path, dict[str, Any], str], tmp_path: Path, form: str) -> None:
    exported = medpipe("export", "diagnoses", "--format", form, "--out", str(tmp_path), "--lake", str(done[1]))
    assert exported.returncode == 0
    assert (tmp_path / f"diagnoses.{form}").stat().st_size > 0


def test_reprocessing_one_document_touches_no_other(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    lake = done[1]
    sql = "SELECT document_id, count(*) AS n FROM stage_status WHERE stage = 'entities' GROUP BY 1"

    def verdicts() -> dict[str, int]:
        answer = medpipe("query", sql, "--lake", str(lake), "--format", "json").stdout
        return {row["document_id"]: row["n"] for row in json.loads(answer)}

    before = verdicts()
    chosen = min(before)
    words = (
        "reprocess",
        "--document",
        chosen[:12],
        "--from-stage",
        "entities",
        "--force",
        "--lake",
        str(lake),
        "--json",
    )
    (outcome,) = json.loads(medpipe(*words).stdout)
    assert outcome["success"], outcome
    assert verdicts() == {**before, chosen: before[chosen] + 1}


def test_every_command_explains_itself() -> None:
    for name, command in main.commands.items():
        told = CliRunner().invoke(main, [name, "--help"])
        assert told.exit_code == 0 and command.help
        assert " ".join(command.help.split()[:8]) in " ".join(told.output.split())


def test_what_is_written_is_private(done: tuple[Path, Path, dict[str, Any], str]) -> None:
    for folder, _, files in os.walk(done[1]):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            assert path.stat().st_mode & 0o077 == 0, path.name
