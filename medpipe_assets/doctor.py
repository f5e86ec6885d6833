"""Whether an installation and its lake are well: engines and what their absence costs, permissions, disk, tables.

Every finding says what to do next. Nothing is changed, and no service is asked.
"""

import os
import shutil
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medpipe_assets.errors import RunStopError
from medpipe_assets.lake.lake import Lake, local_path
from medpipe_assets.lake.maintenance import COMPACT_FROM_FILES, referenced
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.model import artefact
from medpipe_assets.settings import Settings, inbox_folder, is_remote, model_file

GOOD, MISSING, BAD = "good", "missing", "bad"
"""`missing`: the line works without it, at a cost that is told. `bad`: something has to be done."""
LOW_DISK_BYTES = 5 << 30
"""A 2,000-page scan and its tables are about 1 GB."""
MANY_SNAPSHOTS = 5_000
"""Each commit writes a list of them all: 1 kB a snapshot."""

PACKAGES: Mapping[str, tuple[str, str]] = {
    "pypdfium2": ("PDF cannot be read", "make setup"),
    "rapidocr": ("scans and pictures cannot be read", "make setup"),
    "onnxruntime": ("scans and pictures cannot be read", "make setup"),
    "docx2python": ("DOCX cannot be read", "make setup"),
    "pillow-heif": ("HEIC pictures go into quarantine", "pip install 'medpipe[heif]'"),
    "ctranslate2": ("the translation engine ctranslate2 cannot be chosen", "pip install 'medpipe[ctranslate2]'"),
    "paramiko": ("datasets cannot be fetched by SFTP", "pip install 'medpipe[sftp]'"),
    "pyspark": ("result tables cannot be made by Spark on this machine", "pip install 'medpipe[spark]'"),
}
"""Packages that engines are made of: what their absence costs, and how to add them."""
NEEDED = ("pypdfium2", "rapidocr", "onnxruntime", "docx2python")
PROGRAMS: Mapping[str, tuple[str, str]] = {
    "apertium-wblank-mode": (
        "the English beside a text is a word-by-word gloss; codes are the same",
        "make engines (Debian, Ubuntu)",
    ),
}


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, in words, and the next step where there is one."""

    about: str
    state: str
    told: str
    next_step: str = ""


def examine(lake: Lake | None, settings: Settings, make_engines: Callable[[], Any]) -> list[Finding]:
    """All findings.

    Args:
        lake: None where there is none yet.
        make_engines: makes the engines that the settings name.
    """
    found = [*_software(), *_engines(settings, make_engines), _model(settings)]
    if lake is None:
        return [*found, Finding("lake", MISSING, "there is none here yet", "medpipe run INPUT --lake DIR makes one")]
    if lake.location.is_remote:
        found.append(Finding("lake", GOOD, "on S3: the check `buckets_are_safe` looks at its buckets every night"))
    else:
        found += [*_permissions(lake, settings), _disk(lake.location.home)]
    return [*found, *_tables(lake)]


def _software() -> Iterator[Finding]:
    yield Finding("python", GOOD, sys.version.split()[0])
    for name, (cost, step) in PACKAGES.items():
        try:
            yield Finding(name, GOOD, version(name))
        except PackageNotFoundError:
            yield Finding(name, BAD if name in NEEDED else MISSING, f"not installed: {cost}", step)
    for program, (cost, step) in PROGRAMS.items():
        path = shutil.which(program)
        yield Finding(program, GOOD, path) if path else Finding(program, MISSING, f"not installed: {cost}", step)


def _engines(settings: Settings, make: Callable[[], Any]) -> Iterator[Finding]:
    """The engines of the settings; those of services are not asked."""
    try:
        made = make()
        for stage in ("extraction", "translation", "recognition", "coding"):
            engine = getattr(made, stage)
            yield Finding(f"{stage} engine", GOOD, f"{engine.name} {engine.version}")
    except RunStopError as error:
        yield Finding("engines", BAD, str(error), f"correct it (the profile is '{settings.profile}')")


def _model(settings: Settings) -> Finding:
    """The coding model, which the embedded engines do without."""
    file = Path(model_file(settings))
    step = "make model, or medpipe model build --corpus DIR from your own"
    try:
        return Finding("coding model", GOOD, f"{artefact.fingerprint(file)}, {file}")
    except OSError:
        cost = "mentions and codes come from the lexicon alone, and their probabilities are rough"
        return Finding("coding model", MISSING, f"none at {file}: {cost}", step)
    except RunStopError as error:
        return Finding("coding model", BAD, str(error), step)


def _permissions(lake: Lake, settings: Settings) -> Iterator[Finding]:
    home = lake.location.home
    for folder in [home, *(Path(lake.location.zone(zone)) for zone in ("raw", "preprocessed", "parquet", "staging"))]:
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield Finding("permissions", BAD, f"{folder} cannot be written", "run as its owner, or give it to you")
            return
    wide = [path for path in (home, *home.iterdir()) if stat.S_IMODE(path.lstat().st_mode) & 0o077]
    told = f"{len(wide)} files and folders of the lake may be read by others, such as {wide[0]}" if wide else ""
    yield (
        Finding("permissions", BAD, told, f"chmod -R go= {home}")
        if wide
        else Finding("permissions", GOOD, f"{home} is yours alone")
    )
    if is_remote(settings.inbox) or settings.inbox_queue:
        yield Finding("inbox", GOOD, "on S3")
        return
    inbox = inbox_folder(settings, lake.location)
    if not inbox.exists():
        yield Finding("inbox", GOOD, f"{inbox} is made when the daemon starts")
    elif os.access(inbox, os.R_OK | os.X_OK):
        yield Finding("inbox", GOOD, str(inbox))
    else:
        yield Finding("inbox", BAD, f"{inbox} cannot be read", "let the daemon's user read it, or set MEDPIPE_INBOX")


def _disk(home: Path) -> Finding:
    usage = shutil.disk_usage(home)
    told = f"{usage.free / 1e9:.1f} GB of {usage.total / 1e9:.0f} GB are free"
    if usage.free < LOW_DISK_BYTES:
        return Finding("disk", BAD, told, "make room, or move the lake: a run that finds none stops")
    return Finding("disk", GOOD, told)


def _tables(lake: Lake) -> Iterator[Finding]:
    """The catalog against the files: what a table refers to must be there; what nothing refers to is told."""
    lost: list[str] = []
    loose, loose_bytes, crowded = 0, 0, Counter[str]()
    there = [name for name in lake.tables if lake.exists(name)]
    for name in there:
        table, store = lake.table(name), lake.objects_of(name)
        root = local_path(table.location())
        stored = {f"{root}/{found.key}": found.size for found in store.list()}
        files = [local_path(file.file_path) for file in lake.data_files(name)]
        lost += [name] * sum(file not in stored for file in files)
        unknown = stored.keys() - referenced(table)
        loose, loose_bytes = loose + len(unknown), loose_bytes + sum(stored[path] for path in unknown)
        partitions = Counter(file.rsplit("/", 1)[0] for file in files)
        crowded[name] = max(partitions.values(), default=0)
        if len(table.metadata.snapshots) > MANY_SNAPSHOTS:
            yield Finding(name, BAD, f"{len(table.metadata.snapshots):,} snapshots slow each commit", MAINTAIN)
    yield _lost(lost, len(there))
    told = f"{loose:,} files, {loose_bytes / 1e6:.1f} MB, belong to no table"
    yield Finding("orphans", GOOD, f"{told}: the night's maintenance removes those older than a day")
    full = [name for name, count in crowded.items() if count >= COMPACT_FROM_FILES]
    if full:
        yield Finding("compaction", MISSING, f"days of many files in {', '.join(full)} make reading slower", MAINTAIN)
    else:
        yield Finding("compaction", GOOD, f"no day has {COMPACT_FROM_FILES} files")


MAINTAIN = "materialise lake_maintenance (the schedule nightly_maintenance does, while the daemon runs)"


def _lost(lost: Iterable[str], tables: int) -> Finding:
    counted = Counter(lost)
    if not counted:
        return Finding("catalog", GOOD, f"all files of {tables} tables are there")
    told = ", ".join(f"{count} of {name}" for name, count in counted.items())
    stages = [stage for stage in STAGES if stage in counted]
    step = "restore them from a backup" + (f", or medpipe reprocess --force --from-stage {stages[0]}" if stages else "")
    return Finding("catalog", BAD, f"files are gone that tables refer to: {told}", step)


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Findings as text."""
    marks = {GOOD: "ok", MISSING: "--", BAD: "!!"}
    for finding in findings:
        step = f"\n{'':>26}next: {finding.next_step}" if finding.next_step else ""
        yield f"{marks[finding.state]} {finding.about:<22} {finding.told}{step}"
