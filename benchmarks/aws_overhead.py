"""What our side of AWS costs in time: the rate that is kept, the overhead of a call, memory, a full queue.

    python -m benchmarks.aws_overhead [--quick]

Calls go over HTTP to the tests' double, which takes 50 ms an answer, in a process of its own; its recogniser is the
toy one, for what is measured is not its work.

Throughput over the ideal is the share of the configured request rate that 16 threads reach. A call's overhead is what
asking through medpipe (cutting, budget, rate, storing, metering, offsets) takes longer than the bare botocore client,
in medians of calls in turns. Memory is the growth of this process's resident set while calls are made.

The queue holds messages of S3's about new objects, some told twice, and is the double's own, in this process. The
sensor ticks, as the daemon would have it, until nothing is left: it drains, records, deletes, and asks for one run a
day. `aws_queue_runs` is the number of runs that it asked for.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks.reporting import arguments, figure, quiet_stdout
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.medical_text import ask
from medpipe_assets.aws.rates import RateLimits
from medpipe_assets.aws.responses import ResponseStore
from medpipe_assets.defs.documents.sensors import sqs_inbox_sensor
from medpipe_assets.defs.resources import LakeResource, resources
from medpipe_assets.documents.intake import pending_receipts
from medpipe_tests.aws_double.double import AwsDouble, Bill
from medpipe_tests.aws_double.fixtures import ISOLATION
from medpipe_tests.aws_double.queues import Queues
from medpipe_tests.aws_double.server import DoubleServer
from medpipe_tests.aws_double.standing import CREDENTIALS

LATENCY = 0.05
THREADS = 16
PER_SECOND = 100.0
"""The configured rate: Comprehend Medical's quota. 16 threads at 50 ms could send 320 a second."""

OPERATION = "InferICD10CM"
LAST_VARIABLE = "AWS_ENDPOINT_URL_ATHENA"
"""Of those that the double prints."""

NOTE = "Visit {}. The patient has hypertension and diabetes, and no diabetes in the family. "


CALLS, QUICK_CALLS = 3_000, 600
PAIRS, QUICK_PAIRS = 200, 60
MESSAGES, QUICK_MESSAGES = 10_000, 500
TOLD_TWICE = 20
"""One message in so many comes twice."""


@contextlib.contextmanager
def aws() -> Iterator[None]:
    """The double and moto in another process; this one's clients go there for as long as the context lasts."""
    command = [sys.executable, "-m", "medpipe_tests.aws_double", "--port", "0", "--toy", "--latency", str(LATENCY)]
    before = dict(os.environ)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stdout or ():
                name, _, value = line.removeprefix("export ").strip().partition("=")
                os.environ[name] = value
                if name == LAST_VARIABLE:
                    break
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            server.terminate()


