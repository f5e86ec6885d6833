"""What is lost, doubled or paid twice when AWS misbehaves: a day under faults against the same day without.

    python -m benchmarks.faults [--quick] [--seed N]

1,000 short English documents, a tenth of them scans, go through the aws profile's stages twice, in lakes of their own,
over HTTP to the tests' double. In the calm day 2 % of requests are refused for good and nothing else goes wrong. In the
storm the same requests are refused, and of all calls a fifth is throttled, some fail, are reset, or lose their answer
after they were charged; and Comprehend Medical is down for a while. The storm's day is run again until nothing waits to
be tried again.

Nothing may be lost (a document that is neither done nor in quarantine), doubled (rows that the calm day does not have),
or paid beyond the calls whose answer was really lost: `calls_paid_twice` counts those. Knowledge is the embedded
engines', kept by text; the double's Textract knows each scan's text.
"""

import contextlib
import datetime as dt
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.bill import number_of, page_of, scan
from benchmarks.reporting import arguments, figure, quiet_stdout
from medpipe_assets.defs.resources import make_engines
from medpipe_assets.documents.intake import receive, take_in
from medpipe_assets.documents.line import stages
from medpipe_assets.documents.pool import PoolSettings
from medpipe_assets.documents.stage import run_stage
from medpipe_assets.inbox.local import LocalInbox, fetch
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import conservation, read_vouched, verdicts
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import STAGES, tables_of
from medpipe_assets.settings import Settings
from medpipe_tests.aws_double.double import AwsDouble, Charge
from medpipe_tests.aws_double.engines import Engines, embedded_engines
from medpipe_tests.aws_double.faults import FaultPlan, FaultRates, Outage
from medpipe_tests.aws_double.fixtures import FROM_OUTSIDE, ISOLATION
from medpipe_tests.aws_double.server import DoubleServer
from medpipe_tests.aws_double.standing import CREDENTIALS, stand_up

DAY = dt.date(2026, 11, 20)
DOCUMENTS, QUICK_DOCUMENTS = 1_000, 60
SCANS = 10
"""One document in so many is a scan."""

REFUSED = FaultRates(refused=0.02)
STORM = FaultRates(throttle=0.2, server_error=0.02, reset=0.03, lost_reply=0.03, refused=0.02)
DOWN = (0.3, 0.8)
"""When Comprehend Medical is down: from so many requests a document to so many."""

MOST_RUNS = 8
CONDITIONS = ("asthma", "gout", "migraine", "hypertension", "pneumonia", "type 2 diabetes", "anemia", "osteoporosis")
DRUGS = ("metformin 500 mg", "lisinopril 10 mg", "ibuprofen 400 mg", "amlodipine 5 mg")
RUN = frozenset({"run_id", "processed_at"})


@dataclass(frozen=True)
class Outcome:
    """A day's end: its rows by table, documents in quarantine for good, broken stages, the charges and what it took."""

    rows: dict[str, Counter[str]]
    settled: int
    quarantined: frozenset[str]
    broken: int
    charges: Counter[Charge]
    faults: Counter[tuple[str, str, str]]
    dollars: float
    metered: float
    runs: int
    seconds: float


def write(folder: Path, count: int, rng: Random) -> dict[int, str]:
    """The documents; the texts of scans by their number."""
    scanned = {}
    for number in range(count):
        has, denies = rng.sample(CONDITIONS, 2)
        text = f"Visit {number}. Patient has {has} and denies {denies}. Takes {rng.choice(DRUGS)} daily for {has}.\n"
        if number % SCANS:
            (folder / f"{number}.txt").write_text(text)
        else:
            (folder / f"{number}.png").write_bytes(scan(number))
            scanned[number] = text.strip()
    return scanned


def knowledge(scanned: dict[int, str]) -> Engines:
    """The embedded engines, asked once about each text."""
    embedded = embedded_engines()
    recognise = cache(embedded.recognise)

    @cache
    def code(text: str) -> Any:
        return embedded.code(text, [m for m in recognise(text) if m.category == "MEDICAL_CONDITION"])

    return replace(
        embedded,
        read=lambda data, _: page_of(scanned[number_of(data)]),
        recognise=recognise,
        code=lambda text, _: code(text),
    )


