"""What an inbox on S3 learns, recorded in the lake: news of the queue, the nightly comparison, dead letters.

Nothing is processed here: arrivals become receipts, sources that are gone get a row that says so. News may come twice,
late and in any order; whatever is older than what is known changes nothing.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medpipe_assets.documents.intake import INBOX, MEMBER_SEPARATOR, RECEIPTS, pending_receipts, receive
from medpipe_assets.errors import Reason
from medpipe_assets.inbox.engine import Arrival, source_id
from medpipe_assets.inbox.notifications import Deleted, order
from medpipe_assets.inbox.reconciliation import Known, compare
from medpipe_assets.inbox.s3 import S3Inbox, Version
from medpipe_assets.inbox.sqs import DeadLetter
from medpipe_assets.lake import quarantine
from medpipe_assets.lake.lake import Lake, columns_to_table


@dataclass(frozen=True, slots=True)
class Seen:
    """A source as it was last seen: taken in, gone, or (with no document yet) waiting in a receipt."""

    version: str
    document_id: str | None = None
    deleted: bool = False
    waiting: bool = False


def last_seen(lake: Lake) -> dict[str, Seen]:
    """Every source by URI."""
    names = ("uri", "version", "document_id", "deleted", "sequence")
    rows = lake.read("document_sources", names).sort_by("sequence")
    columns = (rows[name].to_pylist() for name in names[:-1])
    seen = {uri: Seen(version, document, gone) for uri, version, document, gone in zip(*columns, strict=True)}
    waiting = (arrival for receipt in pending_receipts(lake) for arrival in receipt.arrivals)
    for arrival in waiting:
        if arrival.uri not in seen or not is_late(arrival.version, seen[arrival.uri]):
            seen[arrival.uri] = Seen(arrival.version, waiting=True)
    return seen


def is_late(version: str, seen: Seen) -> bool:
    """Whether an announced version is the one last seen, or an older one: the message is a duplicate, or late.

    A source that could not be read last time is not: the same bytes may be put there again because of that.
    """
    told, known = Version.parse(version), Version.parse(seen.version)
    if told is None or known is None:
        return False
    if told.sequencer and known.sequencer:
        return order(told.sequencer) <= order(known.sequencer)
    return told.same_bytes(known) and (seen.document_id is not None or seen.waiting)


def record_news(
    lake: Lake, arrivals: Iterable[Arrival], deleted: Iterable[Deleted], day: dt.date, *, run_id: str
) -> None:
    """Receipt what arrived, and record what is gone, unless something newer is known.

    Args:
        day: on which it is received.
        run_id: who records it.
    """
    seen = last_seen(lake)
    receive(lake, [a for a in arrivals if a.uri not in seen or not is_late(a.version, seen[a.uri])], day)
    ended = {d.uri: str(Version("", 0, None, d.sequencer, d.version_id)) for d in deleted if _ends(d, seen)}
    record_gone(lake, ended, seen, day, run_id=run_id)


def _ends(deletion: Deleted, seen: Mapping[str, Seen]) -> bool:
    known = seen.get(deletion.uri)
    return known is not None and not known.deleted and deletion.concerns(known.version)


def record_gone(lake: Lake, ended: Mapping[str, str], seen: Mapping[str, Seen], day: dt.date, *, run_id: str) -> None:
    """Record that sources, and the members of those that are ZIPs, are gone; and leave a receipt of nothing, so that
    the day is run and the consumer tables drop their documents.

    Args:
        ended: the version to record by URI.
    """
    gone = {
        uri: ended[uri.split(MEMBER_SEPARATOR)[0]]
        for uri, known in seen.items()
        if uri.split(MEMBER_SEPARATOR)[0] in ended and not known.deleted and not known.waiting
    }
    if not gone:
        return
    count, now = len(gone), dt.datetime.now(dt.UTC)
    columns: dict[str, list[Any]] = {
        "source_id": [source_id(uri) for uri in gone],
        "document_id": [None] * count,
        "ingest_date": [day] * count,
        "uri": list(gone),
        "version": list(gone.values()),
        "received_at": [now] * count,
        "sequence": list(lake.leases.next_numbers("document_sources", count)),
        "deleted": [True] * count,
        "run_id": [run_id] * count,
        "processed_at": [now] * count,
    }
    lake.write("document_sources", columns_to_table("document_sources", columns))
    lake.raw.put(f"{RECEIPTS}{day.isoformat()}/{uuid.uuid4().hex}.jsonl", b"")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Counts of a comparison: objects known before it, what no message had announced, and what is gone."""

    known: int
    unannounced: int
    gone: int


def reconcile(lake: Lake, inbox: S3Inbox, day: dt.date, *, run_id: str) -> Reconciled:
    """List the whole inbox, receipt what no message announced, and record what is gone.

    Raises:
        ConfigurationError, DocumentError: where it cannot be listed; then nothing is recorded.
    """
    seen = last_seen(lake)
    found = compare(inbox.arrivals(), [Known(uri, s.version, s.deleted) for uri, s in seen.items()], inbox.holds)
    receive(lake, found.unannounced, day)
    moment = int(dt.datetime.now(dt.UTC).timestamp())
    gone = [uri for uri in found.gone if not seen[uri].waiting]  # intake will find those that wait gone itself
    record_gone(lake, dict.fromkeys(gone, str(Version("", 0, moment))), seen, day, run_id=run_id)
    return Reconciled(len(seen), len(found.unannounced), len(gone))


def quarantine_letters(lake: Lake, letters: Sequence[DeadLetter], day: dt.date, *, run_id: str) -> int:
    """Put dead letters into quarantine, once each; how many were new."""
    standing = {row["source_id"] for row in _standing(lake)}
    new = [letter for letter in letters if letter.source_id not in standing]
    failures = [quarantine.Failure(letter.source_id, None, letter.error) for letter in new]
    _record(lake, day, failures, [letter.source_id for letter in new], run_id)
    return len(new)


def release_letters(lake: Lake, *, run_id: str) -> int:
    """Resolve the quarantine of dead letters, when they are back in the queue; how many. Those that die again are new
    messages to SQS, and come back under another id."""
    standing = _standing(lake)
    for day in {row["ingest_date"] for row in standing}:
        _record(lake, day, [], [row["source_id"] for row in standing if row["ingest_date"] == day], run_id)
    return len(standing)


def _standing(lake: Lake) -> list[dict[str, Any]]:
    rows = quarantine.open_failures(lake)
    return [row for row in rows if row["stage"] == INBOX and row["reason"] == Reason.BAD_MESSAGE.value]


def _record(lake: Lake, day: dt.date, failures: list[quarantine.Failure], tried: Collection[str], run_id: str) -> None:
    quarantine.record(lake, INBOX, day, failures, tried, run_id=run_id, now=dt.datetime.now(dt.UTC))
