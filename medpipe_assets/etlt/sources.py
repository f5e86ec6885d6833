"""Extract: what a dataset's files are, their bytes as they came, and a receipt for each version of each file.

How files are listed and fetched is the places' matter (places, https, sftp). File names are patient data: they stand in
the lake and nowhere else.
"""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa
from pyiceberg.expressions import EqualTo

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.secrets import secret
from medpipe_assets.documents.stage import SILENCE, Progress
from medpipe_assets.errors import RETRIED_BY_THEMSELVES, ConfigurationError, DocumentError, RunStopError
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.flatten import STAGE
from medpipe_assets.etlt.https import HttpsPlace
from medpipe_assets.etlt.packing import is_zip, members
from medpipe_assets.etlt.places import Draft, Found, LocalPlace, Place, S3Place, fetched
from medpipe_assets.etlt.sftp import SftpPlace
from medpipe_assets.etlt.zone_files import drafts, keep
from medpipe_assets.inbox.engine import Arrival, source_id
from medpipe_assets.lake import quarantine
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.leases import Lease
from medpipe_assets.lake.location import ZONES
from medpipe_assets.lake.schemas import DATASET_FILES

UPLOADS = "uploads"
MEMBER_SEPARATOR = "!/"
CHUNK_FILES = 500
CHUNK_BYTES = 4 << 30
WATCHED_DAYS = 2
"""A watched place is read into today and, for a run that was asked for before midnight, yesterday; a backfill of older
days takes nothing new."""
_BLOCK = 8 << 20


@dataclass
class ExtractReport:
    """What was received; counts only.

    Attributes:
        files: versions of files received now; each member of a ZIP is one.
        unchanged: versions asked for, or found in the watched place, that had been received before.
        failed: files that could not be fetched, now in quarantine.
        size_bytes: of `files`.
    """

    files: int = 0
    unchanged: int = 0
    failed: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What a watched place looks like: enough to see that it has changed, and since when it has not.

    Attributes:
        signature: a hash of names and versions.
        files: how many there are.
        newest: when the last of them changed, where the place tells.
    """

    signature: str
    files: int
    newest: dt.datetime | None


def raw_key(dataset: str, file_id: str) -> str:
    """Key of a file's bytes in the raw zone."""
    return f"datasets/{dataset}/{file_id[:2]}/{file_id}"


def watched_place(lake: Lake, contract: Contract, uploads: str = "") -> str:
    """The address that a dataset's files are looked for at; empty where there is none.

    Args:
        uploads: a folder or prefix with a folder for each dataset, for contracts without an address of their own;
            `uploads` in a local lake when empty.
    """
    if contract.source.uri:
        return contract.source.uri
    if not uploads:
        uploads = "" if lake.location.is_remote else str(lake.location.home / UPLOADS)
    return f"{uploads.rstrip('/')}/{contract.dataset}/" if uploads else ""


def request(
    lake: Lake, contract: Contract, uris: Iterable[str], day: dt.date, *, clients: Clients | None = None
) -> int:
    """Ask for files to be received on a day; returns how many of them have not been yet, in their present version.

    Args:
        uris: paths, or file://, s3://, https:// and sftp:// addresses, of files, folders or prefixes.

    Raises:
        ConfigurationError: for an address where nothing can be.
        RunStopError: where nobody answers.
    """
    known = _known(lake, contract)
    found = {a.uri: a for uri in uris for a in (f.arrival for f in _listing(lake, contract, uri, clients))}
    new = [arrival for arrival in found.values() if (arrival.uri, arrival.version) not in known]
    if new:
        lines = "".join(json.dumps({"uri": a.uri, "version": a.version, "size": a.size}) + "\n" for a in new)
        lake.raw.put(f"{_notes(contract, day)}{uuid.uuid4().hex}.jsonl", lines.encode())
    return len(new)


def received_on(lake: Lake, contract: Contract, uris: Iterable[str], *, clients: Clients | None = None) -> set[dt.date]:
    """The days on which what is at the addresses now was received; as `request` for what may be raised."""
    versions = {(a.uri, a.version) for uri in uris for a in (f.arrival for f in _listing(lake, contract, uri, clients))}
    rows = lake.read("dataset_files", ("uri", "version", "load_date"), where=EqualTo("dataset", contract.dataset))
    return {
        row["load_date"]
        for row in rows.to_pylist()
        if (row["uri"].split(MEMBER_SEPARATOR)[0], row["version"]) in versions
    }


