"""Inboxes on S3: what a listing or the queue tells is recorded once, and asked for once, whatever comes when."""

import json
from datetime import datetime
from typing import Any

import dagster as dg
import pytest

from medpipe_assets.defs.aws import AwsResource
from medpipe_assets.defs.documents.partitions import today
from medpipe_assets.defs.documents.reconciliation import inbox_reconciliation
from medpipe_assets.defs.documents.sensors import inbox_sensor, s3_inbox_sensor, sqs_inbox_sensor
from medpipe_assets.defs.resources import LakeResource
from medpipe_assets.documents.consumers import current_documents
from medpipe_assets.documents.intake import pending_receipts, take_in
from medpipe_assets.inbox.places import fetcher
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.quarantine import open_failures
from medpipe_tests.unit.defs.conftest import BUCKET, TEST_EVENT, Queue, Tick, news, put


def taken_in(lake: Lake) -> int:
    """Take in what waits; how many sources."""
    return take_in(lake, today(), fetcher(), run_id="run").sources


def waiting(lake: Lake) -> list[str]:
    return sorted(arrival.uri for receipt in pending_receipts(lake) for arrival in receipt.arrivals)


def reconcile(lake: Lake) -> dict[str, Any]:
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"lake": LakeResource(root=str(lake.location.home)), "aws": AwsResource()}
        done = dg.materialize([inbox_reconciliation], instance=instance, resources=resources)
        (event,) = done.get_asset_materialization_events()
        metadata = event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in metadata.items()}


# --- which inbox ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "watching"),
    [
        ({}, inbox_sensor),
        ({"MEDPIPE_INBOX": "s3://clinic/in"}, s3_inbox_sensor),
        ({"MEDPIPE_INBOX": "s3://clinic/in", "MEDPIPE_INBOX_QUEUE": "https://sqs/news"}, sqs_inbox_sensor),
    ],
)
def test_one_sensor_watches_and_the_others_say_what_to_set(
    environment: dict[str, str], watching: Any, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for sensor in (inbox_sensor, s3_inbox_sensor, sqs_inbox_sensor):
        if sensor is not watching:
            told = tick(sensor)
            assert isinstance(told, dg.SkipReason) and "MEDPIPE_INBOX" in (told.skip_message or "")


def test_all_sensors_and_schedules_run_by_default() -> None:
    from medpipe_assets.definitions import build_defs

    repository = build_defs().get_repository_def()
    assert {sensor.default_status for sensor in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}
    assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}


# --- listing ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MEDPIPE_INBOX", f"s3://{BUCKET}/in/")
    return s3


def test_what_is_put_into_the_bucket_is_receipted_and_asked_for_once(lake: Lake, listed: Any, tick: Tick) -> None:
    listed.put_object(Bucket=BUCKET, Key="in/Jane Doe.txt", Body=b"asthma")
    listed.put_object(Bucket=BUCKET, Key="elsewhere/x.txt", Body=b"asthma")
    told = tick(s3_inbox_sensor)
    assert isinstance(told, dg.SensorResult)
    (request,) = told.run_requests or ()
    assert request.partition_key == today().isoformat()
    assert waiting(lake) == [f"s3://{BUCKET}/in/Jane%20Doe.txt"]
    assert "Jane" not in f"{request} {told.cursor}", "a key is patient data"
    assert isinstance(tick(s3_inbox_sensor, told.cursor), dg.SkipReason)


def test_a_tick_is_counted_where_telemetry_is_on(
    lake: Lake, listed: Any, tick: Tick, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDPIPE_TELEMETRY", "stdout")
    listed.put_object(Bucket=BUCKET, Key="in/Jane Doe.txt", Body=b"asthma")
    tick(s3_inbox_sensor)
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["sensor"], line["receipts_waiting"], line["runs_requested"]) == ("s3_inbox_sensor", 1, 1)
    assert "Jane" not in json.dumps(line)


