"""Packed files give what is in them, and cannot fill the disk."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.etlt import packing
from medpipe_assets.etlt.packing import is_zip, members, unpacked


def zipped(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "files.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_gzip_in_several_parts_is_unpacked_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n"))
    assert unpacked(path, tmp_path).read_bytes() == b"a,b\n1,2\n"


def test_a_file_that_is_not_packed_is_left_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\n")
    assert unpacked(path, tmp_path) == path


def test_truncated_gzip_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" * 1000)[:-9])
    with pytest.raises(DocumentError) as refused:
        unpacked(path, tmp_path)
    assert refused.value.reason == Reason.CORRUPT


def test_of_an_archive_only_data_is_taken(tmp_path: Path) -> None:
    path = zipped(
        tmp_path, {"a.csv": b"1", "sub/B.JSON": b"2", "readme.pdf": b"3", "__MACOSX/a.csv": b"4", ".x.csv": b"5"}
    )
    assert is_zip(path)
    found = {name: file.read_bytes() for name, file in members(path, tmp_path) if isinstance(file, Path)}
    assert found == {"a.csv": b"1", "sub/B.JSON": b"2"}


def test_an_archive_without_data_is_of_no_supported_type(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as refused:
        list(members(zipped(tmp_path, {"readme.pdf": b"3"}), tmp_path))
    assert refused.value.reason == Reason.UNSUPPORTED_TYPE


def test_bombs_are_refused_and_the_members_beside_them_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "HARMLESS_BYTES", 1 << 20)
    found = dict(members(zipped(tmp_path, {"bomb.csv": b"," * (8 << 20), "good.csv": b"a,b"}), tmp_path))
    assert isinstance(found["bomb.csv"], DocumentError)
    assert found["bomb.csv"].reason == Reason.UNSAFE_ARCHIVE
    assert isinstance(found["good.csv"], Path)


def test_more_than_the_disk_should_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_UNPACKED_BYTES", 1000)
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"x" * 1001))
    with pytest.raises(DocumentError) as refused:
        unpacked(path, tmp_path)
    assert refused.value.reason == Reason.TOO_LARGE


def test_an_archive_under_a_password_says_so(tmp_path: Path) -> None:
    data = io.BytesIO(zipped(tmp_path, {"a.csv": b"1"}).read_bytes()).getvalue()
    # The flag of encryption in the local header and in the central directory.
    local, central = data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8
    marked = bytearray(data)
    marked[local] |= 1
    marked[central] |= 1
    path = tmp_path / "locked.zip"
    path.write_bytes(marked)
    (_, found), *_ = members(path, tmp_path)
    assert isinstance(found, DocumentError)
    assert found.reason == Reason.ENCRYPTED
