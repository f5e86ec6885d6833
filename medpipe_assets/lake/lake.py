"""The lake: Iceberg tables made from the contracts, read and changed through one catalog, and the raw bytes.

Everything that knows pyiceberg is here. What a change means (ledger, quarantine, publication) is decided elsewhere.
"""

import datetime as dt
import hashlib
import os
import re
import tempfile
import warnings
from collections.abc import Collection, Iterable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy.exc
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    LessThanOrEqual,
)
from pyiceberg.table import Table

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.leases import Leases
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import TABLES, TableContract

NAMESPACE = "medpipe"
TABLE_PROPERTIES = {
    "write.parquet.compression-codec": "snappy",
    "write.metadata.previous-versions-max": "20",
    "write.metadata.delete-after-commit.enabled": "true",
    # One manifest a chunk commit would make planning a scan slower with every chunk.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
}
CATALOG_TRIES = 5
_DOCUMENT_ID = re.compile(r"[0-9a-f]{64}")


class Lake:
    """One lake: its location, its leases and its tables."""

    def __init__(self, location: LakeLocation) -> None:
        location.create()
        self.location = location
        self.leases = Leases(location.home / "leases.db")
        self._catalog = _open_catalog(location)

    def table(self, name: str) -> Table:
        """The Iceberg table of a contract, made on first use."""
        try:
            return self._catalog.load_table(f"{NAMESPACE}.{name}")
        except NoSuchTableError:
            return self._create(TABLES[name])

    def _create(self, contract: TableContract) -> Table:
        identifier = f"{NAMESPACE}.{contract.name}"
        try:
            with (
                self._catalog.create_table_transaction(
                    identifier,
                    schema=contract.schema,
                    location=f"{self.location.zone(contract.zone)}/{contract.name}",
                    properties=TABLE_PROPERTIES,
                ) as transaction,
                transaction.update_spec() as spec,
            ):
                for column in contract.partition_by:
                    spec.add_identity(column)
        except (TableAlreadyExistsError, CommitFailedException):  # another process was faster
            pass
        return self._catalog.load_table(identifier)

    def exists(self, name: str) -> bool:
        """Whether anything was ever written to (or asked of) the table."""
        return bool(self._catalog.table_exists(f"{NAMESPACE}.{name}"))

    def read(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        days: Collection[dt.date] | None = None,
        stage: str | None = None,
        documents: Collection[str] | None = None,
        snapshot_id: int | None = None,
    ) -> pa.Table:
        """Rows as they are stored, in the contract's schema.

        Args:
            columns: in this order; all, in the contract's, when None.
            days: only these days' partitions.
            stage: only this stage's partitions (stage_status).
            documents: only these documents' rows.
            snapshot_id: time travel.
        """
        contract = TABLES[name]
        wanted = contract.schema.names if columns is None else list(columns)
        needed = wanted if documents is None or "document_id" in wanted else [*wanted, "document_id"]
        scan = self.table(name).scan(
            row_filter=_filter(days, stage, documents), selected_fields=tuple(needed), snapshot_id=snapshot_id
        )
        rows = scan.to_arrow()
        if documents is not None:
            rows = rows.filter(pc.is_in(rows["document_id"], pa.array(sorted(documents), pa.string())))
        return rows.select(wanted).cast(pa.schema([contract.schema.field(c) for c in wanted]))

    def files(self, name: str, as_of: dt.datetime | None = None) -> list[str]:
        """Paths of the Parquet files that make up a table now, or at a past time (none before its first snapshot).

        Raises:
            ConfigurationError: for a time whose snapshot has expired: no rows would be a wrong answer.
        """
        table = self.table(name)
        snapshot_id = None
        if as_of is not None:
            snapshot = table.snapshot_as_of_timestamp(int(as_of.timestamp() * 1000))
            if snapshot is None:
                _refuse_expired(name, table)
                return []
            snapshot_id = snapshot.snapshot_id
        return [_local_path(task.file.file_path) for task in table.scan(snapshot_id=snapshot_id).plan_files()]

    def write(self, name: str, rows: pa.Table, *, replace: BooleanExpression | None = None) -> None:
        """Append rows, or replace those that match an expression by them, in one Iceberg commit.

        Raises:
            ValueError: where the rows do not fit the contract (a null where none may be, a column missing).
        """
        rows = conform(TABLES[name], rows)
        table = self.table(name)
        if replace is not None:
            overwrite(table, rows, replace)
        elif rows.num_rows:
            table.append(rows)

    # The raw zone holds bytes under their own hash: written once, never changed.

    def raw_key(self, document_id: str) -> str:
        """Key of a document's bytes in the raw zone.

        Raises:
            ValueError: for anything but 64 hex digits.
        """
        if not _DOCUMENT_ID.fullmatch(document_id):
            raise ValueError("a document id is 64 lower-case hex digits")
        return f"documents/{document_id[:2]}/{document_id}"

    def raw_path(self, document_id: str) -> Path:
        """The file of a document's bytes."""
        return Path(self.location.raw) / self.raw_key(document_id)

    def keep(self, data: bytes) -> str:
        """Store a document's bytes and return its id. Bytes already there are left as they are."""
        document_id = hashlib.sha256(data).hexdigest()
        path = self.raw_path(document_id)
        if not path.exists():
            write_atomically(path, data)
        return document_id


