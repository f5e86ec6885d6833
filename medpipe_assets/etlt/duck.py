"""DuckDB as the readers of files use it: bounded memory, scratch of its own, text only, and errors without values."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from medpipe_assets.errors import DocumentError, Reason

MEMORY_LIMIT = "1500MB"
NEWLINES = {"\n": "\\n", "\r\n": "\\r\\n"}
"""Newlines as the option `new_line` names them. It wants the one that a file has, and no other in it."""
_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "preserve_insertion_order": "true",
    "TimeZone": "'UTC'",
}


@contextmanager
def connected(scratch: Path, memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to nothing but files; it spills into `scratch`."""
    connection = duckdb.connect(":memory:", config={"memory_limit": memory_limit, "temp_directory": str(scratch)})
    try:
        for name, value in _SETTINGS.items():
            connection.execute(f"SET {name} = {value}")
        yield connection
    finally:
        connection.close()


@contextmanager
def refusals() -> Iterator[None]:
    """What DuckDB refuses about a file's content, as a DocumentError: its own messages quote values."""
    try:
        yield
    except duckdb.IOException as error:
        raise OSError(f"DuckDB: {type(error).__name__}") from None
    except duckdb.Error as error:
        raise DocumentError(Reason.CORRUPT, f"DuckDB: {type(error).__name__}") from None


def text(value: str) -> str:
    """A literal."""
    return "'" + value.replace("'", "''") + "'"


def file(path: Path) -> str:
    """The literal of an input file's path, none of whose characters stands for others."""
    return text("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))


def name(identifier: str) -> str:
    """A quoted name."""
    return '"' + identifier.replace('"', '""') + '"'
