"""Services' answers, kept by what was asked, so that nothing is paid for twice. They are patient data: lake only.

An answer is one gzipped JSON object under its key, in a private folder or an S3 prefix; written whole or not at all.
"""

import base64
import datetime as dt
import gzip
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.faults import code_of, translated
from medpipe_assets.lake.location import WRITING
from medpipe_assets.lake.processes import owned_prefix
from medpipe_assets.privacy import make_folder

_TAGS: Mapping[str, Callable[[Any], Any]] = {
    "$bytes": base64.b64decode,
    "$datetime": dt.datetime.fromisoformat,
    "$decimal": Decimal,
}

COMPRESSION = 1
"""Level of gzip: a page of Textract's takes 2 ms; 9, Python's default, takes 20 ms and saves a tenth."""


def response_key(service: str, operation: str, settings: Mapping[str, Any], content: bytes) -> str:
    """64 hex digits that stand for a request: the call, all settings that change its answer, and the input's bytes."""
    call = json.dumps([service, operation, _plain(settings)], sort_keys=True)
    return hashlib.sha256(call.encode() + b"\0" + content).hexdigest()


class ResponseStore:
    """Answers under a root: a folder, or `s3://bucket/prefix`.

    Args:
        root: where; made on first use.
        clients: for S3; its own when None.
        kms_key: encrypts S3 objects; empty for the bucket's own default.
    """

    def __init__(self, root: str, clients: Clients | None = None, kms_key: str = "") -> None:
        self.root = root.rstrip("/")
        self._clients = clients
        self._kms_key = kms_key

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer under a key; None where there is none, or where what is there is damaged.

        Raises:
            DocumentError, ConfigurationError: where S3 does not let us look.
        """
        data = self._read_object(key) if self._is_remote else self._read_file(key)
        try:
            return None if data is None else _unpack(data)
        except (ValueError, KeyError, EOFError, OSError, zlib.error):
            return None

    def put(self, key: str, response: Mapping[str, Any]) -> None:
        """Keep an answer: dicts with string keys, lists, strings, numbers, booleans, None, bytes, dates with times.

        Raises:
            TypeError: for a value of another type.
            DocumentError, ConfigurationError: where S3 does not take it.
        """
        data = _pack(response)
        if self._is_remote:
            self._write_object(key, data)
        else:
            self._write_file(key, data)

    @property
    def _is_remote(self) -> bool:
        return self.root.startswith("s3://")

    def _path(self, key: str) -> str:
        return f"{key[:2]}/{key}.json.gz"

    def _read_file(self, key: str) -> bytes | None:
        try:
            return (Path(self.root) / self._path(key)).read_bytes()
        except FileNotFoundError:
            return None

    def _write_file(self, key: str, data: bytes) -> None:
        """Write under another name, then rename. Not synced to disk: the checksum shows what a power cut damaged."""
        path = Path(self.root) / self._path(key)
        drafts = Path(self.root) / WRITING
        for folder in (drafts, path.parent):
            make_folder(folder)
        descriptor, temporary = tempfile.mkstemp(dir=drafts, prefix=owned_prefix())
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _object(self, key: str) -> dict[str, str]:
        bucket, _, prefix = self.root.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": f"{prefix}/{self._path(key)}" if prefix else self._path(key)}

    def _s3(self) -> Any:
        self._clients = self._clients or Clients()
        return self._clients.client("s3")

    def _read_object(self, key: str) -> bytes | None:
        try:
            data: bytes = self._s3().get_object(**self._object(key))["Body"].read()
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return None
            raise translated(error, "s3", "GetObject") from None
        except BotoCoreError as error:
            raise translated(error, "s3", "GetObject") from None
        return data

    def _write_object(self, key: str, data: bytes) -> None:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._kms_key} if self._kms_key else {}
        try:
            self._s3().put_object(**self._object(key), **encryption, Body=data, ContentType="application/gzip")
        except (ClientError, BotoCoreError) as error:
            raise translated(error, "s3", "PutObject") from None


def _pack(response: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps({"plain": response}, separators=(",", ":"))
    except TypeError:  # holds what JSON lacks; nearly none does, and the others take a tenth of the time
        text = json.dumps({"tagged": _plain(response)}, separators=(",", ":"))
    return gzip.compress(text.encode(), compresslevel=COMPRESSION, mtime=0)


def _unpack(data: bytes) -> dict[str, Any]:
    content = json.loads(gzip.decompress(data))
    response: dict[str, Any] = content["plain"] if "plain" in content else _original(content["tagged"])
    return response


def _plain(value: Any) -> Any:
    """A value in JSON's own types; what JSON lacks becomes an object with one key, a tag."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes() | bytearray():
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        case dt.datetime():
            return {"$datetime": value.isoformat()}
        case Decimal():
            return {"$decimal": str(value)}
        case Mapping():
            plain = {_string(name): _plain(item) for name, item in value.items()}
            return {"$object": list(plain.items())} if plain.keys() & {*_TAGS, "$object"} else plain
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            raise TypeError(f"a response holds a {type(value).__name__}, which cannot be kept")


def _string(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a response has a {type(name).__name__} for a name")
    return name


def _original(value: Any) -> Any:
    """What `_plain` was given."""
    if isinstance(value, list):
        return [_original(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, item),) = value.items()
        if name == "$object":
            return {key: _original(inner) for key, inner in item}
        if name in _TAGS:
            return _TAGS[name](item)
    return {name: _original(item) for name, item in value.items()}
