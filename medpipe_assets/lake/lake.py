"""The lake: Iceberg tables made from the contracts, read and changed through one catalog, and the raw bytes.

It is the same whether it lies in a folder or on S3. What a change means (ledger, quarantine, publication) is decided
elsewhere.
"""

import datetime as dt
import hashlib
import re
import shutil
import uuid
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError
from pyarrow.dataset import dataset, field
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationError,
    ValidationException,
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
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake import processes
from medpipe_assets.lake.catalog import namespace_of, open_catalog
from medpipe_assets.lake.leases import Leases, SqliteLeases
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.objects import ObjectStore, S3Objects, fault, store_at
from medpipe_assets.lake.s3_leases import S3Leases
from medpipe_assets.lake.schemas import TABLES, TableContract

T = TypeVar("T")
TABLE_PROPERTIES = {
    "write.parquet.compression-codec": "snappy",
    "write.metadata.previous-versions-max": "20",
    "write.metadata.delete-after-commit.enabled": "true",
    # One manifest a chunk commit would make planning a scan slower with every chunk.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    # Several machines may commit to one table at once.
    "commit.retry.num-retries": "8",
    "commit.retry.max-wait-ms": "4000",
}
CONFLICT_TRIES = 5
COPY_BYTES = 1 << 23
_DOCUMENT_ID = re.compile(r"[0-9a-f]{64}")


