"""What can go wrong with a document, and with the configuration: the only exceptions that cross module borders.

A `DocumentError` concerns one document (or one page of it): the run goes on and the document gets a quarantine row.
A `ConfigurationError` concerns the installation: the run stops at once. Neither ever holds document text.
"""

import errno
from enum import StrEnum


class Reason(StrEnum):
    """Why a document, a page or a source is in quarantine: a closed list that operators learn once."""

    EMPTY = "empty"
    ENCRYPTED = "encrypted"
    CORRUPT = "corrupt"
    UNSUPPORTED_TYPE = "unsupported_type"
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    TOO_LARGE = "too_large"
    UNSAFE_ARCHIVE = "unsafe_archive"
    UNREADABLE = "unreadable"
    INCONSISTENT = "inconsistent"
    ENGINE_REJECTED = "engine_rejected"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    ENGINE_CRASHED = "engine_crashed"
    TIMEOUT = "timeout"
    BAD_MESSAGE = "bad_message"


RETRIED_BY_THEMSELVES = frozenset({Reason.ENGINE_UNAVAILABLE, Reason.ENGINE_CRASHED, Reason.TIMEOUT})
"""Reasons that the next run retries unasked; all others wait for new bytes, a new engine version, or `force`."""


class DocumentError(Exception):
    """One document, or one of its pages, cannot be processed.

    Args:
        reason: from the closed list.
        detail: what an operator needs beyond the reason (a limit, a library's error class). Never document text,
            never a file name.
        page: the page concerned, from 1; None when the whole document is.
    """

    def __init__(self, reason: Reason, detail: str = "", page: int | None = None) -> None:
        super().__init__(reason, detail, page)
        self.reason = reason
        self.detail = detail
        self.page = page

    def __str__(self) -> str:
        where = "" if self.page is None else f" on page {self.page}"
        return f"{self.reason.value}{where}" + (f": {self.detail}" if self.detail else "")


class RunStopError(Exception):
    """The run cannot go on, through no fault of a document: what is done is committed, the rest waits for the next run.

    The message says what, where, and the next step.
    """


class ConfigurationError(RunStopError):
    """The installation or the command is wrong."""


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_ROOM_WORDS = (
    "database or disk is full",
    "disk I/O error",  # SQLite, where its log cannot grow
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
)
_DATABASES = ("sqlite3", "sqlalchemy", "_duckdb", "duckdb")
"""Libraries that say it in words. No other's are listened to: the message may be a document's."""


def no_room(error: BaseException) -> RunStopError | None:
    """How to tell of a full disk, where an exception, or what it came from, says that it is one; None where not."""
    cause: BaseException | None = error
    while cause is not None:
        if _says_no_room(cause):
            return RunStopError(
                "the disk of the lake is full, or fails: make room (see `df -h`), and give the command again; what was "
                "committed is whole"
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _says_no_room(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    of_database = type(error).__module__.partition(".")[0] in _DATABASES
    return of_database and any(words in str(error) for words in _NO_ROOM_WORDS)
