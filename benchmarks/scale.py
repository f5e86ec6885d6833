"""How the document line bears many documents: what one costs in a large lake, what a rerun costs, memory, the inbox.

    python -m benchmarks.scale [--quick] [--documents N] [--seed S] [--daemon] [--trickle SECONDS]

Documents are small English notes, no two alike; each lake is made from nothing, by `medpipe run`'s own function in a
process of its own. Figures are of processor time (all threads and processes of a step, after imports), which other work
on the machine disturbs less than the clock; `_seconds` is by the clock.

- `scale_flat`: what a document more costs in a lake of the largest size, over what it costs in one of the smallest:
  batches of BATCH documents through all stages, their checks and the consumer tables, in one process whose engines are
  loaded; `scale_batch_N` is a document's part of it.
- `scale_rerun_N_seconds`, `scale_rerun_N_processed`: the same command again; documents that any stage processed.
- `scale_one_more_N`: a document more for a lake of N, less the same for a lake of one document.
- `scale_memory_parent_N`, `_worker_N`: most memory resident, 10^9 bytes.
- `scale_tick_*`: the sensor over a folder of N files: when they are new, when they wait, when they were taken in.

With `--daemon` Dagster's daemon and web server are started on an empty lake, N files are dropped into the inbox, and
`scale_daemon_*` say how long all took, the longest tick and the slowest answer of the web server meanwhile. With
`--trickle` a file a second is dropped for so long: `scale_trickle_runs` says in how many runs that ended.

`--quick`: 20 and 200 documents, the batches and the sensor alone.
"""

import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import steps
from benchmarks.data.documents import fill
from benchmarks.reporting import arguments, figure

SIZES, QUICK_SIZES = (100, 1_000, 10_000), (20, 200)
POLL_SECONDS = 5.0
DAEMON_SECONDS = 1800.0
"""The longest that documents in the inbox are waited for."""


# Steps: each in a process of its own


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def take_in(lake: str, folder: str) -> dict[str, Any]:
    """`medpipe run`, after imports."""
    import medpipe_assets.defs.execution  # noqa: F401 - it is not to be counted
    from medpipe_assets.lake.lake import Lake
    from medpipe_assets.lake.location import LakeLocation
    from medpipe_assets.running import run_inputs

    opened = Lake(LakeLocation.under(lake))
    begun, used = time.perf_counter(), processor_seconds()
    result = run_inputs(opened, [folder], workers=1)
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": time.perf_counter() - begun,
        "cpu": processor_seconds() - used,
        "parent": peaks[0] * 1024 / 1e9,
        "worker": peaks[1] * 1024 / 1e9,
        "documents": len(result.documents),
        "processed": _processed(opened) if result.seconds else 0,
        "failures": result.failures,
    }


def _processed(lake: Any) -> int:
    """Verdicts of the last run."""
    rows = lake.read("stage_status", ("run_id", "processed_at")).sort_by([("processed_at", "descending")])
    return int(rows["run_id"].to_pylist().count(rows["run_id"][0].as_py()))


BATCH, BATCHES, BULK = 100, 3, 1000


def batches(lake: str, folder: str, small: str, large: str, seed: str) -> dict[str, Any]:
    """Processor seconds a document of small batches, in a lake of either size; and the most memory."""
    import datetime as dt

    from medpipe_assets.defs.resources import make_engines
    from medpipe_assets.documents.consumers import CONSUMERS, rebuild
    from medpipe_assets.documents.intake import receive, take_in
    from medpipe_assets.documents.line import stages
    from medpipe_assets.documents.pool import PoolSettings
    from medpipe_assets.documents.soundness import check_new
    from medpipe_assets.documents.stage import run_stage
    from medpipe_assets.inbox.local import LocalInbox, fetch
    from medpipe_assets.lake.lake import Lake
    from medpipe_assets.lake.location import LakeLocation
    from medpipe_assets.settings import Settings

    opened, day = Lake(LakeLocation.under(lake)), dt.date(2026, 11, 20)
    made = stages(make_engines(Settings(), opened.location), opened.raw)
    done = 0

    def add(count: int) -> float:
        nonlocal done
        batch = Path(folder, str(done))
        fill(batch, "small", count, first=done, seed=int(seed))
        done += count
        begun = processor_seconds()
        run_id = str(done)
        receive(opened, LocalInbox((batch,)).arrivals(), day)
        take_in(opened, day, fetch, run_id=run_id)
        for name, stage in made.items():
            run_stage(opened, stage, day, run_id=run_id, pool=PoolSettings(workers=0))
            check_new(opened, name, day, run_id)
        for name in CONSUMERS:
            rebuild(opened, name, day, run_id=run_id)
        return (processor_seconds() - begun) / count

    def grown(size: int) -> float:
        while done < size:
            add(min(BULK, size - done))
        return statistics.median(add(BATCH) for _ in range(BATCHES))

    costs = {"small": grown(int(small)), "large": grown(int(large))}
    return costs | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


