"""What workers under test are made to do. Small imports: each new worker imports this first."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medpipe_assets import pulse
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


def many_pages(count: str) -> str:
    for _ in range(int(count)):
        time.sleep(0.5)
        pulse.beat()
    return count


def panic(_: str) -> None:
    """As a library in Rust does."""
    raise type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})("the patient's secret words")


def swell_and_abort(size: str) -> None:
    """As PDFium does when it gets no more memory."""
    held = bytearray(int(size))
    held[:: os.sysconf("SC_PAGE_SIZE")] = bytes(len(held[:: os.sysconf("SC_PAGE_SIZE")]))
    time.sleep(0.3)
    os.abort()


def shout(_: str) -> str:
    print("the patient's secret words", flush=True)
    os.write(2, b"the patient's secret words")
    return "shout"


def core_limit(_: str) -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_CORE)[0]


def full(_: str) -> None:
    raise OSError(28, "No space left on device")


ACTIONS: dict[str, Callable[[str], Any]] = {
    "abort once": abort_once,
    "count and abort": count_and_abort,
    "exit": lambda _: sys.exit(3),
    "hang": lambda _: time.sleep(600),
    "refuse": refuse,
    "raise": fail,
    "unpicklable": lambda _: lambda: "the patient's secret words",
    "huge": lambda size: bytes(int(size)),
    "pages": many_pages,
    "panic": panic,
    "swell and abort": swell_and_abort,
    "shout": shout,
    "core limit": core_limit,
    "full": full,
    "pid": lambda _: str(os.getpid()),
}


def run(task: tuple[str, str]) -> Any:
    """Do what the task's first word says, with the folder or number after it; give any other word back."""
    what, more = task
    return ACTIONS[what](more) if what in ACTIONS else what
