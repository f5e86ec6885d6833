"""What workers under test are made to do. Small imports: each new worker imports this first."""

import os
import sys
import time
from pathlib import Path

from medpipe_assets.errors import DocumentError, Reason


def square(number: int) -> int:
    return number * number


def run(task: tuple[str, str]) -> str | bytes:
    """Do what the task's first word says; the second is a folder or a number for it."""
    what, more = task
    if what == "abort":
        os.abort()
    if what == "abort once":
        first = not Path(more).exists()
        Path(more).touch()
        if first:
            os.abort()
    if what == "count and abort":
        Path(more, str(len(list(Path(more).iterdir())))).touch()
        os.abort()
    if what == "exit":
        sys.exit(3)
    if what == "hang":
        time.sleep(600)
    if what == "refuse":
        raise DocumentError(Reason.ENCRYPTED, "password", page=3)
    if what == "raise":
        raise ValueError("the patient's secret words")
    if what == "unpicklable":
        return lambda: "the patient's secret words"  # type: ignore[return-value]
    if what == "huge":
        return bytes(int(more))
    if what == "pid":
        return str(os.getpid())
    return what
