"""ZIP archives: what comes out, and what must not."""

import io
import zipfile

import pytest

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import archive
from medpipe_tests.unit.extraction.make import docx, paragraph, zipped


def reasons(data: bytes) -> dict[str, Reason]:
    return {name: got.reason for name, got in archive.members(data) if isinstance(got, DocumentError)}


def test_members_come_with_their_names_and_without_what_file_managers_leave() -> None:
    data = zipped({"a.txt": "one", "sub/b.txt": "two", "sub/.DS_Store": "x", "__MACOSX/._a.txt": "x"})
    assert dict(archive.members(data)) == {"a.txt": b"one", "sub/b.txt": b"two"}


def test_an_inner_archive_is_expanded_and_a_word_document_is_not() -> None:
    letter = docx(paragraph("hello"))
    data = zipped({"inner.zip": zipped({"x.txt": "deep"}), "letter.docx": letter})
    assert dict(archive.members(data)) == {"inner.zip!/x.txt": b"deep", "letter.docx": letter}


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/etc/evil", "C:\\evil.txt", "..\\evil.txt"])
def test_a_path_that_leads_out_is_refused_and_its_neighbours_are_not(name: str) -> None:
    data = zipped({name: "x", "good.txt": "fine"})
    assert list(reasons(data).values()) == [Reason.UNSAFE_ARCHIVE]
    assert ("good.txt", b"fine") in list(archive.members(data))


def test_a_symbolic_link_is_refused() -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(link, "/etc/passwd")
    assert reasons(out.getvalue()) == {"link": Reason.UNSAFE_ARCHIVE}


def test_a_member_under_a_password_is_encrypted() -> None:
    data = bytearray(zipped({"secret.txt": "x"}))
    data[6] |= 1  # the flag, in the local header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert reasons(bytes(data)) == {"secret.txt": Reason.ENCRYPTED}


def test_a_bomb_is_refused() -> None:
    assert reasons(zipped({"bomb.txt": bytes(40 << 20), "good.txt": "fine"})) == {"bomb.txt": Reason.UNSAFE_ARCHIVE}


def test_the_limits_hold_over_all_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 1000)
    got = reasons(zipped({"a": b"x" * 600, "b": zipped({"c": b"y" * 600})}))
    assert got == {"b!/c": Reason.UNSAFE_ARCHIVE}


def test_too_many_members_end_the_archive_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    got = list(archive.members(zipped({"a": "1", "b": "2", "c": "3"})))
    assert [name for name, _ in got] == ["a", "b", ""]
    assert isinstance(got[-1][1], DocumentError)


def test_archives_in_archives_in_archives_end_somewhere() -> None:
    data = zipped({"x.txt": "x"})
    for _ in range(archive.MAX_DEPTH):
        data = zipped({"inner.zip": data})
    assert list(reasons(data).values()) == [Reason.UNSAFE_ARCHIVE]


def test_a_damaged_member_is_corrupt_and_its_neighbours_are_not() -> None:
    data = zipped({"a.txt": "spoilt " * 50, "b.txt": "fine"})
    at = data.index(b"a.txt") + 8
    got = dict(archive.members(data[:at] + b"\xff\xff\xff" + data[at + 3 :]))
    assert isinstance(got["a.txt"], DocumentError)
    assert got["b.txt"] == b"fine"


def test_bytes_that_are_no_archive_are_corrupt() -> None:
    with pytest.raises(DocumentError) as raised:
        list(archive.members(b"PK\x03\x04 and nothing more"))
    assert raised.value.reason is Reason.CORRUPT
