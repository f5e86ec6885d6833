"""What holds for every service: requests and replies checked, permissions, quotas, faults, the bill, the actions."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.session
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from medpipe_tests.aws_double.attach import attach
from medpipe_tests.aws_double.double import AwsDouble, ConnectionLostError
from medpipe_tests.aws_double.errors import AwsError, DoubleError
from medpipe_tests.aws_double.faults import FaultPlan, FaultRates, Outage
from medpipe_tests.aws_double.fixtures import Aws
from medpipe_tests.aws_double.model import session
from medpipe_tests.aws_double.standing import stand_up

SPANISH = {"Text": "hola", "SourceLanguageCode": "es", "TargetLanguageCode": "en"}


def client(double: AwsDouble, service: str, attempts: int = 1) -> Any:
    made = session().create_client(
        service,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, parameter_validation=False),
    )
    return attach(made, double)


def code_of(ask: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as refused:
        ask()
    return str(refused.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    ("service", "operation", "request_members", "code"),
    [
        ("translate", "TranslateText", {"Text": "hola", "SourceLanguageCode": "es"}, "ValidationException"),
        ("translate", "TranslateText", {**SPANISH, "Txt": "hola"}, "ValidationException"),
        ("translate", "TranslateText", {**SPANISH, "Text": ""}, "ValidationException"),
        ("translate", "TranslateText", {**SPANISH, "Text": 7}, "ValidationException"),
        ("translate", "TranslateText", {**SPANISH, "SourceLanguageCode": "spanish"}, "ValidationException"),
        ("translate", "TranslateText", {**SPANISH, "Settings": {"Formality": "RUDE"}}, "ValidationException"),
        ("translate", "TranslateText", {**SPANISH, "TerminologyNames": ["a b"]}, "ValidationException"),
        ("textract", "GetDocumentTextDetection", {"JobId": "no/job"}, "ValidationException"),
        ("athena", "StartQueryExecution", {"QueryString": "x" * 262_145}, "InvalidRequestException"),
        ("athena", "GetQueryResults", {"QueryExecutionId": "q", "MaxResults": 1_001}, "InvalidRequestException"),
    ],
)
def test_what_the_service_model_forbids_is_refused(
    service: str, operation: str, request_members: dict[str, Any], code: str
) -> None:
    with pytest.raises(AwsError) as refused:
        stand_up().call(service, operation, request_members)
    assert refused.value.code == code


def test_a_reply_that_the_service_model_forbids_never_leaves_the_double() -> None:
    double = stand_up()
    double.services["translate"].operations["TranslateText"] = lambda _: {"TranslatedText": 7}  # type: ignore[index]
    with pytest.raises(DoubleError, match="SourceLanguageCode"):
        double.call("translate", "TranslateText", SPANISH)


def test_an_error_that_the_operation_does_not_know_never_leaves_the_double() -> None:
    def wrong(_: Any) -> dict[str, Any]:
        raise AwsError("BadDocumentException", "")

    double = stand_up()
    double.services["translate"].operations["TranslateText"] = wrong  # type: ignore[index]
    with pytest.raises(DoubleError, match="cannot answer BadDocumentException"):
        double.call("translate", "TranslateText", SPANISH)


def test_an_operation_that_is_not_done_says_so() -> None:
    assert code_of(lambda: client(stand_up(), "textract").list_adapters()) == "UnknownOperationException"


def test_a_denied_action_is_denied_and_noted() -> None:
    double = stand_up(denied={"translate:TranslateText"})
    assert code_of(lambda: client(double, "translate").translate_text(**SPANISH)) == "AccessDeniedException"
    assert double.actions == {"translate:TranslateText": 1}
    assert double.bill.charges == []


def test_more_requests_than_the_quota_are_throttled_until_time_has_passed() -> None:
    now = [0.0]
    double = stand_up(quotas={"translate.TranslateText": 2.0}, clock=lambda: now[0])
    translate = client(double, "translate")
    translate.translate_text(**SPANISH)
    translate.translate_text(**SPANISH)
    assert code_of(lambda: translate.translate_text(**SPANISH)) in ("TooManyRequestsException", "ThrottlingException")
    now[0] = 0.5
    translate.translate_text(**SPANISH)
    assert code_of(lambda: translate.translate_text(**SPANISH)) in ("TooManyRequestsException", "ThrottlingException")


@pytest.mark.parametrize(
    ("service", "operation", "request_members", "codes"),
    [
        (
            "textract",
            "DetectDocumentText",
            {"Document": {}},
            {"ProvisionedThroughputExceededException", "ThrottlingException"},
        ),
        ("translate", "TranslateText", SPANISH, {"TooManyRequestsException", "ThrottlingException"}),
        ("comprehendmedical", "DetectPHI", {"Text": "x"}, {"TooManyRequestsException", "ThrottlingException"}),
        ("athena", "GetQueryExecution", {"QueryExecutionId": "q"}, {"ThrottlingException"}),
    ],
)
def test_each_service_throttles_in_all_its_own_words(
    service: str, operation: str, request_members: dict[str, Any], codes: set[str]
) -> None:
    double = stand_up(faults=FaultPlan(rates=FaultRates(throttle=1.0)))
    seen = set()
    for _ in range(4):
        with pytest.raises(AwsError) as refused:
            double.call(service, operation, request_members)
        seen.add(refused.value.code)
    assert seen == codes


def test_who_tries_again_gets_through_and_pays_once() -> None:
    double = stand_up(faults=FaultPlan(7, FaultRates(throttle=0.2, server_error=0.1, reset=0.1)))
    texts = [f"palabra {i}" for i in range(40)]
    for text in texts:
        for _ in range(20):
            try:
                double.call("translate", "TranslateText", {**SPANISH, "Text": text})
                break
            except (AwsError, ConnectionLostError):
                continue
    assert {kind for _, _, kind in double.faults.counts} == {"throttle", "server_error", "reset"}
    assert double.bill.units() == {("translate", "TranslateText", ""): sum(map(len, texts))}


def _insistent(double: AwsDouble, text: str) -> None:
    for _ in range(50):
        try:
            double.call("translate", "TranslateText", {**SPANISH, "Text": text})
            return
        except (AwsError, ConnectionLostError):
            continue


def test_a_run_of_many_threads_meets_the_same_faults_and_costs_the_same_again() -> None:
    def run() -> AwsDouble:
        double = stand_up(faults=FaultPlan(11, FaultRates(throttle=0.2, reset=0.1, lost_reply=0.1)))
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda i: _insistent(double, f"palabra {i}"), range(200)))
        return double

    first, second = run(), run()
    assert first.faults.counts == second.faults.counts
    assert sorted(c.units for c in first.bill.charges) == sorted(c.units for c in second.bill.charges)
    lost = first.faults.counts["translate", "TranslateText", "lost_reply"]
    assert first.bill.calls() == {("translate", "TranslateText", ""): 200 + lost}


def test_a_slow_answer_takes_longer_by_the_plans_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("medpipe_tests.aws_double.double.time.sleep", slept.append)
    plan = FaultPlan(rates=FaultRates(slow=1.0), slow_seconds=30)
    stand_up(faults=plan, latency_seconds=5).call("translate", "TranslateText", SPANISH)
    assert slept == [pytest.approx(35, abs=1)]


@pytest.mark.parametrize("kind", ["throttle", "server_error", "reset"])
def test_botocore_takes_each_fault_for_one_that_passes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    double = stand_up(faults=FaultPlan(rates=FaultRates(**{kind: 1.0})))
    with pytest.raises((ClientError, ConnectionClosedError)):
        client(double, "translate", attempts=3).translate_text(**SPANISH)
    assert double.actions == {"translate:TranslateText": 3}


def test_a_lost_reply_is_billed_and_its_repetition_too() -> None:
    double = stand_up(faults=FaultPlan(rates=FaultRates(lost_reply=1.0)))
    with pytest.raises(ConnectionClosedError):
        client(double, "translate").translate_text(**SPANISH)
    with pytest.raises(ConnectionClosedError):
        client(double, "translate").translate_text(**SPANISH)
    assert double.bill.calls() == {("translate", "TranslateText", ""): 2}


def test_what_is_refused_for_good_is_refused_at_every_attempt_and_nothing_else_is() -> None:
    double = stand_up(faults=FaultPlan(1, FaultRates(refused=0.3)))

    def fates() -> list[bool]:
        refused = []
        for i in range(60):
            try:
                double.call("translate", "TranslateText", {**SPANISH, "Text": f"palabra {i}"})
                refused.append(False)
            except AwsError as error:
                assert error.code == "InvalidRequestException"
                refused.append(True)
        return refused

    first = fates()
    assert 5 < sum(first) < 35
    assert fates() == first


def test_an_outage_takes_one_service_down_for_some_requests() -> None:
    double = stand_up(faults=FaultPlan(outages=[Outage("translate", 1, 3)]))
    answered = []
    for _ in range(4):
        double.call("comprehendmedical", "DetectPHI", {"Text": "x"})
        try:
            double.call("translate", "TranslateText", SPANISH)
            answered.append(True)
        except AwsError as error:
            assert error.status == 503
            answered.append(False)
    assert answered == [True, False, False, True]


@given(st.integers(), st.permutations([f"palabra {i}" for i in range(12)]))
def test_a_request_has_the_same_fate_in_whatever_order_requests_come(seed: int, order: list[str]) -> None:
    def fates(texts: list[str]) -> dict[str, list[str]]:
        plan = FaultPlan(seed, FaultRates(throttle=0.2, reset=0.2, lost_reply=0.2, refused=0.1))
        return {
            text: [
                plan.fate("translate", "TranslateText", {"Text": text, "ClientRequestToken": str(i)}) for i in range(3)
            ]
            for text in texts
        }

    assert fates(order) == fates(sorted(order))


def test_rates_are_those_of_the_plan() -> None:
    plan = FaultPlan(3, operations={"translate.TranslateText": FaultRates(throttle=0.25)})
    fates = [plan.fate("translate", "TranslateText", {"Text": str(i)}) for i in range(2_000)]
    assert 0.22 < fates.count("throttle") / len(fates) < 0.28
    assert plan.fate("translate", "GetTerminology", {"Name": "a"}) == ""


# --- over HTTP


def test_clients_with_no_setting_but_the_environment_come_to_the_double(aws: Aws) -> None:
    translate = botocore.session.get_session().create_client("translate")
    assert translate.translate_text(**SPANISH)["TranslatedText"] == "aloh"
    s3 = botocore.session.get_session().create_client("s3")
    s3.create_bucket(Bucket="papers")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["papers"]
    assert aws.actions == {"translate:TranslateText": 1, "s3:CreateBucket": 1, "s3:ListAllMyBuckets": 1}


def test_an_account_is_empty_again_for_the_next_test(aws: Aws) -> None:
    assert botocore.session.get_session().create_client("s3").list_buckets()["Buckets"] == []
    assert aws.double.bill.charges == []


def test_an_unsigned_request_is_refused(aws: Aws) -> None:
    url = aws.environment["AWS_ENDPOINT_URL_TRANSLATE"]
    headers = {"X-Amz-Target": "AWSShineFrontendService_20170701.TranslateText"}
    answer = requests.post(url, data=json.dumps(SPANISH), headers=headers, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["__type"] == "MissingAuthenticationTokenException"


def test_a_body_that_is_no_json_is_refused(aws: Aws) -> None:
    url = aws.environment["AWS_ENDPOINT_URL_TRANSLATE"]
    headers = {
        "X-Amz-Target": "AWSShineFrontendService_20170701.TranslateText",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20261101/us-east-1/translate/aws4_request",
    }
    answer = requests.post(url, data="{", headers=headers, timeout=5)
    assert answer.json()["__type"] == "SerializationException"


@pytest.mark.parametrize("aws_settings", [{"faults": FaultPlan(rates=FaultRates(reset=1.0))}])
def test_a_reset_breaks_the_connection(aws: Aws) -> None:
    config = Config(retries={"mode": "standard", "total_max_attempts": 1})
    translate = botocore.session.get_session().create_client("translate", config=config)
    with pytest.raises(ConnectionClosedError):
        translate.translate_text(**SPANISH)
    assert aws.double.bill.charges == []


def test_the_doubles_own_failure_is_told_and_not_retried(aws: Aws) -> None:
    aws.double.services["translate"].operations["TranslateText"] = lambda _: {"TranslatedText": 7}  # type: ignore[index]
    assert code_of(lambda: aws.client("translate").translate_text(**SPANISH)) == "DoubleFailure"
    assert aws.double.actions == {"translate:TranslateText": 1}
