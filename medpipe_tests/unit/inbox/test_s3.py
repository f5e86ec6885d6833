"""An S3 prefix as an inbox: what it lists, what is new since the last listing, and reading one version of an object."""

import datetime as dt
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.inbox import s3
from medpipe_assets.inbox.engine import Arrival
from medpipe_assets.inbox.s3 import Listed, S3Inbox, Version, advance, place_of, uri_of

BUCKET = "hospital-inbox"


@pytest.fixture
def client(aws: Any) -> Any:
    made = aws("s3")
    made.create_bucket(Bucket=BUCKET)
    return made


def inbox(client: Any, **settings: Any) -> S3Inbox:
    return S3Inbox(BUCKET, "in/", client, **settings)


def put(client: Any, key: str, body: bytes = b"x") -> None:
    client.put_object(Bucket=BUCKET, Key=key, Body=body)


def refusal(inbox: S3Inbox, uri: str, version: str = "") -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        inbox.fetch(uri, version)
    return caught.value


def test_all_objects_below_the_prefix_are_listed_over_many_pages(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in range(25):
        put(client, f"in/{name:02}.txt")
    put(client, "elsewhere/a.txt")
    paginator = client.get_paginator("list_objects_v2")
    pages: list[int] = []

    def small_pages(**request: Any) -> Iterator[Any]:
        for page in type(paginator).paginate(paginator, **request, PaginationConfig={"PageSize": 10}):
            pages.append(page["KeyCount"])
            yield page

    monkeypatch.setattr(client, "get_paginator", lambda name: type("P", (), {"paginate": staticmethod(small_pages)}))
    assert [a.uri for a in inbox(client).arrivals()] == [f"s3://{BUCKET}/in/{name:02}.txt" for name in range(25)]
    assert pages == [10, 10, 5]


def test_folder_markers_and_excluded_prefixes_are_left_alone(client: Any) -> None:
    for key in ("in/", "in/folder/", "in/folder/a", "in/lake/raw/receipts/b"):
        put(client, key)
    listed = [a.uri for a in inbox(client, exclude=("in/lake/",)).arrivals()]
    assert listed == [f"s3://{BUCKET}/in/folder/a"]


@pytest.mark.parametrize(
    "key", ["in/two words", "in/a+b%20c", "in/niño.pdf", "in/a!/b", "in/#?&=;", "in//double", "in/../up", "in/\x01\n"]
)
def test_an_object_of_any_name_is_listed_and_read(client: Any, key: str) -> None:
    put(client, key, b"content")
    (arrival,) = inbox(client).arrivals()
    assert arrival.uri.isascii() and not set(arrival.uri) & set(" \n#?!")
    assert place_of(arrival.uri) == (BUCKET, key)
    assert inbox(client).fetch(arrival.uri, arrival.version) == b"content"
    assert arrival.size == 7


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_key_comes_back_from_its_uri(key: str) -> None:
    assert place_of(uri_of(BUCKET, key)) == (BUCKET, key)


WORDS = st.text("0123456789abcdef-", min_size=1)


@given(WORDS, st.integers(0, 2**62), st.none() | st.integers(0, 2**40), WORDS, WORDS | st.just(""))
def test_a_version_comes_back_from_its_text(
    etag: str, size: int, modified: int | None, sequencer: str, version_id: str
) -> None:
    version = Version(etag, size, modified, sequencer if modified is None else "", version_id)
    assert Version.parse(str(version)) == version


@pytest.mark.parametrize("text", ["", "12-1700000000-1700000000", "a b c", "a 1 x2", "a 1 tx", "a 1 t2 v w"])
def test_a_version_of_another_inbox_is_told_from_an_object_s(text: str) -> None:
    assert Version.parse(text) is None


def test_a_version_changes_with_the_bytes(client: Any) -> None:
    put(client, "in/a", b"one")
    before = next(inbox(client).arrivals())
    assert next(inbox(client).arrivals()) == before
    put(client, "in/a", b"two")
    assert next(inbox(client).arrivals()).version != before.version


def test_what_is_read_is_what_was_listed(client: Any) -> None:
    put(client, "in/a", b"one")
    before = next(inbox(client).arrivals())
    put(client, "in/a", b"two")
    error = refusal(inbox(client), before.uri, before.version)
    assert (error.reason, error.detail) == (Reason.UNREADABLE, "replaced by another version")
    assert inbox(client).fetch(before.uri) == b"two"


def test_what_is_gone_cannot_be_read_and_its_name_is_not_told(client: Any) -> None:
    error = refusal(inbox(client), uri_of(BUCKET, "in/Ana Pérez.txt"))
    assert (error.reason, error.detail) == (Reason.UNREADABLE, "gone")


def test_an_object_of_another_place_is_not_read(client: Any) -> None:
    put(client, "elsewhere/a")
    for uri in (uri_of(BUCKET, "elsewhere/a"), uri_of("other", "in/a"), "file:///in/a"):
        assert refusal(inbox(client), uri).detail == "not in this inbox"


def test_an_object_that_is_too_large_is_not_read(client: Any) -> None:
    put(client, "in/a", b"12345")
    assert refusal(inbox(client, max_bytes=4), uri_of(BUCKET, "in/a")).reason == Reason.TOO_LARGE
    assert inbox(client, max_bytes=5).fetch(uri_of(BUCKET, "in/a")) == b"12345"


def test_an_archived_object_waits_for_its_restoration(client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="in/a", Body=b"x", StorageClass="GLACIER")
    assert refusal(inbox(client), uri_of(BUCKET, "in/a")).detail == "archived: restore it first"


def test_a_bucket_that_is_not_there_stops_the_run(client: Any) -> None:
    with pytest.raises(ConfigurationError, match="ListObjectsV2: NoSuchBucket"):
        list(S3Inbox("missing-bucket", "", client).arrivals())
    with pytest.raises(ConfigurationError, match="GetObject: NoSuchBucket"):
        S3Inbox("missing-bucket", "", client).fetch("s3://missing-bucket/a")


class Breaking:
    """S3 of one object whose transfers break off after some bytes, as its answers to GetObject show."""

    def __init__(self, content: bytes, breaks: list[int], replaced_at: int = -1) -> None:
        self.content, self.breaks, self.replaced_at = content, breaks, replaced_at
        self.requests: list[dict[str, Any]] = []

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        etag = '"new"' if len(self.requests) > self.replaced_at >= 0 else '"old"'
        if request.get("IfMatch", etag) != etag:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "GetObject")
        begin = int(request.get("Range", "bytes=0-")[6:-1])
        rest = self.content[begin:]
        come = self.breaks.pop(0) if self.breaks else len(rest)
        return {
            "ETag": etag,
            "ContentLength": len(rest),
            "Body": StreamingBody(io.BytesIO(rest[:come]), len(rest)),
        }


