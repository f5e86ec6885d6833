"""A service that answers what a test tells it to, over HTTP; and an environment in which no real AWS can be reached."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.metering import Budget
from medpipe_assets.aws.rates import RateLimits
from medpipe_assets.aws.responses import ResponseStore

REGION = "us-east-1"
Answer = tuple[int, dict[str, Any]]


class Service:
    """Answers requests in AWS's JSON protocol from a list, the last answer over and over; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(200, {})]
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.before: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def answer(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def reply(self, operation: str, request: dict[str, Any], agent: str) -> Answer:
        self.before()
        with self._lock:
            self.asked.append((operation, request, agent))
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _, _ in self.asked]


def throttle(code: str = "TooManyRequestsException") -> Answer:
    return 400, {"__type": code, "message": "a message that may echo the patient's words"}


def failure(code: str, status: int = 400) -> Answer:
    return status, {"__type": code, "message": "a message that may echo the patient's words"}


class Lazy:
    """Time that passes only by being waited for."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def paid_calls(folder: Path | None, budget: float | None = None, time_: Lazy | None = None) -> PaidCalls:
    time_ = time_ or Lazy()
    return PaidCalls(
        Clients(REGION, "standard", max_attempts=3),
        None if folder is None else ResponseStore(str(folder)),
        RateLimits({}),
        Budget(budget),
        clock=time_.clock,
        sleep=time_.sleep,
    )


@pytest.fixture(autouse=True)
def no_real_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN", "AWS_RETRY_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service at the endpoint of every AWS service."""
    told = Service()

    class Request(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            status, answer = told.reply(
                self.headers["X-Amz-Target"].rpartition(".")[2], body, self.headers["User-Agent"]
            )
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Lets botocore's pauses between tries pass at once; they are noted."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.fixture
def aws() -> Iterator[None]:
    """The services that moto knows, empty."""
    with mock_aws():
        yield


@pytest.fixture
def bucket(aws: None) -> str:
    boto3.client("s3", region_name=REGION).create_bucket(Bucket="lake")
    return "lake"
