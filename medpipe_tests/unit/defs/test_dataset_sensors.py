"""When a dataset is loaded: after its files have stopped arriving, once for each state of the place."""

import datetime as dt
import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.defs.datasets.sensors import decide
from medpipe_assets.etlt.sources import Changes

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
QUIET = 30.0


def place(signature: str, files: int = 1) -> Changes:
    return Changes(signature, files, NOON)


def after(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


def test_a_load_waits_until_nothing_has_changed_for_a_while() -> None:
    loads, cursor = decide(place("one"), None, after(0), QUIET)
    assert not loads
    loads, cursor = decide(place("two"), cursor, after(29), QUIET)
    assert not loads
    loads, cursor = decide(place("two"), cursor, after(58), QUIET)
    assert not loads
    loads, cursor = decide(place("two"), cursor, after(59), QUIET)
    assert loads


def test_what_was_loaded_is_not_loaded_again() -> None:
    _, cursor = decide(place("one"), None, after(0), QUIET)
    loads, cursor = decide(place("one"), cursor, after(40), QUIET)
    assert loads
    assert not decide(place("one"), cursor, after(4000), QUIET)[0]


def test_an_empty_place_is_not_loaded() -> None:
    _, cursor = decide(place("empty", files=0), None, after(0), QUIET)
    assert not decide(place("empty", files=0), cursor, after(4000), QUIET)[0]


def test_a_place_whose_files_are_loaded_at_once_does_not_wait() -> None:
    assert decide(place("one"), None, after(0), 0)[0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(1, 60)), min_size=1, max_size=30))
def test_the_last_state_of_a_place_is_loaded_in_the_end_and_once(looks: list[tuple[str, float]]) -> None:
    cursor, now, loaded = None, NOON, []
    for signature, pause in [*looks, (looks[-1][0], 31.0), (looks[-1][0], 31.0), (looks[-1][0], 31.0)]:
        now += dt.timedelta(seconds=pause)
        loads, cursor = decide(place(signature), cursor, now, QUIET)
        if loads:
            loaded.append(signature)
    assert loaded[-1] == looks[-1][0]
    assert all(one != other for one, other in pairwise(loaded))
    assert len(json.loads(cursor)) == 3
