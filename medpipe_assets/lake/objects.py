"""Bytes under keys, in a folder or an S3 prefix: documents, receipts, lists. Tables are not kept here.

Each object is written once and whole; what is under a key never changes. A store can be pickled, so that worker
processes read through it.
"""

import datetime as dt
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.faults import translated
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.location import WRITING
from medpipe_assets.lake.processes import owned_prefix
from medpipe_assets.privacy import make_folder

CONFLICTS = frozenset({409, 412})
"""HTTP statuses of a conditional write that came too late: another object is there (412) or being written (409)."""
WRITE_TRIES = 5


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object listed: its key, its length in bytes, and when it was written."""

    key: str
    size: int
    modified: dt.datetime


class ObjectStore(Protocol):
    """Objects under a root. Keys are relative paths with '/', of characters that need no quoting.

    Every method raises an OSError (ConnectionError where S3 cannot be reached, after its retries), or a
    ConfigurationError where access is refused.
    """

    def put(self, key: str, data: bytes) -> bool:
        """Store bytes, whole or not at all, under a key that has none; False where it has, which stays as it is."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes under a key.

        Raises:
            FileNotFoundError: where there are none.
        """
        ...

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin with a prefix that is empty or ends in '/', ordered by key."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""
        ...


def store_at(root: str, kms_key: str = "", clients: Clients | None = None) -> ObjectStore:
    """The store at a folder or an `s3://bucket/prefix`."""
    if root.startswith("s3://"):
        return S3Objects(root, kms_key, clients or Clients())
    return LocalObjects(Path(root))


@dataclass(frozen=True)
class LocalObjects:
    """Objects as files below a folder, which only their owner can read."""

    root: Path

    def put(self, key: str, data: bytes) -> bool:
        # Two writers at once may both write: the same bytes, since keys are hashes or drawn for one writer.
        if self.exists(key):
            return False
        write_atomically(self.root / key, data, self.root / WRITING)
        return True

    def get(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def exists(self, key: str) -> bool:
        return (self.root / key).exists()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        folder, writing = self.root / prefix, str(self.root / WRITING)
        found = (Path(parent, name) for parent, _, names in os.walk(folder) if parent != writing for name in names)
        for path in sorted(found):
            with suppress(FileNotFoundError):  # removed since
                stat = path.stat()
                modified = dt.datetime.fromtimestamp(stat.st_mtime, dt.UTC)
                yield StoredObject(path.relative_to(self.root).as_posix(), stat.st_size, modified)

    def delete(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)


@dataclass(frozen=True)
class S3Objects:
    """Objects below an `s3://bucket/prefix`.

    Attributes:
        kms_key: encrypts what is written; empty for the bucket's own default.
    """

    root: str
    kms_key: str = ""
    clients: Clients = field(default_factory=Clients)

    def put(self, key: str, data: bytes) -> bool:
        for _ in range(WRITE_TRIES):
            try:
                self._client.put_object(**self.address(key), Body=data, IfNoneMatch="*", **self.encryption)
                return True
            except ClientError as error:
                status = status_of(error)
                if status not in CONFLICTS:
                    raise fault(error, "PutObject") from None
                if status == 412:
                    return False
            except BotoCoreError as error:
                raise fault(error, "PutObject") from None
        raise ConnectionError("s3 PutObject: others are writing the same object")

    def get(self, key: str) -> bytes:
        try:
            data: bytes = self._client.get_object(**self.address(key))["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise fault(error, "GetObject") from None
        return data

    def exists(self, key: str) -> bool:
        try:
            self._client.head_object(**self.address(key))
        except (ClientError, BotoCoreError) as error:
            found = fault(error, "HeadObject")
            if isinstance(found, FileNotFoundError):
                return False
            raise found from None
        return True

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        address = self.address(prefix)
        above = len(address["Key"]) - len(prefix)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=address["Bucket"], Prefix=address["Key"])
        try:
            for page in pages:
                for found in page.get("Contents", ()):
                    yield StoredObject(found["Key"][above:], found["Size"], found["LastModified"])
        except (ClientError, BotoCoreError) as error:
            raise fault(error, "ListObjectsV2") from None

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(**self.address(key))
        except (ClientError, BotoCoreError) as error:
            raise fault(error, "DeleteObject") from None

    def address(self, key: str) -> dict[str, str]:
        """Bucket and Key as S3's operations take them."""
        bucket, _, prefix = self.root.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": f"{prefix}/{key}" if prefix else key}

    @property
    def encryption(self) -> dict[str, str]:
        """What S3's writing operations are told of encryption."""
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}

    @property
    def _client(self) -> Any:
        return self.clients.client("s3")


def status_of(error: ClientError) -> int:
    """The HTTP status of a service's refusal."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def fault(error: ClientError | BotoCoreError, operation: str, service: str = "s3") -> OSError | ConfigurationError:
    """The error to raise, `from None`, in place of a store's or catalog's: its code, never its message.

    Their troubles are no document's fault, so none becomes a DocumentError here.
    """
    found = translated(error, service, operation)
    if isinstance(found, ConfigurationError):
        return found
    if isinstance(error, ClientError) and status_of(error) == 404:
        return FileNotFoundError(2, "no such object")
    return ConnectionError(found.detail)


def write_atomically(path: Path, data: bytes, drafts: Path) -> None:
    """Write a file so that it is there whole or not at all, even over a power cut, and only its owner reads it.

    Args:
        drafts: a folder on the same disk, for the file while it is written; see `processes.sweep`.
    """
    for folder in (path.parent, drafts):
        make_folder(folder)
    descriptor, temporary = tempfile.mkstemp(dir=drafts, prefix=owned_prefix())
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
