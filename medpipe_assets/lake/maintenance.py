"""Keeping the lake small and quick: compaction, snapshot expiry, removal of files that nothing refers to.

All of it can be left out for long, done twice or cut off anywhere: readers see the same rows before and after.
"""

import datetime as dt
from collections import Counter
from contextlib import ExitStack

from pyiceberg.table import Table

from medpipe_assets.lake.compaction import compact_partitions
from medpipe_assets.lake.lake import Lake, local_path
from medpipe_assets.lake.ledger import sweep
from medpipe_assets.lake.objects import ObjectStore
from medpipe_assets.lake.schemas import STAGES, TABLES

COMPACT_FROM_FILES = 16
"""A day of a table with so many files is rewritten as one, and so are so many small files of a partition."""
KEEP_SNAPSHOTS_DAYS = 30
"""How far back time travel goes."""
ORPHAN_AGE_HOURS = 24
"""A file younger than this may belong to a commit that is under way."""


def maintain(lake: Lake, now: dt.datetime | None = None) -> dict[str, int]:
    """Compact, expire, remove orphans, in this order.

    Returns:
        How many days (of tables without days: partitions) were compacted, snapshots expired, files and bytes removed.
    """
    now = now or dt.datetime.now(dt.UTC)
    counted = ("days_compacted", "partitions_compacted", "snapshots_expired", "files_removed", "bytes_removed")
    report: Counter[str] = Counter(dict.fromkeys(counted, 0))
    for name in lake.tables:
        if lake.exists(name) and "ingest_date" in lake.tables[name].partition_by:
            report["days_compacted"] += _compact(lake, name)
        elif lake.exists(name):
            report["partitions_compacted"] += compact_partitions(lake, name, COMPACT_FROM_FILES)
    for name in lake.tables:
        if lake.exists(name):
            with lake.leases.hold(name) as lease, lake.leases.commit(lease):
                report["snapshots_expired"] += _expire(lake, name, now - dt.timedelta(days=KEEP_SNAPSHOTS_DAYS))
            before = now - dt.timedelta(hours=ORPHAN_AGE_HOURS)
            files, size = _remove_orphans(lake.table(name), lake.objects_of(name), before)
            report["files_removed"] += files
            report["bytes_removed"] += size
    return dict(report)


def _compact(lake: Lake, name: str) -> int:
    partitions = Counter(
        (task.file.partition[-1], task.file.file_path.rsplit("/", 1)[0])
        for task in lake.table(name).scan().plan_files()
    )
    days = sorted({_day(value) for (value, _), count in partitions.items() if count >= COMPACT_FROM_FILES})
    return sum(_compact_day(lake, name, day) for day in days)


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


def _compact_day(lake: Lake, name: str, day: dt.date) -> bool:
    """Rewrite a day's rows as one file a partition, while nobody else writes there; False where somebody did."""
    with ExitStack() as stack:
        for lease_name in _writers(name, day):
            lease = stack.enter_context(lake.leases.hold(lease_name))
            stage = lease_name.partition(" ")[0]
            if not lease.clean and stage in STAGES:
                with lake.leases.commit(lease):
                    sweep(lake, stage, day)
        with lake.leases.commit(lease):  # other days of the table may be written all the while
            return lake.rewrite(name, day)


def _expire(lake: Lake, name: str, before: dt.datetime) -> int:
    def expire(table: Table) -> int:
        count = len(table.metadata.snapshots)
        table.maintenance.expire_snapshots().older_than(before.replace(tzinfo=None)).commit()
        return count - len(table.refresh().metadata.snapshots)

    return lake.change(name, expire)


def _remove_orphans(table: Table, store: ObjectStore, before: dt.datetime) -> tuple[int, int]:
    """Remove files below the table's root that are older than a time and that no snapshot refers to.

    Args:
        store: of the table's root.
    """
    kept, root = referenced(table), local_path(table.location())
    # Listed before any goes: a listing that is changed under way may leave some out.
    orphans = [found for found in store.list() if found.modified < before and f"{root}/{found.key}" not in kept]
    for orphan in orphans:
        store.delete(orphan.key)
    return len(orphans), sum(orphan.size for orphan in orphans)


def referenced(table: Table) -> set[str]:
    """Paths of all files that a table, as it is and as its kept snapshots were, is made of."""
    metadata = table.metadata
    found = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
    for snapshot in metadata.snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            found.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            found.update(entry.data_file.file_path for entry in entries)
    return {local_path(path) for path in found}
