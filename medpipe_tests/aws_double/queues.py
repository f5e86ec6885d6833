"""Amazon SQS, as far as a drain needs it: messages received and deleted in batches, at a price that no queue's length
changes (moto counts its whole queue at each receive, so that nothing can be measured with it).

Not part of a double that is stood up for tests: those have moto's queues, with all that belongs to them.
"""

import hashlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from medpipe_tests.aws_double.double import Call
from medpipe_tests.aws_double.errors import AwsError

MOST = 10
"""Messages, or entries, that a request may carry. Source: SQS quotas."""


class Queues:
    """The service, with one queue.

    Args:
        url: the queue's.
        clock: seconds, for what is invisible.
    """

    name = "sqs"

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._waiting: deque[tuple[str, str]] = deque()
        self._hidden: dict[str, tuple[float, tuple[str, str]]] = {}
        self._lock = threading.Lock()
        self.operations: Mapping[str, Callable[[Call], dict[str, Any]]] = {
            "ReceiveMessage": self._receive,
            "DeleteMessageBatch": self._delete,
        }

    def tell(self, bodies: Iterable[str]) -> None:
        """Put messages on the queue."""
        with self._lock:
            self._waiting.extend((str(uuid.uuid4()), body) for body in bodies)

    def __len__(self) -> int:
        """Messages that are there, whether anybody can see them or not."""
        with self._lock:
            return len(self._waiting) + len(self._hidden)

    def _receive(self, call: Call) -> dict[str, Any]:
        """An empty queue is told of at once, however long the request would wait."""
        self._check(call)
        count = call.request.get("MaxNumberOfMessages", 1)
        if not 1 <= count <= MOST:
            raise AwsError("ValidationException", "MaxNumberOfMessages must be between 1 and 10")
        now = self._clock()
        messages = []
        with self._lock:
            for receipt in [receipt for receipt, (until, _) in self._hidden.items() if until <= now]:
                self._waiting.append(self._hidden.pop(receipt)[1])
            while self._waiting and len(messages) < count:
                receipt, message = str(uuid.uuid4()), self._waiting.popleft()
                self._hidden[receipt] = (now + call.request.get("VisibilityTimeout", 30), message)
                digest = hashlib.md5(message[1].encode()).hexdigest()
                messages.append(
                    {"MessageId": message[0], "ReceiptHandle": receipt, "MD5OfBody": digest, "Body": message[1]}
                )
        return {"Messages": messages or None}

    def _delete(self, call: Call) -> dict[str, Any]:
        self._check(call)
        entries = call.request["Entries"]
        if len(entries) > MOST:
            raise AwsError("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10")
        if len({entry["Id"] for entry in entries}) < len(entries):
            raise AwsError("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id")
        with self._lock:
            for entry in entries:
                self._hidden.pop(entry["ReceiptHandle"], None)  # deleting twice is no error
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}

    def _check(self, call: Call) -> None:
        if call.request["QueueUrl"] != self.url:
            raise AwsError("QueueDoesNotExist", "The specified queue does not exist.")