def throughput(folder: str, count: int) -> None:
    """Different texts from many threads at a configured rate; memory is looked at on the way."""
    rates = RateLimits({f"comprehendmedical.{OPERATION}": PER_SECOND})
    calls = PaidCalls(Clients(retry_mode="standard"), ResponseStore(folder), rates)
    ask(calls, OPERATION, "A first call opens the connection.")
    resident: list[int] = []

    def send(number: int) -> None:
        ask(calls, OPERATION, NOTE.format(number))
        if number % (count // 20) == 0:
            resident.append(_resident_bytes())

    with ThreadPoolExecutor(THREADS) as threads:
        begun = time.perf_counter()
        list(threads.map(send, range(count)))
        seconds = time.perf_counter() - begun
    config = {"latency_seconds": LATENCY, "threads": THREADS, "per_second": PER_SECOND}
    figure("aws_throughput_over_ideal", count / seconds / PER_SECOND, "share", n=count, config=config)
    growth = (resident[-1] - resident[len(resident) // 5]) / 1e6
    figure("aws_memory_growth", growth, "MB", n=count, config={**config, "from": "a fifth of the calls to the last"})


def overhead(folder: str, pairs: int) -> None:
    """Calls through PaidCalls and bare ones in turns, by one thread."""
    clients = Clients(retry_mode="standard")
    calls = PaidCalls(clients, ResponseStore(folder))
    client = clients.client("comprehendmedical")
    taken: dict[str, list[tuple[float, float]]] = {"paid": [], "bare": [], "stored": []}
    ask(calls, OPERATION, "A first call opens the connection.")
    for number in range(pairs):
        text = NOTE.format(-1 - number).strip()
        taken["bare"].append(_taken(partial(client.infer_icd10_cm, Text=text)))
        taken["paid"].append(_taken(partial(ask, calls, OPERATION, text)))
        taken["stored"].append(_taken(partial(ask, calls, OPERATION, text)))
    wall, cpu = ({name: 1000 * median(t[i] for t in times) for name, times in taken.items()} for i in (0, 1))
    peer = {"bare_client": wall["bare"]}
    figure("aws_call_overhead", wall["paid"] - wall["bare"], "milliseconds", peer=peer, n=pairs)
    figure("aws_call_overhead_processor", cpu["paid"] - cpu["bare"], "milliseconds", n=pairs)
    figure("aws_client_over_latency", wall["bare"] - 1000 * LATENCY, "milliseconds", n=pairs)
    figure("aws_stored_answer", wall["stored"], "milliseconds", n=pairs)


def queue(folder: str, count: int) -> None:
    """A queue of news, drained by the sensor until it is empty."""
    queues = Queues("https://sqs.us-east-1.amazonaws.com/123456789012/news")
    fresh = count - count // TOLD_TWICE
    bodies = [_news(number) for number in range(fresh)]
    queues.tell([*bodies, *bodies[: count - fresh]])
    double = AwsDouble({"sqs": queues}, Bill(), latency_seconds=LATENCY)
    before, ticks, asked = dict(os.environ), 0, 0
    with DoubleServer(double) as server, dg.DagsterInstance.ephemeral() as instance, quiet_stdout():
        os.environ.update({**ISOLATION, **CREDENTIALS, **server.environment, "MEDPIPE_INBOX_QUEUE": queues.url})
        try:
            lake, cursor = LakeResource(root=folder), None
            given = {name: resources()[name] for name in sqs_inbox_sensor.required_resource_keys} | {"lake": lake}
            begun = time.perf_counter()
            while len(queues):
                told = sqs_inbox_sensor(
                    dg.build_sensor_context(instance=instance, cursor=cursor, resources=given, sensor_name="queue")
                )
                assert isinstance(told, dg.SensorResult)
                ticks, asked, cursor = ticks + 1, asked + len(told.run_requests or ()), told.cursor
            seconds = time.perf_counter() - begun
        finally:
            os.environ.clear()
            os.environ.update(before)
    receipted = sum(len(receipt.arrivals) for receipt in pending_receipts(lake.open()))
    config = {"latency_seconds": LATENCY}
    figure("aws_queue_drained", seconds, "seconds", n=count, config={**config, "ticks": ticks})
    figure("aws_queue_objects_lost", fresh - receipted, "objects", n=count, config=config)
    figure("aws_queue_runs", asked, "runs", n=count, config=config)


def _news(number: int) -> str:
    """S3's message about a new object."""
    told = {"key": f"in/{number}.pdf", "size": 1000, "eTag": f"{number:032x}", "sequencer": f"{number + 1:018X}"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-11-20T08:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "clinic"}, "object": told},
    }
    return json.dumps({"Records": [record]})


def _taken(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this thread's processor time."""
    wall, cpu = time.perf_counter(), time.thread_time()
    call()
    return time.perf_counter() - wall, time.thread_time() - cpu


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """The command line."""
    quick = arguments(__doc__).parse_args().quick
    with aws(), tempfile.TemporaryDirectory() as folder:
        overhead(folder, QUICK_PAIRS if quick else PAIRS)
        throughput(folder, QUICK_CALLS if quick else CALLS)
    with tempfile.TemporaryDirectory() as folder:
        queue(folder, QUICK_MESSAGES if quick else MESSAGES)


if __name__ == "__main__":
    main()
