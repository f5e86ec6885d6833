"""Killed at random points, a run, its rerun and a worker end in what an undisturbed run ends in; nothing stays behind.

`python -m benchmarks.power_cuts` does the same 200 times, and kills whole runs and the daemon, too.
"""

import subprocess
import sys
from pathlib import Path
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
    start,
    undisturbed,
    whole_run,
)
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation

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


@pytest.mark.long
def test_a_disk_that_is_full_fails_the_run_clearly_and_the_next_one_goes_on(tmp_path: Path) -> None:
    disk, notes = tmp_path / "disk", tmp_path / "notes"
    disk.mkdir()
    notes.mkdir()
    rng = Random(0)
    for number in range(60):
        words = " ".join(rng.randbytes(8).hex() for _ in range(4000))  # which pack badly
        (notes / f"{number}.txt").write_text(f"Patient has asthma. {words}")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here: it takes root")
    try:
        full = _run(notes, disk / "lake")
        assert full.returncode == 1
        assert "make room" in full.stderr and "Traceback" not in full.stderr
        subprocess.run(["mount", "-o", "remount,size=500m", disk], check=True)
        assert _run(notes, disk / "lake").returncode == 0
        lake = Lake(LakeLocation.under(disk / "lake"))
        assert lake.read("document_summary")["status"].to_pylist() == ["coded"] * 60
        assert not [left for folder in lake.location.drafts if folder.is_dir() for left in folder.iterdir()]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)  # lazily: the catalog is still open in this process


def _run(notes: Path, lake: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medpipe_assets.cli", "run", str(notes), "--lake", str(lake), "--workers", "0"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_two_runs_of_one_day_at_once_both_succeed_and_double_nothing() -> None:
    with laboratory() as folder:
        calm, made = prepare(folder / "calm"), prepare(folder / "made")
        undisturbed(line, calm)
        before = processes()
        both = [start(whole_run, made), start(whole_run, made)]
        for process in both:
            process.join()
        assert [process.exitcode for process in both] == [0, 0]
        found = judge(made, content(calm), 0, before)
    assert found == Findings()
