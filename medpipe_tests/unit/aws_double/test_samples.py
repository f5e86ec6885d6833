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

from medpipe_tests.aws_double.engines import embedded_engines
from medpipe_tests.aws_double.fixtures import Aws

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
