"""The inbox sensor: what it asks for, and that nothing waits for ever."""

import datetime as dt
import json
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.defs.documents import sensors
from medpipe_assets.defs.documents.sensors import PATIENCE_TICKS, RETRY_AFTER_TICKS, inbox_sensor, requests
from medpipe_assets.documents.intake import Receipt, pending_receipts
from medpipe_assets.inbox.engine import Arrival
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_tests.unit.defs.conftest import context_of

DAY = dt.date(2026, 11, 20)


def receipt(name: str, day: dt.date = DAY) -> Receipt:
    return Receipt(name, day, (Arrival("file:///a", "1", 1),))


def test_one_request_a_day_however_many_receipts() -> None:
    asked, _ = requests([receipt("a"), receipt("b"), receipt("c", DAY - dt.timedelta(days=1))], None, set())
    assert [request.partition_key for request in asked] == ["2026-11-19", "2026-11-20"]


def test_a_receipt_is_asked_for_once_while_its_run_is_at_work() -> None:
    asked, cursor = requests([receipt("a")], None, set())
    assert asked
    for _ in range(3 * RETRY_AFTER_TICKS):
        asked, cursor = requests([receipt("a")], cursor, {"2026-11-20"})
        assert not asked


def test_a_receipt_left_behind_by_a_failed_run_is_asked_for_again_under_a_new_key() -> None:
    (first,), cursor = requests([receipt("a")], None, set())
    again: list[dg.RunRequest] = []
    for _ in range(RETRY_AFTER_TICKS):
        again, cursor = requests([receipt("a")], cursor, set())
    (second,) = again
    assert second.partition_key == first.partition_key and second.run_key != first.run_key


def trickle(ticks: int, run_ticks: int) -> tuple[list[int], list[int]]:
    """A receipt a tick for so long, with runs of a length, each of which takes in what waits when it begins.

    Returns the ticks at which runs began, and how long each receipt waited for its run to begin.
    """
    waiting: dict[str, int] = {}
    cursor, begun, waited = None, list[int](), list[int]()
    for tick in range(ticks + 2 * RETRY_AFTER_TICKS):
        if tick < ticks:
            waiting[f"{tick:04}"] = tick
        active = {DAY.isoformat()} if begun and tick < begun[-1] + run_ticks else set[str]()
        asked, cursor = requests([receipt(name) for name in waiting], cursor, active, PATIENCE_TICKS)
        if asked:
            assert not active
            begun.append(tick)
            waited += [tick - since for since in waiting.values()]
            waiting.clear()
    assert not waiting
    return begun, waited


@pytest.mark.parametrize("run_ticks", [1, 3, 9, 30])
def test_a_trickle_of_ten_minutes_ends_in_few_runs_and_keeps_nothing_waiting(run_ticks: int) -> None:
    begun, waited = trickle(60, run_ticks)
    assert begun[0] == 0, "what comes first is not kept waiting"
    assert len(begun) <= 60 // PATIENCE_TICKS + 2
    assert max(waited) <= max(PATIENCE_TICKS, run_ticks) + 1


def test_what_has_stopped_coming_is_asked_for_at_the_next_look() -> None:
    _, cursor = requests([receipt("a")], None, set())
    later = [receipt("b"), receipt("c")]
    asked, cursor = requests(later, cursor, set(), PATIENCE_TICKS)
    assert not asked
    asked, cursor = requests(later, cursor, set(), PATIENCE_TICKS)
    assert len(asked) == 1


def test_a_cursor_of_an_earlier_version_is_understood() -> None:
    old = json.dumps({"2026-11-20": {"ids": ["a"], "ticks": 0, "attempt": 1}})
    assert requests([receipt("a")], old, set())[0] == []
    assert requests([receipt("a")], old.replace(": 0", f": {RETRY_AFTER_TICKS}"), set())[0]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), max_size=12))
def test_the_cursor_never_holds_more_than_is_waiting(found: list[tuple[str, int]]) -> None:
    receipts = [receipt(name, DAY + dt.timedelta(days=day)) for name, day in found]
    asked, cursor = requests(receipts, None, set())
    held = {name for entry in json.loads(cursor).values() for name in entry["ids"]}
    assert held <= {r.id for r in receipts}
    assert {request.partition_key for request in asked} == {r.day.isoformat() for r in receipts}
    assert requests([], cursor, set()) == ([], "{}")


def tick(lake: Lake, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    result = inbox_sensor(context_of(inbox_sensor, instance, lake, cursor))
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


@pytest.fixture
def inbox_lake(tmp_path: Path) -> Lake:
    lake = Lake(LakeLocation.under(tmp_path / "lake"))
    (lake.location.home / "inbox").mkdir()
    return lake


def test_a_file_dropped_into_the_inbox_is_receipted_and_asked_for(
    inbox_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "SETTLE_SECONDS", 0.0)
    (inbox_lake.location.home / "inbox" / "Jane Doe.txt").write_text("asthma")
    with dg.DagsterInstance.ephemeral() as instance:
        result = tick(inbox_lake, instance, None)
        assert isinstance(result, dg.SensorResult)
        (request,) = result.run_requests or ()
        (waiting,) = pending_receipts(inbox_lake)
        assert request.partition_key == waiting.day.isoformat()
        assert "Jane" not in f"{request} {result.cursor}", "a file's name is patient data"
        assert isinstance(tick(inbox_lake, instance, result.cursor), dg.SkipReason)


def test_a_file_that_may_still_be_being_copied_waits(inbox_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "SETTLE_SECONDS", 3600.0)
    (inbox_lake.location.home / "inbox" / "growing.txt").write_text("asth")
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(tick(inbox_lake, instance, None), dg.SkipReason)
    assert not pending_receipts(inbox_lake)


def test_the_sensor_and_the_schedule_run_by_default() -> None:
    from medpipe_assets.definitions import build_defs

    repository = build_defs().get_repository_def()
    assert repository.get_sensor_def("inbox_sensor").default_status == dg.DefaultSensorStatus.RUNNING
    assert repository.get_schedule_def("nightly_maintenance").default_status == dg.DefaultScheduleStatus.RUNNING
