"""Killed at random points, a run, its rerun and a worker end in what an undisturbed run ends in; nothing stays behind.

`python -m benchmarks.power_cuts` does the same 200 times, and kills whole runs and the daemon, too.
"""

from random import Random

import pytest

from benchmarks.power_cuts import (
    Findings,
    content,
    cut_line,
    cut_worker,
    judge,
    laboratory,
    line,
    prepare,
    processes,
    undisturbed,
)

KILLS = 10


@pytest.mark.slow
def test_ten_power_cuts_lose_nothing_double_nothing_and_leave_nothing() -> None:
    rng, total = Random(7), Findings()
    with laboratory() as folder:
        calm = prepare(folder / "calm")
        seconds = undisturbed(line, calm)
        wanted = content(calm)
        while total.kills.total() < KILLS:
            made, before = prepare(folder / f"after {total.kills.total()}"), processes()
            found = cut_line(made, rng, seconds, KILLS - total.kills.total(), line)
            found.add(judge(made, wanted, found.kills.total(), before))
            total.add(found)
    assert total == Findings(kills=total.kills)


@pytest.mark.long
def test_a_run_goes_on_when_a_worker_is_killed() -> None:
    with laboratory() as folder:
        calm, made = prepare(folder / "calm"), prepare(folder / "made")
        undisturbed(line, calm)
        before = processes()
        found = cut_worker(made, Random(7))
        found.add(judge(made, content(calm), found.kills.total(), before))
    assert found == Findings(kills=found.kills) and found.kills.total() == 1
