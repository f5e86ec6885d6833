"""Packed files: gzip is unpacked as it is read, a ZIP becomes its members; neither may fill the disk.

What the unpacked files say is not known here.
"""

import gzip
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from medpipe_assets.errors import DocumentError, Reason

MAX_UNPACKED_BYTES = 64 << 30
"""Of one file; NPPES, the largest of CMS's, unpacks to some 10 GB."""
MAX_RATIO = 250
"""Unpacked size by packed size; text packs 3 to 20 times, blank rows some 100 times, bombs 1,000 times."""
HARMLESS_BYTES = 1 << 30
"""What unpacks to less than this is harmless whatever its ratio."""
MAX_MEMBERS = 10_000
FREE_SHARE = 0.5
"""Of the disk's free space, so much may be taken."""
_BLOCK = 4 << 20
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_DATA = (".csv", ".txt", ".tsv", ".json", ".ndjson", ".jsonl", ".gz")
_SKIPPED = ("__MACOSX/", ".")
_ENCRYPTED_FLAG = 0x1


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def is_zip(path: Path) -> bool:
    """Whether a file is a ZIP archive that is not empty."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def unpacked(path: Path, folder: Path) -> Path:
    """A file as it is, or what is packed in it by gzip, in `folder`.

    Raises:
        DocumentError: corrupt, unsafe_archive, too_large.
    """
    with path.open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            return path
    target = folder / "unpacked"
    try:
        with gzip.open(path) as source:
            _pour(source, target, path.stat().st_size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DocumentError(Reason.CORRUPT, f"gzip: {type(error).__name__}") from None
    return target


def members(path: Path, folder: Path) -> Iterator[tuple[str, Path | DocumentError]]:
    """The data files in a ZIP archive, one after another in `folder`, or why one cannot be unpacked.

    Data is what is named so (.csv, .txt, .tsv, .json, .ndjson, .jsonl, .gz): CMS packs manuals and layouts beside it.

    Raises:
        DocumentError: corrupt; unsupported_type, where there is no data.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise DocumentError(Reason.CORRUPT, f"ZIP: {type(error).__name__}") from None
    with archive:
        found = [info for info in archive.infolist() if _is_data(info)]
        if not found:
            raise DocumentError(Reason.UNSUPPORTED_TYPE, "no CSV or JSON file in the archive")
        if len(found) > MAX_MEMBERS:
            raise DocumentError(Reason.UNSAFE_ARCHIVE, f"more than {MAX_MEMBERS} files")
        for info in found:
            try:
                yield info.filename, _member(archive, info, folder / "member")
            except DocumentError as error:
                yield info.filename, error


def _is_data(info: zipfile.ZipInfo) -> bool:
    name = info.filename.rpartition("/")[2]
    return (
        not info.is_dir()
        and not info.filename.startswith(_SKIPPED[0])
        and (not name.startswith(_SKIPPED[1]) and name.lower().endswith(_DATA))
    )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> Path:
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise DocumentError(Reason.ENCRYPTED, "archive member under a password")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DocumentError(Reason.UNSAFE_ARCHIVE, "a member is a symbolic link")
    try:
        with archive.open(info) as source:
            _pour(source, target, info.compress_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DocumentError(Reason.CORRUPT, f"ZIP member: {type(error).__name__}") from None
    return target


def _pour(source: _Readable, target: Path, packed: int) -> None:
    """Write what comes, counted while it does: what an archive says of its sizes may be a lie."""
    room = min(MAX_UNPACKED_BYTES, int(FREE_SHARE * shutil.disk_usage(target.parent).free))
    size = 0
    with target.open("wb") as out:
        while block := source.read(_BLOCK):
            size += len(block)
            if size > room:
                raise DocumentError(Reason.TOO_LARGE, f"unpacks to more than {room >> 20} MB")
            if size > HARMLESS_BYTES and size > MAX_RATIO * max(packed, 1):
                raise DocumentError(Reason.UNSAFE_ARCHIVE, f"packed more than {MAX_RATIO} times")
            out.write(block)
