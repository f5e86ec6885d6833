"""A call is paid once, metered always, and its failures have reasons. The service says what it is told."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.metering import Budget, BudgetReachedError, Cost, collecting
from medpipe_assets.aws.rates import RateLimits
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_tests.unit.aws.conftest import REGION, Lazy, Service, failure, paid_calls, throttle

CODES = {"Entities": [{"Text": "cough", "Score": 0.9512345678901234}], "ModelVersion": "1"}
PRICE = 0.0005


def infer(calls: PaidCalls, text: str = "cough", **settings: Any) -> dict[str, Any]:
    return calls.call(
        "comprehendmedical",
        "InferICD10CM",
        {"Text": text},
        content=text.encode(),
        settings=settings,
        units=1,
        unit="100 characters",
    )


def test_an_answer_is_paid_metered_and_kept(service: Service, tmp_path: Path) -> None:
    service.answer((200, CODES))
    with collecting() as costs:
        assert infer(paid_calls(tmp_path)) == CODES
    assert costs == [Cost("comprehendmedical", "InferICD10CM", 1, "100 characters", PRICE)]
    assert len(list(tmp_path.rglob("*.gz"))) == 1


def test_a_repeated_run_pays_for_nothing_twice_and_says_what_it_saved(service: Service, tmp_path: Path) -> None:
    service.answer((200, CODES))
    infer(paid_calls(tmp_path))
    with collecting() as costs:
        assert infer(paid_calls(tmp_path, budget=0.0)) == CODES
    assert costs == [Cost("comprehendmedical", "InferICD10CM", 1, "100 characters", 0.0, PRICE, "stored")]
    assert len(service.asked) == 1


def test_other_settings_or_other_words_are_other_calls(service: Service, tmp_path: Path) -> None:
    service.answer((200, CODES))
    calls = paid_calls(tmp_path)
    infer(calls)
    infer(calls, "fever")
    infer(calls, model="2")
    assert len(service.asked) == 3


def test_without_a_store_each_call_is_paid(service: Service) -> None:
    service.answer((200, CODES))
    calls = paid_calls(None)
    infer(calls)
    infer(calls)
    assert calls.budget.spent == pytest.approx(2 * PRICE)


def test_threads_that_ask_the_same_at_once_pay_once(service: Service, tmp_path: Path) -> None:
    service.answer((200, CODES))
    calls = paid_calls(tmp_path)
    start = threading.Barrier(8)

    def document(_: int) -> list[Cost]:
        with collecting() as costs:
            start.wait()
            assert infer(calls) == CODES
        return costs

    with ThreadPoolExecutor(8) as threads:
        costs = [cost for found in threads.map(document, range(8)) for cost in found]
    assert len(service.asked) == 1
    assert sum(cost.dollars for cost in costs) == pytest.approx(PRICE)
    assert sum(cost.saved_dollars for cost in costs) == pytest.approx(7 * PRICE)


def test_threads_that_ask_different_things_do_not_wait_for_each_other(service: Service, tmp_path: Path) -> None:
    both_inside = threading.Barrier(2, timeout=20)
    service.before = lambda: both_inside.wait() and None
    service.answer((200, CODES))
    calls = paid_calls(tmp_path)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda text: infer(calls, text), ["cough", "fever"])) == [CODES, CODES]


def test_when_the_first_of_equal_calls_fails_the_next_is_made(
    service: Service, tmp_path: Path, no_pauses: list[float]
) -> None:
    service.answer(failure("ValidationException"), (200, CODES))
    calls = paid_calls(tmp_path)
    with pytest.raises(DocumentError):
        infer(calls)
    assert infer(calls) == CODES


def test_a_throttle_is_retried_and_paid_once(service: Service, tmp_path: Path, no_pauses: list[float]) -> None:
    service.answer(throttle(), throttle(), (200, CODES))
    with collecting() as costs:
        assert infer(paid_calls(tmp_path)) == CODES
    assert [cost.dollars for cost in costs] == [PRICE]


def test_a_throttle_that_outlives_the_retries_is_for_the_next_run(
    service: Service, tmp_path: Path, no_pauses: list[float]
) -> None:
    service.answer(throttle())
    calls = paid_calls(tmp_path, budget=PRICE)
    with collecting() as costs, pytest.raises(DocumentError) as error:
        infer(calls)
    assert error.value.reason is Reason.ENGINE_UNAVAILABLE
    assert "TooManyRequestsException" in error.value.detail
    assert "patient" not in str(error.value)
    assert error.value.__cause__ is None and error.value.__suppress_context__
    assert costs == [] and calls.budget.spent == 0
    service.answer((200, CODES))
    infer(calls)  # what was reserved for the failed call is there again


def test_a_call_beyond_the_budget_is_not_made(service: Service, tmp_path: Path) -> None:
    service.answer((200, CODES))
    calls = paid_calls(tmp_path, budget=2.5 * PRICE)
    infer(calls, "one")
    infer(calls, "two")
    with pytest.raises(BudgetReachedError):
        infer(calls, "three")
    infer(calls, "one")  # known already
    assert len(service.asked) == 2


def test_an_expired_token_stops_the_run(service: Service, tmp_path: Path) -> None:
    service.answer(failure("ExpiredTokenException"))
    with pytest.raises(ConfigurationError, match="ExpiredTokenException"):
        infer(paid_calls(tmp_path))


def test_a_request_that_does_not_fit_the_model_is_refused_without_its_words(service: Service, tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as error:
        infer(paid_calls(tmp_path), "")
    assert error.value.reason is Reason.ENGINE_REJECTED


def test_an_operation_without_a_price_is_not_called(service: Service, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="price"):
        paid_calls(tmp_path).call("textract", "AnalyzeID", {}, content=b"", settings={}, units=1, unit="page")
    assert service.asked == []


def test_a_store_that_is_away_does_not_lose_an_answer_that_is_paid(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer((200, CODES))
    calls = paid_calls(tmp_path)

    def away(*_: object) -> None:
        raise DocumentError(Reason.ENGINE_UNAVAILABLE, "s3 PutObject: SlowDown")

    monkeypatch.setattr(calls.store, "put", away)
    assert infer(calls) == CODES


def test_a_service_that_is_silent_is_unavailable(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = paid_calls(tmp_path)

    def silent(**_: object) -> None:
        raise ReadTimeoutError(endpoint_url="http://x")

    monkeypatch.setattr(calls.clients.client("comprehendmedical"), "infer_icd10_cm", silent)
    with pytest.raises(DocumentError) as error:
        infer(calls)
    assert error.value.reason is Reason.ENGINE_UNAVAILABLE


def test_every_call_waits_for_its_rate(service: Service, tmp_path: Path) -> None:
    service.answer((200, CODES))
    time_ = Lazy()
    rates = RateLimits({"comprehendmedical.InferICD10CM": 2}, clock=time_.clock, sleep=time_.sleep)
    calls = PaidCalls(Clients(REGION, "standard"), None, rates, Budget(None))
    for _ in range(11):
        infer(calls)
    assert time_.now == pytest.approx(5, abs=0.2)
