"""What S3's messages say, in each form they come in, whatever their order and number."""

import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.errors import Reason
from medpipe_assets.inbox.engine import Arrival
from medpipe_assets.inbox.notifications import BadMessage, Deleted, Event, Kind, fold, order, parse
from medpipe_assets.inbox.s3 import Version, uri_of

TIME = "2026-11-20T10:00:00.123Z"
SECONDS = 1_795_168_800


def record(name: str = "ObjectCreated:Put", key: str = "in/a.txt", **described: Any) -> dict[str, Any]:
    """A record as S3 writes it, self-made."""
    return {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "eventTime": TIME,
        "eventName": name,
        "s3": {
            "bucket": {"name": "inbox"},
            "object": {"key": key, "size": 5, "eTag": "abc", "sequencer": "617F08299329D189", **described},
        },
    }


def direct(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": records or (record(),)})


def through_sns(body: str) -> str:
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": body})


def bridged(kind: str = "Object Created", key: str = "in/a.txt", deletion: str = "", **described: Any) -> str:
    thing = {"key": key, "size": 5, "etag": "abc", "sequencer": "617F08299329D189", **described}
    detail = {"bucket": {"name": "inbox"}, "object": thing, **({"deletion-type": deletion} if deletion else {})}
    return json.dumps({"source": "aws.s3", "detail-type": kind, "time": "2026-11-20T10:00:00Z", "detail": detail})


def refusal(body: str) -> BadMessage:
    with pytest.raises(BadMessage) as caught:
        parse(body)
    return caught.value


CREATED = Event("inbox", "in/a.txt", Kind.CREATED, "abc", 5, "", "617F08299329D189", SECONDS)


@pytest.mark.parametrize("body", [direct(), through_sns(direct()), bridged(), through_sns(bridged())])
def test_an_object_that_arrived_is_announced_the_same_way_in_every_form(body: str) -> None:
    assert parse(body) == [CREATED]


@pytest.mark.parametrize("how", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
@pytest.mark.parametrize("prefix", ["", "s3:"])
def test_it_does_not_matter_how_an_object_was_made(how: str, prefix: str) -> None:
    assert parse(direct(record(f"{prefix}ObjectCreated:{how}"))) == [CREATED]


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_key_is_read_from_a_notification_and_from_eventbridge(key: str) -> None:
    assert [e.key for e in parse(direct(record(key=quote_plus(key))))] == [key]
    assert [e.key for e in parse(bridged(key=key))] == [key]


def test_a_plus_is_a_space_in_a_notification_and_a_plus_in_eventbridge() -> None:
    assert parse(direct(record(key="a+b%2Bc")))[0].key == "a b+c"
    assert parse(bridged(key="a+b%2Bc"))[0].key == "a+b%2Bc"


def test_s3_s_test_message_says_nothing() -> None:
    test = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": TIME, "Bucket": "inbox"})
    assert parse(test) == parse(through_sns(test)) == []


def test_all_records_of_a_message_are_read() -> None:
    assert [e.key for e in parse(direct(record(key="a"), record(key="b")))] == ["a", "b"]


@pytest.mark.parametrize("name", ["ObjectRestore:Post", "ObjectRestore:Delete"])
def test_a_restoration_counts_when_it_is_completed(name: str) -> None:
    assert parse(direct(record(name))) == []
    (restored,) = parse(direct(record("ObjectRestore:Completed", sequencer="")))
    assert (restored.kind, restored.etag) == (Kind.RESTORED, "abc")
    assert parse(bridged("Object Restore Initiated")) == []
    assert [e.kind for e in parse(bridged("Object Restore Completed"))] == [Kind.RESTORED]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (direct(record("ObjectRemoved:Delete")), Kind.REMOVED),
        (direct(record("ObjectRemoved:Delete", versionId="null")), Kind.REMOVED),
        (direct(record("ObjectRemoved:Delete", versionId="v1")), Kind.VERSION_REMOVED),
        (direct(record("ObjectRemoved:DeleteMarkerCreated", versionId="m1")), Kind.REMOVED),
        (direct(record("LifecycleExpiration:DeleteMarkerCreated", versionId="m1")), Kind.REMOVED),
        (bridged("Object Deleted", deletion="Permanently Deleted"), Kind.REMOVED),
        (bridged("Object Deleted", deletion="Permanently Deleted", **{"version-id": "v1"}), Kind.VERSION_REMOVED),
        (bridged("Object Deleted", deletion="Delete Marker Created", **{"version-id": "m1"}), Kind.REMOVED),
    ],
)
def test_what_a_deletion_ends(body: str, kind: Kind) -> None:
    (event,) = parse(body)
    assert (event.kind, event.etag, event.size) == (kind, "", 0)


