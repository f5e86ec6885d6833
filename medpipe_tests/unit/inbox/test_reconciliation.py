"""What a nightly listing finds that no message told, and what it finds gone."""

from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.inbox.engine import Arrival
from medpipe_assets.inbox.reconciliation import Difference, Known, compare
from medpipe_assets.inbox.s3 import S3Inbox, Version

A, B = "s3://inbox/in/a", "s3://inbox/in/b"
HOLDS = S3Inbox("inbox", "in/", client=None).holds


def listed(uri: str = A, etag: str = "e1", modified: int = 100) -> Arrival:
    return Arrival(uri, str(Version(etag, 1, modified)), 1)


def announced(etag: str = "e1", sequencer: str = "1") -> str:
    return str(Version(etag, 1, None, sequencer, "v1"))


def test_an_object_that_no_message_announced_is_found() -> None:
    assert compare([listed(A), listed(B)], [Known(A, announced())], HOLDS) == Difference((listed(B),), ())


def test_an_object_that_was_announced_is_known_by_its_bytes() -> None:
    assert compare([listed()], [Known(A, announced())], HOLDS) == Difference((), ())


def test_an_object_replaced_without_a_message_is_found() -> None:
    assert compare([listed(etag="e2")], [Known(A, announced("e1"))], HOLDS).unannounced == (listed(etag="e2"),)


def test_an_object_replaced_by_what_it_was_before_is_found() -> None:
    known = [Known(A, announced("e1", "1")), Known(A, announced("e2", "2"))]
    assert compare([listed(etag="e1")], known, HOLDS).unannounced == (listed(etag="e1"),)


def test_an_object_put_back_after_its_deletion_is_found() -> None:
    known = [Known(A, announced()), Known(A, announced(), deleted=True)]
    assert compare([listed()], known, HOLDS).unannounced == (listed(),)
    assert compare([], known, HOLDS) == Difference((), ())


def test_what_is_gone_is_told_with_the_members_of_a_zip() -> None:
    known = [Known(A, announced()), Known(f"{A}!/x.txt", announced()), Known(B, announced())]
    assert compare([listed(B)], known, HOLDS).gone == (A, f"{A}!/x.txt")
    assert compare([listed(A), listed(B)], known, HOLDS) == Difference((), ())


def test_sources_of_other_places_are_not_judged() -> None:
    known = [Known("file:///in/a", "1-2-3"), Known("s3://inbox/elsewhere/a", announced()), Known("s3://other/in/a", "")]
    assert compare([], known, HOLDS) == Difference((), ())


STATES = st.dictionaries(st.sampled_from([f"s3://inbox/in/{c}" for c in "abcd"]), st.sampled_from(["e1", "e2", "e3"]))


@given(STATES, STATES)
def test_doing_what_the_difference_says_leaves_none(there: dict[str, str], before: dict[str, str]) -> None:
    objects = [listed(uri, etag) for uri, etag in there.items()]
    known = [Known(uri, announced(etag)) for uri, etag in before.items()]
    found = compare(objects, known, HOLDS)
    known += [Known(arrival.uri, arrival.version) for arrival in found.unannounced]
    known += [Known(uri, announced(before[uri]), deleted=True) for uri in found.gone]
    assert compare(objects, known, HOLDS) == Difference((), ())
    assert {a.uri for a in found.unannounced} == {uri for uri, etag in there.items() if before.get(uri) != etag}
    assert set(found.gone) == set(before) - set(there)
