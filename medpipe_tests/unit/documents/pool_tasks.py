"""What workers under test are made to do. Small imports: each new worker imports this first."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medpipe_assets.errors import DocumentError, Reason


def square(number: int) -> int:
    return number * number


def abort_once(marker: str) -> str:
    first = not Path(marker).exists()
    Path(marker).touch()
    if first:
        os.abort()
    return "abort once"


def count_and_abort(folder: str) -> None:
    Path(folder, str(len(list(Path(folder).iterdir())))).touch()
    os.abort()


def refuse(_: str) -> None:
    raise DocumentError(Reason.ENCRYPTED, "password", page=3)


def fail(_: str) -> None:
    raise ValueError("the patient's secret words")


ACTIONS: dict[str, Callable[[str], Any]] = {
    "abort once": abort_once,
    "count and abort": count_and_abort,
    "exit": lambda _: sys.exit(3),
    "hang": lambda _: time.sleep(600),
    "refuse": refuse,
    "raise": fail,
    "unpicklable": lambda _: lambda: "the patient's secret words",
    "huge": lambda size: bytes(int(size)),
    "pid": lambda _: str(os.getpid()),
}


def run(task: tuple[str, str]) -> Any:
    """Do what the task's first word says, with the folder or number after it; give any other word back."""
    what, more = task
    return ACTIONS[what](more) if what in ACTIONS else what
