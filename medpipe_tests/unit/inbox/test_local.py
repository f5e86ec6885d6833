"""The local inbox: what it lists and what it leaves alone, and reading a file as it was at one moment."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.inbox import local
from medpipe_assets.inbox.engine import Arrival, source_id
from medpipe_assets.inbox.local import LocalInbox, fetch, path_of
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation


def listed(*paths: Path, **settings: float) -> list[Arrival]:
    return list(LocalInbox(paths, **settings).arrivals())


def names(*paths: Path) -> list[str]:
    return [path_of(arrival.uri).name for arrival in listed(*paths)]


def refusal(uri: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        fetch(uri)
    return caught.value


def test_files_and_all_files_below_folders_are_listed_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/deep/c.txt", "sub/a.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    (tmp_path / "single").write_text("x")
    found = [path_of(a.uri) for a in listed(tmp_path / "in", tmp_path / "single")]
    expected = ["in/a.txt", "in/b.txt", "in/sub/a.txt", "in/sub/deep/c.txt", "single"]
    assert [str(p.relative_to(tmp_path)) for p in found] == expected
    assert listed(tmp_path / "in", tmp_path / "single") == listed(tmp_path / "in", tmp_path / "single")


def test_hidden_files_and_links_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    folder = tmp_path / "in"
    (folder / ".hidden").mkdir(parents=True)
    (folder / ".hidden" / "file").write_text("x")
    (folder / ".DS_Store").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "seen").write_text("x")
    assert names(folder) == ["seen"]


def test_a_folder_with_nothing_in_it_and_a_path_that_is_not_there_list_nothing(tmp_path: Path) -> None:
    assert listed(tmp_path, tmp_path / "missing") == []


def test_a_lake_below_the_folder_is_no_input(tmp_path: Path) -> None:
    """The default lake lies below the current folder, which is what `medpipe run .` reads."""
    (tmp_path / "letter.txt").write_text("x")
    lake = Lake(LakeLocation.under(tmp_path / "lake"))
    lake.keep(b"a document taken in before")
    assert names(tmp_path) == ["letter.txt"]


def test_a_folder_inside_a_lake_can_be_watched(tmp_path: Path) -> None:
    lake = Lake(LakeLocation.under(tmp_path / "lake"))
    (lake.location.home / "inbox").mkdir()
    (lake.location.home / "inbox" / "letter.txt").write_text("x")
    assert names(lake.location.home / "inbox") == ["letter.txt"]


def test_files_that_may_still_be_being_copied_are_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    changed = file.stat().st_ctime
    monkeypatch.setattr(local.time, "time", lambda: changed + 4)
    assert listed(tmp_path, settle_seconds=5) == []
    assert len(listed(tmp_path, settle_seconds=3)) == 1
    assert len(listed(tmp_path)) == 1


def test_a_version_changes_with_bytes_times_and_permissions_and_not_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    versions = [listed(file)[0].version]
    assert listed(file)[0].version == versions[0]
    os.utime(file, (1, 1))
    versions.append(listed(file)[0].version)
    os.utime(file, (1, 2))
    versions.append(listed(file)[0].version)
    file.write_text("longer")
    versions.append(listed(file)[0].version)
    assert len(set(versions)) == 4


@pytest.mark.parametrize(
    "name",
    [
        b"plain.txt",
        b"two words",
        b"a#b?c%20d",
        "niño".encode(),
        b"not utf-8 \xff\xfe",
        b"new\nline",
        b"!",
        b"a!b",
        b"+&;=",
    ],
)
def test_a_file_of_any_name_is_listed_and_read(tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    with open(path, "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(b"content of " + name)
    (arrival,) = listed(tmp_path)
    assert arrival.uri.isascii() and not set(arrival.uri) & set(" \n#?")
    assert "!/" not in arrival.uri
    assert fetch(arrival.uri) == b"content of " + name
    assert os.fsencode(path_of(arrival.uri)) == path
    assert arrival.size == len(b"content of " + name)


@given(st.binary(min_size=1, max_size=50).filter(lambda b: b"\0" not in b and b"/" not in b))
def test_a_path_comes_back_from_its_uri(name: bytes) -> None:
    path = Path("/folder") / os.fsdecode(name)
    assert path_of(path.as_uri()) == path


def test_a_source_is_named_by_its_uri_alone() -> None:
    one, other = Arrival("file:///a", "1", 1), Arrival("file:///a", "2", 9)
    assert one.source_id == other.source_id == source_id("file:///a") != source_id("file:///b")
    assert len(one.source_id) == 32


def test_what_is_gone_cannot_be_read_and_its_name_is_not_told(tmp_path: Path) -> None:
    error = refusal((tmp_path / "Ana Pérez.txt").as_uri())
    assert error.reason == Reason.UNREADABLE
    assert "Ana" not in str(error) and "P%C3" not in str(error)


def test_a_file_without_permission_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "Ana.txt"
    file.write_text("x")

    def refused(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refused)  # root may read everything
    error = refusal(file.as_uri())
    assert (error.reason, error.detail) == (Reason.UNREADABLE, "Permission denied")


def test_a_folder_or_a_device_is_no_document(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        assert refusal(path.as_uri()).reason == Reason.UNREADABLE


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(local.MAX_DOCUMENT_BYTES + 1)
    assert refusal((tmp_path / "sparse").as_uri()).reason == Reason.TOO_LARGE


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_text("old")
    real, reads = Path.read_bytes, []

    def read(self: Path) -> bytes:
        data = real(self)
        reads.append(data)
        if len(reads) < local.READ_TRIES:
            file.write_text("new" * len(reads))
        return data

    monkeypatch.setattr(Path, "read_bytes", read)
    assert fetch(file.as_uri()) == b"newnew"
    assert len(reads) == local.READ_TRIES


def test_a_file_that_never_holds_still_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    real = Path.read_bytes

    def read(self: Path) -> bytes:
        data = real(self)
        file.write_bytes(data + b"x")
        return data

    monkeypatch.setattr(Path, "read_bytes", read)
    assert refusal(file.as_uri()).reason == Reason.UNREADABLE


def test_a_file_from_the_future_does_not_wait_for_its_time(tmp_path: Path) -> None:
    """The clock was set back, or a scanner's is fast; it would be lost until then."""
    (tmp_path / "a").write_text("x")
    later = time.time() + 86_400
    os.utime(tmp_path / "a", (later, later))
    inbox = LocalInbox((tmp_path,), settle_seconds=0.05)
    time.sleep(0.1)  # its change time, which nobody can set, is now
    assert len(list(inbox.arrivals())) == 1
