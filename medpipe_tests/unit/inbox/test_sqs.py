"""Draining the queue: nothing is lost, nothing is deleted before it is recorded, and dead letters come back."""

import datetime as dt
import json
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from medpipe_assets.documents.intake import pending_receipts, receive
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.inbox import sqs
from medpipe_assets.inbox.engine import Arrival
from medpipe_assets.inbox.notifications import Deleted
from medpipe_assets.inbox.sqs import DrainReport, dead_letters, drain, redrive
from medpipe_assets.lake.lake import Lake


class OneAtATime:
    """A client whose calls wait for each other: moto's queues lose count when threads ask at once."""

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        def call(**request: Any) -> Any:
            with self._lock:
                return getattr(self._client, name)(**request)

        return call


class Queues:
    """A queue whose messages go to another one after they were received twice."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.dead = client.create_queue(QueueName="dead")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
        self.url = client.create_queue(QueueName="news", Attributes={"RedrivePolicy": policy})["QueueUrl"]

    def send(self, *bodies: str, url: str = "") -> None:
        for begin in range(0, len(bodies), 10):
            entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[begin : begin + 10])]
            self.client.send_message_batch(QueueUrl=url or self.url, Entries=entries)

    def count(self, url: str = "") -> int:
        """Messages in the queue, those that nobody may see at the moment included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = self.client.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return sum(int(got[name]) for name in names)

    def drain(self, receive: Any, **settings: Any) -> DrainReport:
        return drain(self.url, self.client, receive, **{"threads": 2, **settings})


class Recorder:
    """What was recorded, by call."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Arrival], list[Deleted]]] = []

    def __call__(self, arrivals: list[Arrival], deleted: list[Deleted]) -> None:
        self.calls.append((arrivals, deleted))


@pytest.fixture
def queues(aws: Any, monkeypatch: pytest.MonkeyPatch) -> Queues:
    monkeypatch.setattr(sqs, "POLL_SECONDS", 0)
    return Queues(OneAtATime(aws("sqs")))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that were received can be received again at once."""
    monkeypatch.setattr(sqs, "RECORD_SECONDS", 0)


