"""Secrets are found where an installation may keep them, when they are needed, and are never shown."""

import json
import logging
import pickle
from pathlib import Path

import boto3
import pytest

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.secrets import Secret, secret, variable_of
from medpipe_assets.errors import ConfigurationError
from medpipe_tests.unit.aws.conftest import REGION

VALUE = "correct horse battery staple"


def keep(name: str, value: str) -> None:
    boto3.client("secretsmanager", region_name=REGION).create_secret(Name=name, SecretString=value)


def test_the_environment_comes_first_then_a_file_then_secrets_manager(aws: None, tmp_path: Path) -> None:
    name, variable = "medpipe/cms-api", "MEDPIPE_SECRET_MEDPIPE_CMS_API"
    assert variable_of(name) == variable
    keep(name, "from the service")
    (tmp_path / "key").write_text("from a file\n")
    clients = Clients(REGION)
    file = {f"{variable}_FILE": str(tmp_path / "key")}
    assert secret(name, clients=clients, environment={}).reveal() == "from the service"
    assert secret(name, clients=clients, environment=file).reveal() == "from a file"
    assert secret(name, clients=clients, environment=file | {variable: "from here"}).reveal() == "from here"


def test_the_process_s_environment_is_read_when_a_secret_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("MEDPIPE_SECRET_TOKEN", value)
        assert secret("token").reveal() == value


def test_a_rotated_secret_is_found_by_asking_again(aws: None) -> None:
    keep("key", "old")
    clients = Clients(REGION)
    assert secret("key", clients=clients, environment={}).reveal() == "old"
    boto3.client("secretsmanager", region_name=REGION).put_secret_value(SecretId="key", SecretString="new")
    assert secret("key", clients=clients, environment={}).reveal() == "new"


def test_a_field_of_a_json_secret(aws: None) -> None:
    keep("database", json.dumps({"user": "medpipe", "password": VALUE}))
    assert secret("database#password", clients=Clients(REGION), environment={}).reveal() == VALUE
    with pytest.raises(ConfigurationError, match="no such field") as error:
        secret("database#port", clients=Clients(REGION), environment={})
    assert VALUE not in str(error.value)


def test_a_secret_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    found = secret("x", environment={"MEDPIPE_SECRET_X": VALUE})
    logging.getLogger().warning("secret %s %r", found, found)
    shown = [repr(found), str(found), f"{found}", f"{[found]}", "%s" % found, caplog.text]  # noqa: UP031
    assert not any(VALUE in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(found)
    with pytest.raises(AttributeError):
        found.other = VALUE  # type: ignore[attr-defined]
    assert isinstance(found, Secret)


def test_a_missing_secret_says_where_to_put_it(aws: None, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="MEDPIPE_SECRET_X_FILE"):
        secret("x", environment={})
    with pytest.raises(ConfigurationError, match="Secrets Manager"):
        secret("x", clients=Clients(REGION), environment={})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        secret("x", environment={"MEDPIPE_SECRET_X_FILE": str(tmp_path / "absent")})
