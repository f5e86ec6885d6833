"""Write, audit, publish: a table changes only after what was written has been checked as written.

Rows or files go to a branch of the Iceberg table; the audit reads the branch; one commit then moves the table there,
together with a note of what it was built from. Readers see the old rows or the new ones, never unchecked ones.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pyarrow as pa
from pyiceberg.expressions import And, In
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
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
    documents: Collection[str] | None = None,
) -> Findings:
    """Replace days of a table, or some documents' rows of them, if the audit finds nothing in the rows as written.

    Args:
        rows: all rows of the days, or of the documents.
        audit: reads the staged rows of these days, or documents.
        lease: held on the table, so that it has one writer at a time.
        notes: for each day, what it is built from (see `built_from`).
        documents: those whose rows are replaced; None: whole days.

    Returns:
        The findings; where any check has some, the table is left as it was.

    Raises:
        ValueError: where the rows do not fit the contract, or are of other days, which they would double unseen.
    """
    rows = conform(lake.tables[name], rows)
    if not set(rows["ingest_date"].unique().to_pylist()) <= set(notes):
        raise ValueError(f"{name}: rows of days that are not to be published")
    findings: dict[str, Collection[str]] = {}

    def passes(staged: int) -> bool:
        findings.update(audit(lake.read(name, days=list(notes), documents=documents, snapshot_id=staged)))
        return not any(findings.values())

    def stage(table: Table, branch: str) -> None:
        if documents is None:
            overwrite(table, rows, days_in(notes), branch)
            return
        # A filter that no row matches would still have every file of the days read.
        there = lake.read(name, ("document_id",), days=list(notes), documents=documents)["document_id"].unique()
        if len(there):
            overwrite(table, rows, And(days_in(notes), In("document_id", set(there.to_pylist()))), branch)
        else:
            table.append(rows, branch=branch)

    _on_a_branch(
        lake,
        lake.table(name),
        stage,
        passes,
        lease,
        {f"{_BUILT}{day.isoformat()}": note for day, note in notes.items()},
    )
    return findings


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: how many offenders, never who. A check that is not blocking warns only."""

    check: str
    offenders: int
    blocking: bool = True

    @property
    def stops(self) -> bool:
        """Whether nothing may be published with it."""
        return self.blocking and self.offenders > 0


@dataclass(frozen=True, slots=True)
class Staged:
    """A table as it is to be published.

    Attributes:
        added: the Parquet files written for it.
        kept: those that it has already and that stay.
        rows: of both.
        rows_before: of the table as it stands.
    """

    added: tuple[str, ...]
    kept: tuple[str, ...]
    rows: int
    rows_before: int


@dataclass(frozen=True, slots=True)
class Publication:
    """What came of it: what the checks found, and the snapshot that readers see now; None where it was refused."""

    findings: tuple[Finding, ...]
    snapshot_id: int | None


class All(Enum):
    """Every file that a table has."""

    FILES = "files"


ALL_FILES = All.FILES


def publish_files(
    lake: Lake,
    name: str,
    *,
    add: Sequence[Path],
    remove: Collection[str] | All,
    audit: Callable[[Staged], Iterable[Finding]],
    lease: Lease,
    properties: Mapping[str, str],
) -> Publication:
    """Change a table by whole files, if the audit finds nothing that stops it.

    The table first gets the columns and partitions of its contract, whatever the audit says.

    Args:
        add: Parquet files in this machine's scratch, each of one partition; they are moved below the table's root.
        remove: paths, as Lake.data_files has them, of files of the table that go; or all of them.
        audit: judges what is staged; a file of a local lake can be read where it lies, see also Lake.local_copies.
        lease: held on the table, so that it has one writer at a time.
        properties: of the table, set by the same commit: what it was built from.

    Raises:
        ValueError: where a file to be removed is not there, or one to be added does not fit the table.
        ConfigurationError: see Lake.following_contract.
    """
    lake.following_contract(name)
    before = lake.data_files(name)
    gone = [file for file in before if remove is ALL_FILES or file.file_path in remove]
    if remove is not ALL_FILES and len(gone) < len(remove):
        raise ValueError(f"{name}: files to be removed are not there")
    added = tuple(lake.adopt(name, path) for path in add)
    findings: list[Finding] = []

    def passes(staged: int) -> bool:
        files = {file.file_path: file.record_count for file in lake.data_files(name, snapshot_id=staged)}
        kept = tuple(path for path in files if path not in set(added))
        whole = Staged(added, kept, sum(files.values()), sum(file.record_count for file in before))
        findings.extend(audit(whole))
        return not any(finding.stops for finding in findings)

    snapshot_id = _on_a_branch(
        lake, lake.table(name), lambda table, branch: exchange(table, added, gone, branch), passes, lease, properties
    )
    return Publication(tuple(findings), snapshot_id)


def exchange(table: Table, added: Sequence[str], gone: Sequence[DataFile], branch: str = "main") -> None:
    """Add and remove files of a table in one commit."""
    with table.transaction() as transaction:
        metadata = transaction.table_metadata  # made anew each time it is asked for
        update = transaction.update_snapshot(branch=branch)
        with update.overwrite() if gone else update.merge_append() as files:
            for path in added:
                files.append_data_file(parquet_file_to_data_file(table.io, metadata, path))
            for file in gone:
                files.delete_data_file(file)


def _on_a_branch(
    lake: Lake,
    table: Table,
    stage: Callable[[Table, str], None],
    passes: Callable[[int], bool],
    lease: Lease,
    properties: Mapping[str, str],
) -> int | None:
    """Stage a change on a branch; where the staged snapshot passes, move the table there, with its properties.

    Returns:
        The snapshot, None where it did not pass.
    """
    if table.current_snapshot() is None:
        table.append(lake.tables[table.name()[-1]].schema.empty_table())
    _remove_branches(lake, table, lease)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    branch = f"{_AUDIT}{uuid.uuid4().hex[:12]}"
    table.manage_snapshots().create_branch(snapshot.snapshot_id, branch).commit()
    try:
        stage(table, branch)
        staged = int(table.refresh().refs()[branch].snapshot_id)
        if not passes(staged):
            return None
        with lake.leases.commit(lease), table.transaction() as transaction:
            ManageSnapshots(transaction).set_current_snapshot(snapshot_id=staged).commit()
            transaction.set_properties(dict(properties))
        return staged
    finally:
        table.refresh().manage_snapshots().remove_branch(branch).commit()


def _remove_branches(lake: Lake, table: Table, lease: Lease) -> None:
    """Remove the branches of publications that were killed: they would keep their rows from ever expiring."""
    for branch in [name for name in table.refs() if name.startswith(_AUDIT)]:
        with lake.leases.commit(lease):
            table.manage_snapshots().remove_branch(branch).commit()
            table.refresh()