def changes(lake: Lake, contract: Contract, clients: Clients | None = None, *, uploads: str = "") -> Changes:
    """What the watched place looks like now; nothing is fetched.

    Raises:
        ConfigurationError, RunStopError: as `request`.
    """
    digest, files, newest = hashlib.sha256(), 0, None
    for found in _watched(lake, contract, clients, uploads):
        digest.update(f"{found.arrival.uri}\n{found.arrival.version}\n".encode())
        files += 1
        newest = max(filter(None, (newest, found.modified)), default=None)
    return Changes(digest.hexdigest(), files, newest)


def extract(
    lake: Lake,
    contract: Contract,
    day: dt.date,
    *,
    run_id: str,
    clients: Clients | None = None,
    uploads: str = "",
    progress: Progress = SILENCE,
) -> ExtractReport:
    """Receive what was asked for on a day, and what is new in the watched place.

    A file's bytes are in the raw zone before its receipt is in `dataset_files`. A file that cannot be fetched goes into
    quarantine, the others go on.

    Raises:
        ConfigurationError, RunStopError: as `request`.
    """
    owner = f"{contract.dataset}_raw"
    with lake.leases.hold(owner, on_wait=lambda: progress.waiting(owner)) as lease:
        notes = _pending(lake, contract, day)
        asked = {arrival.uri: arrival for arrivals in notes.values() for arrival in arrivals}
        if day > dt.datetime.now(dt.UTC).date() - dt.timedelta(days=WATCHED_DAYS):
            asked |= {f.arrival.uri: f.arrival for f in _watched(lake, contract, clients, uploads)}
        known = _known(lake, contract) if asked else set()
        todo = [arrival for arrival in asked.values() if (arrival.uri, arrival.version) not in known]
        receipt = _Receipt(lake, contract, day, lease, run_id, known)
        receipt.report.unchanged = len(asked) - len(todo)
        progress.begin(owner, len(todo))
        if todo:
            with drafts(lake, "raw", owner) as folder:
                for arrival in todo:
                    receipt.take(_place(lake, contract, arrival.uri, clients), arrival, folder)
                    progress.advance(1)
                receipt.commit()
        for key, arrivals in notes.items():
            if receipt.waiting.isdisjoint(arrival.uri for arrival in arrivals):
                lake.raw.delete(key)
    return receipt.report


def _place(lake: Lake, contract: Contract, uri: str, clients: Clients | None) -> Place:
    """The place of an address.

    Raises:
        ConfigurationError: for a scheme that is none of ours, or a password in the address.
    """
    scheme, _, _ = uri.partition("://") if "://" in uri else ("file", "", "")
    name = contract.source.credentials
    reveal = (lambda: secret(name, clients=clients)) if name else None
    if scheme == "file":
        return LocalPlace()
    if scheme == "s3":
        return S3Place(clients or Clients(), tuple(lake.location.zone(zone) for zone in ZONES))
    if urlsplit(uri).password:
        raise ConfigurationError("a password has no place in an address: name a secret by source.credentials")
    if scheme in ("https", "http"):
        return HttpsPlace(reveal)
    if scheme == "sftp":
        return SftpPlace(reveal)
    raise ConfigurationError("files are at a path, or a file://, s3://, https:// or sftp:// address")


def _listing(lake: Lake, contract: Contract, address: str, clients: Clients | None) -> Iterator[Found]:
    try:
        yield from _place(lake, contract, address, clients).listing(address)
    except DocumentError as error:
        kind = RunStopError if error.reason in RETRIED_BY_THEMSELVES else ConfigurationError
        raise kind(f"{contract.dataset}: what is at an address cannot be listed ({error})") from None


def _watched(lake: Lake, contract: Contract, clients: Clients | None, uploads: str) -> Iterator[Found]:
    address = watched_place(lake, contract, uploads)
    is_missing = "://" not in address and not Path(address).expanduser().exists()
    if address and not is_missing:
        yield from _listing(lake, contract, address, clients)


def _known(lake: Lake, contract: Contract) -> set[tuple[str, str]]:
    """(uri, version) of everything ever received; a ZIP by its own, not its members'."""
    rows = lake.read("dataset_files", ("uri", "version"), where=EqualTo("dataset", contract.dataset))
    uris = (uri.split(MEMBER_SEPARATOR)[0] for uri in rows["uri"].to_pylist())
    return set(zip(uris, rows["version"].to_pylist(), strict=True))


def _notes(contract: Contract, day: dt.date) -> str:
    return f"requests/{contract.dataset}/{day.isoformat()}/"


