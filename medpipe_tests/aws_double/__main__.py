"""`python -m medpipe_tests.aws_double --port N [COMMAND ...]`: AWS on this machine, until Ctrl-C or the command's end.

Without a command it prints the variables to set, one `export` a line, and serves: the double on the port, moto on the
next one. With one it runs it under these variables and ends as it ends.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from medpipe_tests.aws_double.engines import embedded_engines, toy_engines
from medpipe_tests.aws_double.faults import FaultPlan, FaultRates
from medpipe_tests.aws_double.fixtures import FROM_OUTSIDE, Aws, standing_aws
from medpipe_tests.aws_double.moto_server import MotoServer


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m medpipe_tests.aws_double", description=__doc__)
    parser.add_argument("--port", type=int, default=4600, help="of the double; moto takes the next one (0: free ones)")
    parser.add_argument("--bucket", action="append", default=[], help="make this bucket in S3")
    parser.add_argument("--toy", action="store_true", help="answer without OCR, translator and lexicons")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every answer takes at least")
    parser.add_argument("--seed", type=int, default=0, help="of the fault plan")
    parser.add_argument("--throttle", type=float, default=0.0, help="share of calls to refuse as too many")
    parser.add_argument("--environment", type=Path, help="also write the variables here, for a shell to read")
    parser.add_argument("--report", type=Path, help="write actions, bill and faults here as JSON at the end")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, and its arguments")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Serve until interrupted or terminated, or until the command ends; its exit status."""
    arguments = _arguments(given)
    faults = FaultPlan(arguments.seed, FaultRates(throttle=arguments.throttle))
    settings = {
        "engines": toy_engines() if arguments.toy else embedded_engines(),
        "faults": faults,
        "latency_seconds": arguments.latency,
    }
    with (
        MotoServer(arguments.port + 1 if arguments.port else 0) as moto,
        standing_aws(moto, arguments.port, **settings) as aws,
    ):
        for bucket in arguments.bucket:
            aws.client("s3").create_bucket(Bucket=bucket)
        exports = "".join(f"export {name}={value}\n" for name, value in aws.environment.items())
        if arguments.environment:
            arguments.environment.write_text(exports)
        status = _run(arguments.command, aws) if arguments.command else _serve(exports)
        if arguments.report:
            arguments.report.write_text(json.dumps(_report(aws), indent=2) + "\n")
    return status


def _run(command: list[str], aws: Aws) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in FROM_OUTSIDE}
    return subprocess.run(command, env={**environment, **aws.environment}, check=False).returncode


def _serve(exports: str) -> int:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    print(exports, end="", flush=True)
    ended.wait()
    return 0


def _report(aws: Aws) -> dict[str, object]:
    """What was asked, billed and made to fail."""
    return {
        "actions": dict(sorted(aws.actions.items())),
        "bill": [
            {"service": s, "operation": o, "option": option, "units": units}
            for (s, o, option), units in sorted(aws.double.bill.units().items())
        ],
        "faults": {" ".join(what): count for what, count in sorted(aws.double.faults.counts.items())},
    }


if __name__ == "__main__":
    sys.exit(main())
