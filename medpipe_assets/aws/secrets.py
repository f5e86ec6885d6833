"""Reading what must stay secret, when it is needed: from the environment, a file, or Secrets Manager. Never kept.

A secret's value is only to be had by `reveal`; printed, logged or formatted it is three stars.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.faults import code_of, translated
from medpipe_assets.errors import ConfigurationError


class Secret:
    """A secret value that does not show itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value: to be handed on at once, never kept or formatted."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not to be pickled: read it where it is needed")


def variable_of(name: str) -> str:
    """The environment variable of a secret: 'medpipe/cms-api' is MEDPIPE_SECRET_MEDPIPE_CMS_API."""
    return f"MEDPIPE_SECRET_{re.sub('[^A-Za-z0-9]', '_', name).upper()}"


def secret(name: str, *, clients: Clients | None = None, environment: Mapping[str, str] | None = None) -> Secret:
    """A secret, as it is now: rotated ones are found by asking again.

    Looked for in this order: the environment variable `variable_of(name)`; the file that the same variable with _FILE
    at its end names (less one newline at its end); Secrets Manager, where `clients` is given. There `name` is the
    secret's id or ARN, and 'id#field' a field of a secret that is a JSON object.

    Raises:
        ConfigurationError: where it is not found or cannot be read, naming the places, never a value.
        DocumentError: ENGINE_UNAVAILABLE where Secrets Manager stays away.
    """
    environment = os.environ if environment is None else environment
    variable = variable_of(name)
    if value := environment.get(variable):
        return Secret(value)
    if path := environment.get(f"{variable}_FILE"):
        return Secret(_of_file(f"{variable}_FILE", Path(path)))
    if clients is not None:
        return Secret(_of_secrets_manager(name, clients))
    raise ConfigurationError(f"there is no secret '{name}': set {variable}, or {variable}_FILE to a file that holds it")


def _of_file(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the file that {variable} names cannot be read: {type(error).__name__}") from None


def _of_secrets_manager(name: str, clients: Clients) -> str:
    secret_id, _, key = name.partition("#")
    try:
        answer = clients.client("secretsmanager").get_secret_value(SecretId=secret_id)
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            raise ConfigurationError(
                f"there is no secret '{name}': make it in Secrets Manager, or set {variable_of(name)}"
            ) from None
        raise translated(error, "secretsmanager", "GetSecretValue") from None
    except BotoCoreError as error:
        raise translated(error, "secretsmanager", "GetSecretValue") from None
    text = str(answer["SecretString"]) if "SecretString" in answer else _decoded(name, answer["SecretBinary"])
    return _field(name, text, key) if key else text


def _decoded(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"the secret '{name}' is not text") from None


def _field(name: str, text: str, key: str) -> str:
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        value = None
    if not isinstance(value, str):
        raise ConfigurationError(f"the secret '{name}' has no such field: it must be a JSON object of strings")
    return value
