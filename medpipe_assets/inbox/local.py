"""Files and folders as an inbox: listing what is there, and reading a file as it was at one moment."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.inbox.engine import Arrival

READ_TRIES = 3
MAX_DOCUMENT_BYTES = 500 * 1024 * 1024
"""Amazon Textract's limit for an asynchronous document (500 MB); larger files would not run on AWS either."""


@dataclass(frozen=True)
class LocalInbox:
    """Files, and folders with all files below them. Hidden files, links out of a folder and lakes are left alone.

    Args:
        paths: files and folders.
        settle_seconds: leave out files changed within so many seconds: they may still be being copied. One that was
            changed in the future was not changed now: the clock was set back, or its maker's is fast.
    """

    paths: tuple[Path, ...]
    settle_seconds: float = 0.0

    def arrivals(self) -> Iterator[Arrival]:
        now = time.time()
        for file in _files(self.paths):
            try:
                status = file.stat()
            except OSError:
                continue  # gone since it was listed
            if not any(abs(now - changed) < self.settle_seconds for changed in (status.st_mtime, status.st_ctime)):
                yield Arrival(file.as_uri(), _version(status), status.st_size)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
        if not absolute.is_dir():
            yield absolute
            continue
        for folder, folders, files in os.walk(absolute):
            folders[:] = sorted(name for name in folders if not (name.startswith(".") or _is_lake(Path(folder, name))))
            for name in sorted(files):
                file = Path(folder, name)
                if not name.startswith(".") and file.is_file() and not file.is_symlink():
                    yield file


def _is_lake(folder: Path) -> bool:
    """Whether a folder is a lake: by default one lies in the current folder, and would take itself in."""
    return all((folder / name).exists() for name in ("catalog.db", "leases.db"))


def _version(status: os.stat_result) -> str:
    # The change time as well: it moves when permissions do, and with them a file that could not be read.
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def path_of(uri: str) -> Path:
    """The path of a `file://` URI, whatever bytes its name is made of."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def fetch(uri: str) -> bytes:
    """A file's bytes, all from one moment.

    Raises:
        DocumentError: unreadable (gone, no permission, no regular file, changed at each try), too_large.
    """
    path = path_of(uri)
    for _ in range(READ_TRIES):
        try:
            before = path.stat()
            if before.st_size > MAX_DOCUMENT_BYTES:
                raise DocumentError(Reason.TOO_LARGE, f"over {MAX_DOCUMENT_BYTES} bytes")
            if not path.is_file():
                raise DocumentError(Reason.UNREADABLE, "not a regular file")
            data = path.read_bytes()
            after = path.stat()
        except OSError as error:
            raise DocumentError(Reason.UNREADABLE, error.strerror or type(error).__name__) from None
        if _version(before) == _version(after) and len(data) == after.st_size:
            return data
    raise DocumentError(Reason.UNREADABLE, "changed while it was read")
