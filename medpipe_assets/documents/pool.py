"""Applying a function to many tasks: here, in threads for code that waits, or in processes for code that may crash.

A task that kills its worker process, or needs more time or memory than it may have, costs that task alone: the worker
is replaced; a task that crashed or ran out of memory is tried once more, when all others are done, by itself in a fresh
worker, and then reported. Worker processes never outlive the parent, dump no core and say nothing: libraries print what
they choke on.
"""

import ctypes
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from medpipe_assets import pulse
from medpipe_assets.errors import DocumentError, Reason, RunStopError, no_room
from medpipe_assets.privacy import keep_private

Task = TypeVar("Task")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
PAGE_SECONDS = 30.0
"""What each page that is done adds to its document's time: ten times what OCR takes for one."""
_PANICS = "pyo3_runtime"
"""Where the exceptions of libraries in Rust come from, which are no `Exception`."""
_SWOLLEN = 0.75
"""Share of the memory limit above which a worker that is done is replaced: what it has kept is not the next one's."""


class Place(StrEnum):
    """Where a stage's tasks run."""

    HERE = "here"
    THREADS = "threads"
    PROCESSES = "processes"


@dataclass(frozen=True)
class PoolSettings:
    """How many workers, and what a task in a process may take: seconds of wall time (and PAGE_SECONDS more a page that
    is done), bytes of memory beyond what the libraries take (0: any).

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
    again: bool = False  # at work on a task that has cost another worker its life
    peak: int = 0  # bytes of memory seen in its hands, looked at the second time only

    def drawn(self) -> Task:
        """The task it works on."""
        assert self.task is not None
        return self.task


class _Said(Enum):
    """What comes from a worker beside results."""

    ALIVE = "another page is done"
    OUT_OF_MEMORY = "out of memory"
    NO_MORE = "it is dead"


_LOOK_SECONDS = 0.02
_BULKY = 0.5
"""Share of the memory limit from which on a worker that dies is taken to have died of it."""


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
    source = iter(tasks)
    second: deque[Task] = deque()  # what crashed or ran out of memory, perhaps through a neighbour
    idle: list[_Worker[Task]] = []
    busy: list[_Worker[Task]] = []
    try:
        while True:
            while len(busy) < settings.workers and (drawn := list(islice(source, 1))):
                worker = idle.pop() if idle else _start(function, settings)
                _send(worker, drawn[0], settings)
                busy.append(worker)
            if not busy and second:
                _stop_all(idle)
                busy.append(_start(function, settings))
                _send(busy[0], second.popleft(), settings, again=True)
            if not busy:
                return
            for worker in _ready(busy):
                result = _receive(worker)
                late = time.monotonic() >= worker.deadline
                if result is _Said.ALIVE and not late:
                    continue
                busy.remove(worker)
                if not isinstance(result, _Said):
                    (idle if _is_fit(worker, settings) else []).append(worker)
                    yield worker.drawn(), result
                    continue
                _stop(worker)
                if result is _Said.ALIVE or worker.again:
                    yield worker.drawn(), _lost(worker, result, settings)
                else:
                    second.append(worker.drawn())
    finally:
        _stop_all([*idle, *busy])


def _call(function: Callable[[Task], Result], task: Task) -> Result | DocumentError | RunStopError:
    try:
        return _attempt(function, task)
    except MemoryError:
        return DocumentError(Reason.TOO_LARGE, "out of memory")


def _attempt(function: Callable[[Task], Result], task: Task) -> Result | DocumentError | RunStopError:
    """The result, or what became of the task.

    Raises:
        MemoryError: as the function does.
    """
    try:
        return function(task)
    except (DocumentError, RunStopError) as error:
        return error
    except MemoryError:
        raise
    except Exception as error:
        return no_room(error) or DocumentError(Reason.ENGINE_CRASHED, where(error))
    except BaseException as error:
        if isinstance(error, SystemExit) or type(error).__module__ == _PANICS:
            return DocumentError(Reason.ENGINE_CRASHED, where(error))
        raise  # somebody wants the run to end


def where(error: BaseException) -> str:
    """The type of an exception and where it was raised: what can be told without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _start(function: Callable[[Any], Any], settings: PoolSettings) -> _Worker[Any]:
    # Spawned, not forked: the parent has threads (Arrow, Dagster), and a forked copy of their locks may never open.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, function, settings.memory_bytes, os.getpid()), daemon=True)
    process.start()
    there.close()
    return _Worker(process, here)


