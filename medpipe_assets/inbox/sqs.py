"""The queue that S3 tells its news to: draining it, and looking after its dead letters.

What the messages mean is in notifications.py. A message leaves the queue when what it says is recorded, never before.
"""

import datetime as dt
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.faults import code_of, translated
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.inbox.engine import Arrival, source_id
from medpipe_assets.inbox.notifications import BadMessage, Deleted, Event, fold, parse

T = TypeVar("T")

BATCH = 10
"""Messages a request may carry. Source: SQS quotas."""
THREADS = 8
POLL_SECONDS = 2
"""How long a receive waits for the first message: any wait asks all of SQS's servers, so that nothing means empty."""
RECORD_SECONDS = 600
"""How long recording and deleting may take before the messages are seen again."""
LIMIT = 50_000
"""Messages a drain takes at most: SQS lets 120,000 be in flight, and the events of these fit in some 50 MB."""
MOST_HIDDEN = 12 * 3600
"""Seconds that a message may be kept invisible. Source: SQS quotas."""


@dataclass(frozen=True, slots=True)
class DrainReport:
    """Counts of a drain: messages received, those among them that could not be understood, events told, sources that
    arrived or are gone, and messages that could not be deleted (they come again and change nothing)."""

    messages: int
    bad_messages: int
    events: int
    arrivals: int
    deleted: int
    undeleted: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up. `readable` ones failed for another reason than their form: redrive them."""

    message_id: str
    sent_at: dt.datetime
    receives: int
    readable: bool

    @property
    def source_id(self) -> str:
        """The source that its quarantine row names: there is no other name for what cannot be understood."""
        return source_id(f"sqs:{self.message_id}")

    @property
    def error(self) -> DocumentError:
        """Why it stands in quarantine."""
        return DocumentError(Reason.BAD_MESSAGE, f"message {self.message_id}, received {self.receives} times")


@dataclass
class _Haul:
    """What a thread has received: how to delete it, what it says, and what ended the thread early."""

    receipts: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    bad: int = 0
    error: DocumentError | ConfigurationError | None = None


def drain(
    queue_url: str,
    client: Any,
    receive: Callable[[list[Arrival], list[Deleted]], None],
    seconds: float = 20,
    *,
    holds: Callable[[str], bool] = lambda uri: True,
    threads: int = THREADS,
    limit: int = LIMIT,
) -> DrainReport:
    """Take messages until the queue is empty or time is up, record what they say, then delete them.

    Messages that cannot be understood stay, and the queue's redrive policy moves them to its dead letters. So does it
    all others when `receive` raises time and again; `redrive` brings them back.

    Args:
        receive: records arrivals and deletions, at most one a source; called once, not at all when there are none.
        seconds: how long to take messages.
        holds: which URIs are of interest; news of others is deleted unrecorded.
        limit: messages to take at most (give or take a batch a thread).

    Raises:
        ConfigurationError: no such queue, or no permission.
        DocumentError: engine_unavailable; what had been received by then is recorded and deleted all the same.
        Exception: whatever `receive` raises; then nothing is deleted.
    """
    started = time.monotonic()
    take = partial(_take, client, queue_url, started + seconds, math.ceil(limit / threads), int(seconds))
    with ThreadPoolExecutor(threads, "drain") as pool:
        hauls = [future.result() for future in [pool.submit(take) for _ in range(threads)]]
        arrivals, deleted = fold(event for haul in hauls for event in haul.events)
        arrivals = [arrival for arrival in arrivals if holds(arrival.uri)]
        deleted = [deletion for deletion in deleted if holds(deletion.uri)]
        if arrivals or deleted:
            receive(arrivals, deleted)
        receipts = [receipt for haul in hauls for receipt in haul.receipts]
        undeleted = sum(pool.map(partial(_delete, client, queue_url), _batches(receipts)))
    for haul in hauls:
        if haul.error:
            raise haul.error
    bad = sum(haul.bad for haul in hauls)
    events = sum(len(haul.events) for haul in hauls)
    elapsed = time.monotonic() - started
    return DrainReport(len(receipts) + bad, bad, events, len(arrivals), len(deleted), undeleted, elapsed)


def _take(client: Any, queue_url: str, deadline: float, limit: int, seconds: int) -> _Haul:
    """One thread's part: receive until nothing comes, time is up, or it has its share."""
    haul = _Haul()
    request = {
        "QueueUrl": queue_url,
        "MaxNumberOfMessages": BATCH,
        "VisibilityTimeout": min(seconds + POLL_SECONDS + RECORD_SECONDS, MOST_HIDDEN),
    }
    try:
        while len(haul.receipts) + haul.bad < limit and (left := deadline - time.monotonic()) > 0:
            with _calling("ReceiveMessage"):
                answer = client.receive_message(**request, WaitTimeSeconds=min(POLL_SECONDS, math.ceil(left)))
            messages = answer.get("Messages", ())
            if not messages:
                break
            for message in messages:
                _read(message, haul)
    except (DocumentError, ConfigurationError) as error:
        haul.error = error
    return haul


def _read(message: dict[str, Any], haul: _Haul) -> None:
    try:
        haul.events += parse(message["Body"])
    except BadMessage:
        haul.bad += 1
    else:
        haul.receipts.append(message["ReceiptHandle"])


def _delete(client: Any, queue_url: str, receipts: Sequence[str]) -> int:
    """Delete a batch; how many of it could not be."""
    entries = [{"Id": str(i), "ReceiptHandle": receipt} for i, receipt in enumerate(receipts)]
    try:
        return len(client.delete_message_batch(QueueUrl=queue_url, Entries=entries).get("Failed", ()))
    except (ClientError, BotoCoreError):
        return len(receipts)  # what they say is recorded; when they come again, they change nothing