@given(st.binary(max_size=40), st.lists(st.integers(0, 39), max_size=s3.READ_TRIES - 1))
def test_a_transfer_that_breaks_off_goes_on_where_it_was(content: bytes, breaks: list[int]) -> None:
    client = Breaking(content, breaks)
    assert S3Inbox(BUCKET, "", client).fetch(uri_of(BUCKET, "a")) == content


def test_a_transfer_never_goes_on_with_other_bytes() -> None:
    client = Breaking(b"0123456789", [4], replaced_at=1)
    error = refusal(S3Inbox(BUCKET, "", client), uri_of(BUCKET, "a"))
    assert error.detail == "replaced by another version"
    assert client.requests[1]["Range"] == "bytes=4-"


def test_a_transfer_that_breaks_off_every_time_is_tried_by_the_next_run() -> None:
    error = refusal(S3Inbox(BUCKET, "", Breaking(b"0123456789", [1] * 9)), uri_of(BUCKET, "a"))
    assert error.reason == Reason.ENGINE_UNAVAILABLE


def test_a_service_out_of_reach_is_tried_by_the_next_run() -> None:
    class Unreachable:
        def get_object(self, **request: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="http://secret-host")

    error = refusal(S3Inbox(BUCKET, "", Unreachable()), uri_of(BUCKET, "a"))
    assert error.reason == Reason.ENGINE_UNAVAILABLE and "secret" not in str(error)


def at(second: int, name: str, etag: str = "e") -> Listed:
    version = str(Version(etag, 1, second))
    return Listed(Arrival(uri_of(BUCKET, name), version, 1), dt.datetime.fromtimestamp(second, dt.UTC))


NOW = 1_800_000_000

ARRIVING = st.lists(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, s3.OVERLAP_SECONDS), st.integers(0, 30)), max_size=8
    ),  # by tick: seconds passed, seconds after its stamp that it is first listed, key
    max_size=12,
)


@given(ARRIVING, st.randoms(use_true_random=False))
def test_no_object_is_lost_and_none_told_twice_whatever_the_order(ticks: list[Any], random: Any) -> None:
    """Many objects in the same second, some listed long after their time stamp, some replacing others."""
    there: dict[str, Listed] = {}
    expected: list[Arrival] = []
    told: list[Arrival] = []
    cursor, now = "", NOW
    for n, tick in enumerate(ticks):
        for m, (passed, late, key) in enumerate(tick):
            now += passed
            there[f"{key}"] = at(now - late, f"{key}", f"e{n}.{m}")
        expected += [listed.arrival for listed in there.values() if listed.arrival not in expected]
        listing = list(there.values())
        random.shuffle(listing)
        new, cursor = advance(cursor, listing)
        told += new
    assert sorted(told) == sorted(expected)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 8))
def test_a_full_cursor_tells_objects_again_rather_than_lose_any(first: int, second: int, room: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3, "EDGE_OBJECTS", room)
        before = [at(NOW, f"a{n}") for n in range(first)]
        _, cursor = advance("", before)
        after = [at(NOW, f"b{n}") for n in range(second)]
        new, cursor = advance(cursor, before + after)
    assert {listed.arrival for listed in after} <= set(new)
    assert len(new) == second + max(0, first - room)
    assert len(json.loads(cursor)["edge"]) <= room


def test_a_cursor_is_small_and_names_nothing() -> None:
    _, cursor = advance("", (at(NOW, f"Ana Pérez {n}") for n in range(20_000)))
    assert "Ana" not in cursor and "rez" not in cursor
    assert len(cursor) < 70_000
    assert len(json.loads(cursor)["edge"]) == s3.EDGE_OBJECTS


@pytest.mark.parametrize("cursor", ["", "{}", "[]", "null", "not ours", '{"newest": "x", "edge": []}'])
def test_a_cursor_that_cannot_be_read_starts_afresh(cursor: str) -> None:
    new, _ = advance(cursor, [at(NOW, "a")])
    assert len(new) == 1


def test_an_old_object_is_not_told_again(client: Any) -> None:
    put(client, "in/a")
    new, cursor = advance("", inbox(client).listing())
    assert len(new) == 1
    assert advance(cursor, inbox(client).listing()) == ([], cursor)
    put(client, "in/b")
    new, _ = advance(cursor, inbox(client).listing())
    assert [place_of(arrival.uri)[1] for arrival in new] == ["in/b"]