def without(part: str) -> str:
    thing = record()
    place = thing if part in thing else thing["s3"] if part in thing["s3"] else thing["s3"]["object"]
    del place[part]
    return direct(thing)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Ana Pérez",
        "[]",
        "{}",
        '{"Records": []}',
        '{"Records": ["Ana Pérez"]}',
        direct(record("ObjectTagging:Put", key="Ana+P%C3%A9rez")),
        direct(record("ReducedRedundancyLostObject", key="Ana+P%C3%A9rez")),
        direct(record(key="Ana%FFP%C3%A9rez")),
        direct(record(key="Ana P\ud800rez")),
        direct(record(size="Ana Pérez")),
        direct(record(size=-1)),
        direct(record(size=True)),
        direct(record(eTag="Ana Pérez")),
        direct(record(sequencer="Ana")),
        direct({**record(), "eventSource": "aws:sns"}),
        direct({**record(), "eventTime": "Ana Pérez"}),
        *map(without, ("eventName", "s3", "bucket", "object", "key", "eventTime")),
        bridged("Object Tags Added", key="Ana Pérez"),
        json.dumps({**json.loads(bridged()), "source": "Ana Pérez"}),
        json.dumps({"Type": "SubscriptionConfirmation", "Message": "Ana Pérez"}),
        through_sns(through_sns(direct())),
        '{"Records": ' + "[" * 100_000,
        direct().replace(": 5", ": 1" + "0" * 5000),
        direct().replace(": 5", ": NaN"),
    ],
)
def test_what_cannot_be_understood_is_refused_and_not_quoted(body: str) -> None:
    error = refusal(body)
    assert error.reason == Reason.BAD_MESSAGE
    assert "Ana" not in str(error) and "rez" not in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def understood_or_refused(body: str) -> None:
    try:
        events = parse(body)
    except BadMessage:
        return
    fold(events)


@given(st.text() | st.binary().map(lambda b: b.decode("utf-8", "surrogateescape")) | JSON.map(json.dumps))
def test_no_text_breaks_the_parser(body: str) -> None:
    understood_or_refused(body)


def places(value: Any) -> list[Callable[[Any], None]]:
    """For each value inside a message, a function that replaces it."""
    found: list[Callable[[Any], None]] = []
    for key in value if isinstance(value, dict) else range(len(value)):
        found.append(lambda new, key=key: value.__setitem__(key, new))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


@given(st.sampled_from([direct(), direct(record("ObjectRemoved:Delete")), bridged()]), JSON, st.integers(0))
def test_no_value_in_any_place_breaks_the_parser(body: str, value: Any, place: int) -> None:
    message = json.loads(body)
    replacing = places(message)
    replacing[place % len(replacing)](value)
    understood_or_refused(json.dumps(message))


def created(sequencer: str, version_id: str = "", key: str = "a", etag: str = "", time: int = SECONDS) -> Event:
    return Event("inbox", key, Kind.CREATED, etag or f"e{sequencer}", 1, version_id, sequencer, time)


def removed(sequencer: str, version_id: str = "", kind: Kind = Kind.REMOVED, key: str = "a") -> Event:
    return Event("inbox", key, kind, "", 0, version_id, sequencer, SECONDS)


@pytest.mark.parametrize(("earlier", "later"), [("0A", "0B"), ("0", "000001"), ("1", "11"), ("0f", "1"), ("9", "a")])
def test_sequencers_are_compared_padded_on_the_right(earlier: str, later: str) -> None:
    assert order(earlier) < order(later)
    assert order(earlier) == order(earlier.lower() + "00")


