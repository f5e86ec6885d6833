"""Kills runs, workers and the daemon at random points: what a rerun ends in must be what an undisturbed run ends in.

    python -m benchmarks.power_cuts [--quick] [--kills 200] [--seed 0]

A round is a lake of its own over a folder of tiny texts. `line` kills the document line alone, several times a round;
`run` the line inside Dagster, as `medpipe run` does it; `worker` a worker process under a run that goes on; `daemon`
everything that `dagster dev` is, while it watches the inbox. Killed is by SIGKILL, which no process notices.
"""

import contextlib
import datetime as dt
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.reporting import arguments, figure
from medpipe_assets.documents.consumers import CONSUMERS, rebuild
from medpipe_assets.documents.intake import receive, take_in
from medpipe_assets.documents.line import stages
from medpipe_assets.documents.pool import PoolSettings
from medpipe_assets.documents.stage import ChunkSettings, Output, Task, run_stage
from medpipe_assets.inbox.local import LocalInbox, fetch
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import conservation, read_vouched
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import STAGES, tables_of
from medpipe_assets.settings import Settings

CHUNK = 3
"""Documents between two commits, and so the most that a kill may cost."""

DOCUMENTS = 5
CONDITIONS = ("asthma", "gout", "migraine", "hypertension", "pneumonia", "type 2 diabetes", "anemia", "osteoporosis")
VOLATILE = frozenset({
    "run_id", "processed_at", "received_at", "first_failed_at", "last_failed_at", "attempts", "sequence", "fence",
    "ingest_date", "source_id", "uri", "version",
})  # fmt: skip
"""What differs from run to run, and from folder to folder."""

LINE, RUN, WORKER, DAEMON = "line", "run", "worker", "daemon"
SHARES = {LINE: 0.7, RUN: 0.2, WORKER: 0.08, DAEMON: 0.02}
MARK = "MEDPIPE_POWER_CUT"
"""A variable of the environment by which a round's processes are found again, whoever started them."""

DAEMON_SECONDS = 240.0
DAGSTERS = "workspace.yaml"
"""What `dagster dev` leaves in a temporary folder of its own when it is killed: it names modules, and no document."""