def ticks(lake: str, folder: str) -> dict[str, float]:
    """The sensor's looks at the inbox: all new, all waiting, all known."""
    from medpipe_assets.defs.documents.partitions import today
    from medpipe_assets.documents.intake import pending_receipts, receive, take_in
    from medpipe_assets.inbox.local import LocalInbox, fetch
    from medpipe_assets.lake.lake import Lake
    from medpipe_assets.lake.location import LakeLocation

    opened = Lake(LakeLocation.under(lake))

    def tick() -> float:
        begun = time.perf_counter()
        receive(opened, LocalInbox((Path(folder),), 0.001).arrivals(), today())
        pending_receipts(opened)
        return time.perf_counter() - begun

    took = {"new": tick(), "waiting": tick()}
    begun = time.perf_counter()
    take_in(opened, today(), fetch, run_id="scale")
    return took | {"intake": time.perf_counter() - begun, "known": tick()}


# The measurement


def measure_flat(sizes: tuple[int, ...], seed: int, scratch: Path) -> None:
    """A document more in a small lake, and in a large one."""
    flat = _step("batches", scratch / "flat", scratch / "flat documents", sizes[0], sizes[-1], seed)
    for size, cost in ((sizes[0], flat["small"]), (sizes[-1], flat["large"])):
        _tell(f"batch_{size}", 1000 * cost, "milliseconds", size)
    figure("scale_flat", flat["large"] / flat["small"], "ratio", n=sizes[-1], config={"sizes": list(sizes)})


def measure_ticks(count: int, seed: int, scratch: Path) -> None:
    """The sensor's looks, and intake alone."""
    folder = scratch / f"{count}"
    fill(folder, "small", count, seed=seed)
    watched = _step("ticks", scratch / f"inbox lake of {count}", folder)
    for state in ("new", "waiting", "known", "intake"):
        name = f"tick_{state}_{count}" if state != "intake" else f"intake_{count}_seconds"
        _tell(name, watched[state], "seconds", count)


def measure(sizes: tuple[int, ...], seed: int, scratch: Path) -> None:
    """Lakes of these sizes, by the command's own function."""
    fill(scratch / "one", "small", 1, seed=seed + 1)
    fill(scratch / "more", "small", 1, seed=seed + 2)
    _run(scratch / "lake of one", scratch / "one")
    one = _run(scratch / "lake of one", scratch / "more")
    for count in sizes:
        folder, lake = scratch / f"{count}", scratch / f"lake of {count}"
        fill(folder, "small", count, seed=seed)
        made = _run(lake, folder)
        assert made["documents"] == count
        _tell(f"cpu_{count}", made["cpu"], "seconds", count)
        _tell(f"seconds_{count}", made["seconds"], "seconds", count)
        for place in ("parent", "worker"):
            _tell(f"memory_{place}_{count}", made[place], "GB", count)
        again = _run(lake, folder)
        _tell(f"rerun_{count}_seconds", again["seconds"], "seconds", count)
        _tell(f"rerun_{count}_processed", again["processed"], "documents", count)
        more = _run(lake, scratch / "more")
        _tell(f"one_more_{count}", more["cpu"] - one["cpu"], "seconds", count, alone=round(one["cpu"], 2))
        _tell(f"one_more_{count}_seconds", more["seconds"] - one["seconds"], "seconds", count,
              alone=round(one["seconds"], 2))  # fmt: skip


def _tell(name: str, value: float, unit: str, count: int, **config: Any) -> None:
    figure(f"scale_{name}", value, unit, n=count, config=config)


def _step(name: str, *words: object) -> dict[str, Any]:
    return steps.run("benchmarks.scale", name, *words).told


def _run(lake: Path, folder: Path) -> dict[str, Any]:
    told = _step("take_in", lake, folder)
    if told["failures"]:
        raise RuntimeError(f"the run failed: {told['failures']}")
    return told


# The daemon


