"""Leases: who may write a stage's day, fenced so that a run that lost its lease can no longer commit.

Iceberg appends never conflict, so nothing in the tables keeps two runs from doing the same work twice; this does. What
a lease is and promises is here, and the leases of a local lake: rows of a small SQLite database beside the catalog.
Those of a lake on S3 are in s3_leases.
"""

import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from medpipe_assets.lake.processes import lives, this_process
from medpipe_assets.privacy import create_private

LEASE_SECONDS = 120.0
"""How long a lease stands without a renewal where nobody can see whether its holder lives."""
RENEWAL_SECONDS = 30.0
POLL_SECONDS = 0.2
BUSY_TIMEOUT_MS = 120_000

_SCHEMA = """
create table if not exists lease (
    name text primary key, fence integer not null, holder text, clean integer not null, expires_at real not null
);
create table if not exists counter (name text primary key, value integer not null);
"""


class LeaseLostError(Exception):
    """Another run took the lease over: this run's uncommitted chunk is abandoned, and the other run does the work."""


@dataclass(frozen=True)
class Lease:
    """A lease held. `clean` says whether the holder before this one released it, or was cut off."""

    name: str
    fence: int
    clean: bool


class Leases(ABC):
    """The leases of one lake.

    Each acquisition of a lease has a higher `fence` than all before it. Its holder renews it in a thread as long as the
    block lasts.
    """

    @contextmanager
    def hold(self, name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[Lease]:
        """Hold a lease for the length of a `with` block, waiting while a living run has it.

        Args:
            name: e.g. 'extracted_text 2026-11-20'.
            on_wait: called once when there is somebody to wait for.
        """
        lease = self._try_acquire(name)
        if lease is None:
            on_wait()
        while lease is None:
            time.sleep(POLL_SECONDS)
            lease = self._try_acquire(name)
        clean, released = False, threading.Event()
        renewal = threading.Thread(target=self._keep_renewing, args=(lease, released), daemon=True)
        renewal.start()
        try:
            yield lease
            clean = True
        finally:
            released.set()
            renewal.join()
            self._release(lease, clean)

    def _keep_renewing(self, lease: Lease, released: threading.Event) -> None:
        while not released.wait(RENEWAL_SECONDS):
            with suppress(ConnectionError):  # the next one may go through; a commit looks again anyway
                if not self._renew(lease):
                    return

    @abstractmethod
    def commit(self, lease: Lease) -> AbstractContextManager[None]:
        """The block in which a holder may change tables.

        Raises:
            LeaseLostError: where another run holds the lease by now; the block is not entered.
        """

    @abstractmethod
    def next_numbers(self, name: str, count: int) -> range:
        """`count` numbers, higher than all given out before under this name."""

    @abstractmethod
    def _try_acquire(self, name: str) -> Lease | None:
        """The lease, or None where another holds it."""

    @abstractmethod
    def _renew(self, lease: Lease) -> bool:
        """Let the lease stand for another LEASE_SECONDS; False where another run has taken it."""

    @abstractmethod
    def _release(self, lease: Lease, clean: bool) -> None:
        """Give the lease back, if it is still ours."""


def lost(lease: Lease) -> LeaseLostError:
    """The error of a holder that was overtaken."""
    return LeaseLostError(f"the lease '{lease.name}' was taken over by another run, which does the work")


def _stands(holder: str, expires_at: float) -> bool:
    """Whether a lease still binds others: a process of this machine as long as it lives, another's until it expires.

    So neither a clock set back nor a document that takes an hour lets two runs into the same work.
    """
    alive = lives(holder)
    return expires_at > time.time() if alive is None else alive


class SqliteLeases(Leases):
    """The leases of a local lake, in `path` (made when absent).

    A commit happens inside a transaction that first sees the fence still in force, so the commits of one lake are also
    serial, and none is made under a lost lease.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        create_private(path)
        with self._connect() as connection:
            connection.executescript(_SCHEMA)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connect() as connection:
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")

    def _try_acquire(self, name: str) -> Lease | None:
        with self._transaction() as connection:
            row = connection.execute("select fence, holder, clean, expires_at from lease where name = ?", [name])
            fence, holder, clean, expires_at = row.fetchone() or (0, None, 1, 0.0)
            if holder is not None and _stands(holder, expires_at):
                return None
            connection.execute(
                "insert or replace into lease values (?, ?, ?, 0, ?)",
                [name, fence + 1, this_process(), time.time() + LEASE_SECONDS],
            )
            return Lease(name, fence + 1, bool(clean))

    def _renew(self, lease: Lease) -> bool:
        with self._transaction() as connection:
            renewed = connection.execute(
                "update lease set expires_at = ? where name = ? and fence = ?",
                [time.time() + LEASE_SECONDS, lease.name, lease.fence],
            )
            return renewed.rowcount == 1

    def _release(self, lease: Lease, clean: bool) -> None:
        with self._transaction() as connection:
            connection.execute(
                "update lease set holder = null, clean = ? where name = ? and fence = ?",
                [int(clean), lease.name, lease.fence],
            )

    @contextmanager
    def commit(self, lease: Lease) -> Iterator[None]:
        with self._transaction() as connection:
            row = connection.execute("select fence from lease where name = ?", [lease.name]).fetchone()
            if row is None or row[0] != lease.fence:
                raise lost(lease)
            yield

    def next_numbers(self, name: str, count: int) -> range:
        with self._transaction() as connection:
            row = connection.execute("select value from counter where name = ?", [name]).fetchone()
            first = (row[0] if row else 0) + 1
            connection.execute("insert or replace into counter values (?, ?)", [name, first + count - 1])
        return range(first, first + count)
