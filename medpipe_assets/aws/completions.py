"""Waiting for jobs whose end a service tells to a topic, by way of a queue that is subscribed to it.

The threads of a run share one drain of the queue. A message is a hint and no more: what became of a job, and whether it
is over at all, is asked of the service, so that lost, late, repeated and forged messages change nothing.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason

LONG_POLL: Final = 20
"""Seconds a receive waits for a message at most. Source: SQS quotas."""
BATCH: Final = 10
"""Messages a request may carry. Source: SQS quotas."""
AWAY_SECONDS: Final = 20.0
"""How long a queue that cannot be reached is left alone."""
FIRST_HIDDEN, MOST_HIDDEN = 2, 600
"""Seconds for which a message that is not ours is hidden from all, doubling with each receipt: short enough for the run
that waits for it, long enough that what nobody waits for any more does not keep the drain busy."""


class Completions:
    """Ends of jobs, shared by the threads that wait for them: one of these receives for all.

    Args:
        calls: by which the queue is reached.
        queue_url: the queue; its subscription may be raw or not, and other runs may share it.
        topic, role: ARNs of the topic that the service tells, and of the role by which it may.
        clock, sleep: how waiting is measured and passed, in seconds.
    """

    def __init__(
        self,
        calls: PaidCalls,
        queue_url: str,
        topic: str,
        role: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.topic, self.role = topic, role
        self._calls, self._queue_url = calls, queue_url
        self._clock, self._sleep = clock, sleep
        self._changed = threading.Condition()
        self._ours: set[str] = set()
        self._told: set[str] = set()
        self._draining = False

    def wait(self, job_id: str, seconds: float) -> bool:
        """Wait until a message tells a job's end, for so many seconds at most; whether one did.

        Raises:
            ConfigurationError: no such queue, or no permission. A queue out of reach is waited out.
        """
        ends = self._clock() + seconds
        with self._changed:
            self._ours.add(job_id)
        while (left := ends - self._clock()) > 0 and job_id not in self._told:
            if not self._mine_to_drain(job_id, left):
                continue
            try:
                self._drain(left)
            finally:
                with self._changed:
                    self._draining = False
                    self._changed.notify_all()
        with self._changed:
            told = job_id in self._told
            self._told.discard(job_id)
        return told

    def _mine_to_drain(self, job_id: str, seconds: float) -> bool:
        """Whether this thread is to receive now; if not, another has in the meantime, or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: job_id in self._told or not self._draining, seconds)
            if self._draining or job_id in self._told:
                return False
            self._draining = True
            return True

    def _drain(self, seconds: float) -> None:
        """Receive once; keep what is ours, give the rest back."""
        try:
            answer = self._calls.send(
                "sqs",
                "ReceiveMessage",
                {
                    "QueueUrl": self._queue_url,
                    "MaxNumberOfMessages": BATCH,
                    "WaitTimeSeconds": min(LONG_POLL, max(1, int(seconds))),
                    "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
                },
            )
        except DocumentError as error:
            if error.reason is not Reason.ENGINE_UNAVAILABLE:
                raise ConfigurationError(f"{error.detail}: check the queue that is to tell the ends of jobs") from None
            self._sleep(min(seconds, AWAY_SECONDS))
            return
        ours: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        with self._changed:
            for message in answer.get("Messages") or ():
                job_id = _job_of(message["Body"])
                (ours if job_id in self._ours else others).append(message)
                self._told |= {job_id} & self._ours
        self._tell("DeleteMessageBatch", [{} for _ in ours], ours)
        self._tell("ChangeMessageVisibilityBatch", [{"VisibilityTimeout": _hidden(m)} for m in others], others)

    def _tell(self, operation: str, more: list[dict[str, Any]], messages: list[dict[str, Any]]) -> None:
        """What becomes of messages. Those that it cannot be told of are seen again, and change nothing."""
        entries = [
            {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"], **added}
            for i, (message, added) in enumerate(zip(messages, more, strict=True))
        ]
        if entries:
            with suppress(DocumentError):
                self._calls.send("sqs", operation, {"QueueUrl": self._queue_url, "Entries": entries})


def _job_of(body: str) -> str:
    """The job that a message is about; empty where it is about none.

    Source: https://docs.aws.amazon.com/textract/latest/dg/async-notification-payload.html
    """
    try:
        told = json.loads(body)
        if "Message" in told:  # in SNS's envelope
            told = json.loads(told["Message"])
        return str(told["JobId"])
    except (ValueError, TypeError, LookupError):
        return ""


def _hidden(message: Mapping[str, Any]) -> int:
    """Seconds for which a message that is not ours is hidden."""
    receipts = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
    return int(min(FIRST_HIDDEN * 2 ** min(receipts - 1, 10), MOST_HIDDEN))