EVENTS = st.lists(
    st.builds(
        Event,
        st.just("inbox"),
        st.sampled_from("ab"),
        st.sampled_from(Kind),
        st.sampled_from(["", "e1", "e2"]),
        st.integers(0, 2),
        st.sampled_from(["", "v1", "v2"]),
        st.sampled_from(["", "0", "00", "0A", "0a", "1"]),
        st.integers(0, 2),
    ),
    max_size=10,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_duplicates_and_another_order_change_nothing(events: list[Event], shuffled: random.Random) -> None:
    told = events + shuffled.sample(events, len(events) // 2)
    shuffled.shuffle(told)
    assert fold(told) == fold(events)


@given(EVENTS)
def test_a_source_has_arrived_or_is_gone_never_both(events: list[Event]) -> None:
    arrivals, deleted = fold(events)
    here, gone = [a.uri for a in arrivals], {d.uri for d in deleted}
    assert len(here) == len(set(here))
    assert not gone & set(here)
    assert gone | set(here) == {uri_of(e.bucket, e.key) for e in events}


def test_the_last_of_many_versions_is_what_arrives() -> None:
    arrivals, deleted = fold([created("0B"), created("0C"), created("0A")])
    assert (arrivals, deleted) == ([Arrival("s3://inbox/a", "e0C 1 s0C", 1)], [])


def test_an_object_made_again_after_its_deletion_is_there() -> None:
    assert fold([created("1"), removed("2"), created("3")])[1] == []
    assert fold([created("1"), removed("2")]) == ([], [Deleted("s3://inbox/a", "", "2", SECONDS)])


def test_removing_an_old_version_leaves_the_current_one() -> None:
    ended = removed("3", "v1", Kind.VERSION_REMOVED)
    arrivals, deleted = fold([created("1", "v1"), created("2", "v2"), ended])
    assert [a.version for a in arrivals] == ["e2 1 s2 v2"] and deleted == []


def test_removing_the_current_version_brings_back_the_one_before() -> None:
    arrivals, _ = fold([created("1", "v1"), created("2", "v2"), removed("3", "v2", Kind.VERSION_REMOVED)])
    assert [a.version for a in arrivals] == ["e1 1 s1 v1"]


def test_removing_a_delete_marker_brings_back_the_object() -> None:
    arrivals, _ = fold([created("1", "v1"), removed("2", "m"), removed("3", "m", Kind.VERSION_REMOVED)])
    assert [a.version for a in arrivals] == ["e1 1 s1 v1"]


def test_a_restored_object_is_a_new_version_of_its_source() -> None:
    restored = Event("inbox", "a", Kind.RESTORED, "e1", 1, "v1", "", SECONDS)
    ((arrival,), _) = fold([restored])
    assert arrival.version != fold([created("1", "v1")])[0][0].version
    assert fold([restored, removed("2")])[0] == []


@pytest.mark.parametrize(
    ("deletion", "known", "ends"),
    [
        (Deleted("u", "", "2", 100), Version("e", 1, None, "1"), True),
        (Deleted("u", "", "2", 100), Version("e", 1, None, "3"), False),
        (Deleted("u", "", "2", 100), Version("e", 1, None, "2"), False),
        (Deleted("u", "", "2", 100), Version("e", 1, 99), True),
        (Deleted("u", "", "2", 100), Version("e", 1, 101), False),
        (Deleted("u", "v1", "2", 100), Version("e", 1, None, "1", "v1"), True),
        (Deleted("u", "v1", "2", 100), Version("e", 1, None, "1", "v2"), False),
        (Deleted("u", "v1", "2", 100), Version("e", 1, 99), False),
    ],
)
def test_a_late_deletion_ends_nothing_newer(deletion: Deleted, known: Version, ends: bool) -> None:
    assert deletion.concerns(str(known)) is ends


def test_a_deletion_does_not_concern_a_file() -> None:
    assert not Deleted("u", "", "2", 100).concerns("12-1700000000-1700000000")
