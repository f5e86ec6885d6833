"""AWS for a test: the double and moto, with the environment that sends every client there.

Import `aws` and `moto_server` into a conftest.py or a test module; `standing_aws` is the same outside of pytest.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from medpipe_tests.aws_double.double import AwsDouble
from medpipe_tests.aws_double.model import endpoint_variable, session
from medpipe_tests.aws_double.moto_server import MotoServer
from medpipe_tests.aws_double.server import DoubleServer
from medpipe_tests.aws_double.standing import CREDENTIALS, REGION, stand_up

ISOLATION = {
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Nothing of the developer's own account is looked at."""

FROM_OUTSIDE = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Variables that would lead elsewhere, to be removed."""


@dataclass(frozen=True)
class Aws:
    """A running stand-in for AWS.

    Attributes:
        environment: the variables that clients need.
        double: what it was asked, billed and made to fail.
        moto_url: where S3, SQS, SNS and the like are.
    """

    environment: Mapping[str, str]
    double: AwsDouble
    moto_url: str
    moto: MotoServer

    @property
    def actions(self) -> Counter[str]:
        """How often each action was asked for, of all services, by 'service:Action'."""
        return self.double.actions + self.moto.actions

    def client(self, service: str) -> Any:
        """A plain botocore client for the test's own use; what it asks is counted as well."""
        return session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.environment[endpoint_variable(service)],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )


@contextmanager
def standing_aws(moto: MotoServer, port: int = 0, **settings: Any) -> Iterator[Aws]:
    """AWS beside a running moto, for as long as the context lasts; settings as `standing.stand_up` takes them."""
    double = stand_up(endpoint=moto.url, **settings)
    with DoubleServer(double, port) as server:
        environment = {**ISOLATION, **CREDENTIALS, **moto.environment, **server.environment}
        yield Aws(environment, double, moto.url, moto)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """Moto, once for all tests of a process."""
    with MotoServer() as server:
        yield server


@pytest.fixture
def aws_settings() -> dict[str, Any]:
    """What `aws` is stood up with (see `standing.stand_up`); a module or a test overrides it."""
    return {}


@pytest.fixture
def aws(moto_server: MotoServer, aws_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An empty account: every AWS client of this process and of its children comes here."""
    moto_server.forget()
    with standing_aws(moto_server, **aws_settings) as standing:
        for name in FROM_OUTSIDE:
            monkeypatch.delenv(name, raising=False)
        for name, value in standing.environment.items():
            monkeypatch.setenv(name, value)
        yield standing
