"""Writes docs/benchmarks.md: `python -m benchmarks.record` runs the benchmarks and keeps their last full results.

    python -m benchmarks.record [--quick] [NAME ...]     # names as in `python -m benchmarks.NAME`

Results of benchmarks that are not run stay as they are, with their own machine and date.
"""

import argparse
import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
NAMES = ("aws_overhead", "bill", "extraction", "facilities", "faults", "providers", "translation")
HEAD = """# Benchmarks

Written by `python -m benchmarks.record`; each figure is a line of `python -m benchmarks.<name>`. Absolute times depend
on the machine and on what else it does; ratios and shares hold.
"""


def measure(name: str, quick: bool) -> str:
    """A benchmark's section: its figures as a table, with machine and date."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    when = dt.datetime.now(dt.UTC).date().isoformat()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [f"## {name}", "", f"{when}, {machine}{', --quick' if quick else ''}", ""]
    configs = [row["config"] or {} for row in rows]
    shared = {k: v for k, v in (configs[0] if configs else {}).items() if all(c.get(k) == v for c in configs)}
    lines += [*(f"- {key}: {value}" for key, value in shared.items()), ""] if shared else []
    lines += ["| figure | value | unit | 95 % interval | n | |", "|---|---|---|---|---|---|"]
    lines += [_line(row, shared) for row in rows]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any], shared: dict[str, Any]) -> str:
    interval = "" if row["low"] is None else f"{row['low']:.4g} to {row['high']:.4g}"
    own = {k: v for k, v in (row["config"] or {}).items() if k not in shared and k != "version"}
    config = ", ".join(f"{key} {value}" for key, value in own.items())
    return f"| {row['figure']} | {row['value']:.4g} | {row['unit']} | {interval} | {row['n'] or ''} | {config} |"


def sections(page: str) -> dict[str, str]:
    """The sections of a page, by benchmark."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def main() -> None:
    """Run what is asked for, and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller measurements")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    arguments = parser.parse_args()
    kept = sections(PAGE.read_text()) if PAGE.exists() else {}
    for name in arguments.names:
        kept[name] = measure(name, arguments.quick)
    PAGE.write_text("\n".join([HEAD, *(kept[name] for name in sorted(kept))]))


if __name__ == "__main__":
    main()