@pytest.fixture
def unmoving(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not move messages itself; moto does not either, and says so in its own way."""

    def refuse(**request: Any) -> Any:
        raise ClientError({"Error": {"Code": "AWS.SimpleQueueService.UnsupportedOperation"}}, "StartMessageMoveTask")

    monkeypatch.setattr(queues.client, "start_message_move_task", refuse)


def news(key: str, sequencer: str = "1", name: str = "ObjectCreated:Put") -> str:
    thing = {"key": key, "size": 1, "eTag": f"e{sequencer}", "sequencer": sequencer}
    record = {"eventName": name, "eventTime": "2026-11-20T10:00:00Z", "s3": {"bucket": {"name": "in"}, "object": thing}}
    return json.dumps({"Records": [record]})


def test_a_drained_queue_is_empty_and_all_it_told_is_recorded_once(queues: Queues) -> None:
    queues.send(*(news(f"{n % 30}", f"{n:03}") for n in range(60)), news("gone", "1", "ObjectRemoved:Delete"))
    recorder = Recorder()
    report = queues.drain(recorder)
    ((arrivals, deleted),) = recorder.calls
    assert {a.uri: a.version.split()[0] for a in arrivals} == {f"s3://in/{n}": f"e{n + 30:03}" for n in range(30)}
    assert [d.uri for d in deleted] == ["s3://in/gone"]
    assert (report.messages, report.events, report.arrivals, report.deleted) == (61, 61, 30, 1)
    assert (report.bad_messages, report.undeleted, queues.count()) == (0, 0, 0)


def test_nothing_is_deleted_when_it_could_not_be_recorded(queues: Queues) -> None:
    queues.send(*(news(f"{n}") for n in range(25)))

    def fails(arrivals: list[Arrival], deleted: list[Deleted]) -> None:
        assert len(arrivals) == 25
        raise OSError("the lake is full")

    with pytest.raises(OSError, match="the lake is full"):
        queues.drain(fails)
    assert queues.count() == 25


@pytest.mark.usefixtures("impatient")
def test_what_could_not_be_recorded_comes_again(queues: Queues) -> None:
    queues.send(news("a"))

    def fails(arrivals: list[Arrival], deleted: list[Deleted]) -> None:
        raise OSError

    with pytest.raises(OSError):
        queues.drain(fails, seconds=0.01, threads=1, limit=1)
    recorder = Recorder()
    queues.drain(recorder)
    assert [a.uri for a in recorder.calls[0][0]] == ["s3://in/a"]


def test_messages_are_there_until_recording_has_returned(queues: Queues) -> None:
    queues.send(news("a"), news("b"))
    there: list[int] = []
    queues.drain(lambda arrivals, deleted: there.append(queues.count()))
    assert (there, queues.count()) == ([2], 0)


def test_an_empty_queue_and_a_test_message_record_nothing(queues: Queues) -> None:
    recorder = Recorder()
    assert queues.drain(recorder).messages == 0
    queues.send(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "in"}))
    assert queues.drain(recorder).messages == 1
    assert (recorder.calls, queues.count()) == ([], 0)


def test_news_of_other_places_is_dropped(queues: Queues) -> None:
    queues.send(news("lake/a"), news("in/b"))
    recorder = Recorder()
    queues.drain(recorder, holds=lambda uri: uri.startswith("s3://in/in/"))
    assert [a.uri for a in recorder.calls[0][0]] == ["s3://in/in/b"]
    assert queues.count() == 0


def test_a_drain_stops_at_its_limit(queues: Queues) -> None:
    queues.send(*(news(f"{n}") for n in range(100)))
    assert queues.drain(Recorder(), limit=40).messages == 40
    assert queues.count() == 60


def test_a_drain_stops_when_time_is_up(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    queues.send(*(news(f"{n}") for n in range(100)))
    clock = iter(range(1000))
    monkeypatch.setattr(sqs.time, "monotonic", lambda: next(clock))
    assert queues.drain(Recorder(), seconds=4, threads=1).messages == 30
    assert queues.count() == 70


def poisoned(queues: Queues) -> None:
    """Let a message that cannot be understood become a dead letter, beside one that can."""
    queues.send("Ana Pérez", news("a"))
    recorder = Recorder()
    bad = 0
    while queues.count():
        bad += queues.drain(recorder, threads=1, seconds=0.9, limit=1).bad_messages
    assert bad == 2
    assert [a.uri for a in recorder.calls[0][0]] == ["s3://in/a"]
    assert (queues.count(), queues.count(queues.dead)) == (0, 1)


@pytest.mark.usefixtures("impatient")
def test_a_message_that_cannot_be_understood_becomes_a_dead_letter_and_stops_no_other(queues: Queues) -> None:
    poisoned(queues)


@pytest.mark.usefixtures("impatient")
def test_dead_letters_are_listed_for_quarantine_and_stay(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(queues)
    queues.send(news("b"), url=queues.dead)
    monkeypatch.setattr(sqs, "RECORD_SECONDS", 30)
    letters = dead_letters(queues.dead, queues.client)
    again = dead_letters(queues.dead, queues.client)
    assert [letter.message_id for letter in again] == [letter.message_id for letter in letters]
    assert sorted(letter.readable for letter in letters) == [False, True]
    assert queues.count(queues.dead) == 2
    bad = next(letter for letter in letters if not letter.readable)
    assert bad.error.reason == Reason.BAD_MESSAGE and "Ana" not in str(bad.error)
    assert len(bad.source_id) == 32
    assert abs(bad.sent_at.timestamp() - time.time()) < 60


@pytest.mark.usefixtures("unmoving")
def test_dead_letters_come_back_and_are_read(queues: Queues) -> None:
    queues.send(*(news(f"{n}") for n in range(25)), url=queues.dead)
    assert redrive(queues.dead, queues.client) == 25
    assert queues.count(queues.dead) == 0
    recorder = Recorder()
    queues.drain(recorder)
    assert len(recorder.calls[0][0]) == 25


@pytest.mark.usefixtures("unmoving")
def test_dead_letters_keep_their_attributes(queues: Queues) -> None:
    attributes = {"sender": {"StringValue": "s3", "DataType": "String"}}
    queues.client.send_message(QueueUrl=queues.dead, MessageBody="x", MessageAttributes=attributes)
    redrive(queues.dead, queues.client, queues.url)
    (message,) = queues.client.receive_message(QueueUrl=queues.url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == attributes


@pytest.mark.usefixtures("unmoving")
def test_dead_letters_that_no_queue_is_known_for_are_left_where_they_are(queues: Queues) -> None:
    alone = queues.client.create_queue(QueueName="alone")["QueueUrl"]
    queues.send("x", url=alone)
    with pytest.raises(ConfigurationError, match="0 queues have these dead letters"):
        redrive(alone, queues.client)
    assert queues.count(alone) == 1


class Moving:
    """SQS as far as it moves messages itself: the states of the task, one a question."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = list(states)
        self.asked: list[dict[str, Any]] = []

    def get_queue_attributes(self, QueueUrl: str, **_: Any) -> Any:  # noqa: N803 (botocore's)
        return {"Attributes": {"QueueArn": f"arn:{QueueUrl}"}}

    def start_message_move_task(self, **request: Any) -> None:
        self.asked.append(request)

    def list_message_move_tasks(self, **_: Any) -> Any:
        return {"Results": [self.states.pop(0)]}


def test_sqs_moves_dead_letters_itself_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs.time, "sleep", lambda seconds: None)
    client = Moving({"Status": "RUNNING"}, {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 7})
    assert redrive("dead", client, "news") == 7
    assert client.asked == [{"SourceArn": "arn:dead", "DestinationArn": "arn:news"}]


