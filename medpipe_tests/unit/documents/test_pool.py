"""The pool: every task gets its answer, a bad one costs itself alone, and no worker stays."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from medpipe_assets.documents.pool import PoolSettings, map_tasks, where
from medpipe_assets.errors import DocumentError, Reason
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


def test_a_task_that_exits_costs_itself_alone() -> None:
    (error,) = failures(("exit", ""))
    assert error.reason == Reason.ENGINE_CRASHED


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


def test_a_task_that_needs_more_memory_than_it_may_is_too_large_or_crashes() -> None:
    (error,) = failures(("huge", str(3 << 30)), PoolSettings(workers=1, task_seconds=60, memory_bytes=1 << 30))
    assert error.reason in {Reason.TOO_LARGE, Reason.ENGINE_CRASHED}


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
