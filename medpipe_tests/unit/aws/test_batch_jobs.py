"""Batch jobs: the store filled ahead of a stage."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from medpipe_assets.aws import batch_jobs
from medpipe_assets.aws.batch_jobs import MEDICAL_JOBS, Batches, Place, Rehearsal
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.metering import Budget, collecting
from medpipe_assets.aws.rates import RateLimits
from medpipe_assets.aws.responses import ResponseStore
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason, RunStopError
from medpipe_assets.recognition.comprehend_medical import ComprehendMedicalRecognition
from medpipe_assets.translation.amazon_translate import TranslateTranslation
from medpipe_tests.unit.answers import Services, entities_of, paid

PLACE = Place("lake", "batch/", "arn:aws:iam::123456789012:role/batch")
NAME = "entities/2026-11-20"
TEXTS = ["Fever since May.\n\nNo cough.", "No cough.", "Fever again."]


class Account:
    """S3 and batch jobs: a job answers each file of its folder when it is asked about the second time."""

    def __init__(self, status: str = "COMPLETED", unanswered: str = "\0") -> None:
        self.objects: dict[str, bytes] = {}
        self.started: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, int] = {}
        self.answered: list[str] = []
        self.status, self.unanswered = status, unanswered
        self.answers: dict[str, Callable[..., dict[str, Any]]] = {
            "put_object": lambda Key, Body, **_: self.objects.update({Key: Body}) or {},  # noqa: N803
            "get_object": lambda Key, **_: {"Body": io.BytesIO(self.objects[Key])},  # noqa: N803
            "delete_objects": self.delete,
            "list_objects_v2": self.listed,
            "start_entities_detection_v2_job": self.start,
            "describe_entities_detection_v2_job": self.describe,
            "start_text_translation_job": self.start_translation,
            "describe_text_translation_job": self.describe_translation,
            "detect_entities_v2": lambda Text: {"Entities": list(entities_of(Text, {"Fever": {}}))},  # noqa: N803
        }
        self.services = Services(self.answers)

    def delete(self, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        for named in Delete["Objects"]:
            self.objects.pop(named["Key"], None)
        return {}

    def listed(self, Prefix: str, ContinuationToken: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > ContinuationToken)
        more = {"IsTruncated": True, "NextContinuationToken": keys[0]} if len(keys) > 1 else {}
        return {"Contents": [{"Key": key} for key in keys[:1]], **more}

    def start(self, **request: Any) -> dict[str, Any]:
        self.started[request["ClientRequestToken"]] = request
        return {"JobId": request["ClientRequestToken"]}

    def describe(self, JobId: str) -> dict[str, Any]:  # noqa: N803
        self.asked[JobId] = self.asked.get(JobId, 0) + 1
        properties = "ComprehendMedicalAsyncJobProperties"
        if self.asked[JobId] == 1:
            return {properties: {"JobStatus": "IN_PROGRESS"}}
        request = self.started[JobId]
        source, target = request["InputDataConfig"]["S3Key"], request["OutputDataConfig"]["S3Key"]
        if self.asked[JobId] > 2:
            return {properties: {"JobStatus": self.status}}
        for key, body in [(k, b.decode()) for k, b in self.objects.items() if k.startswith(source)]:
            if self.unanswered not in body and self.status != "FAILED":
                self.answered.append(body)
                answer = {"Entities": list(entities_of(body, {"Fever": {}, "cough": {}}))}
                self.objects[f"{target}123-Job-{JobId}/{key.rpartition('/')[2]}.out"] = json.dumps(answer).encode()
        self.objects[f"{target}123-Job-{JobId}/Manifest"] = b"{}"
        return {properties: {"JobStatus": self.status}}

    def start_translation(self, **request: Any) -> dict[str, Any]:
        self.started[request["ClientToken"]] = request
        return {"JobId": request["ClientToken"]}

    def describe_translation(self, JobId: str) -> dict[str, Any]:  # noqa: N803
        request = self.started[JobId]
        source, target = (
            request[k]["S3Uri"].removeprefix("s3://lake/") for k in ("InputDataConfig", "OutputDataConfig")
        )
        for key, body in [(k, b) for k, b in self.objects.items() if k.startswith(source)]:
            self.objects[f"{target}123-TranslateText-1/en.{key.rpartition('/')[2]}"] = body.decode().upper().encode()
        self.objects[f"{target}123-TranslateText-1/details/en.auxiliary-translation-details.json"] = b"{}"
        return {"TextTranslationJobProperties": {"JobStatus": "COMPLETED"}}

    def dying(self, operation: str, at: int, error: BaseException) -> None:
        """Let an operation fail once, at its so-manieth call."""
        honest, count = self.answers[operation], 0

        def answer(**request: Any) -> dict[str, Any]:
            nonlocal count
            count += 1
            if count == at:
                raise error
            return honest(**request)

        self.answers[operation] = answer


def asking(texts: Sequence[str]) -> Callable[[Rehearsal], None]:
    """What the entities stage would ask about these texts."""

    def rehearse(rehearsal: Rehearsal) -> None:
        for text in texts:
            assert ComprehendMedicalRecognition(rehearsal).recognise(text, "en") == []  # type: ignore[arg-type]

    return rehearse


def prefetch(calls: PaidCalls, texts: Sequence[str] = TEXTS) -> int:
    return Batches(calls, PLACE, always=True).prefetch(NAME, asking(texts))


def recognised(calls: PaidCalls) -> list[int]:
    engine = ComprehendMedicalRecognition(calls)
    return [len(engine.recognise(text, "en")) for text in TEXTS]


def test_a_batch_answers_what_the_engine_then_asks_and_no_file_of_it_stays(tmp_path: Path) -> None:
    account = Account()
    calls = paid(account.services, tmp_path)
    assert prefetch(calls) == 3
    assert account.objects == {}
    assert recognised(calls) == [2, 1, 1]
    assert prefetch(calls) == 0
    assert len(account.started) == 1 and "detect_entities_v2" not in dict(account.services.sent)


def test_whoever_takes_an_answer_first_has_its_cost_and_later_ones_save_it(tmp_path: Path) -> None:
    calls = paid(Account().services, tmp_path)
    with collecting() as before:
        prefetch(calls)
    with collecting() as costs:
        recognised(calls)
    assert before == [] and calls.budget.spent == pytest.approx(0.03)
    assert [(c.operation, c.units, c.dollars) for c in costs if c.reason_saved is None] == [
        ("StartEntitiesDetectionV2Job", 1, pytest.approx(0.01))
    ] * 3
    assert [c.saved_dollars for c in costs if c.reason_saved] == [pytest.approx(0.01)], "'No cough.' stands twice"
    with collecting() as again:
        recognised(calls)
    assert {c.reason_saved for c in again} == {"stored"}


def test_what_a_batch_does_not_answer_is_asked_one_by_one(tmp_path: Path) -> None:
    account = Account(status="PARTIAL_SUCCESS", unanswered="again")
    calls = paid(account.services, tmp_path)
    assert prefetch(calls) == 2
    assert recognised(calls) == [2, 1, 1]
    assert [request["Text"] for name, request in account.services.sent if name == "detect_entities_v2"] == [
        "Fever again."
    ]


@pytest.mark.parametrize(
    ("operation", "at"),
    [
        ("put_object", 2),
        ("put_object", 4),
        ("start_entities_detection_v2_job", 1),
        ("put_object", 5),
        ("describe_entities_detection_v2_job", 1),
        ("get_object", 3),
        ("delete_objects", 1),
        ("delete_objects", 2),
    ],
)
def test_a_run_that_was_killed_anywhere_pays_once_though_the_next_has_other_work(
    tmp_path: Path, operation: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_jobs, "THREADS", 1)
    account = Account()
    account.dying(operation, at, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        prefetch(paid(account.services, tmp_path))
    calls = paid(account.services, tmp_path)
    prefetch(calls, [*TEXTS, "Fever is new."])
    assert account.objects == {}
    assert sorted(account.answered) == sorted(["Fever since May.", *TEXTS[1:], "Fever is new."]), "each text once"
    with collecting() as costs:
        assert recognised(calls) == [2, 1, 1]
        ComprehendMedicalRecognition(calls).recognise("Fever is new.", "en")
    assert sum(c.dollars for c in costs) == pytest.approx(0.04)


def test_a_job_that_failed_costs_nothing_and_its_texts_are_asked_one_by_one(tmp_path: Path) -> None:
    account = Account(status="FAILED")
    calls = paid(account.services, tmp_path)
    assert prefetch(calls) == 0
    assert calls.budget.spent == 0 and account.objects == {}
    assert recognised(calls) == [1, 0, 1]


@pytest.mark.parametrize("operation", ["start_entities_detection_v2_job", "describe_entities_detection_v2_job"])
def test_a_job_out_of_sight_stops_the_run_and_is_found_again(tmp_path: Path, operation: str) -> None:
    account = Account()
    calls = paid(account.services, tmp_path)
    account.dying(operation, 1, DocumentError(Reason.ENGINE_UNAVAILABLE, "away"))
    with pytest.raises(RunStopError, match="run again"):
        prefetch(calls)
    assert prefetch(calls) == 3
    assert len(account.started) == 1


def test_a_role_that_the_service_refuses_stops_the_run_with_its_name(tmp_path: Path) -> None:
    account = Account()
    account.dying("start_entities_detection_v2_job", 1, DocumentError(Reason.ENGINE_REJECTED, "InvalidRequest"))
    with pytest.raises(ConfigurationError, match="MEDPIPE_BATCH_ROLE"):
        prefetch(paid(account.services, tmp_path))
    assert account.objects == {}


def test_without_s3_there_is_no_batch_and_the_stage_asks_one_by_one(tmp_path: Path) -> None:
    account = Account()
    account.dying("put_object", 2, DocumentError(Reason.ENGINE_UNAVAILABLE, "away"))
    calls = paid(account.services, tmp_path)
    assert prefetch(calls) == 0
    assert account.started == {} and calls.budget.spent == 0
    calls.budget.reserve(1e9)


def test_a_batch_keeps_to_the_budget_and_needs_a_store(tmp_path: Path) -> None:
    account = Account()
    poor = PaidCalls(account.services, ResponseStore(str(tmp_path)), budget=Budget(0.02))  # type: ignore[arg-type]
    assert prefetch(poor) == 0
    assert account.started == {} and account.objects == {}
    poor.budget.reserve(0.02)
    with pytest.raises(ConfigurationError, match="store"):
        prefetch(paid(account.services))


def test_a_small_day_is_left_to_be_asked_one_by_one_without_a_look_into_the_store(tmp_path: Path) -> None:
    account = Account()
    calls = paid(account.services, tmp_path)
    assert Batches(calls, PLACE).prefetch(NAME, asking(TEXTS)) == 0
    assert {name for name, _ in account.services.sent} == {"list_objects_v2"}


def test_a_day_that_would_take_longer_is_a_batch_less_what_the_store_has(
    tmp_path: Path,
) -> None:
    account = Account()
    calls = paid(account.services, tmp_path)
    ComprehendMedicalRecognition(calls).recognise(TEXTS[2], "en")
    calls.rates = RateLimits({"comprehendmedical.DetectEntitiesV2": 2 / 3600 / 1.5})
    batches = Batches(calls, PLACE, deadline_hours=2)
    assert batches.prefetch(NAME, asking(TEXTS)) == 2, "an hour and a half one by one, an hour in a batch"
    assert batches.prefetch(NAME, asking(["Fever is new."])) == 0


def test_translations_of_a_batch_are_what_the_engine_finds_and_each_language_has_its_job(tmp_path: Path) -> None:
    account = Account()
    calls = paid(account.services, tmp_path)
    documents = {
        language: [[f"{word} {i}.", "Hospital General"] for i in range(30)]
        for language, word in (("es", "Sin fiebre el día"), ("pt", "Sem febre no dia"))
    }

    def ask(given: Any) -> list[list[str]]:
        engine = TranslateTranslation(given, terminology=("cardiology",))
        return [
            [t.target_text for t in engine.translate(texts, language)]
            for language, all_texts in documents.items()
            for texts in all_texts
        ]

    Batches(calls, PLACE, always=True).prefetch("translated_text/2026-11-20", lambda r: ask(r) and None)
    assert {r["SourceLanguageCode"] for r in account.started.values()} == {"es", "pt"}
    assert all(r["TerminologyNames"] == ["cardiology"] for r in account.started.values())
    assert ask(calls) == [[text.upper() for text in texts] for all_texts in documents.values() for texts in all_texts]
    assert "translate_text" not in dict(account.services.sent)


def test_more_files_than_a_job_takes_are_several_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_jobs, "MOST_FILES", 2)
    account = Account()
    assert prefetch(paid(account.services, tmp_path)) == 3
    assert len(account.started) == 2


def test_every_operation_has_a_job_that_botocore_knows() -> None:
    import botocore.session

    known = botocore.session.get_session().get_service_model("comprehendmedical").operation_names
    assert {f"{verb}{job}" for job in MEDICAL_JOBS.values() for verb in ("Start", "Describe")} <= set(known)