def _pending(lake: Lake, contract: Contract, day: dt.date) -> dict[str, list[Arrival]]:
    """What was asked for on a day and is not received yet, by the key of the note that says so."""
    found = {}
    for note in list(lake.raw.list(_notes(contract, day))):
        lines = lake.raw.get(note.key).decode().splitlines()
        found[note.key] = [Arrival(**json.loads(line)) for line in lines]
    return found


@dataclass
class _Receipt:
    """Files received and not recorded yet, and what has been recorded."""

    lake: Lake
    contract: Contract
    day: dt.date
    lease: Lease
    run_id: str
    known: Collection[tuple[str, str]]
    report: ExtractReport = field(default_factory=ExtractReport)
    waiting: set[str] = field(default_factory=set)  # URIs to be fetched again
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _failures: list[quarantine.Failure] = field(default_factory=list)
    _tried: set[str] = field(default_factory=set)

    def take(self, place: Place, arrival: Arrival, folder: Path) -> None:
        """Fetch a file, keep its bytes or those of its members, and note what came."""
        self._tried.add(arrival.source_id)
        draft = folder / "draft"
        try:
            with Draft(draft) as file:
                version = fetched(place, arrival, file)
            version = version or f"sha256 {file.sha256.hex()}"
            if not is_zip(draft):
                self._keep(arrival.uri, version, file.sha256.hex(), draft)
            else:
                self._keep_members(arrival.uri, version, draft, folder)
        except DocumentError as error:
            self._fail(arrival.uri, error)
            if error.reason in RETRIED_BY_THEMSELVES:
                self.waiting.add(arrival.uri)
        if len(self._rows) >= CHUNK_FILES or sum(row["size_bytes"] for row in self._rows) >= CHUNK_BYTES:
            self.commit()

    def _keep_members(self, uri: str, version: str, archive: Path, folder: Path) -> None:
        for name, member in members(archive, folder):
            own = f"{uri}{MEMBER_SEPARATOR}{quote(name, errors='surrogateescape')}"
            self._tried.add(source_id(own))
            if isinstance(member, DocumentError):
                self._fail(own, member)
            else:
                with member.open("rb") as file:
                    self._keep(own, version, hashlib.file_digest(file, "sha256").hexdigest(), member)

    def _keep(self, uri: str, version: str, file_id: str, draft: Path) -> None:
        if (uri, version) in self.known:  # of a server that told no version before
            self.report.unchanged += 1
            return
        key = raw_key(self.contract.dataset, file_id)
        size = draft.stat().st_size
        keep(self.lake, "raw", key, draft)
        self._rows.append(
            {
                "dataset": self.contract.dataset,
                "load_date": self.day,
                "file_id": file_id,
                "uri": uri,
                "version": version,
                "size_bytes": size,
                "received_at": dt.datetime.now(dt.UTC),
                "raw_key": key,
            }
        )

    def _fail(self, uri: str, error: DocumentError) -> None:
        self._failures.append(quarantine.Failure(source_id(uri), None, error))

    def commit(self) -> None:
        """Record what came since the last time."""
        if not self._rows and not self._failures:
            return
        now = dt.datetime.now(dt.UTC)
        numbers = self.lake.leases.next_numbers(f"dataset_files {self.contract.dataset}", max(1, len(self._rows)))
        rows = [
            row | {"sequence": number, "run_id": self.run_id, "processed_at": now}
            for row, number in zip(self._rows, numbers, strict=False)
        ]
        with self.lake.leases.commit(self.lease):
            if rows:
                self.lake.write("dataset_files", pa.Table.from_pylist(rows, schema=DATASET_FILES.schema))
            if self._failures or self.lake.exists("quarantine"):
                self._quarantine(now)
        self.report.files += len(rows)
        self.report.size_bytes += sum(row["size_bytes"] for row in rows)
        self.report.failed += len(self._failures)
        self._rows, self._failures, self._tried = [], [], set()

    def _quarantine(self, now: dt.datetime) -> None:
        """Record failures; and that what was read now failed before, when it was fetched or in an older version."""
        read = self._tried - {failure.source_id for failure in self._failures}
        standing = [row for row in quarantine.open_failures(self.lake) if row["stage"] == STAGE]
        settled = [row for row in standing if row["source_id"] in read]
        tried = self._tried | {row["document_id"] for row in settled if row["document_id"]}
        for day in {row["ingest_date"] for row in settled} - {self.day}:
            quarantine.record(self.lake, STAGE, day, [], tried, run_id=self.run_id, now=now)
        quarantine.record(self.lake, STAGE, self.day, self._failures, tried, run_id=self.run_id, now=now)