class Lake:
    """One lake: its location, its leases, its raw bytes and its tables.

    Attributes:
        raw: the raw zone. Objects there are written once and never changed.
        tables: the contracts of its tables, by name.
    """

    def __init__(
        self,
        location: LakeLocation,
        clients: Clients | None = None,
        tables: Mapping[str, TableContract] = TABLES,
    ) -> None:
        location.create()
        self._clients = clients or Clients()
        self.location = location
        self.tables = tables
        self.raw: ObjectStore = store_at(location.raw, location.kms_key, self._clients)
        for folder in location.drafts:
            processes.sweep(folder)
        self.leases: Leases = (
            S3Leases(S3Objects(location.parquet, location.kms_key, self._clients))
            if location.is_remote
            else SqliteLeases(location.home / "leases.db")
        )
        self._namespace = namespace_of(location)
        self._catalog = open_catalog(location, self._clients)

    def table(self, name: str) -> Table:
        """The Iceberg table of a contract, made on first use.

        Raises:
            ConfigurationError: where the catalog has it from another lake, or refuses access.
        """
        try:
            table = self._catalog.load_table(self._identifier(name))
        except NoSuchTableError:
            return self._create(self.tables[name])
        except (ClientError, BotoCoreError) as error:
            raise fault(error, "GetTable", "glue") from None
        if self.location.is_remote and table.location() != self._root_of(name):
            raise ConfigurationError(
                f"the Glue database {self._namespace} belongs to another lake: name one by MEDPIPE_GLUE_DATABASE"
            )
        return table

    def _identifier(self, name: str) -> str:
        return f"{self._namespace}.{name}"

    def _root_of(self, name: str) -> str:
        return f"{self.location.zone(self.tables[name].zone)}/{name}"

    def _create(self, contract: TableContract) -> Table:
        identifier = self._identifier(contract.name)
        try:
            with (
                self._catalog.create_table_transaction(
                    identifier,
                    schema=contract.schema,
                    location=self._root_of(contract.name),
                    properties=TABLE_PROPERTIES,
                ) as transaction,
                transaction.update_spec() as spec,
            ):
                for column in contract.partition_by:
                    spec.add_identity(column)
        except (TableAlreadyExistsError, CommitFailedException):  # another process was faster
            pass
        return self._catalog.load_table(identifier)

    def following_contract(self, name: str) -> Table:
        """The table, made to have the columns and partitions that its contract has by now.

        Raises:
            ConfigurationError: where a column's type has become another.
        """
        table, contract = self.table(name), self.tables[name]
        partitions = tuple(field.name for field in table.spec().fields)
        try:
            with table.update_schema() as schema:
                schema.union_by_name(contract.schema)
            if partitions != contract.partition_by:
                with table.update_spec() as spec:
                    for field in partitions:
                        spec.remove_field(field)
                    for column in contract.partition_by:
                        spec.add_identity(column)
        except (ValidationError, ValueError):
            raise ConfigurationError(
                f"{name}: a column's type is not what it was; give the column of the new type another name"
            ) from None
        return self.table(name)

    def objects_of(self, name: str) -> ObjectStore:
        """The objects that a table is made of, and what else lies below its root."""
        return store_at(self._root_of(name), self.location.kms_key, self._clients)

    def exists(self, name: str) -> bool:
        """Whether anything was ever written to (or asked of) the table."""
        return bool(self._catalog.table_exists(self._identifier(name)))

    def read(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        days: Collection[dt.date] | None = None,
        stage: str | None = None,
        documents: Collection[str] | None = None,
        where: BooleanExpression | None = None,
        snapshot_id: int | None = None,
    ) -> pa.Table:
        """Rows as they are stored, in the contract's schema.

        Args:
            columns: in this order; all, in the contract's, when None.
            days: only these days' partitions.
            stage: only this stage's partitions (stage_status).
            documents: only these documents' rows.
            where: only rows that match, beside all this.
            snapshot_id: time travel.
        """
        contract = self.tables[name]
        wanted = contract.schema.names if columns is None else list(columns)
        needed = wanted if documents is None or "document_id" in wanted else [*wanted, "document_id"]
        if documents is not None and not documents:
            return pa.schema([contract.schema.field(column) for column in wanted]).empty_table()
        table, row_filter = self.table(name), _filter(days, stage, documents, where)
        files = [task.file for task in table.scan(row_filter=row_filter, snapshot_id=snapshot_id).plan_files()]
        by_partition = where is None and all(file.spec_id == table.spec().spec_id for file in files)
        if by_partition and not self.location.is_remote:
            paths = [local_path(file.file_path) for file in files]
            return self.read_paths(name, paths, needed, documents).select(wanted)
        rows = _scan(table, contract, needed, row_filter, snapshot_id)
        if documents is not None:
            rows = rows.filter(pc.is_in(rows["document_id"], pa.array(sorted(documents), pa.string())))
        return rows.select(wanted)

    def paths(
        self, name: str, *, days: Collection[dt.date], stage: str | None = None, snapshot_id: int | None = None
    ) -> list[str]:
        """Paths of the Parquet files of some days of a local lake's table that is partitioned by them."""
        files = self.data_files(name, _filter(days, stage, None, None), snapshot_id)
        return [local_path(file.file_path) for file in files]

    def read_paths(
        self, name: str, paths: Sequence[str], columns: Sequence[str], documents: Collection[str] | None = None
    ) -> pa.Table:
        """Rows of some of a local table's files, all or these documents', in the contract's schema.

        Arrow reads them all at once; Iceberg's own reader takes 3 ms a file, and a day's table may have hundreds.
        """
        schema = pa.schema([self.tables[name].schema.field(column) for column in columns])
        if not paths:
            return schema.empty_table()
        wanted = None if documents is None else field("document_id").isin(pa.array(sorted(documents), pa.string()))
        return dataset(list(paths), schema=schema, format="parquet").to_table(filter=wanted).cast(schema)

    def snapshot_id(self, name: str, as_of: dt.datetime | None = None) -> int | None:
        """The snapshot that is current, or was at a past time; None before the first.

        Raises:
            ConfigurationError: as `files`.
        """
        table = self.table(name)
        if as_of is not None:
            return _snapshot_at(name, table, as_of)
        current = table.current_snapshot()
        return None if current is None else current.snapshot_id

    def contents(self, name: str, as_of: dt.datetime | None = None) -> pa.Table | list[str]:
        """A table for an engine that reads local files only: the files of a local lake, the rows of a remote one.

        Raises:
            ConfigurationError: as `files`.
        """
        if not self.location.is_remote:
            return self.files(name, as_of)
        table, contract = self.table(name), self.tables[name]
        if as_of is None:
            return _scan(table, contract, contract.schema.names)
        snapshot_id = _snapshot_at(name, table, as_of)
        if snapshot_id is None:
            return contract.schema.empty_table()
        return _scan(table, contract, contract.schema.names, snapshot_id=snapshot_id)

    def files(self, name: str, as_of: dt.datetime | None = None) -> list[str]:
        """Paths of the Parquet files that make up a table now, or at a past time (none before its first snapshot).

        Raises:
            ConfigurationError: for a time whose snapshot has expired: no rows would be a wrong answer.
        """
        table = self.table(name)
        snapshot_id = None if as_of is None else _snapshot_at(name, table, as_of)
        if as_of is not None and snapshot_id is None:
            return []
        return [local_path(task.file.file_path) for task in table.scan(snapshot_id=snapshot_id).plan_files()]

    def data_files(
        self, name: str, where: BooleanExpression | None = None, snapshot_id: int | None = None
    ) -> list[DataFile]:
        """The Parquet files of a table, or those that may hold rows that match."""
        scan = self.table(name).scan(row_filter=where or AlwaysTrue(), snapshot_id=snapshot_id)
        return [task.file for task in scan.plan_files()]

    def adopt(self, name: str, path: Path) -> str:
        """Move a Parquet file below a table's root, and return where it is then. It is no part of the table yet.

        Its new name says nothing of what is in it.
        """
        key = f"data/{uuid.uuid4().hex}.parquet"
        if self.location.is_remote:
            self._upload(S3Objects(self._root_of(name), self.location.kms_key, self._clients), key, path)
        else:
            target = Path(self._root_of(name), key)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.move(path, target)
        return f"{self._root_of(name)}/{key}"

    def _upload(self, store: S3Objects, key: str, path: Path) -> None:
        try:
            self._clients.client("s3").upload_file(str(path), *store.address(key).values(), ExtraArgs=store.encryption)
        except (ClientError, BotoCoreError) as error:
            raise fault(error, "PutObject") from None
        except S3UploadFailedError:
            raise ConnectionError("s3 PutObject: a table's file could not be uploaded") from None
        path.unlink()

    def local_copies(self, paths: Sequence[str], folder: Path, columns: Sequence[str] | None = None) -> list[Path]:
        """Parquet files as files that this machine's engines can read: themselves, or copies of those on S3.

        Args:
            folder: for the copies.
            columns: those that are needed. Rows keep their places.
        """
        if not self.location.is_remote:
            return [Path(local_path(path)) for path in paths]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [self._copy(path, folder / f"{uuid.uuid4().hex}.parquet", columns) for path in paths]

    def _copy(self, path: str, target: Path, columns: Sequence[str] | None) -> Path:
        with self._catalog._load_file_io(location=path).new_input(path).open() as source:
            if columns is None:
                with target.open("wb") as copy:
                    shutil.copyfileobj(source, copy, COPY_BYTES)
                return target
            file = pq.ParquetFile(source)
            there = [column for column in columns if column in file.schema_arrow.names]
            schema = pa.schema([file.schema_arrow.field(column) for column in there])
            with pq.ParquetWriter(target, schema) as writer:
                for batch in file.iter_batches(columns=there):
                    writer.write_batch(batch.select(there))
        return target

    def write(self, name: str, rows: pa.Table, *, replace: BooleanExpression | None = None) -> None:
        """Append rows, or replace those that match an expression by them, in one Iceberg commit.

        Raises:
            ValueError: where the rows do not fit the contract (a null where none may be, a column missing).
        """
        rows = conform(self.tables[name], rows)
        if replace is not None:
            self.change(name, lambda table: overwrite(table, rows, replace))
        elif rows.num_rows:
            self.change(name, lambda table: table.append(rows))

    def change(self, name: str, make: Callable[[Table], T]) -> T:
        """Change a table, again where a commit of others came first.

        Args:
            make: commits the change, all or nothing, whatever the others' commit was.
        """
        for _ in range(CONFLICT_TRIES - 1):
            try:
                return make(self.table(name))
            except (CommitFailedException, ValidationException):
                continue
        return make(self.table(name))

    def rewrite(self, name: str, day: dt.date) -> bool:
        """Write a day's rows anew, as one file a partition; False, and nothing done, where others changed them then."""
        table, contract = self.table(name), self.tables[name]
        rows = _scan(table, contract, contract.schema.names, days_in([day]))
        try:
            overwrite(table, rows, days_in([day]))  # of the very snapshot that was read
        except (CommitFailedException, ValidationException):
            return False
        return True

    def keep(self, data: bytes) -> str:
        """Store a document's bytes and return its id. Bytes already there are left as they are."""
        document_id = hashlib.sha256(data).hexdigest()
        self.raw.put(raw_key(document_id), data)
        return document_id


