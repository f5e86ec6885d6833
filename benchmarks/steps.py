"""Steps of a benchmark in processes of their own: how long each took, how much processor time, how much memory at most.

A step is a function of a benchmark's module that takes the command line's words and returns figures of its own. It runs
as `python -m benchmarks.steps MODULE FUNCTION WORD...`, so that nothing of one step is warm, or held, in the next.
"""

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LOOK = 0.05
"""Seconds between looks. The kernel's own maximum of memory is of each process alone, and Spark is two."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step took.

    Attributes:
        seconds: by the clock, the work alone: without starting Python or importing.
        processor_seconds: of all its threads and processes, everything counted.
        peak_bytes: most memory resident at a time, over all its processes.
        told: what the step returned.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int
    told: dict[str, Any]

    @property
    def peak_gb(self) -> float:
        """In 10^9 bytes."""
        return self.peak_bytes / 1e9


def run(module: str, function: str, *words: object) -> Taken:
    """Run a step; its stdout is shown on stderr.

    Raises:
        CalledProcessError: it failed.
    """
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "benchmarks.steps", str(writing), module, function, *map(str, words)]
    with subprocess.Popen(command, pass_fds=(writing,), stdout=sys.stderr) as process:
        os.close(writing)
        use, done = _Use(), threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, use, done))
        watch.start()
        with os.fdopen(reading) as answers:
            answer = answers.read()
        process.wait()
        done.set()
        watch.join()
    if process.returncode or not answer:
        raise subprocess.CalledProcessError(process.returncode or 1, command)
    told = json.loads(answer)
    return Taken(told.pop("_seconds"), use.processor_seconds, use.peak_bytes, told)


@dataclass(slots=True)
class _Use:
    """What a tree of processes was seen to use; of processes that have ended, what was seen last."""

    peak_bytes: int = 0
    ticks: dict[int, int] = field(default_factory=dict)

    @property
    def processor_seconds(self) -> float:
        return sum(self.ticks.values()) / _TICKS


def _watch(pid: int, use: _Use, done: threading.Event) -> None:
    while not done.wait(_LOOK):
        use.peak_bytes = max(use.peak_bytes, _look(pid, use))


def _look(pid: int, use: _Use) -> int:
    """Bytes resident in a process and those that it started; their processor time is noted."""
    process = Path("/proc", str(pid))
    try:
        # The name stands in parentheses and may hold anything.
        words = (process / "stat").read_text().rpartition(")")[2].split()
        children = (process / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return 0
    use.ticks[pid] = int(words[11]) + int(words[12])
    return int(words[21]) * _PAGE + sum(_look(int(child), use) for child in children)


def main() -> None:
    """A step's own process."""
    channel, module, function, *words = sys.argv[1:]
    step = getattr(importlib.import_module(module), function)
    begun = time.perf_counter()
    told = step(*words) or {}
    seconds = time.perf_counter() - begun
    with os.fdopen(int(channel), "w") as answers:
        json.dump({**told, "_seconds": seconds}, answers)


if __name__ == "__main__":
    main()
