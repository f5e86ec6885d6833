"""Writes docs/benchmarks.md and docs/accuracy.md: runs the benchmarks and keeps their last full results.

    python -m benchmarks.record [--quick] [NAME ...]     # names as in `python -m benchmarks.NAME`
    python -m benchmarks.record --accuracy [NAME ...]    # docs/accuracy.md, over the corpora below MEDPIPE_CORPORA

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).parents[1] / "docs"
CORPORA: Final = Path(os.environ.get("MEDPIPE_CORPORA", "corpora"))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of results: its head, and the command of each section ('{corpora}' stands for the corpora's folder)."""

    file: str
    head: str
    sections: Mapping[str, Sequence[str]]


_NAMES: Final = (
    "aws_overhead", "bill", "documents", "extraction", "facilities", "faults", "power_cuts", "providers",
    "recognition_speed",
    "scale", "translation",
)  # fmt: skip
BENCHMARKS: Final = Page(
    "benchmarks.md",
    """# Benchmarks

Written by `python -m benchmarks.record`; each figure is a line of `python -m benchmarks.<name>`. Absolute times depend
on the machine and on what else it does; ratios and shares hold.
""",
    {name: (name,) for name in _NAMES},
)
_CODIESP: Final = "{corpora}/codiesp"
_INDEX: Final = ("--index", "{corpora}/icd10/icd10cm_index_2025.csv")
ACCURACY: Final = Page(
    "accuracy.md",
    """# Accuracy

Written by `python -m benchmarks.record --accuracy`, over corpora that are not part of medpipe (MEDPIPE_CORPORA; the
layouts are in the benchmarks' own help). Sections named `zero_shot` use what medpipe ships: no text of the corpus was
seen, although our term lists and thresholds were made by people who had read its training part. In all others a model
was trained on the corpus's training part, and its development part coded. `assertion` learns nothing, but its cues were
written with most of these sentences at hand; when they were read for the first time, F1 of negation was 0.971 on the
later English sentences and 0.954 on the second half of NUBes' files. Intervals are bootstraps over documents, or over
sentences.

What was compared, and why the model is as it is, is in [decisions/0008](decisions/0008-a-model-of-arrays.md).
""",
    {
        "coding_without_index": ("coding", "--train", f"{_CODIESP}/train", "--test", f"{_CODIESP}/dev"),
        "coding_english": (
            "coding", "--train", f"{_CODIESP}/train", "--test", f"{_CODIESP}/dev", "--language", "en", *_INDEX,
        ),
        "zero_shot_spanish": ("coding", "--zero-shot", "--test", f"{_CODIESP}/dev"),
        "zero_shot_english": ("coding", "--zero-shot", "--test", f"{_CODIESP}/dev", "--language", "en"),
        "zero_shot_english_index": (
            "coding", "--zero-shot", "--test", f"{_CODIESP}/dev", "--language", "en", *_INDEX,
        ),
        "assertion": ("assertion",),
        "mentions": ("mentions",),
        "coding": ("coding", "--train", f"{_CODIESP}/train", "--test", f"{_CODIESP}/dev", *_INDEX),
    },
)  # fmt: skip


def measured(command: Sequence[str], quick: bool) -> list[dict[str, Any]]:
    """The figures that a benchmark prints."""
    name, *given = (word.replace("{corpora}", str(CORPORA)) for word in command)
    run = [sys.executable, "-m", f"benchmarks.{name}", *given, *(["--quick"] if quick else [])]
    done = subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(section: str, command: Sequence[str], rows: Sequence[dict[str, Any]], quick: bool) -> str:
    """A section: its benchmark's figures as a table, with machine and date."""
    when = dt.datetime.now(dt.UTC).date().isoformat()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [f"## {section}", "", f"{when}, {machine}{', --quick' if quick else ''}", ""]
    if len(command) > 1:
        lines += [f"`python -m benchmarks.{' '.join(command)}`".replace("{corpora}", "$MEDPIPE_CORPORA"), ""]
    plain = [row for row in rows if not row["figure"].endswith(tuple(_SPECIAL))]
    configs = [row["config"] or {} for row in plain]
    shared = {k: v for k, v in (configs[0] if configs else {}).items() if all(c.get(k) == v for c in configs)}
    lines += [*(f"- {key}: {value}" for key, value in shared.items()), ""] if shared else []
    lines += ["| figure | value | unit | 95 % interval | n | |", "|---|---|---|---|---|---|"]
    lines += [_line(row, shared) for row in plain]
    for ending, show in _SPECIAL.items():
        special = [row for row in rows if row["figure"].endswith(ending)]
        lines += ["", *show(special)] if special else []
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any], shared: dict[str, Any]) -> str:
    interval = "" if row["low"] is None else f"{row['low']:.4g} to {row['high']:.4g}"
    own = {k: v for k, v in (row["config"] or {}).items() if k not in shared and k != "version"}
    peers = {f"peer {name}": f"{value:.4g}" for name, value in (row["peer"] or {}).items()}
    ratio = {"ratio": f"{row['ratio']:.3g}"} if row["ratio"] is not None else {}
    config = ", ".join(f"{key} {value}" for key, value in (own | peers | ratio).items())
    return f"| {row['figure']} | {row['value']:.4g} | {row['unit']} | {interval} | {row['n'] or ''} | {config} |"


def _reliability(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A plot: how often codes are right whose probability lies in a bin; ':' stands where that would be as told."""
    lines = ["How often codes are right, by the probability that they are told with (`:` is where it should be):"]
    lines += ["", "```"]
    for row in rows:
        told, right = row["config"]["told"], row["value"]
        bar = ["#" if i < round(right * 50) else " " for i in range(51)]
        bar[round(told * 50)] = ":"
        lines.append(f"{row['config']['bin']:>9}  {''.join(bar)}  {right:.3f} of {row['n']}, told {told:.3f}")
    return [*lines, "```"]


def _errors(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The commonest errors as a table."""
    lines = ["The commonest errors:", "", "| code | title | missed | told wrongly | mostly |", "|---|---|---|---|---|"]
    for row in rows:
        c = row["config"]
        lines.append(f"| {c['code']} | {c['title']} | {c['missed']} | {c['wrong']} | {c['mostly']} |")
    return lines


_SPECIAL: Final = {"_reliability": _reliability, "_error_of_code": _errors}
"""Endings of figures that are shown otherwise than as a line of the table."""


def sections(page: str) -> dict[str, str]:
    """The sections of a page, by name."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def main() -> None:
    """Run what is asked for, and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller measurements")
    parser.add_argument("--accuracy", action="store_true", help="write docs/accuracy.md")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    page = ACCURACY if arguments.accuracy else BENCHMARKS
    file = DOCS / page.file
    kept = sections(file.read_text()) if file.exists() else {}
    for name in arguments.names or page.sections:
        command = page.sections.get(name, (name,))
        kept[name] = told(name, command, measured(command, arguments.quick), arguments.quick)
        order = [*(s for s in page.sections if s in kept), *sorted(set(kept) - set(page.sections))]
        if not arguments.accuracy:
            order = sorted(kept)
        file.write_text("\n".join([page.head, *(kept[section] for section in order)]))


if __name__ == "__main__":
    main()
