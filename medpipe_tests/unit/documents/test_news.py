"""What is late is told by S3's own order, whatever order the messages come in."""

from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.documents.news import Seen, is_late
from medpipe_assets.inbox.s3 import Version


def version(sequencer: int, etag: str = "") -> str:
    return str(Version(etag or f"e{sequencer}", 1, None, f"{sequencer:X}"))


@given(st.lists(st.integers(1, 9), min_size=1))
def test_in_any_order_and_with_repetitions_the_newest_version_is_what_stays(told: list[int]) -> None:
    seen = Seen("another inbox's")
    accepted = 0
    for sequencer in told:
        if not is_late(version(sequencer * 16), seen):
            seen, accepted = Seen(version(sequencer * 16), "document"), accepted + 1
    assert seen.version == version(max(told) * 16)
    assert accepted <= len(set(told))


def test_a_listed_object_is_the_one_announced_unless_it_could_not_be_read() -> None:
    listed = str(Version("e1", 1, 1_763_000_000))
    announced = version(16, "e1")
    assert is_late(announced, Seen(listed, "document")) and is_late(announced, Seen(listed, waiting=True))
    assert not is_late(announced, Seen(listed))
    assert not is_late(version(16, "e2"), Seen(listed, "document"))


def test_an_object_that_comes_back_after_it_was_deleted_is_new() -> None:
    gone = Seen(str(Version("", 0, None, "20")), deleted=True)
    assert not is_late(version(0x30, "e1"), gone) and is_late(version(0x10, "e1"), gone)
