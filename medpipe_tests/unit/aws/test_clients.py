"""Clients retry throttles, stop in the end, and say what is not set up."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from medpipe_assets.aws.clients import RETRY_MODES, Clients
from medpipe_assets.errors import ConfigurationError
from medpipe_tests.unit.aws.conftest import REGION, Service, throttle


@pytest.mark.parametrize("code", ["TooManyRequestsException", "ThrottlingException"])
def test_a_throttled_call_is_tried_again_until_it_is_answered(
    service: Service, no_pauses: list[float], code: str
) -> None:
    service.answer(throttle(code), throttle(code), (200, {"Entities": []}))
    answer = Clients(REGION, "standard").client("comprehendmedical").infer_icd10_cm(Text="cough")
    assert answer["Entities"] == []
    assert len(service.asked) == 3
    assert len(no_pauses) == 2


def test_a_throttled_call_is_tried_again_in_adaptive_mode_too(service: Service, no_pauses: list[float]) -> None:
    service.answer(throttle(), (200, {"Entities": []}))
    Clients(REGION).client("comprehendmedical").infer_icd10_cm(Text="cough")
    assert len(service.asked) == 2


def test_tries_end(service: Service, no_pauses: list[float]) -> None:
    service.answer(throttle())
    with pytest.raises(ClientError):
        Clients(REGION, "standard", max_attempts=3).client("comprehendmedical").infer_icd10_cm(Text="cough")
    assert len(service.asked) == 3


def test_the_modes_that_the_clients_know_leave_legacy_out_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", "legacy")
    assert Clients(REGION).client("textract").meta.config.retries["mode"] == "adaptive"
    assert "legacy" not in RETRY_MODES
    with pytest.raises(ConfigurationError, match="adaptive, standard"):
        Clients(REGION, "legacy")


def test_the_service_sees_who_calls(service: Service) -> None:
    service.answer((200, {"Blocks": []}))
    Clients(REGION).client("textract").detect_document_text(Document={"Bytes": b"x"})
    assert "medpipe" in service.asked[0][2]


def test_time_limits_are_set() -> None:
    config = Clients(REGION, connect_timeout=3, read_timeout=4).client("textract").meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 4)


def test_threads_share_one_client_of_a_service() -> None:
    clients = Clients(REGION)
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: id(clients.client("translate")), range(32)))
    assert len(made) == 1


def test_pickled_clients_keep_their_settings() -> None:
    clients = Clients("eu-west-1", "standard", read_timeout=5)
    clients.client("textract")
    again = pickle.loads(pickle.dumps(clients)).client("textract")
    assert again.meta.region_name == "eu-west-1"
    assert again.meta.config.read_timeout == 5


def test_a_missing_region_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        Clients().client("textract")


def test_a_region_without_the_service_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(ConfigurationError, match=r"eu-central-1.*us-east-1"):
        Clients("eu-central-1").client("comprehendmedical")


def test_the_region_is_the_given_one_then_that_of_either_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert Clients().client("sqs").meta.region_name == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Clients().client("sqs").meta.region_name == "eu-west-1"
    assert Clients("us-west-2").client("sqs").meta.region_name == "us-west-2"
