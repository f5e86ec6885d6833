"""Intake: what an inbox lists becomes receipts, and receipts become documents in the raw zone.

A receipt is an object in the lake that names sources (their names are patient data, so nothing else may): whoever finds
new arrivals writes one, and whatever run comes next takes them in. It goes when everything it names is recorded in
`document_sources`, so nothing that arrived is lost, whoever is killed when.
"""

import datetime as dt
import hashlib
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from medpipe_assets.documents.stage import SILENCE, Progress
from medpipe_assets.errors import RETRIED_BY_THEMSELVES, ConfigurationError, DocumentError, Reason
from medpipe_assets.extraction.archive import members
from medpipe_assets.extraction.media_type import ZIP, sniff
from medpipe_assets.inbox.engine import Arrival, source_id
from medpipe_assets.lake import quarantine
from medpipe_assets.lake.lake import Lake, columns_to_table
from medpipe_assets.lake.leases import Lease

INBOX = "inbox"
"""The name under which intake's failures stand in quarantine, and of its lease."""
CHUNK_SOURCES = 500
CHUNK_BYTES = 256 * 1024 * 1024
MEMBER_SEPARATOR = "!/"


@dataclass(frozen=True)
class Receipt:
    """Arrivals received together on a day; `id` is part of its key."""

    id: str
    day: dt.date
    arrivals: tuple[Arrival, ...]


@dataclass
class IntakeReport:
    """What was taken in; counts only. A ZIP counts as one source and each of its members as another."""

    sources: int = 0
    documents: int = 0
    unreadable: int = 0
    size_bytes: int = 0


RECEIPTS = "receipts/"
_RECEIPT_KEY = re.compile(rf"{RECEIPTS}(?P<day>\d{{4}}-\d\d-\d\d)/(?P<id>\w+)\.jsonl")


def _receipt_key(day: dt.date, identity: str) -> str:
    return f"{RECEIPTS}{day.isoformat()}/{identity}.jsonl"


def known_versions(lake: Lake, arrivals: Iterable[Arrival]) -> set[tuple[str, str]]:
    """(source_id, version) of all that was ever taken in from the sources of some arrivals."""
    rows = lake.read("document_sources", ("source_id", "version"))
    rows = rows.filter(pc.is_in(rows["source_id"], pa.array([a.source_id for a in arrivals], pa.string())))
    return set(zip(rows["source_id"].to_pylist(), rows["version"].to_pylist(), strict=True))


def receive(lake: Lake, arrivals: Iterable[Arrival], day: dt.date) -> Receipt | None:
    """Write a receipt for those arrivals that are new (neither taken in nor receipted); None without any."""
    waiting = {(a.source_id, a.version) for receipt in pending_receipts(lake) for a in receipt.arrivals}
    arrived = list(arrivals)
    known = known_versions(lake, arrived) | waiting
    new = {a.uri: a for a in arrived if (a.source_id, a.version) not in known}
    if not new:
        return None
    receipt = Receipt(uuid.uuid4().hex, day, tuple(new.values()))
    lines = "".join(json.dumps({"uri": a.uri, "version": a.version, "size": a.size}) + "\n" for a in receipt.arrivals)
    lake.raw.put(_receipt_key(day, receipt.id), lines.encode())
    return receipt


def pending_receipts(lake: Lake, day: dt.date | None = None) -> list[Receipt]:
    """Receipts not taken in yet, oldest day first."""
    receipts = []
    for found in lake.raw.list(f"{RECEIPTS}{day.isoformat()}/" if day else RECEIPTS):
        named = _RECEIPT_KEY.fullmatch(found.key)
        if not named:
            continue
        try:
            lines = lake.raw.get(found.key).decode().splitlines()
        except FileNotFoundError:  # another run has just finished with it
            continue
        arrivals = tuple(Arrival(**json.loads(line)) for line in lines)
        receipts.append(Receipt(named["id"], dt.date.fromisoformat(named["day"]), arrivals))
    return receipts


def take_in(
    lake: Lake,
    day: dt.date,
    fetch: Callable[[str], bytes],
    *,
    run_id: str,
    progress: Progress = SILENCE,
) -> IntakeReport:
    """Fetch what a day's receipts name, keep the bytes, and record every source.

    Args:
        fetch: bytes of a URI; a DocumentError that it raises puts that source into quarantine. Where the reason may
            pass by itself, the source's receipt stays for the next run.
    """
    report = IntakeReport()
    waiting: set[str] = set()
    # One lease for all days: the same bytes taken in on two days at once would be one document with two first days.
    with lake.leases.hold(INBOX, on_wait=lambda: progress.waiting(INBOX)) as lease:
        receipts = pending_receipts(lake, day)
        known = known_versions(lake, (a for r in receipts for a in r.arrivals))
        todo = {a.uri: a for r in receipts for a in r.arrivals if (a.source_id, a.version) not in known}
        progress.begin(INBOX, len(todo))
        chunk = _Chunk()
        for arrival in todo.values():
            _take(lake, arrival, fetch, chunk)
            progress.advance(1)
            if len(chunk.seen) >= CHUNK_SOURCES or chunk.size_bytes >= CHUNK_BYTES:
                _commit(lake, lease, day, chunk, run_id, report)
                waiting |= chunk.waiting
                chunk = _Chunk()
        _commit(lake, lease, day, chunk, run_id, report)
        waiting |= chunk.waiting
        for receipt in receipts:
            if waiting.isdisjoint(arrival.uri for arrival in receipt.arrivals):
                lake.raw.delete(_receipt_key(day, receipt.id))
    return report


