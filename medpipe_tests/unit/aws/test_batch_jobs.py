"""Batch jobs: the store filled ahead of the stages."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from medpipe_assets.aws.batch_jobs import JOBS, Place, prefetch_medical
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.metering import Budget, BudgetReachedError, collecting
from medpipe_assets.aws.responses import ResponseStore
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.recognition.comprehend_medical import ComprehendMedicalRecognition
from medpipe_assets.translation.amazon_translate import TranslateTranslation
from medpipe_tests.unit.answers import Services, entities_of, paid

PLACE = Place("lake", "batch/", "arn:aws:iam::123456789012:role/batch")
TEXTS = ["Fever since May.\n\nNo cough.", "No cough.", "Fever again."]


class Batches:
    """S3 and batch jobs: a job answers each file of its folder when it is asked about the second time."""

    def __init__(self, status: str = "COMPLETED", unanswered: str = "\0") -> None:
        self.objects: dict[str, bytes] = {}
        self.started: dict[str, dict[str, Any]] = {}
        self.asked = 0
        self.status, self.unanswered = status, unanswered
        self.services = Services(
            {
                "put_object": lambda Key, Body, **_: self.objects.update({Key: Body}) or {},  # noqa: N803
                "get_object": lambda Key, **_: {"Body": io.BytesIO(self.objects[Key])},  # noqa: N803
                "delete_object": lambda Key, **_: {"was": self.objects.pop(Key, None)},  # noqa: N803
                "list_objects_v2": self.listed,
                "start_entities_detection_v2_job": self.start,
                "describe_entities_detection_v2_job": self.describe,
                "start_text_translation_job": self.start_translation,
                "describe_text_translation_job": self.describe_translation,
            }
        )

    def listed(self, Prefix: str, ContinuationToken: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > ContinuationToken)
        more = {"IsTruncated": True, "NextContinuationToken": keys[0]} if len(keys) > 1 else {}
        return {"Contents": [{"Key": key} for key in keys[:1]], **more}

    def start(self, **request: Any) -> dict[str, Any]:
        self.started[request["ClientRequestToken"]] = request
        return {"JobId": request["ClientRequestToken"][:32]}

    def describe(self, JobId: str) -> dict[str, Any]:  # noqa: N803
        self.asked += 1
        if self.asked == 1:
            return {"ComprehendMedicalAsyncJobProperties": {"JobStatus": "IN_PROGRESS"}}
        request = next(r for token, r in self.started.items() if token.startswith(JobId))
        source, target = request["InputDataConfig"]["S3Key"], request["OutputDataConfig"]["S3Key"]
        for key, body in [(k, b.decode()) for k, b in self.objects.items() if k.startswith(source)]:
            if self.unanswered not in body:
                answer = {"Entities": list(entities_of(body, {"Fever": {}, "cough": {}}))}
                self.objects[f"{target}123-Job-{JobId}/{key.rpartition('/')[2]}.out"] = json.dumps(answer).encode()
        self.objects[f"{target}123-Job-{JobId}/Manifest"] = b"{}"
        return {"ComprehendMedicalAsyncJobProperties": {"JobStatus": self.status}}

    def start_translation(self, **request: Any) -> dict[str, Any]:
        self.started["translate"] = request
        return {"JobId": "translate"}

    def describe_translation(self, JobId: str) -> dict[str, Any]:  # noqa: N803
        request = self.started[JobId]
        source, target = (
            request[k]["S3Uri"].removeprefix("s3://lake/") for k in ("InputDataConfig", "OutputDataConfig")
        )
        for key, body in [(k, b) for k, b in self.objects.items() if k.startswith(source)]:
            self.objects[f"{target}123-TranslateText-1/en.{key.rpartition('/')[2]}"] = body.decode().upper().encode()
        return {"TextTranslationJobProperties": {"JobStatus": "COMPLETED"}}


def test_a_batch_answers_what_the_engine_then_asks(tmp_path: Path) -> None:
    batches = Batches()
    calls = paid(batches.services, tmp_path)
    with collecting() as costs:
        assert prefetch_medical(calls, "DetectEntitiesV2", TEXTS, PLACE) == 3
    assert [(c.operation, c.units, c.dollars) for c in costs] == [
        ("StartEntitiesDetectionV2Job", 3, pytest.approx(0.03))
    ]
    assert batches.objects == {}
    engine = ComprehendMedicalRecognition(calls)
    assert [len(engine.recognise(text, "en")) for text in TEXTS] == [2, 1, 1]
    assert prefetch_medical(calls, "DetectEntitiesV2", TEXTS, PLACE) == 0
    assert len(batches.started) == 1


def test_what_a_batch_does_not_answer_is_neither_stored_nor_counted(tmp_path: Path) -> None:
    batches = Batches(status="PARTIAL_SUCCESS", unanswered="again")
    with collecting() as costs:
        assert prefetch_medical(paid(batches.services, tmp_path), "DetectEntitiesV2", TEXTS, PLACE) == 2
    assert [c.units for c in costs] == [2]


def test_a_run_that_was_killed_while_reading_answers_finds_its_job_again(tmp_path: Path) -> None:
    batches = Batches()
    calls = paid(batches.services, tmp_path)
    reads: list[str] = []
    honest = batches.services._answers["get_object"]

    def dying(Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        reads.append(Key)
        if len(reads) == 2:
            raise KeyboardInterrupt
        return honest(Key=Key)

    batches.services._answers = {**batches.services._answers, "get_object": dying}
    with pytest.raises(KeyboardInterrupt):
        prefetch_medical(calls, "DetectEntitiesV2", TEXTS, PLACE)
    assert prefetch_medical(calls, "DetectEntitiesV2", TEXTS, PLACE) == 2
    assert len(batches.started) == 1


def test_a_job_that_failed_costs_nothing_and_says_so(tmp_path: Path) -> None:
    calls = paid(Batches(status="FAILED").services, tmp_path)
    with pytest.raises(DocumentError) as error:
        prefetch_medical(calls, "DetectEntitiesV2", TEXTS, PLACE)
    assert error.value.reason is Reason.ENGINE_REJECTED
    assert calls.budget.spent == 0


def test_a_batch_keeps_to_the_budget_and_needs_a_store(tmp_path: Path) -> None:
    batches = Batches()
    poor = PaidCalls(batches.services, ResponseStore(str(tmp_path)), budget=Budget(0.02))  # type: ignore[arg-type]
    with pytest.raises(BudgetReachedError):
        prefetch_medical(poor, "DetectEntitiesV2", TEXTS, PLACE)
    assert batches.services.sent == []
    with pytest.raises(ConfigurationError, match="store"):
        prefetch_medical(paid(batches.services), "DetectEntitiesV2", TEXTS, PLACE)


def test_translations_of_a_batch_are_what_the_engine_finds(tmp_path: Path) -> None:
    batches = Batches()
    engine = TranslateTranslation(paid(batches.services, tmp_path), terminology=("cardiology",))
    documents = [[f"Sin fiebre el día {i}.", "Hospital General"] for i in range(30)]
    engine.prefetch(documents, "es", PLACE)
    assert batches.started["translate"]["TerminologyNames"] == ["cardiology"]
    for texts in documents:
        assert [t.target_text for t in engine.translate(texts, "es")] == [text.upper() for text in texts]


def test_every_operation_has_a_job_that_botocore_knows() -> None:
    import botocore.session

    known = botocore.session.get_session().get_service_model("comprehendmedical").operation_names
    assert {f"{verb}{job}" for job in JOBS.values() for verb in ("Start", "Describe")} <= set(known)
