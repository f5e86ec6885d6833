"""Keeping the lake small and quick: compaction, snapshot expiry, removal of files that nothing refers to.

All of it can be left out for long, done twice or cut off anywhere: readers see the same rows before and after.
"""

import datetime as dt
import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from pyiceberg.table import Table

from medpipe_assets.lake.lake import Lake, days_in
from medpipe_assets.lake.ledger import sweep
from medpipe_assets.lake.schemas import STAGES, TABLES

COMPACT_FROM_FILES = 16
"""A day of a table with so many files is rewritten as one."""
KEEP_SNAPSHOTS_DAYS = 30
"""How far back time travel goes."""
ORPHAN_AGE_HOURS = 24
"""A file younger than this may belong to a commit that is under way."""


def maintain(lake: Lake, now: dt.datetime | None = None) -> dict[str, int]:
    """Compact, expire, remove orphans, in this order.

    Returns:
        How many days were compacted, snapshots expired, files and bytes removed.
    """
    now = now or dt.datetime.now(dt.UTC)
    report: Counter[str] = Counter(days_compacted=0, snapshots_expired=0, files_removed=0, bytes_removed=0)
    for name in TABLES:
        if lake.exists(name):
            report["days_compacted"] += _compact(lake, name)
    for name in TABLES:
        if lake.exists(name):
            with lake.leases.hold(name) as lease, lake.leases.commit(lease):
                report["snapshots_expired"] += _expire(lake.table(name), now - dt.timedelta(days=KEEP_SNAPSHOTS_DAYS))
            files, size = _remove_orphans(lake.table(name), now - dt.timedelta(hours=ORPHAN_AGE_HOURS))
            report["files_removed"] += files
            report["bytes_removed"] += size
    return dict(report)


def _compact(lake: Lake, name: str) -> int:
    if "ingest_date" not in TABLES[name].partition_by:
        return 0  # a few rows, written when an engine changes
    partitions = Counter(
        (task.file.partition[-1], task.file.file_path.rsplit("/", 1)[0])
        for task in lake.table(name).scan().plan_files()
    )
    days = sorted({_day(value) for (value, _), count in partitions.items() if count >= COMPACT_FROM_FILES})
    for day in days:
        _compact_day(lake, name, day)
    return len(days)


def _day(value: object) -> dt.date:
    """A date partition value: Iceberg keeps days since 1970."""
    return value if isinstance(value, dt.date) else dt.date(1970, 1, 1) + dt.timedelta(days=int(str(value)))


def _writers(name: str, day: dt.date) -> list[str]:
    """The leases under which a day of a table is written, in the line's order, so that two holders never deadlock."""
    stage = TABLES[name].stage
    if stage is not None:
        return [f"{stage} {day.isoformat()}"]
    if name in ("stage_status", "quarantine", "costs"):
        return ["inbox", *(f"{stage} {day.isoformat()}" for stage in STAGES)]
    return ["inbox" if name == "document_sources" else name]


def _compact_day(lake: Lake, name: str, day: dt.date) -> None:
    """Rewrite a day's rows as one file a partition, while nobody else writes there."""
    with ExitStack() as stack:
        for lease_name in _writers(name, day):
            lease = stack.enter_context(lake.leases.hold(lease_name))
            stage = lease_name.partition(" ")[0]
            if not lease.clean and stage in STAGES:
                with lake.leases.commit(lease):
                    sweep(lake, stage, day)
        with lake.leases.commit(lease):  # other days of the table may be written all the while
            lake.write(name, lake.read(name, days=[day]), replace=days_in([day]))


def _expire(table: Table, before: dt.datetime) -> int:
    count = len(table.metadata.snapshots)
    table.maintenance.expire_snapshots().older_than(before.replace(tzinfo=None)).commit()
    return count - len(table.refresh().metadata.snapshots)


def _remove_orphans(table: Table, before: dt.datetime) -> tuple[int, int]:
    """Remove files below the table's folder that are older than a time and that no snapshot refers to."""
    kept = _referenced(table)
    files = size = 0
    for folder, _, names in os.walk(table.location().removeprefix("file://")):
        for name in names:
            path = Path(folder, name)
            if str(path) in kept or path.stat().st_mtime >= before.timestamp():
                continue
            files, size = files + 1, size + path.stat().st_size
            path.unlink()
    return files, size


def _referenced(table: Table) -> set[str]:
    metadata = table.metadata
    found = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
    for snapshot in metadata.snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            found.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            found.update(entry.data_file.file_path for entry in entries)
    return {path.removeprefix("file://") for path in found}
