"""Progress on a person's terminal (a bar a stage), or as plain lines where nobody watches a terminal. Counts only."""

import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_SECONDS = 10.0
"""Without a terminal, a stage reports at its begin, and then no more often than this."""


class TerminalProgress:
    """Bars on a terminal; a context manager."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "TerminalProgress":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, stage: str, total: int) -> None:
        self._task = self._bars.add_task(stage, total=total) if total else None

    def advance(self, documents: int) -> None:
        if self._task is not None:
            self._bars.advance(self._task, documents)

    def waiting(self, stage: str) -> None:
        self._bars.console.print(f"{stage}: another run is at work on it; waiting")


class PlainProgress:
    """Lines; a context manager for symmetry."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage, self._total, self._done, self._told = "", 0, 0, 0.0

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def begin(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done, self._told = stage, total, 0, time.monotonic()
        if total:
            print(f"{stage}: {total} to do", file=self._stream, flush=True)

    def advance(self, documents: int) -> None:
        self._done += documents
        if time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            print(f"{self._stage}: {self._done} of {self._total}", file=self._stream, flush=True)

    def waiting(self, stage: str) -> None:
        print(f"{stage}: another run is at work on it; waiting", file=self._stream, flush=True)


def progress_for(stream: TextIO = sys.stderr) -> TerminalProgress | PlainProgress:
    """What suits the stream."""
    return TerminalProgress(Console(file=stream)) if stream.isatty() else PlainProgress(stream)