def _open_catalog(location: LakeLocation) -> SqlCatalog:
    """The catalog, made where it is absent.

    Several processes may find it absent at once (the web UI, its daemon, a command), and each statement of its
    making fails in all of them but one; whoever fails finds what another has made.
    """
    # A file: URI, since a plain path loses what follows a '?'.
    database = f"sqlite:///file:{quote(str(location.home / 'catalog.db'))}?uri=true"
    tries = 0
    while True:
        try:
            catalog = SqlCatalog("medpipe", uri=database, warehouse=location.zone("parquet"))
            catalog.create_namespace_if_not_exists(NAMESPACE)
            return catalog
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.OperationalError):
            tries += 1
            if tries == CATALOG_TRIES:
                raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even over a power cut, and only its owner reads it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def overwrite(table: Table, rows: pa.Table, replace: BooleanExpression, branch: str = "main") -> None:
    """Replace the rows that match by others, in one commit."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Delete operation did not match any records")
        table.overwrite(rows, overwrite_filter=replace, branch=branch)


def conform(contract: TableContract, rows: pa.Table) -> pa.Table:
    """Rows in the contract's exact schema: columns in order, types cast, required columns without nulls.

    Raises:
        ValueError: naming the column that does not fit, never a value.
    """
    missing = [c.name for c in contract.columns if c.name not in rows.column_names]
    if missing:
        raise ValueError(f"{contract.name}: columns missing: {', '.join(missing)}")
    for column in contract.columns:
        if not column.nullable and rows[column.name].null_count:
            raise ValueError(f"{contract.name}.{column.name}: null where a value is required")
    try:
        return rows.select([c.name for c in contract.columns]).cast(contract.schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ValueError(f"{contract.name}: a column's type does not fit the contract") from None


def days_in(days: Iterable[dt.date]) -> BooleanExpression:
    """An Iceberg expression for rows of these days."""
    return In("ingest_date", {day.isoformat() for day in days})


def documents_of_day(day: dt.date, documents: Collection[str]) -> BooleanExpression:
    """An Iceberg expression for these documents' rows of a day."""
    return And(EqualTo("ingest_date", day.isoformat()), In("document_id", set(documents)))


def _filter(
    days: Collection[dt.date] | None, stage: str | None, documents: Collection[str] | None
) -> BooleanExpression:
    parts: list[BooleanExpression] = []
    if days is not None:
        parts.append(days_in(days))
    if stage is not None:
        parts.append(EqualTo("stage", stage))
    if documents:
        # Iceberg skips files by range; past 200 values it would not even try with a list.
        parts += [GreaterThanOrEqual("document_id", min(documents)), LessThanOrEqual("document_id", max(documents))]
    return reduce(And, parts, AlwaysTrue()) if parts else AlwaysTrue()


def _refuse_expired(name: str, table: Table) -> None:
    """Refuse a time before the oldest snapshot that is kept, where there were older ones."""
    oldest = next(iter(table.history()), None)
    snapshot = table.snapshot_by_id(oldest.snapshot_id) if oldest else None
    if oldest is not None and snapshot is not None and (snapshot.sequence_number or 0) > 1:
        since = dt.datetime.fromtimestamp(oldest.timestamp_ms / 1000, dt.UTC)
        raise ConfigurationError(f"the table {name} can be read as of {since:%Y-%m-%d %H:%M:%S} UTC or later")


def _local_path(path: str) -> str:
    return path.removeprefix("file://")


def empty(name: str) -> pa.Table:
    """A table of a contract with no rows."""
    return TABLES[name].schema.empty_table()


def columns_to_table(name: str, columns: dict[str, list[Any]]) -> pa.Table:
    """Parallel lists as a table of the contract's types (columns the contract does not know are refused).

    Raises:
        ValueError: for unknown columns or values that do not fit.
    """
    schema = TABLES[name].schema
    unknown = set(columns) - set(schema.names)
    if unknown:
        raise ValueError(f"{name}: unknown columns {', '.join(sorted(unknown))}")
    try:
        return pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema})
    except KeyError as error:
        raise ValueError(f"{name}: column {error.args[0]} is missing") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        raise ValueError(f"{name}: a value does not fit its column's type") from None
