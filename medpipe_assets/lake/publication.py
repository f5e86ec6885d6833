"""Write, audit, publish: a consumer table changes only after what was written has been checked as written.

Rows go to a branch of the Iceberg table; the audit reads the branch; one commit then moves the table there, together
with a note of what it was built from. Readers see the old rows or the new ones, never unchecked ones.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Mapping

import pyarrow as pa
from pyiceberg.table import Table
from pyiceberg.table.update.snapshot import ManageSnapshots

from medpipe_assets.lake.lake import Lake, conform, days_in, overwrite
from medpipe_assets.lake.leases import Lease

Findings = Mapping[str, Collection[str]]
"""Offending document ids by name of the check."""

_BUILT = "medpipe.built."
_AUDIT = "audit-"


def built_from(lake: Lake, name: str, day: dt.date) -> str | None:
    """The note left by the last publication of a day; None where the day was never published."""
    properties: Mapping[str, str] = lake.table(name).properties
    return properties.get(f"{_BUILT}{day.isoformat()}")


def publish(
    lake: Lake,
    name: str,
    rows: pa.Table,
    audit: Callable[[pa.Table], Findings],
    lease: Lease,
    *,
    notes: Mapping[dt.date, str],
) -> Findings:
    """Replace whole days of a table, if the audit finds nothing in the rows as written.

    Args:
        rows: all rows of the days.
        audit: reads the staged rows of these days.
        lease: held on the table, so that it has one writer at a time.
        notes: for each day, what it is built from (see `built_from`).

    Returns:
        The findings; where any check has some, the table is left as it was.

    Raises:
        ValueError: where the rows do not fit the contract, or are of other days, which they would double unseen.
    """
    table = lake.table(name)
    rows = conform(lake.tables[name], rows)
    if not set(rows["ingest_date"].unique().to_pylist()) <= set(notes):
        raise ValueError(f"{name}: rows of days that are not to be published")
    if table.current_snapshot() is None:
        table.append(lake.tables[name].schema.empty_table())
    _remove_branches(lake, table, lease)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    branch = f"{_AUDIT}{uuid.uuid4().hex[:12]}"
    table.manage_snapshots().create_branch(snapshot.snapshot_id, branch).commit()
    try:
        overwrite(table, rows, days_in(notes), branch)
        staged = table.refresh().refs()[branch].snapshot_id
        findings = audit(lake.read(name, days=list(notes), snapshot_id=staged))
        if not any(findings.values()):
            with lake.leases.commit(lease), table.transaction() as transaction:
                ManageSnapshots(transaction).set_current_snapshot(snapshot_id=staged).commit()
                transaction.set_properties({f"{_BUILT}{day.isoformat()}": note for day, note in notes.items()})
        return findings
    finally:
        table.refresh().manage_snapshots().remove_branch(branch).commit()


def _remove_branches(lake: Lake, table: Table, lease: Lease) -> None:
    """Remove the branches of publications that were killed: they would keep their rows from ever expiring."""
    for branch in [name for name in table.refs() if name.startswith(_AUDIT)]:
        with lake.leases.commit(lease):
            table.manage_snapshots().remove_branch(branch).commit()
            table.refresh()
