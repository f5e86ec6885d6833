"""Leases: one writer at a time over threads and processes, the dead give way, the overtaken cannot commit."""

import multiprocessing
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from medpipe_assets.lake import leases as leases_module
from medpipe_assets.lake.leases import LeaseLostError, Leases, SqliteLeases
from medpipe_assets.lake.processes import this_process

NAME = "entities 2026-11-02"
FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.usefixtures("quick_polls")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "leases.db"


@pytest.fixture
def leases(path: Path) -> Leases:
    return SqliteLeases(path)


def _hold_until_told(path: Path, pipe: Connection) -> None:
    with SqliteLeases(path).hold(NAME) as lease:
        pipe.send(lease.fence)
        pipe.recv()


def start(target: Callable[..., None], *arguments: object) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    here, there = FORK.Pipe()
    process = FORK.Process(target=target, args=(*arguments, there), daemon=True)
    process.start()
    there.close()
    return process, here


def test_the_first_holder_finds_a_clean_lease_with_fence_one(leases: Leases) -> None:
    with leases.hold(NAME) as lease:
        assert (lease.name, lease.fence, lease.clean) == (NAME, 1, True)


def test_each_holder_gets_a_higher_fence(leases: Leases) -> None:
    fences = []
    for _ in range(3):
        with leases.hold(NAME) as lease:
            fences.append(lease.fence)
            assert lease.clean
    assert fences == [1, 2, 3]


def test_leases_of_other_names_do_not_wait_for_each_other(leases: Leases) -> None:
    with leases.hold("a") as a, leases.hold("b") as b:
        assert a.fence == b.fence == 1


def test_a_second_process_waits_while_a_living_one_holds(leases: Leases, path: Path) -> None:
    process, pipe = start(_hold_until_told, path)
    first = pipe.recv()
    order: list[str] = []

    def somebody_there() -> None:
        order.append("waited")
        pipe.send("go on")

    with leases.hold(NAME, on_wait=somebody_there) as lease:
        order.append("held")
        assert lease.fence == first + 1
        assert lease.clean
    process.join(20)
    assert process.exitcode == 0
    assert order == ["waited", "held"]


def test_a_killed_holders_lease_is_taken_over_at_once_and_known_to_be_unclean(leases: Leases, path: Path) -> None:
    process, pipe = start(_hold_until_told, path)
    pipe.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    with leases.hold(NAME, on_wait=lambda: pytest.fail("waited for a dead process")) as lease:
        assert not lease.clean
    with leases.hold(NAME) as lease:
        assert lease.clean


def test_a_killed_holder_that_nobody_has_reaped_yet_is_dead_all_the_same(leases: Leases, path: Path) -> None:
    process, pipe = start(_hold_until_told, path)
    pipe.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead for certain, and still in the process table
    with leases.hold(NAME, on_wait=lambda: pytest.fail("waited for a dead process")) as lease:
        assert not lease.clean
    process.join(20)


def test_a_lease_of_a_process_whose_number_was_given_to_another_is_free(leases: Leases, path: Path) -> None:
    with leases.hold(NAME):
        pass
    host, pid, start_time = this_process().split(" ")
    _claim(path, f"{host} {pid} {int(start_time) - 1}", expires_at=4e9)
    with leases.hold(NAME, on_wait=lambda: pytest.fail("waited for a stranger")) as lease:
        assert not lease.clean


def _claim(path: Path, holder: str, expires_at: float) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("update lease set holder = ?, clean = 0, expires_at = ?", [holder, expires_at])


def test_another_machines_lease_stands_until_it_expires(leases: Leases, path: Path) -> None:
    with leases.hold(NAME):
        pass
    _claim(path, "elsewhere 1 1", expires_at=4e9)
    waited = threading.Event()

    def expire() -> None:
        waited.set()
        _claim(path, "elsewhere 1 1", expires_at=1.0)

    with leases.hold(NAME, on_wait=expire) as lease:
        assert waited.is_set()
        assert not lease.clean


def test_a_renewed_lease_lasts_longer(leases: Leases, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "RENEWAL_SECONDS", 0.01)
    with leases.hold(NAME):
        _set_expiry(path, 5.0)
        deadline = threading.Event()
        for _ in range(2000):
            if _expiry(path) > 5.0:
                break
            deadline.wait(0.005)
        assert _expiry(path) > 5.0


