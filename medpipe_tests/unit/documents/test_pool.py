"""The pool: every task gets its answer, a bad one costs itself alone, and no worker stays."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from medpipe_assets.documents.pool import PoolSettings, map_tasks, where
from medpipe_assets.errors import DocumentError, Reason, RunStopError
from medpipe_tests.unit.documents.pool_tasks import run, square

HERE = PoolSettings(workers=0)
ONE = PoolSettings(workers=1, task_seconds=60)
TWO = PoolSettings(workers=2, task_seconds=60)


def failures(task: tuple[str, str], settings: PoolSettings = ONE) -> list[DocumentError]:
    """The results of a task that fails; the pool must serve the task after it."""
    results = list(map_tasks(run, [task, ("after", "")], settings))
    assert (("after", ""), "after") in results
    assert len(results) == 2
    return [result for _, result in results if isinstance(result, DocumentError)]


def workers() -> set[multiprocessing.process.BaseProcess]:
    return set(multiprocessing.active_children())


@pytest.fixture(autouse=True)
def no_worker_stays() -> Iterator[None]:
    before = workers()  # other tests' services
    yield
    assert workers() <= before


@pytest.mark.parametrize("settings", [HERE, ONE, TWO], ids=["here", "one worker", "two workers"])
def test_each_task_gets_its_result(settings: PoolSettings) -> None:
    assert sorted(map_tasks(square, range(20), settings)) == [(n, n * n) for n in range(20)]


@pytest.mark.parametrize("settings", [HERE, TWO], ids=["here", "workers"])
def test_no_tasks_give_no_results(settings: PoolSettings) -> None:
    assert list(map_tasks(square, [], settings)) == []


@pytest.mark.parametrize("settings", [HERE, ONE], ids=["here", "worker"])
def test_a_document_error_is_the_tasks_result(settings: PoolSettings) -> None:
    (error,) = failures(("refuse", ""), settings)
    assert (error.reason, error.detail, error.page) == (Reason.ENCRYPTED, "password", 3)


@pytest.mark.parametrize("settings", [HERE, ONE], ids=["here", "worker"])
def test_of_an_exception_only_type_and_place_are_told(
    settings: PoolSettings, capfd: pytest.CaptureFixture[str]
) -> None:
    (error,) = failures(("raise", ""), settings)
    assert error.reason == Reason.ENGINE_CRASHED
    assert error.detail.startswith("ValueError at pool_tasks.py:")
    assert "secret" not in str(error) + "".join(capfd.readouterr())


def test_a_result_that_cannot_be_sent_costs_its_task_alone(capfd: pytest.CaptureFixture[str]) -> None:
    (error,) = failures(("unpicklable", ""))
    assert error.reason == Reason.ENGINE_CRASHED
    assert "secret" not in str(error) + "".join(capfd.readouterr())


def test_a_task_that_kills_its_worker_costs_itself_alone_after_one_retry(tmp_path: Path) -> None:
    results = dict(map_tasks(run, [("a", ""), ("count and abort", str(tmp_path)), ("b", ""), ("c", "")], TWO))
    error = results.pop(("count and abort", str(tmp_path)))
    assert isinstance(error, DocumentError)
    assert error.reason == Reason.ENGINE_CRASHED
    assert len(list(tmp_path.iterdir())) == 2
    assert results == {("a", ""): "a", ("b", ""): "b", ("c", ""): "c"}


def test_a_task_whose_worker_died_by_chance_succeeds_at_the_second_try(tmp_path: Path) -> None:
    task = ("abort once", str(tmp_path / "tried"))
    assert list(map_tasks(run, [task], ONE)) == [(task, "abort once")]


@pytest.mark.parametrize("settings", [HERE, ONE], ids=["here", "worker"])
@pytest.mark.parametrize("action", ["exit", "panic"])
def test_a_library_that_wants_to_end_the_process_costs_its_task_alone(settings: PoolSettings, action: str) -> None:
    (error,) = failures((action, ""), settings)
    assert error.reason == Reason.ENGINE_CRASHED and "secret" not in str(error)


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
def test_who_wants_the_run_to_end_ends_it(error: type[BaseException]) -> None:
    def interrupted(_: int) -> int:
        raise error

    with pytest.raises(error):
        list(map_tasks(interrupted, [1], HERE))


def test_a_full_disk_is_no_documents_fault() -> None:
    ((_, result),) = map_tasks(run, [("full", "")], HERE)
    assert isinstance(result, RunStopError) and "make room" in str(result)


def test_what_crashed_is_tried_again_when_the_others_are_done(tmp_path: Path) -> None:
    tasks = [("count and abort", str(tmp_path)), *((str(n), "") for n in range(6))]
    assert [task for task, _ in map_tasks(run, tasks, TWO)][-1] == tasks[0]


def test_each_page_that_is_done_gives_a_long_document_more_time() -> None:
    settings = PoolSettings(workers=1, task_seconds=6)
    assert list(map_tasks(run, [("pages", "20")], settings)) == [(("pages", "20"), "20")]


def test_a_library_that_aborts_when_its_memory_is_full_is_told_from_one_that_is_broken() -> None:
    settings = PoolSettings(workers=1, task_seconds=60, memory_bytes=400 << 20)
    (error,) = failures(("swell and abort", str(300 << 20)), settings)
    assert error.reason == Reason.TOO_LARGE


def test_workers_are_silent_and_dump_no_core(capfd: pytest.CaptureFixture[str]) -> None:
    assert dict(map_tasks(run, [("shout", ""), ("core limit", "")], ONE)) == {
        ("shout", ""): "shout",
        ("core limit", ""): 0,
    }
    assert "secret" not in "".join(capfd.readouterr())


def test_a_hanging_task_is_killed_at_its_deadline_and_the_others_go_on() -> None:
    settings = PoolSettings(workers=1, task_seconds=4)  # a new worker's start counts, and this machine may be busy
    (error,) = failures(("hang", ""), settings)
    assert (error.reason, error.detail) == (Reason.TIMEOUT, "over 4 s")


def test_a_huge_result_passes() -> None:
    ((_, result),) = map_tasks(run, [("huge", str(50_000_000))], ONE)
    assert result == bytes(50_000_000)


def test_a_huge_task_passes() -> None:
    task = ("x" * 20_000_000, "")
    assert list(map_tasks(run, [task], ONE)) == [(task, task[0])]


def test_a_task_that_needs_more_memory_than_it_may_is_too_large() -> None:
    (error,) = failures(("huge", str(3 << 30)), PoolSettings(workers=1, task_seconds=60, memory_bytes=1 << 30))
    assert (error.reason, error.detail) == (Reason.TOO_LARGE, "needs more than 1024 MB of memory")


def test_workers_are_used_again() -> None:
    pids = {result for _, result in map_tasks(run, [("pid", str(n)) for n in range(6)], ONE)}
    assert len(pids) == 1


@pytest.mark.parametrize("settings", [HERE, TWO], ids=["here", "workers"])
def test_tasks_are_drawn_only_as_they_are_needed(settings: PoolSettings) -> None:
    drawn = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    results = map_tasks(square, tasks(), settings)
    assert drawn == []
    next(results)
    assert len(drawn) <= max(settings.workers, 1) + 1
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) < 100


def test_workers_are_gone_when_nobody_wants_the_rest() -> None:
    before = workers()
    results = map_tasks(run, [("a", ""), ("hang", ""), ("hang", "2")], TWO)
    assert next(results) == (("a", ""), "a")
    results.close()  # type: ignore[attr-defined]
    assert workers() <= before


def test_an_error_while_drawing_tasks_reaches_the_caller_and_leaves_no_worker() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map_tasks(square, tasks(), TWO))


def test_an_exception_without_a_place_is_told_by_its_type() -> None:
    assert where(KeyError("secret")) == "KeyError"