@contextlib.contextmanager
def called(double: AwsDouble) -> Iterator[None]:
    """All clients that are made inside call the double."""
    before = dict(os.environ)
    with DoubleServer(double) as server:
        for name in FROM_OUTSIDE:
            os.environ.pop(name, None)
        os.environ.update({**ISOLATION, **CREDENTIALS, **server.environment})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def day(documents: Path, home: Path, engines: Engines, plan: FaultPlan) -> Outcome:
    """Take the documents in, and run the day until nothing waits to be tried again."""
    lake, double = Lake(LakeLocation.under(home)), stand_up(engines=engines, faults=plan)
    receive(lake, LocalInbox((documents,)).arrivals(), DAY)
    take_in(lake, DAY, fetch, run_id="intake")
    begun, runs = time.monotonic(), 0
    with called(double):
        while runs < MOST_RUNS and (not runs or _waits(lake)):
            made = make_engines(Settings.load("aws"), lake.location)  # as a run of its own would make them
            for stage in stages(made, lake.raw).values():
                run_stage(lake, stage, DAY, run_id=f"run {runs}", pool=PoolSettings(workers=0))
            runs += 1
    balances = [conservation(lake, stage, DAY) for stage in STAGES]
    broken = sum(b["inputs"] != b["done"] + b["quarantined"] or bool(b["pending"] or b["miscounted"]) for b in balances)
    failed = {d for stage in STAGES for d, v in verdicts(lake, stage, [DAY]).items() if not v.done}
    return Outcome(
        rows={name: _rows(lake, name) for stage in STAGES for name in (t.name for t in tables_of(stage))},
        settled=balances[-1]["done"] + len(failed),
        quarantined=frozenset(failed),
        broken=broken,
        charges=Counter(double.bill.charges),
        faults=plan.counts,
        dollars=double.bill.dollars(),
        metered=float(sum(lake.read("costs", ("dollars",))["dollars"].to_pylist())),
        runs=runs,
        seconds=time.monotonic() - begun,
    )


def _waits(lake: Lake) -> bool:
    return any(v.retried_by_itself for stage in STAGES for v in verdicts(lake, stage, [DAY]).values())


def _rows(lake: Lake, table: str) -> Counter[str]:
    """The rows in force, less what differs from run to run."""
    rows = read_vouched(lake, table, days=[DAY]).to_pylist()
    return Counter(repr({name: value for name, value in row.items() if name not in RUN}) for row in rows)


def measure(count: int, seed: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder, quiet_stdout():
        documents = Path(folder) / "documents"
        documents.mkdir()
        engines = knowledge(write(documents, count, Random(seed)))
        calm = day(documents, Path(folder) / "calm", engines, FaultPlan(seed, REFUSED))
        down = [Outage("comprehendmedical", *(round(count * share) for share in DOWN))]
        storm = day(documents, Path(folder) / "storm", engines, FaultPlan(seed, STORM, outages=down))
    lost = sum(n for (_, _, kind), n in storm.faults.items() if kind == "lost_reply")
    surplus = storm.charges - calm.charges
    kinds: Counter[str] = Counter()
    for (_, _, kind), n in storm.faults.items():
        kinds[kind] += n
    config = {"seed": seed, "faults": ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))}

    def tell(name: str, value: float, unit: str) -> None:
        figure(f"faults_{name}", value, unit, n=count, config=config)

    tell("documents_lost", count - storm.settled, "documents")
    tell("quarantined_otherwise", len(storm.quarantined ^ calm.quarantined), "documents")
    tell("quarantined_for_good", len(calm.quarantined), "documents")
    tell("rows_doubled", sum((storm.rows[name] - calm.rows[name]).total() for name in calm.rows), "rows")
    tell("rows_lost", sum((calm.rows[name] - storm.rows[name]).total() for name in calm.rows), "rows")
    tell("stages_out_of_balance", storm.broken + calm.broken, "stages")
    tell("answers_lost", lost, "calls")
    tell("calls_paid_twice", surplus.total() - lost, "calls")
    tell("calls_not_paid", (calm.charges - storm.charges).total(), "calls")
    tell("bill_over_calm", storm.dollars / calm.dollars, "ratio")
    tell("metered_over_calm", storm.metered / calm.metered, "ratio")
    tell("runs", storm.runs, "runs")
    tell("calm_seconds", calm.seconds, "seconds")
    tell("storm_seconds", storm.seconds, "seconds")


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    measure(QUICK_DOCUMENTS if options.quick else DOCUMENTS, options.seed)


if __name__ == "__main__":
    main()