def _set_expiry(path: Path, value: float) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("update lease set expires_at = ?", [value])


def _expiry(path: Path) -> float:
    with sqlite3.connect(path) as connection:
        return float(connection.execute("select expires_at from lease").fetchone()[0])


def test_a_holder_whose_lease_was_taken_cannot_commit(leases: Leases, path: Path) -> None:
    with leases.hold(NAME) as old:
        _claim(path, "elsewhere 1 1", expires_at=0.0)
        with leases.hold(NAME) as new:
            with pytest.raises(LeaseLostError, match=NAME), leases.commit(old):
                pytest.fail("committed under a lost lease")
            with leases.commit(new):
                pass


def test_a_holder_whose_lease_was_taken_does_not_release_that_of_the_new_one(leases: Leases, path: Path) -> None:
    with leases.hold(NAME):
        _claim(path, "elsewhere 1 1", expires_at=0.0)
        taken = leases._try_acquire(NAME)
        assert taken is not None
    with leases.commit(taken):
        pass
    assert leases._try_acquire(NAME) is None, "the overtaken holder freed a lease that is not its own"


def test_an_exception_leaves_the_lease_free_and_unclean(leases: Leases) -> None:
    with pytest.raises(ZeroDivisionError), leases.hold(NAME):
        raise ZeroDivisionError
    with leases.hold(NAME, on_wait=lambda: pytest.fail("not released")) as lease:
        assert not lease.clean


def test_an_exception_in_a_commit_does_not_block_the_next_one(leases: Leases) -> None:
    with leases.hold(NAME) as lease:
        with pytest.raises(ZeroDivisionError), leases.commit(lease):
            raise ZeroDivisionError
        with leases.commit(lease):
            pass


def test_commits_of_one_lake_are_serial_whatever_their_leases(leases: Leases, path: Path) -> None:
    inside = threading.Lock()

    def commit_often(name: str) -> int:
        met = 0
        with leases.hold(name) as lease:
            for _ in range(10):
                with leases.commit(lease):
                    met += not inside.acquire(blocking=False)
                    inside.release()
        return met

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(commit_often, ["a", "b", "c"])) == [0, 0, 0]


def test_threads_that_contend_for_a_lease_hold_it_one_after_the_other(leases: Leases) -> None:
    held = threading.Lock()

    def contend(_: int) -> tuple[bool, int]:
        with leases.hold(NAME) as lease:
            alone = held.acquire(blocking=False)
            if alone:
                held.release()
            return alone, lease.fence

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(contend, range(8)))
    assert all(alone for alone, _ in results)
    assert sorted(fence for _, fence in results) == list(range(1, 9))


def _contend(path: Path, marker: Path, rounds: int, pipe: Connection) -> None:
    leases = SqliteLeases(path)
    fences = []
    for _ in range(rounds):
        with leases.hold(NAME) as lease:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))  # fails where another is inside
            fences.append(lease.fence)
            marker.unlink()
    pipe.send(fences)


def test_processes_that_contend_for_a_lease_hold_it_one_after_the_other(path: Path, tmp_path: Path) -> None:
    SqliteLeases(path)
    running = [start(_contend, path, tmp_path / "inside", 5) for _ in range(2)]
    fences = [pipe.recv() for _, pipe in running]
    for process, _ in running:
        process.join(20)
    assert sorted(chain.from_iterable(fences)) == list(range(1, 11))


def test_numbers_start_at_one_and_grow_without_a_gap_or_a_double(leases: Leases) -> None:
    assert list(leases.next_numbers("x", 3)) == [1, 2, 3]
    assert list(leases.next_numbers("y", 1)) == [1]
    assert list(leases.next_numbers("x", 0)) == []
    assert list(leases.next_numbers("x", 2)) == [4, 5]


def _draw_numbers(path: Path, pipe: Connection) -> None:
    leases = SqliteLeases(path)
    pipe.send([number for count in (1, 3, 2, 5) * 3 for number in leases.next_numbers("x", count)])


def test_numbers_are_given_out_once_over_all_processes(path: Path) -> None:
    SqliteLeases(path)
    running = [start(_draw_numbers, path) for _ in range(3)]
    drawn = [pipe.recv() for _, pipe in running]
    for process, _ in running:
        process.join(20)
    assert all(numbers == sorted(numbers) for numbers in drawn)
    assert sorted(chain.from_iterable(drawn)) == list(range(1, 100))