def test_objects_of_the_same_second_are_all_taken_in(
    lake: Lake, listed: Any, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moto.s3.models.utcnow", lambda: datetime(2026, 11, 20, 8))
    cursor = None
    for key in ("m", "a", "z"):
        listed.put_object(Bucket=BUCKET, Key=f"in/{key}.txt", Body=key.encode())
        told = tick(s3_inbox_sensor, cursor)
        assert isinstance(told, dg.SensorResult)
        cursor = told.cursor
    assert waiting(lake) == [f"s3://{BUCKET}/in/{key}.txt" for key in "amz"]
    assert len({item["LastModified"] for item in listed.list_objects_v2(Bucket=BUCKET)["Contents"]}) == 1


def test_a_bucket_that_is_refused_fails_the_tick_and_says_why(listed: Any, tick: Tick, monkeypatch: Any) -> None:
    monkeypatch.setenv("MEDPIPE_INBOX", "s3://nowhere/in/")
    with pytest.raises(dg.Failure, match="NoSuchBucket"):
        tick(s3_inbox_sensor)


# --- the queue --------------------------------------------------------------------------------------------------------


def test_the_queues_news_are_recorded_then_deleted_and_the_day_asked_for_once(
    lake: Lake, s3: Any, queue: Queue, tick: Tick
) -> None:
    queue.tell(TEST_EVENT, put(s3, "a.txt", "asthma", 1), put(s3, "b.txt", "fever", 1))
    told = tick(sqs_inbox_sensor)
    assert isinstance(told, dg.SensorResult)
    assert [request.partition_key for request in told.run_requests or ()] == [today().isoformat()]
    assert waiting(lake) == ["s3://clinic/a.txt", "s3://clinic/b.txt"]
    assert queue.count() == 0
    assert isinstance(tick(sqs_inbox_sensor, told.cursor), dg.SkipReason)


def test_the_test_message_of_a_new_queue_is_read_and_means_nothing(lake: Lake, queue: Queue, tick: Tick) -> None:
    queue.tell(TEST_EVENT)
    assert isinstance(tick(sqs_inbox_sensor), dg.SkipReason)
    assert queue.count() == 0 and not waiting(lake)


@pytest.mark.parametrize("before_intake", [True, False])
def test_duplicate_reordered_and_late_messages_change_nothing(
    lake: Lake, s3: Any, queue: Queue, tick: Tick, before_intake: bool
) -> None:
    old, new = put(s3, "a.txt", "asthma", 1), put(s3, "a.txt", "diabetes", 2)
    queue.tell(new)
    tick(sqs_inbox_sensor)
    if not before_intake:
        assert taken_in(lake) == 1
    already = waiting(lake)
    queue.tell(new, old, new, TEST_EVENT, news("a.txt", 0))  # again, late, again, and a deletion before both
    tick(sqs_inbox_sensor)
    assert waiting(lake) == already
    assert taken_in(lake) == before_intake
    rows = lake.read("document_sources").to_pylist()
    assert [row["deleted"] for row in rows] == [False]
    assert current_documents(lake) == {rows[0]["document_id"]}


def test_a_new_version_is_not_taken_for_a_late_one(lake: Lake, s3: Any, queue: Queue, tick: Tick) -> None:
    for sequencer, text in enumerate(("asthma", "diabetes", "asthma"), start=1):
        queue.tell(put(s3, "a.txt", text, sequencer))
        tick(sqs_inbox_sensor)
        assert taken_in(lake) == 1


def test_an_object_that_could_not_be_read_is_tried_when_it_is_put_there_again(
    lake: Lake, s3: Any, queue: Queue, tick: Tick
) -> None:
    lost = put(s3, "a.txt", "asthma", 1)
    s3.delete_object(Bucket=BUCKET, Key="a.txt")
    queue.tell(lost)
    tick(sqs_inbox_sensor)
    taken_in(lake)
    assert [row["reason"] for row in open_failures(lake)] == ["unreadable"]
    queue.tell(put(s3, "a.txt", "asthma", 3))
    tick(sqs_inbox_sensor)
    assert taken_in(lake) == 1 and not open_failures(lake)


def test_a_deleted_object_is_no_current_document_and_its_day_is_run(
    lake: Lake, s3: Any, queue: Queue, tick: Tick
) -> None:
    queue.tell(put(s3, "a.txt", "asthma", 1), put(s3, "b.txt", "fever", 1))
    told = tick(sqs_inbox_sensor)
    taken_in(lake)
    assert len(current_documents(lake)) == 2
    queue.tell(news("a.txt", 2))
    told = tick(sqs_inbox_sensor, told.cursor)
    assert isinstance(told, dg.SensorResult) and told.run_requests
    assert len(current_documents(lake)) == 1
    assert taken_in(lake) == 0 and not pending_receipts(lake)
    queue.tell(put(s3, "a.txt", "asthma", 3))
    tick(sqs_inbox_sensor)
    taken_in(lake)
    assert len(current_documents(lake)) == 2, "it may come back"


def test_news_of_other_prefixes_and_of_the_lake_itself_are_dropped(
    lake: Lake, s3: Any, queue: Queue, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPIPE_INBOX", f"s3://{BUCKET}/in/")
    queue.tell(put(s3, "in/a.txt", "asthma", 1), put(s3, "lake/raw/b.txt", "fever", 1))
    tick(sqs_inbox_sensor)
    assert waiting(lake) == ["s3://clinic/in/a.txt"] and queue.count() == 0


# --- the nightly comparison -------------------------------------------------------------------------------------------


@pytest.fixture
def on_s3(s3: Any, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MEDPIPE_INBOX", f"s3://{BUCKET}")
    return s3


def test_reconciliation_finds_what_no_message_announced_and_what_is_gone(
    lake: Lake, on_s3: Any, queue: Queue, tick: Tick
) -> None:
    queue.tell(put(on_s3, "told.txt", "asthma", 1), put(on_s3, "gone.txt", "fever", 1))
    tick(sqs_inbox_sensor)
    taken_in(lake)
    put(on_s3, "untold.txt", "diabetes", 1)
    on_s3.delete_object(Bucket=BUCKET, Key="gone.txt")
    found = reconcile(lake)
    assert (found["sources_known"], found["unannounced"], found["gone"]) == (2, 1, 1)
    assert waiting(lake) == ["s3://clinic/untold.txt"]
    assert isinstance(tick(sqs_inbox_sensor), dg.SensorResult), "its sensor asks for the day"
    taken_in(lake)
    assert len(current_documents(lake)) == 2
    again = reconcile(lake)
    assert (again["unannounced"], again["gone"]) == (0, 0)


def test_dead_letters_stand_in_quarantine_once(lake: Lake, on_s3: Any, queue: Queue) -> None:
    queue.give_up("no message of S3: Jane Doe")
    assert reconcile(lake)["dead_letters_new"] == 1
    assert reconcile(lake)["dead_letters_new"] == 0
    (row,) = open_failures(lake)
    assert row["reason"] == "bad_message" and row["attempts"] == 1 and "Jane" not in str(row)
    assert queue.count(queue.dead) == 1


def test_the_schedule_skips_with_a_reason_where_the_inbox_is_a_folder() -> None:
    from medpipe_assets.defs.documents.jobs import nightly_reconciliation

    told = nightly_reconciliation(dg.build_schedule_context())
    assert isinstance(told, dg.SkipReason) and "MEDPIPE_INBOX" in (told.skip_message or "")
