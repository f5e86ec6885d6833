"""What is stored is checked once it is there, again where it was not sound, and as a whole when that is asked for."""

import datetime as dt

import pyarrow as pa
import pytest

from medpipe_assets.documents import soundness
from medpipe_assets.documents.soundness import (
    check_day,
    check_days,
    check_new,
    checked_up_to,
    days_worked_on,
    forget_checks,
)
from medpipe_assets.lake.lake import Lake, days_in
from medpipe_tests.unit.lake.builders import DAY, NEXT_DAY, NOW, document, put, receive, verdict_row

STAGE = "raw_documents"


def store(lake: Lake, *names: str, fence: int = 1, run_id: str = "x", **more: object) -> None:
    """Documents that are done with intake, one row each."""
    for name in names:
        row = {"document_id": document(name), "media_type": "text/plain", "run_id": run_id, **more}
        put(lake, "raw_documents", row)
    receive(lake, [document(name) for name in names])
    put(lake, "stage_status", *(verdict_row(document(n), STAGE, fence=fence, run_id=run_id) for n in names))


def test_a_run_checks_what_is_new_once(lake: Lake) -> None:
    store(lake, "a", "b")
    assert check_new(lake, STAGE, DAY, "x").looked_at == 2
    assert check_new(lake, STAGE, DAY, "later").looked_at == 0
    store(lake, "c", fence=2, run_id="later")
    found = check_new(lake, STAGE, DAY, "later")
    assert (found.looked_at, found.sound, found.balance["done"]) == (1, True, 3)


def test_what_is_not_sound_is_found_by_every_run_until_it_is(lake: Lake) -> None:
    store(lake, "a")
    store(lake, "bad", media_type="application/x-odd")
    for run_id in ("x", "later", "last"):
        found = check_new(lake, STAGE, DAY, run_id)
        assert found.offenders == {"media_types_are_supported": [document("bad")]} and not found.sound
    assert checked_up_to(lake, STAGE, DAY) == 0
    put(lake, "raw_documents", {"document_id": document("bad"), "media_type": "text/plain", "run_id": "mended"})
    put(lake, "stage_status", verdict_row(document("bad"), STAGE, fence=2, run_id="mended"))
    assert check_new(lake, STAGE, DAY, "mended").sound
    assert checked_up_to(lake, STAGE, DAY) == 2


def test_what_a_run_stores_after_another_has_checked_under_its_fence_is_checked_by_itself(lake: Lake) -> None:
    store(lake, "a", run_id="slow")
    assert check_new(lake, STAGE, DAY, "quick").sound
    store(lake, "bad", run_id="slow", media_type="application/x-odd")
    assert not check_new(lake, STAGE, DAY, "slow").sound


def test_the_whole_day_shows_what_was_spoiled_after_it_was_checked(lake: Lake) -> None:
    store(lake, "a", "b")
    check_new(lake, STAGE, DAY, "x")
    rows = lake.read("raw_documents")
    lake.write("raw_documents", pa.concat_tables([rows, rows.slice(0, 1)]), replace=days_in([DAY]))
    assert check_new(lake, STAGE, DAY, "later").sound
    assert check_day(lake, STAGE, DAY).balance["miscounted"] == [rows["document_id"][0].as_py()]
    (told,) = check_days(lake, [DAY])
    assert (told["stage"], told["check"], told["documents"]) == (STAGE, "conservation", 1)


def test_a_day_of_many_documents_is_checked_in_batches(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundness, "BATCH_DOCUMENTS", 2)
    store(lake, *"abcde")
    store(lake, "bad", "worse", media_type="application/x-odd")
    found = check_day(lake, STAGE, DAY)
    assert found.offenders == {"media_types_are_supported": sorted([document("bad"), document("worse")])}
    assert found.looked_at == 7


def test_notes_of_old_days_are_dropped_and_their_days_checked_anew(lake: Lake) -> None:
    store(lake, "a")
    check_new(lake, STAGE, DAY, "x")
    assert forget_checks(lake, DAY) == 0
    assert forget_checks(lake, NEXT_DAY) == 1
    assert check_new(lake, STAGE, DAY, "later").looked_at == 1


def test_the_days_worked_on_are_those_of_recent_verdicts(lake: Lake) -> None:
    store(lake, "a")
    assert days_worked_on(lake, NOW) == [DAY]
    assert days_worked_on(lake, NOW + dt.timedelta(seconds=1)) == []