def dead_letters(dlq_url: str, client: Any, limit: int = 1000) -> list[DeadLetter]:
    """Messages that were given up, oldest first; they stay where they are.

    Raises:
        ConfigurationError: no such queue, or no permission.
        DocumentError: engine_unavailable.
    """
    messages: dict[str, dict[str, Any]] = {}
    try:
        for batch in _receiving(dlq_url, client):
            messages |= {message["MessageId"]: message for message in batch}
            if len(messages) >= limit:
                break
    finally:
        for held in _batches(list(messages.values())):  # let others see them again at once
            entries = [
                {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                for i, message in enumerate(held)
            ]
            with _calling("ChangeMessageVisibilityBatch"):
                client.change_message_visibility_batch(QueueUrl=dlq_url, Entries=entries)
    return sorted(map(_dead_letter, messages.values()), key=lambda letter: (letter.sent_at, letter.message_id))


def _dead_letter(message: dict[str, Any]) -> DeadLetter:
    attributes = message["Attributes"]
    sent_at = dt.datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, dt.UTC)
    try:
        parse(message["Body"])
        readable = True
    except BadMessage:
        readable = False
    return DeadLetter(message["MessageId"], sent_at, int(attributes["ApproximateReceiveCount"]), readable)


def redrive(dlq_url: str, client: Any, queue_url: str = "", seconds: float = 300) -> int:
    """Bring dead letters back to the queue they came from; how many.

    SQS moves them itself where it can; a service that cannot (UnsupportedOperation) has them received, sent and deleted
    one batch after the other, so that one sent twice is the worst that can happen.

    Args:
        queue_url: where they go; empty for the one queue whose dead letters they are.
        seconds: how long to wait for the end; SQS goes on by itself after that.

    Raises:
        ConfigurationError: no such queue, no permission, or more than one queue that they could go to.
        DocumentError: engine_unavailable.
    """
    source = _arn(dlq_url, client)
    destination = {"DestinationArn": _arn(queue_url, client)} if queue_url else {}
    try:
        client.start_message_move_task(SourceArn=source, **destination)
    except ClientError as error:
        if code_of(error) not in _CANNOT_MOVE:
            raise translated(error, "sqs", "StartMessageMoveTask") from None
        return _carry(dlq_url, queue_url or _origin(dlq_url, client), client, seconds)
    except BotoCoreError as error:
        raise translated(error, "sqs", "StartMessageMoveTask") from None
    return _moved(source, client, seconds)


_CANNOT_MOVE = frozenset(
    {
        "AWS.SimpleQueueService.UnsupportedOperation",
        "UnsupportedOperation",
        "InvalidAction",
        "UnknownOperationException",
    }
)


def _arn(queue_url: str, client: Any) -> str:
    with _calling("GetQueueAttributes"):
        answer = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def _moved(arn: str, client: Any, seconds: float) -> int:
    """Wait for the move that was started last; the number moved so far when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        with _calling("ListMessageMoveTasks"):
            task = client.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"][0]
        moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
        if task["Status"] == "FAILED":
            raise DocumentError(Reason.ENGINE_UNAVAILABLE, f"sqs: the move stopped after {moved} messages")
        if task["Status"] != "RUNNING" or time.monotonic() > deadline:
            return moved
        time.sleep(1)


def _origin(dlq_url: str, client: Any) -> str:
    with _calling("ListDeadLetterSourceQueues"):
        queues = client.list_dead_letter_source_queues(QueueUrl=dlq_url).get("queueUrls", [])
    if len(queues) != 1:
        raise ConfigurationError(f"{len(queues)} queues have these dead letters: say which one they go back to")
    return str(queues[0])


def _carry(dlq_url: str, queue_url: str, client: Any, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    carried = 0
    for batch in _receiving(dlq_url, client):
        entries = [
            {"Id": str(i), "MessageBody": m["Body"], "MessageAttributes": _sendable(m)} for i, m in enumerate(batch)
        ]
        with _calling("SendMessageBatch"):
            answer = client.send_message_batch(QueueUrl=queue_url, Entries=entries)
        sent = [batch[int(entry["Id"])]["ReceiptHandle"] for entry in answer.get("Successful", ())]
        carried += len(sent)
        if sent:
            _delete(client, dlq_url, sent)
        if time.monotonic() > deadline:
            break
    return carried


def _sendable(message: dict[str, Any]) -> dict[str, Any]:
    """A message's attributes, without what is only ever received."""
    kept = ("StringValue", "BinaryValue", "DataType")
    attributes = message.get("MessageAttributes", {})
    return {name: {k: v for k, v in value.items() if k in kept} for name, value in attributes.items()}


def _receiving(queue_url: str, client: Any) -> Iterator[list[dict[str, Any]]]:
    """Batches of messages until none is left to see."""
    while True:
        with _calling("ReceiveMessage"):
            answer = client.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=POLL_SECONDS,
                VisibilityTimeout=RECORD_SECONDS,
                AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
        if not answer.get("Messages"):
            return
        yield answer["Messages"]


@contextmanager
def _calling(operation: str) -> Iterator[None]:
    """A call of SQS: its failures are told in the project's words."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _translated(error, operation) from None


def _translated(error: ClientError | BotoCoreError, operation: str) -> DocumentError | ConfigurationError:
    if isinstance(error, ClientError) and code_of(error) in _NO_QUEUE:
        return ConfigurationError(f"sqs {operation}: there is no such queue: check its URL and the region")
    return translated(error, "sqs", operation)


_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"})


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