def test_a_move_that_stops_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Moving({"Status": "FAILED", "ApproximateNumberOfMessagesMoved": 3, "FailureReason": "Ana"})
    with pytest.raises(DocumentError, match="stopped after 3 messages"):
        redrive("dead", client)


def test_a_queue_that_is_not_there_stops_the_sensor(queues: Queues) -> None:
    missing = queues.url.replace("news", "missing")
    with pytest.raises(ConfigurationError, match="there is no such queue"):
        drain(missing, queues.client, Recorder())
    for ask in (dead_letters, redrive):
        with pytest.raises(ConfigurationError, match="there is no such queue"):
            ask(missing, queues.client)


def test_what_was_received_before_a_fault_is_recorded_and_deleted(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.send(*(news(f"{n}") for n in range(20)))
    real, answers = queues.client.receive_message, iter([True])

    def receive_message(**request: Any) -> Any:
        if next(answers, False):
            return real(**request)
        raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "Ana"}}, "ReceiveMessage")

    monkeypatch.setattr(queues.client, "receive_message", receive_message)
    recorder = Recorder()
    with pytest.raises(DocumentError, match="ServiceUnavailable") as caught:
        queues.drain(recorder, threads=1)
    assert caught.value.reason == Reason.ENGINE_UNAVAILABLE
    assert len(recorder.calls[0][0]) == 10 and queues.count() == 10


def test_messages_that_could_not_be_deleted_are_counted(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    queues.send(*(news(f"{n}") for n in range(12)))

    def delete_message_batch(**request: Any) -> Any:
        if len(request["Entries"]) == 10:
            raise ClientError({"Error": {"Code": "Throttling"}}, "DeleteMessageBatch")
        return {"Failed": [{"Id": "0"}]}

    monkeypatch.setattr(queues.client, "delete_message_batch", delete_message_batch)
    recorder = Recorder()
    assert queues.drain(recorder, threads=1).undeleted == 11
    assert len(recorder.calls) == 1


@pytest.mark.usefixtures("impatient")
def test_news_told_twice_makes_one_receipt(queues: Queues, lake: Lake) -> None:
    def record(arrivals: list[Arrival], deleted: list[Deleted]) -> None:
        receive(lake, arrivals, dt.date(2026, 11, 20))

    for _ in range(3):
        queues.send(news("a", "1"), news("a", "1"), news("b", "2"))
        queues.drain(record)
    assert sorted(a.uri for r in pending_receipts(lake) for a in r.arrivals) == ["s3://in/a", "s3://in/b"]
