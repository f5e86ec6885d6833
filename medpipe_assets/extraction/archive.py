"""ZIP archives become their members, safely: an archive is a container of documents and no document itself.

What the members are, and what becomes of them, is not known here.
"""

import io
import stat
import zipfile
from collections.abc import Iterator

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.media_type import ZIP, ZIP_ERRORS, sniff

MAX_MEMBERS = 10_000
MAX_TOTAL_BYTES = 4 << 30
"""Bytes that all members of an archive, those of its inner archives too, may unpack to."""

MAX_MEMBER_BYTES = 512 << 20
MAX_RATIO = 250
"""Unpacked size by packed size; text packs 3 to 20 times, blank bitmaps some 100 times, bombs 1,000 times."""

_RATIO_FLOOR = 10 << 20
"""Members that unpack to less than this are harmless whatever their ratio."""

MAX_DEPTH = 3
"""Archives within archives that are opened."""

_SKIPPED = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
"""What file managers leave behind."""

_BLOCK = 1 << 20
_ENCRYPTED_FLAG = 0x1


class _Budget:
    """What is left of the limits while an archive and the archives inside it are read."""

    def __init__(self) -> None:
        self.members = MAX_MEMBERS
        self.size = MAX_TOTAL_BYTES


def members(data: bytes) -> Iterator[tuple[str, bytes | DocumentError]]:
    """The files in an archive, those of inner archives as 'inner.zip!/name'.

    Yields:
        Name and bytes; or name and a DocumentError (unsafe_archive, encrypted, corrupt, too_large) for a member that
        must not or cannot be unpacked. An archive that breaks a limit as a whole yields one last error under ''.

    Raises:
        DocumentError: corrupt when the bytes are no archive.
    """
    try:
        yield from _members(data, "", 1, _Budget())
    except DocumentError:
        raise
    except MemoryError:
        raise DocumentError(Reason.TOO_LARGE, "ZIP: out of memory") from None
    except Exception as error:  # whatever else zipfile raises: one archive must not end the intake of all others
        raise DocumentError(Reason.CORRUPT, f"ZIP: {type(error).__name__}") from None


def _members(data: bytes, prefix: str, depth: int, budget: _Budget) -> Iterator[tuple[str, bytes | DocumentError]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except ZIP_ERRORS as error:
        raise DocumentError(Reason.CORRUPT, f"ZIP: {type(error).__name__}") from None
    with archive:
        for info in archive.infolist():
            if info.filename.endswith("/") or _is_skipped(info.filename):  # is_dir() fails where there is no name
                continue
            budget.members -= 1
            if budget.members < 0:
                yield prefix.removesuffix("!/"), DocumentError(Reason.UNSAFE_ARCHIVE, f"more than {MAX_MEMBERS} files")
                return
            yield from _member(archive, info, prefix, depth, budget)


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, prefix: str, depth: int, budget: _Budget
) -> Iterator[tuple[str, bytes | DocumentError]]:
    name = prefix + info.filename
    try:
        _refuse_unsafe(info)
        content = _unpacked(archive, info, budget)
        if not _is_archive(content):
            yield name, content
        elif depth >= MAX_DEPTH:
            raise DocumentError(Reason.UNSAFE_ARCHIVE, f"archives nested more than {MAX_DEPTH} deep")
        else:
            yield from _members(content, f"{name}!/", depth + 1, budget)
    except DocumentError as error:
        yield name, error


def _is_skipped(name: str) -> bool:
    return name.startswith(_SKIPPED[0]) or name.rsplit("/", 1)[-1] in _SKIPPED


def _refuse_unsafe(info: zipfile.ZipInfo) -> None:
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        raise DocumentError(Reason.UNSAFE_ARCHIVE, "a member's path leads out of the archive")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DocumentError(Reason.UNSAFE_ARCHIVE, "a member is a symbolic link")
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise DocumentError(Reason.ENCRYPTED, "archive member under a password")


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: _Budget) -> bytes:
    """The member's bytes, counted while they come: what the archive says of its sizes may be a lie."""
    unpacked = io.BytesIO()
    size = 0
    try:
        with archive.open(info) as stream:
            while block := stream.read(_BLOCK):
                size += len(block)
                budget.size -= len(block)
                _refuse_bomb(size, info.compress_size, budget)
                unpacked.write(block)
    except DocumentError:
        raise
    except Exception as error:  # zipfile, zlib, lzma and bz2 each have errors of their own
        raise DocumentError(Reason.CORRUPT, f"ZIP member: {type(error).__name__}") from None
    return unpacked.getvalue()


def _refuse_bomb(size: int, packed: int, budget: _Budget) -> None:
    if budget.size < 0:
        raise DocumentError(Reason.UNSAFE_ARCHIVE, f"unpacks to more than {MAX_TOTAL_BYTES >> 30} GB")
    if size > MAX_MEMBER_BYTES:
        raise DocumentError(Reason.TOO_LARGE, f"a member of more than {MAX_MEMBER_BYTES >> 20} MB")
    if size > _RATIO_FLOOR and size > MAX_RATIO * max(packed, 1):
        raise DocumentError(Reason.UNSAFE_ARCHIVE, f"a member packed more than {MAX_RATIO} times")


def _is_archive(content: bytes) -> bool:
    try:
        return sniff(content) == ZIP
    except DocumentError:
        return False