@dataclass
class Findings:
    """What a round, or all of them, came to."""

    kills: Counter[str] = field(default_factory=Counter)
    rows_lost: int = 0
    rows_doubled: int = 0
    unbalanced: int = 0
    repeated: int = 0
    """Documents processed again in a stage, less a chunk a kill."""
    processes: int = 0
    files: int = 0

    def add(self, other: "Findings") -> None:
        self.kills += other.kills
        for name in ("rows_lost", "rows_doubled", "unbalanced", "repeated", "processes", "files"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class Round:
    """A lake over a folder of documents."""

    root: Path

    @property
    def documents(self) -> Path:
        return self.root / "in"

    @property
    def calls(self) -> Path:
        return self.root / "calls"

    def lake(self) -> Lake:
        return Lake(LakeLocation.under(self.root / "lake"))


def prepare(root: Path) -> Round:
    """A round with documents in several formats, one of them for quarantine."""
    made = Round(root)
    made.documents.mkdir(parents=True)
    for number in range(DOCUMENTS):
        text = f"Visit {number}. Patient has {CONDITIONS[number % len(CONDITIONS)]} and denies chest pain."
        (made.documents / f"{number}.txt").write_text(f"<p>{text}</p>" if number == 3 else text)
    (made.documents / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing")
    return made


def line(made: Round, workers: int) -> None:
    """The document line from inbox to consumer tables, without Dagster; each call of an engine is noted."""
    lake, day = made.lake(), dt.datetime.now(dt.UTC).date()
    receive(lake, LocalInbox((made.documents,)).arrivals(), day)
    run_id = f"run {os.getpid()}"
    take_in(lake, day, fetch, run_id=run_id)
    pool = PoolSettings(workers=workers, task_seconds=120)
    for name, stage in _stages(lake).items():
        noted = replace(stage, process=partial(_noted, made.calls, name, stage.process))
        run_stage(lake, noted, day, run_id=run_id, pool=pool, chunks=ChunkSettings(documents=CHUNK))
    for name in CONSUMERS:
        rebuild(lake, name, day, run_id=run_id)


def _stages(lake: Lake) -> Any:
    from medpipe_assets.defs.resources import make_engines

    return stages(make_engines(Settings.load(), lake.location), lake.raw)


def _noted(calls: Path, stage: str, process: Callable[[Task], Output], task: Task) -> Output:
    with calls.open("a") as file:
        file.write(f"{stage} {task.document_id}\n")
    return process(task)


def whole_run(made: Round, workers: int) -> None:
    """What `medpipe run` does."""
    from medpipe_assets.running import run_inputs

    run_inputs(made.lake(), [str(made.documents)], workers=workers)


def content(made: Round) -> Counter[str]:
    """The rows in force of all tables, less what differs from run to run."""
    lake = made.lake()
    names = [*(contract.name for stage in STAGES for contract in tables_of(stage)), *CONSUMERS]
    tables = {name: read_vouched(lake, name) for name in names}
    tables |= {name: lake.read(name) for name in ("document_sources", "quarantine", "stage_status")}
    return Counter(
        f"{name} {[(column, value) for column, value in row.items() if column not in VOLATILE]}"
        for name, rows in tables.items()
        for row in rows.to_pylist()
    )


@contextlib.contextmanager
def laboratory() -> Iterator[Path]:
    """A folder for rounds. All processes that are started inside are known by it, and put aside what they put aside in
    its `tmp`, where nothing may stay. They are forked from one that has done its imports, and no more.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        os.environ.update({MARK: name, "TMPDIR": str(folder / "tmp"), "DAGSTER_DISABLE_TELEMETRY": "1"})
        _CONTEXT.set_forkserver_preload(["medpipe_assets.defs.execution", "medpipe_assets.running"])
        process = _CONTEXT.Process(target=_nothing)
        process.start()
        process.join()
        try:
            yield folder
        finally:
            os.environ.clear()
            os.environ.update(before)
            stop_forking()


_CONTEXT = multiprocessing.get_context("forkserver")


def stop_forking() -> None:
    """End the process that others are forked from, which would keep the environment of this laboratory."""
    from multiprocessing.forkserver import _forkserver

    _forkserver._stop()  # type: ignore[attr-defined]  # there is no public name for it


def _nothing() -> None:
    pass


def processes() -> set[int]:
    """The laboratory's processes that live, but this one."""
    mark, found = f"{MARK}={os.environ[MARK]}".encode(), set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if mark in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.add(int(folder.name))
    return found


def start(target: Callable[[Round, int], None], made: Round, workers: int = 0) -> Any:
    """A process that does it."""
    process = _CONTEXT.Process(target=_quietly, args=(target, made, workers))
    process.start()
    return process


def _quietly(target: Callable[[Round, int], None], made: Round, workers: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    (made.root / f"began-{os.getpid()}").touch()  # what was imported is behind us
    target(made, workers)


def begun(made: Round, process: Any, seconds: float = 120.0) -> None:
    """Wait until a process has done its imports."""
    until = time.monotonic() + seconds
    while not (made.root / f"began-{process.pid}").exists() and process.is_alive() and time.monotonic() < until:
        time.sleep(0.005)


def kill_at(made: Round, process: Any, seconds: float) -> bool:
    """Kill a process so many seconds after its begin; False where it was done before."""
    begun(made, process)
    process.join(seconds)
    alive = process.is_alive()
    process.kill()
    process.join()
    return bool(alive)


def undisturbed(target: Callable[[Round, int], None], made: Round, workers: int = 0) -> float:
    """Let it run to its end; seconds from its begin.

    Raises:
        RuntimeError: where it fails.
    """
    process = start(target, made, workers)
    begun(made, process)
    began = time.monotonic()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"a run that nobody disturbed ended with exit code {process.exitcode}")
    return time.monotonic() - began


def judge(made: Round, calm: Counter[str], kills: int, before: set[int]) -> Findings:
    """What a round came to after its last run.

    Args:
        before: the processes that there were before it.
    """
    found, lake, now = Findings(), made.lake(), content(made)
    found.rows_lost, found.rows_doubled = (calm - now).total(), (now - calm).total()
    for stage in STAGES:
        for day in lake.read("stage_status", ("ingest_date",))["ingest_date"].unique().to_pylist():
            balance = conservation(lake, stage, day)
            whole = balance["inputs"] == balance["done"] + balance["quarantined"]
            found.unbalanced += not whole or bool(balance["miscounted"])
        for contract in tables_of(stage):  # what a killed run left is swept
            found.rows_doubled += lake.read(contract.name).num_rows - read_vouched(lake, contract.name).num_rows
    if made.calls.exists():
        times = Counter(made.calls.read_text().splitlines())
        found.repeated = max(0, sum(times.values()) - len(times) - CHUNK * kills)
    time.sleep(0.5)  # a killed run's workers are killed by the kernel, in its own time
    found.processes = len(processes() - before)
    drafts = [path for folder in lake.location.drafts if folder.is_dir() for path in folder.iterdir()]
    left = [*drafts, *(path for path in Path(os.environ["TMPDIR"]).rglob("*") if path.is_file())]
    left = [path for path in left if path.name != DAGSTERS]
    found.files = len(left)
    for path in left:
        print(f"left: {path}", file=sys.stderr)
    return found


def cut_line(made: Round, rng: Random, seconds: float, kills: int, target: Callable[[Round, int], None]) -> Findings:
    """Kill it again and again, until it has been killed so many times or was quicker; then let it end."""
    hit = 0
    while hit < kills and kill_at(made, start(target, made), rng.uniform(0, seconds / 3)):
        hit += 1
    undisturbed(target, made)
    return Findings(Counter({LINE if target is line else RUN: hit}))


def cut_worker(made: Round, rng: Random) -> Findings:
    """Kill a worker while a run goes on, which must not notice."""
    process = start(line, made, workers=2)
    begun(made, process)
    hit = 0
    while process.is_alive() and not hit:
        workers = [pid for pid in processes() if _parent(pid) == process.pid and _is_worker(pid)]
        if workers:
            time.sleep(rng.uniform(0, 3))
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
                hit += 1
        time.sleep(0.01)
    process.join()
    if process.exitcode:
        raise RuntimeError("the run died with its worker")
    return Findings(Counter({WORKER: hit}))


def _is_worker(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def cut_daemon(made: Round, rng: Random) -> Findings:
    """Kill all that `dagster dev` is while it works on the inbox, start it anew, and wait for the work to be done."""
    lake = made.lake()
    home = made.root / "dagster"
    home.mkdir()
    variables = {
        "MEDPIPE_LAKE": str(made.root / "lake"),
        "MEDPIPE_INBOX": str(made.documents),
        "DAGSTER_HOME": str(home),
    }
    port = str(rng.randint(20000, 40000))
    command = [sys.executable, "-m", "dagster", "dev", "-m", "medpipe_assets.definitions", "-p", port]
    hit, before = 0, processes()
    for last in (False, True):
        daemon = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=made.root,
        )
        until = time.monotonic() + DAEMON_SECONDS
        while time.monotonic() < until and not lake.exists("document_summary" if last else "document_sources"):
            time.sleep(0.2)
        if not last:
            time.sleep(rng.uniform(0, 5))
            hit += 1
        else:
            while time.monotonic() < until and lake.read("document_summary").num_rows < DOCUMENTS + 1:
                time.sleep(0.5)
            time.sleep(2)
        for pid in processes() - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon.wait()
    undisturbed(line, made)  # sweeps what a run that was killed at its very end left
    return Findings(Counter({DAEMON: hit}))


def measure(kills: dict[str, int], seed: int, a_round: int = 5) -> None:
    """Print the figures."""
    rng, total, began = Random(seed), Findings(), time.monotonic()
    with laboratory() as folder:
        calm = prepare(folder / "calm")
        seconds = undisturbed(line, calm)
        wanted = content(calm)

        def play(name: str, disturb: Callable[[Round], Findings]) -> None:
            made, before = prepare(folder / f"{name}-{total.kills.total()}-{rng.random()}"), processes()
            found = disturb(made)
            found.add(judge(made, wanted, found.kills.total(), before))
            total.add(found)
            shutil.rmtree(made.root)

        while (left := kills.get(LINE, 0) - total.kills[LINE]) > 0:
            play(LINE, partial(cut_line, rng=rng, seconds=seconds, kills=min(a_round, left), target=line))
        run_seconds = undisturbed(whole_run, prepare(folder / "timed")) if kills.get(RUN) else 0.0
        while (left := kills.get(RUN, 0) - total.kills[RUN]) > 0:
            play(RUN, partial(cut_line, rng=rng, seconds=run_seconds, kills=min(a_round, left), target=whole_run))
        while total.kills[WORKER] < kills.get(WORKER, 0):
            play(WORKER, partial(cut_worker, rng=rng))
        while total.kills[DAEMON] < kills.get(DAEMON, 0):
            play(DAEMON, partial(cut_daemon, rng=rng))
    tell(total, seed, time.monotonic() - began)


def tell(found: Findings, seed: int, seconds: float) -> None:
    """Print what was found; everything but kills and seconds should be nought."""
    count = found.kills.total()
    config = {"seed": seed, "documents": DOCUMENTS + 1, "chunk": CHUNK}
    for target in (LINE, RUN, WORKER, DAEMON):
        figure(f"power_cuts_{target}", found.kills[target], "kills", config=config)
    for name in ("rows_lost", "rows_doubled"):
        figure(f"power_cuts_{name}", getattr(found, name), "rows", n=count, config=config)
    figure("power_cuts_stages_out_of_balance", found.unbalanced, "stages", n=count, config=config)
    figure("power_cuts_repeated_over_a_chunk", found.repeated, "documents", n=count, config=config)
    figure("power_cuts_processes_left", found.processes, "processes", n=count, config=config)
    figure("power_cuts_files_left", found.files, "files", n=count, config=config)
    figure("power_cuts_seconds", seconds, "seconds", n=count, config=config)


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kills = {target: round(options.kills * share) for target, share in SHARES.items()}
    measure({LINE: 5} if options.quick else kills, options.seed)


if __name__ == "__main__":
    main()
