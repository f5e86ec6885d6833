"""Applying a function to many tasks: here, in threads for code that waits, or in processes for code that may crash.

A task that kills its worker process, or runs past its time, costs that task alone: the worker is replaced, a crashed
task is tried once more by itself, and then reported. Worker processes never outlive the parent.
"""

import ctypes
import multiprocessing
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from medpipe_assets.errors import DocumentError, Reason, RunStopError

Task = TypeVar("Task")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
CRASH_TRIES = 2


class Place(StrEnum):
    """Where a stage's tasks run."""

    HERE = "here"
    THREADS = "threads"
    PROCESSES = "processes"


@dataclass(frozen=True)
class PoolSettings:
    """How many workers, and what a task in a process may take: seconds of wall time, bytes of address space (0: any).

    `workers` counts processes (0: tasks run here), `threads` the tasks that wait for services at once.
    """

    workers: int = 1
    threads: int = 16
    task_seconds: float = 600.0
    memory_bytes: int = 0


@dataclass
class _Worker(Generic[Task]):
    process: Any
    pipe: Connection
    task: Task | None = None
    deadline: float = field(default=0.0)

    def drawn(self) -> Task:
        """The task it works on."""
        assert self.task is not None
        return self.task


def map_tasks(
    function: Callable[[Task], Result], tasks: Iterable[Task], settings: PoolSettings, place: Place = Place.PROCESSES
) -> Iterator[tuple[Task, Result | DocumentError | RunStopError]]:
    """Apply a function to each task, in whatever order results come.

    Args:
        function: never returning None, picklable for processes; a DocumentError or RunStopError that it raises
            becomes the task's result, any other exception becomes engine_crashed with its type and place (never its
            message, which may hold document text).
        tasks: drawn only as workers become free.
    """
    mapped = {Place.HERE: _in_turn, Place.THREADS: _in_threads, Place.PROCESSES: _in_processes}
    chosen = Place.HERE if place is Place.PROCESSES and settings.workers == 0 else place
    return mapped[chosen](function, tasks, settings)


_Mapped = Iterator[tuple[Task, Result | DocumentError | RunStopError]]


def _in_turn(
    function: Callable[[Task], Result], tasks: Iterable[Task], settings: PoolSettings
) -> _Mapped[Task, Result]:
    for task in tasks:
        yield task, _call(function, task)


def _in_threads(
    function: Callable[[Task], Result], tasks: Iterable[Task], settings: PoolSettings
) -> _Mapped[Task, Result]:
    source = iter(tasks)
    with ThreadPoolExecutor(settings.threads, thread_name_prefix="medpipe") as threads:
        pending = {threads.submit(_call, function, task): task for task in islice(source, settings.threads)}
        while pending:
            for future in wait_for_futures(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()
                for task in islice(source, 1):
                    pending[threads.submit(_call, function, task)] = task


def _in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], settings: PoolSettings
) -> _Mapped[Task, Result]:
    retries: deque[tuple[Task, int]] = deque()
    source = ((task, 1) for task in tasks)
    idle: list[_Worker[tuple[Task, int]]] = []
    busy: list[_Worker[tuple[Task, int]]] = []
    try:
        while True:
            while len(busy) < settings.workers and (drawn := _draw(retries, source)) is not None:
                worker = idle.pop() if idle else _start(function, settings)
                _send(worker, drawn, settings)
                busy.append(worker)
            if not busy:
                return
            for worker in _ready(busy):
                busy.remove(worker)
                task, tries = worker.drawn()
                result = _receive(worker)
                if result is not None:
                    idle.append(worker)
                    yield task, result
                    continue
                late = time.monotonic() >= worker.deadline
                _stop(worker)
                if late or tries >= CRASH_TRIES:
                    yield task, _lost(worker, late, settings)
                else:
                    retries.append((task, tries + 1))
    finally:
        for worker in (*idle, *busy):
            _stop(worker)


def _draw(retries: deque[tuple[Task, int]], source: Iterator[tuple[Task, int]]) -> tuple[Task, int] | None:
    return retries.popleft() if retries else next(source, None)


def _call(function: Callable[[Task], Result], task: Task) -> Result | DocumentError | RunStopError:
    try:
        return function(task)
    except (DocumentError, RunStopError) as error:
        return error
    except MemoryError:
        return DocumentError(Reason.TOO_LARGE, "out of memory")
    except Exception as error:
        return DocumentError(Reason.ENGINE_CRASHED, where(error))


def where(error: BaseException) -> str:
    """The type of an exception and where it was raised: what can be told without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _start(function: Callable[[Any], Any], settings: PoolSettings) -> _Worker[Any]:
    # Spawned, not forked: the parent has threads (Arrow, Dagster), and a forked copy of their locks may never open.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, function, settings.memory_bytes), daemon=True)
    process.start()
    there.close()
    return _Worker(process, here)


def _work(pipe: Connection, function: Callable[[Any], Any], memory_bytes: int) -> None:
    """The life of a worker: tasks in, results out, until the pipe closes."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if memory_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(_call(function, task))


def _send(worker: _Worker[Task], task: Task, settings: PoolSettings) -> None:
    worker.task = task
    worker.deadline = time.monotonic() + settings.task_seconds
    with suppress(OSError):  # a worker that died idle shows when its result is awaited
        worker.pipe.send(task[0])  # type: ignore[index]


def _ready(busy: list[_Worker[Task]]) -> list[_Worker[Task]]:
    """Wait for a result, a death or a deadline; the workers concerned."""
    patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
    pipes = set(wait([worker.pipe for worker in busy], timeout=patience))
    now = time.monotonic()
    return [worker for worker in busy if worker.pipe in pipes or worker.deadline <= now]


def _receive(worker: _Worker[Any]) -> Any | None:
    """The worker's result; None where it died or is late."""
    try:
        return worker.pipe.recv() if worker.pipe.poll() else None
    except (EOFError, OSError):
        return None


def _lost(worker: _Worker[Any], late: bool, settings: PoolSettings) -> DocumentError:
    if late:
        return DocumentError(Reason.TIMEOUT, f"over {settings.task_seconds:g} s")
    return DocumentError(Reason.ENGINE_CRASHED, f"the worker died with exit code {worker.process.exitcode}")


def _stop(worker: _Worker[Any]) -> None:
    worker.pipe.close()
    worker.process.join(timeout=0.2)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