@dataclass
class _Chunk:
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)  # uri, version, document_id
    failures: list[quarantine.Failure] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)  # URIs to be fetched again
    size_bytes: int = 0


def _take(lake: Lake, arrival: Arrival, fetch: Callable[[str], bytes], chunk: _Chunk) -> None:
    """Read one source, keep its document or its members' documents, and note what was seen."""
    try:
        data = fetch(arrival.uri)
        if not _is_zip(data):
            _keep(lake, arrival.uri, arrival.version, data, chunk)
            return
        found = False
        for uri, member in _members(arrival.uri, data):
            found = True
            if isinstance(member, DocumentError):
                chunk.failures.append(quarantine.Failure(source_id(uri), None, member))
                chunk.seen.append((uri, arrival.version, None))
            else:
                _keep(lake, uri, arrival.version, member, chunk)
        if not found:
            raise DocumentError(Reason.EMPTY, "an archive without files")
    except DocumentError as error:
        chunk.failures.append(quarantine.Failure(arrival.source_id, None, error))
        if error.reason in RETRIED_BY_THEMSELVES:
            chunk.waiting.add(arrival.uri)
            return
    chunk.seen.append((arrival.uri, arrival.version, None))


def _is_zip(data: bytes) -> bool:
    try:
        return sniff(data) == ZIP
    except Exception:  # the first stage says what is wrong with it, and the intake of the others goes on
        return False


def _members(uri: str, data: bytes) -> Iterator[tuple[str, bytes | DocumentError]]:
    """An archive's members by URI; of members of the same name, which archives may have, each gets its own."""
    times: Counter[str] = Counter()
    for name, member in members(data):
        times[name] += 1
        again = f"#{times[name]}" if times[name] > 1 else ""
        yield f"{uri}{MEMBER_SEPARATOR}{quote(name, errors='surrogateescape')}{again}", member


def _keep(lake: Lake, uri: str, version: str, data: bytes, chunk: _Chunk) -> None:
    chunk.seen.append((uri, version, lake.keep(data)))
    chunk.size_bytes += len(data)


def _commit(lake: Lake, lease: Lease, day: dt.date, chunk: _Chunk, run_id: str, report: IntakeReport) -> None:
    if not chunk.seen and not chunk.failures:
        return
    now = dt.datetime.now(dt.UTC)
    count = len(chunk.seen)
    uris = [uri for uri, _, _ in chunk.seen]
    versions = [version for _, version, _ in chunk.seen]
    documents = [document_id for _, _, document_id in chunk.seen]
    sources = [source_id(uri) for uri in uris]
    sequence = list(lake.leases.next_numbers("document_sources", count))
    with lake.leases.commit(lease):
        quarantine.record(lake, INBOX, day, chunk.failures, sources, run_id=run_id, now=now)
        read = set(sources) - {failure.source_id for failure in chunk.failures}
        for earlier in _days_of_failures(lake, read) - {day}:
            quarantine.record(lake, INBOX, earlier, [], read, run_id=run_id, now=now)
        columns: dict[str, list[Any]] = {
            "source_id": sources,
            "document_id": documents,
            "ingest_date": [day] * count,
            "uri": uris,
            "version": versions,
            "received_at": [now] * count,
            "sequence": sequence,
            "deleted": [False] * count,
            "run_id": [run_id] * count,
            "processed_at": [now] * count,
        }
        lake.write("document_sources", columns_to_table("document_sources", columns))
    report.sources += count
    report.documents += sum(d is not None for d in documents)
    report.unreadable += len(chunk.failures)
    report.size_bytes += chunk.size_bytes


def _days_of_failures(lake: Lake, sources: Collection[str]) -> set[dt.date]:
    """The days on which these sources failed to be read and that nothing has resolved since."""
    standing = quarantine.open_failures(lake)
    return {row["ingest_date"] for row in standing if row["stage"] == INBOX and row["source_id"] in sources}


def documents_of(lake: Lake, uris: Collection[str]) -> dict[str, list[str]]:
    """The current documents of sources (and of the members of ZIPs), with the URIs that hold each, in listed order."""
    rows = lake.read("document_sources", ("uri", "document_id", "sequence", "deleted"))
    latest: dict[str, tuple[int, str | None]] = {}
    for uri, document_id, sequence, deleted in zip(*(rows[c].to_pylist() for c in rows.column_names), strict=True):
        if uri.split(MEMBER_SEPARATOR)[0] in uris and sequence > latest.get(uri, (0, None))[0]:
            latest[uri] = (sequence, None if deleted else document_id)
    found: dict[str, list[str]] = {}
    for uri, (_, document_id) in sorted(latest.items()):
        if document_id is not None:
            found.setdefault(document_id, []).append(uri)
    return found


def keep_list(lake: Lake, documents: Collection[str]) -> str:
    """Put a list of document ids into the lake, for a run's configuration to name; returns its id."""
    listed = "\n".join(sorted(documents)).encode()
    identity = hashlib.sha256(listed).hexdigest()[:32]
    lake.raw.put(f"lists/{identity}", listed)
    return identity


def read_list(lake: Lake, identity: str) -> frozenset[str]:
    """The document ids of a list.

    Raises:
        ConfigurationError: where there is no such list.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", identity):
        raise ConfigurationError("a document_list is named by 32 hex digits")
    try:
        return frozenset(lake.raw.get(f"lists/{identity}").decode().splitlines())
    except FileNotFoundError:
        raise ConfigurationError(f"there is no document_list {identity} in this lake") from None
