"""One way to fetch, whatever the scheme; and a lake that does not take itself in."""

from pathlib import Path
from typing import Any

import pytest

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.inbox.places import fetcher, s3_inbox


def test_a_uri_is_fetched_from_where_it_is(aws: Any, tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_bytes(b"here")
    client = aws("s3")
    client.create_bucket(Bucket="clinic")
    client.put_object(Bucket="clinic", Key="in/Jane Doe+é.txt", Body=b"there")
    fetch = fetcher()
    assert fetch((tmp_path / "a b.txt").as_uri()) == b"here"
    (arrival,) = s3_inbox("s3://clinic/in", Clients()).arrivals()
    assert fetch(arrival.uri) == b"there"


def test_a_scheme_that_nobody_reads_is_said_and_not_tried() -> None:
    with pytest.raises(DocumentError) as raised:
        fetcher()("https://example.org/a.pdf")
    assert raised.value.reason is Reason.UNREADABLE and "example" not in str(raised.value)


def test_a_lake_in_the_same_bucket_does_not_take_itself_in(aws: Any) -> None:
    client = aws("s3")
    client.create_bucket(Bucket="clinic")
    for key in ("in.txt", "lake/raw/x.txt", "lake/raw.txt"):
        client.put_object(Bucket="clinic", Key=key, Body=b"x")
    inbox = s3_inbox("s3://clinic", Clients(), ["s3://clinic/lake/raw", "s3://other/in", "/a/folder"])
    assert [arrival.uri for arrival in inbox.arrivals()] == ["s3://clinic/in.txt", "s3://clinic/lake/raw.txt"]


@pytest.mark.parametrize("root", ["s3://", "s3:///in", "clinic/in", "s3://clinic/lake/raw/in"])
def test_a_place_that_can_be_no_inbox_is_refused(aws: Any, root: str) -> None:
    with pytest.raises(ConfigurationError):
        s3_inbox(root, Clients(), ["s3://clinic/lake/raw"])