def measure_daemon(count: int, seed: int, scratch: Path) -> None:
    """Drop files at once while the daemon runs, and wait until all are in the consumer table."""
    with daemon(scratch / "watched") as (lake, url):
        begun, slowest = time.monotonic(), 0.0
        fill(lake / "inbox", "small", count, seed=seed)
        while _summed_up(lake) < count and time.monotonic() - begun < DAEMON_SECONDS:
            slowest = max(slowest, _answered(url))
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - begun
        found = _summed_up(lake)
    figure("scale_daemon_documents", found, "documents", n=count)
    figure("scale_daemon_seconds", seconds, "seconds", n=count)
    figure("scale_daemon_web_answer", slowest, "seconds", n=count)
    _tell_daemon("daemon", lake, count)


def measure_trickle(seconds: int, seed: int, scratch: Path) -> None:
    """Drop a file a second."""
    with daemon(scratch / "trickle") as (lake, _):
        for number in range(seconds):
            fill(lake / "inbox", "small", 1, first=number, seed=seed)
            time.sleep(1)
        begun = time.monotonic()
        while _summed_up(lake) < seconds and time.monotonic() - begun < DAEMON_SECONDS:
            time.sleep(POLL_SECONDS)
        figure("scale_trickle_documents", _summed_up(lake), "documents", n=seconds)
        figure("scale_trickle_last_waited", time.monotonic() - begun, "seconds", n=seconds)
    _tell_daemon("trickle", lake, seconds)


@contextmanager
def daemon(root: Path) -> Iterator[tuple[Path, str]]:
    """A lake with Dagster's daemon and web server; its folder, and the server's address."""
    (root / "inbox").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MEDPIPE_LAKE": str(root), "MEDPIPE_TELEMETRY": "off", "DAGSTER_HOME": _home(root)}
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", "workspace.yaml", "-p", str(port)]
    with (root / "daemon.log").open("wb") as log:
        # A signal of its own session, so that all its processes get it.
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}/server_info"
    try:
        begun = time.monotonic()
        while _answered(url) < 0 and time.monotonic() - begun < 120:
            time.sleep(1)
        yield root, url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _home(root: Path) -> str:
    from medpipe_assets.defs.execution import dagster_home
    from medpipe_assets.lake.location import LakeLocation

    os.environ.pop("DAGSTER_HOME", None)
    return str(dagster_home(LakeLocation.under(root)))


def _answered(url: str) -> float:
    """Seconds until the web server answered; below 0 where it did not."""
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            json.load(answer)
    except OSError:
        return -1.0
    return time.monotonic() - begun


def _summed_up(root: Path) -> int:
    """Documents that the consumer table says are through."""
    from medpipe_assets.lake.lake import Lake
    from medpipe_assets.lake.location import LakeLocation

    if not (root / "catalog.db").exists():
        return 0
    rows = Lake(LakeLocation.under(root)).read("document_summary", ("status",))["status"].to_pylist()
    return sum(status in ("coded", "no codes", "quarantined") for status in rows)


def _tell_daemon(name: str, root: Path, count: int) -> None:
    """Runs and ticks, from Dagster's own records."""
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(_home(root))) as instance:
        runs = instance.get_runs(dg.RunsFilter(job_name="documents"))
        longest = 0.0
        for state in instance.all_instigator_state():
            if state.instigator_name == "inbox_sensor":
                for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id):
                    longest = max(longest, (tick.end_timestamp or tick.timestamp) - tick.timestamp)
    figure(f"scale_{name}_runs", len(runs), "runs", n=count)
    figure(f"scale_{name}_longest_tick", longest, "seconds", n=count)


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, help="the largest lake")
    parser.add_argument("--daemon", action="store_true", help="drop the documents into a watched inbox, too")
    parser.add_argument("--trickle", type=int, default=0, metavar="SECONDS", help="drop one a second for so long")
    given = parser.parse_args()
    sizes = QUICK_SIZES if given.quick else SIZES
    if given.documents:
        sizes = (*(size for size in sizes if size < given.documents), given.documents)
    with tempfile.TemporaryDirectory() as folder:
        if given.trickle:
            measure_trickle(given.trickle, given.seed, Path(folder))
        if given.daemon:
            measure_daemon(sizes[-1], given.seed, Path(folder))
        if given.trickle or given.daemon:
            return
        measure_flat(sizes, given.seed, Path(folder))
        measure_ticks(sizes[-1], given.seed, Path(folder))
        if not given.quick:
            measure(sizes, given.seed, Path(folder))


if __name__ == "__main__":
    main()