def _work(pipe: Connection, function: Callable[[Any], Any], memory_bytes: int, parent: int) -> None:
    """The life of a worker: tasks in, results out, until the pipe closes."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be asked to take us along
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_private()
    if not os.environ.get("MEDPIPE_DEBUG"):
        _say_nothing()
    if memory_bytes:
        _limit_memory(memory_bytes)
    pulse.listen(lambda: pipe.send(_Said.ALIVE))
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(_attempt(function, task))
        except MemoryError:
            pipe.send(_Said.OUT_OF_MEMORY)


def _say_nothing() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _limit_memory(size: int) -> None:
    """Limit the private memory that is added to what there is: allocators have reserved a gigabyte and more by now."""
    import resource

    with suppress(ValueError, OSError, IndexError):  # a lower limit is in force, or the system tells no such figures
        reserved = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_DATA, (reserved + size, reserved + size))


def _send(worker: _Worker[Task], task: Task, settings: PoolSettings, again: bool = False) -> None:
    worker.task, worker.again = task, again
    worker.deadline = time.monotonic() + settings.task_seconds
    with suppress(OSError):  # a worker that died idle shows when its result is awaited
        worker.pipe.send(task)


def _ready(busy: list[_Worker[Task]]) -> list[_Worker[Task]]:
    """Wait for a result, a death or a deadline; the workers concerned."""
    patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
    if busy[0].again:  # alone, so that its memory can be watched: some libraries abort when they get no more
        busy[0].peak = max(busy[0].peak, _resident(busy[0]))
        patience = min(patience, _LOOK_SECONDS)
    pipes = set(wait([worker.pipe for worker in busy], timeout=patience))
    now = time.monotonic()
    return [worker for worker in busy if worker.pipe in pipes or worker.deadline <= now]


def _receive(worker: _Worker[Any]) -> Any:
    """The worker's result, or that it is dead, out of memory, or (after all signs of life) still at work."""
    try:
        while worker.pipe.poll():
            said = worker.pipe.recv()
            if said is not _Said.ALIVE:
                return said
            worker.deadline += PAGE_SECONDS
    except (EOFError, OSError):
        return _Said.NO_MORE
    return _Said.ALIVE


def _is_fit(worker: _Worker[Any], settings: PoolSettings) -> bool:
    """Whether a worker can take another task; it is stopped where it holds too much memory."""
    if not settings.memory_bytes or _resident(worker) <= _SWOLLEN * settings.memory_bytes:
        return True
    _stop(worker)
    return False


def _resident(worker: _Worker[Any]) -> int:
    """Bytes of memory that a worker has; 0 where it is dead, which will show, or the system does not tell."""
    try:
        return int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _lost(worker: _Worker[Any], said: _Said, settings: PoolSettings) -> DocumentError:
    if said is _Said.ALIVE:
        return DocumentError(Reason.TIMEOUT, f"over {settings.task_seconds:g} s")
    if said is _Said.OUT_OF_MEMORY or 0 < _BULKY * settings.memory_bytes < worker.peak:
        return DocumentError(Reason.TOO_LARGE, f"needs more than {settings.memory_bytes >> 20} MB of memory")
    return DocumentError(Reason.ENGINE_CRASHED, f"the worker died, twice, by {_cause(worker.process.exitcode)}")


def _cause(exit_code: int | None) -> str:
    try:
        return signal.Signals(-(exit_code or 0)).name
    except ValueError:
        return f"exit code {exit_code}"


def _stop_all(workers: list[_Worker[Any]]) -> None:
    while workers:
        _stop(workers.pop())


def _stop(worker: _Worker[Any]) -> None:
    worker.pipe.close()
    worker.process.join(timeout=0.2)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
