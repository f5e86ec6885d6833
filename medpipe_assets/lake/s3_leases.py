"""The leases of a lake on S3: an object a lease, changed by conditional writes alone.

What holds: one run acquires a lease at a time, each under a higher fence; a lease that nobody has renewed for
LEASE_SECONDS can be taken over; whoever was overtaken learns it at his next commit at the latest. Ages are told by S3's
clock alone, so the clocks of machines don't matter.

What cannot hold without a transaction that spans S3 and the catalog: a holder that is stopped for longer than
LEASE_SECONDS between the renewal that opens a commit and the end of that commit may still write after another run took
over. Then the ledger decides: verdicts of the higher fence are in force, the rows of others don't count and go with the
next sweep. Nor are the commits of a lake serial: the catalog lets one of two win, and `Lake` repeats the other.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.lake import leases
from medpipe_assets.lake.leases import Lease, Leases, lost
from medpipe_assets.lake.objects import CONFLICTS, S3Objects, fault, status_of

WRITE_TRIES = 20
"""More than the writers that ever contend for one object at the same moment."""


@dataclass(frozen=True)
class _Record:
    """What a lease's object says. While it is held, `clean` is what its holder found."""

    fence: int = 0
    holder: str = ""
    clean: bool = True
    # Two equal objects can have the same ETag: a run that takes over has to see that there was a renewal since.
    written: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class _Found:
    """An object as it was read."""

    content: dict[str, Any]
    etag: str
    age: dt.timedelta


class S3Leases(Leases):
    """The leases kept below a store's root, in `leases/`; those objects must never be removed, or fences start anew."""

    def __init__(self, store: S3Objects) -> None:
        self._store = store

    def _try_acquire(self, name: str) -> Lease | None:
        found = self._read(_lease_key(name))
        record = _Record(**found.content) if found else _Record()
        if found and record.holder and found.age < dt.timedelta(seconds=leases.LEASE_SECONDS):
            return None
        mine = _Record(record.fence + 1, uuid.uuid4().hex, record.clean and not record.holder)
        if not self._write(_lease_key(name), asdict(mine), found):
            # An answer that was lost on its way is sent for again, and then refused.
            again = self._read(_lease_key(name))
            if again is None or again.content["holder"] != mine.holder:
                return None
        return Lease(name, mine.fence, mine.clean)

    def _renew(self, lease: Lease) -> bool:
        return self._rewrite(lease)

    def _release(self, lease: Lease, clean: bool) -> None:
        with suppress(ConnectionError):  # it then expires, and is known to be unclean
            self._rewrite(lease, holder="", clean=clean)

    def _rewrite(self, lease: Lease, **changes: Any) -> bool:
        """Write a lease that is held once more, changed or not; False where it is held no longer."""
        key = _lease_key(lease.name)
        for _ in range(WRITE_TRIES):
            found = self._read(key)
            if found is None or found.content["fence"] != lease.fence or not found.content["holder"]:
                return False
            if self._write(key, {**found.content, **changes, "written": uuid.uuid4().hex}, found):
                return True
        raise ConnectionError(f"s3: the lease '{lease.name}' cannot be written")

    @contextmanager
    def commit(self, lease: Lease) -> Iterator[None]:
        if not self._rewrite(lease):
            raise lost(lease)
        yield

    def next_numbers(self, name: str, count: int) -> range:
        key = f"counters/{name}"
        for _ in range(WRITE_TRIES):
            found = self._read(key)
            first = (found.content["value"] if found else 0) + 1
            if self._write(key, {"value": first + count - 1, "written": uuid.uuid4().hex}, found):
                return range(first, first + count)
        raise ConnectionError(f"s3: the counter '{name}' cannot be written")

    def _read(self, key: str) -> _Found | None:
        try:
            answer = self._client.get_object(**self._store.address(key))
            content = json.loads(answer["Body"].read())
        except (ClientError, BotoCoreError) as error:
            failure = fault(error, "GetObject")
            if isinstance(failure, FileNotFoundError):
                return None
            raise failure from None
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return _Found(content, answer["ETag"], now - answer["LastModified"])

    def _write(self, key: str, content: dict[str, Any], before: _Found | None) -> bool:
        """Write an object if it is still as it was read; False where it is not."""
        condition = {"IfMatch": before.etag} if before else {"IfNoneMatch": "*"}
        address, encryption = self._store.address(key), self._store.encryption
        try:
            self._client.put_object(**address, **encryption, **condition, Body=json.dumps(content).encode())
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and status_of(error) in CONFLICTS:
                return False
            raise fault(error, "PutObject") from None
        return True

    @property
    def _client(self) -> Any:
        return self._store.clients.client("s3")


def _lease_key(name: str) -> str:
    return f"leases/{name.replace(' ', '/')}"