def raw_key(document_id: str) -> str:
    """Key of a document's bytes in the raw zone.

    Raises:
        ValueError: for anything but 64 hex digits.
    """
    if not _DOCUMENT_ID.fullmatch(document_id):
        raise ValueError("a document id is 64 lower-case hex digits")
    return f"documents/{document_id[:2]}/{document_id}"


def _scan(
    table: Table,
    contract: TableContract,
    columns: Sequence[str],
    row_filter: BooleanExpression | None = None,
    snapshot_id: int | None = None,
) -> pa.Table:
    """Rows in the contract's schema."""
    scan = table.scan(row_filter=row_filter or AlwaysTrue(), selected_fields=tuple(columns), snapshot_id=snapshot_id)
    schema = pa.schema([contract.schema.field(c) for c in columns])
    return scan.to_arrow().select(list(columns)).cast(schema)


def _snapshot_at(name: str, table: Table, as_of: dt.datetime) -> int | None:
    """The snapshot that was current at a time; None before the first."""
    snapshot = table.snapshot_as_of_timestamp(int(as_of.timestamp() * 1000))
    if snapshot is None:
        _refuse_expired(name, table)
        return None
    return int(snapshot.snapshot_id)


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


def these_of_day(day: dt.date, documents: Collection[str]) -> BooleanExpression:
    """An Iceberg expression for these documents' rows of a day."""
    return And(EqualTo("ingest_date", day.isoformat()), In("document_id", set(documents)))


def _filter(
    days: Collection[dt.date] | None,
    stage: str | None,
    documents: Collection[str] | None,
    where: BooleanExpression | None,
) -> BooleanExpression:
    parts: list[BooleanExpression] = [] if where is None else [where]
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


def local_path(path: str) -> str:
    """A path of a local lake's catalog as the file system's."""
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
