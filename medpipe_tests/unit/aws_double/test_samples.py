"""The double with medpipe's own engines, and as a program."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from medpipe_assets.extraction.engine import Page
from medpipe_tests.aws_double.__main__ import main
from medpipe_tests.aws_double.blocks import blocks_of
from medpipe_tests.aws_double.engines import embedded_engines, toy_engines
from medpipe_tests.aws_double.fixtures import Aws
from medpipe_tests.unit.aws_double.documents import png

SAMPLES = Path(__file__).parents[3] / "samples" / "documents"


@pytest.mark.slow
@pytest.mark.parametrize("aws_settings", [{"engines": embedded_engines()}])
def test_a_scanned_note_is_read_and_coded_and_a_foreign_one_translated(aws: Aws) -> None:
    scan = (SAMPLES / "clinic_note_en.png").read_bytes()
    blocks = aws.client("textract").detect_document_text(Document={"Bytes": scan})["Blocks"]
    text = "\n".join(block["Text"] for block in blocks if block["BlockType"] == "LINE")
    assert len(text) > 200
    coded = aws.client("comprehendmedical").infer_icd10_cm(Text=text)["Entities"]
    assert any(entity["ICD10CMConcepts"] for entity in coded)
    english = aws.client("translate").translate_text(
        Text="El paciente presenta hipertensión arterial.\n\nNiega fiebre.",
        SourceLanguageCode="es",
        TargetLanguageCode="en",
    )["TranslatedText"]
    assert "hypertension" in english.lower()
    assert "\n\n" in english


@pytest.mark.slow
def test_as_a_program_it_prints_the_variables_and_reports_at_the_end(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "medpipe_tests.aws_double", "--port", "0", "--toy", "--report", str(report)]
    program = subprocess.Popen([*command, "--bucket", "papers"], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    environment: dict[str, str] = {}
    while "AWS_ENDPOINT_URL_ATHENA" not in environment:
        name, _, value = program.stdout.readline().removeprefix("export ").strip().partition("=")
        environment[name] = value

    def client(service: str) -> Any:
        url = environment[f"AWS_ENDPOINT_URL_{service.upper()}"]
        keys = (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
        return botocore.session.get_session().create_client(
            service, "us-east-1", endpoint_url=url, aws_access_key_id=keys[0], aws_secret_access_key=keys[1]
        )

    assert [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]] == ["papers"]
    client("translate").translate_text(Text="hola", SourceLanguageCode="es", TargetLanguageCode="en")
    os.kill(program.pid, signal.SIGTERM)
    assert program.wait(20) == 0
    told = json.loads(report.read_text())
    assert told["actions"]["translate:TranslateText"] == 1
    assert told["bill"] == [{"service": "translate", "operation": "TranslateText", "option": "", "units": 4}]


def test_as_a_program_it_runs_a_command_and_ends_as_the_command_does(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    asks = (
        "import botocore.session, sys;"
        "c = botocore.session.get_session().create_client('comprehendmedical');"
        "sys.exit(40 + len(c.infer_icd10_cm(Text='diabetes')['Entities']))"
    )
    options = ["--port", "0", "--toy", "--report", str(report)]
    assert main([*options, sys.executable, "-c", asks]) == 41
    assert json.loads(report.read_text())["actions"] == {"comprehendmedical:InferICD10CM": 1}


@pytest.mark.corpora
def test_blocks_and_entities_have_the_members_of_real_ones(aws: Aws) -> None:
    real: dict[str, set[str]] = {}
    for path in sorted((_corpora() / "textract_responses").glob("*.json")):
        answer = json.loads(path.read_text())
        if "JobStatus" in answer:
            for block in answer["Blocks"]:
                real.setdefault(block["BlockType"], set()).update(block)
    page = _toy_page("Name: Anna")
    for block in blocks_of(page, "document", as_sent=True, numbered=True):
        assert set(block) == real[block["BlockType"]]
    coded = json.loads((_corpora() / "comprehend_medical_responses" / "icd10-concepts.json").read_text())["Entities"]
    ours = aws.client("comprehendmedical").infer_icd10_cm(Text="diabetes")["Entities"]
    assert set(ours[0]) == set(coded[0])
    assert set(ours[0]["ICD10CMConcepts"][0]) == set(coded[0]["ICD10CMConcepts"][0])


def _corpora() -> Path:
    folder = Path(os.environ.get("MEDPIPE_CORPORA", Path(__file__).parents[4] / "shared" / "data"))
    if not (folder / "textract_responses").is_dir():
        pytest.skip("no development corpora at MEDPIPE_CORPORA")
    return folder


def _toy_page(text: str) -> Page:
    return toy_engines().read(png(text), "image/png").pages[0]
