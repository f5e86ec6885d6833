"""What engines the settings mean."""

from typing import Any

import pytest

from medpipe_assets.defs.resources import make_engines
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.extraction.bedrock_data_automation import BedrockDataAutomationExtraction
from medpipe_assets.extraction.textract import TextractExtraction
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.recognition.comprehend_medical import ComprehendMedicalRecognition
from medpipe_assets.settings import Settings

REMOTE = LakeLocation.under("s3://lake/somewhere", "/tmp/home")
LOCAL = LakeLocation.under("/tmp/lake")
DATA_AUTOMATION: dict[str, Any] = {
    "extraction_engine": "bedrock_data_automation",
    "data_automation_project": "arn:project",
    "data_automation_profile": "arn:profile",
}
TOLD = {"textract_topic": "arn:topic", "textract_topic_role": "arn:role", "textract_queue": "https://queue"}


def test_data_automation_works_inside_the_raw_zone() -> None:
    engine = make_engines(Settings(**DATA_AUTOMATION, data_automation_output="custom"), REMOTE).extraction
    assert isinstance(engine, BedrockDataAutomationExtraction)
    assert (engine.bucket, engine.prefix) == ("lake", "somewhere/raw/data_automation/")
    assert (engine.project, engine.profile, engine.output) == ("arn:project", "arn:profile", "custom")


def test_what_else_is_asked_and_which_pages_are_sent_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"profile": "aws", "digital_pages": "ocr", "medical_operations": ["DetectPHI", "InferSNOMEDCT"]}
    engines = make_engines(Settings(**settings), LOCAL)  # type: ignore[arg-type]
    assert isinstance(engines.extraction, TextractExtraction) and engines.extraction.digital_pages == "ocr"
    assert isinstance(engines.recognition, ComprehendMedicalRecognition)
    assert engines.recognition.operations == ("DetectEntitiesV2", "DetectPHI", "InferSNOMEDCT")
    monkeypatch.setenv("MEDPIPE_MEDICAL_OPERATIONS", '["DetectPhi"]')
    with pytest.raises(ConfigurationError, match="MEDPIPE_MEDICAL_OPERATIONS: input should be"):
        Settings.load()


@pytest.mark.parametrize("missing", ["data_automation_project", "data_automation_profile", ""])
def test_data_automation_without_what_it_needs_is_refused(missing: str) -> None:
    settings = Settings(**DATA_AUTOMATION)
    with pytest.raises(ConfigurationError, match="MEDPIPE_DATA_AUTOMATION_PROJECT"):
        if missing:
            make_engines(settings.model_copy(update={missing: ""}), REMOTE)
        else:
            make_engines(settings, LOCAL)


def test_textracts_jobs_are_told_of_where_topic_role_and_queue_are_set() -> None:
    engine = make_engines(Settings(profile="aws", **TOLD), REMOTE).extraction  # type: ignore[arg-type]
    assert isinstance(engine, TextractExtraction) and engine.completions is not None
    assert (engine.completions.topic, engine.completions.role) == ("arn:topic", "arn:role")
    asked = make_engines(Settings(profile="aws"), REMOTE).extraction
    assert isinstance(asked, TextractExtraction) and asked.completions is None


@pytest.mark.parametrize("missing", TOLD)
def test_a_half_set_topic_is_refused(missing: str) -> None:
    with pytest.raises(ConfigurationError, match="MEDPIPE_TEXTRACT_TOPIC"):
        make_engines(Settings(profile="aws", **{**TOLD, missing: ""}), REMOTE)  # type: ignore[arg-type]
