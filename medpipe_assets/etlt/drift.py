"""What a file has, held against what its contract says and against the file before it.

`drift` is about columns; `check` tries a file without loading it; `infer` drafts a contract for files of a new kind.
All speak of names, types and counts, never of values.
"""

import datetime as dt
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import yaml
from pyiceberg.expressions import EqualTo

from medpipe_assets.errors import ConfigurationError, DocumentError
from medpipe_assets.etlt import duck
from medpipe_assets.etlt.columns import SourceColumn, from_json
from medpipe_assets.etlt.contract import Contract, normalised
from medpipe_assets.etlt.drafting import draft
from medpipe_assets.etlt.flatten import flatten_file
from medpipe_assets.etlt.kinds import kind_of, text_of
from medpipe_assets.etlt.merge import Judged, judge
from medpipe_assets.etlt.records import FlatFile
from medpipe_assets.etlt.typed import RecordFile, TypedRecords, records
from medpipe_assets.lake.lake import Lake
from medpipe_assets.warehouse.duckdb import explain


@dataclass(frozen=True)
class Drift:
    """How a file's columns differ from the file's before it, and from the contract.

    Attributes:
        added: columns that the file before did not have.
        dropped: columns that it had.
        retyped: (column, type before, type now).
        unknown: columns of which the contract knows nothing; they are not loaded.
        absent: fields that the file does not have; their values are null.
        missing: those of them that are required: every record is rejected.
        layout: (before, now) where the layout changed.
    """

    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    retyped: tuple[tuple[str, str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    layout: tuple[str | None, str | None] | None = None

    @property
    def changed(self) -> bool:
        """Whether columns came, went or changed their type since the file before."""
        return bool(self.added or self.dropped or self.retyped)

    @property
    def markdown(self) -> str:
        """For a person: what there is to see, one item a line."""
        told = [
            ("added", ", ".join(self.added)),
            ("dropped", ", ".join(self.dropped)),
            ("retyped", ", ".join(f"{name} ({before} to {now})" for name, before, now in self.retyped)),
            ("layout", " to ".join(name or "none" for name in self.layout) if self.layout else ""),
            ("not in the contract", ", ".join(self.unknown)),
            ("not in the file", ", ".join(self.absent)),
            ("required and missing", ", ".join(self.missing)),
        ]
        return "\n".join(f"- **{what}**: {names}" for what, names in told if names) or "- as before"


def drift(previous: Sequence[SourceColumn] | None, current: Sequence[SourceColumn], contract: Contract) -> Drift:
    """Compare a file's columns with those of the file before it (None: it is the first) and with the contract.

    Columns are the same by their names as contracts compare them. One without values has no type, and so changes none.
    """
    now = {normalised(column.name): column for column in current}
    before = now if previous is None else {normalised(column.name): column for column in previous}
    has = {column.field for column in current}
    absent = tuple(name for name in contract.fields if name not in has)
    return Drift(
        added=tuple(column.name for key, column in now.items() if key not in before),
        dropped=tuple(column.name for key, column in before.items() if key not in now),
        retyped=tuple(
            (column.name, before[key].type, column.type)
            for key, column in now.items()
            if key in before and column.type and before[key].type and column.type != before[key].type
        ),
        unknown=tuple(column.name for column in _outermost(current) if column.field is None),
        absent=absent,
        missing=tuple(name for name in absent if contract.fields[name].required),
    )


def _outermost(columns: Sequence[SourceColumn]) -> list[SourceColumn]:
    """Columns less those that only hold, or lie within, others that are fields."""
    read = [column.name for column in columns if column.field]
    return [
        column
        for column in columns
        if not any(name.startswith(f"{column.name}.") or column.name.startswith(f"{name}.") for name in read)
    ]


def drift_of_day(lake: Lake, contract: Contract, day: dt.date) -> Drift:
    """The drift of a day's files, each against the file received before it, taken together; empty without files.

    Where the contract tells layouts apart, the file before is the last of the same layout, if there was one: years
    differ by design.
    """
    of_dataset = EqualTo("dataset", contract.dataset)
    receipts = lake.read("dataset_files", ("file_id", "load_date", "sequence"), where=of_dataset).to_pylist()
    order: dict[tuple[str, dt.date], int] = {}
    for row in receipts:
        key = (row["file_id"], row["load_date"])
        order[key] = max(row["sequence"], order.get(key, 0))
    names = ("file_id", "load_date", "layout", "columns", "processed_at")
    lines = lake.read("dataset_flattened", names, where=of_dataset).sort_by("processed_at").to_pylist()
    latest = {(row["file_id"], row["load_date"]): row for row in lines if (row["file_id"], row["load_date"]) in order}
    found: list[Drift] = []
    before: dict[str | None, tuple[SourceColumn, ...]] = {}
    last: str | None = None
    for _, row in sorted(latest.items(), key=lambda item: order[item[0]]):
        columns, layout = from_json(row["columns"]), row["layout"]
        previous = before.get(layout, before.get(last))
        if row["load_date"] == day:
            switched = (last, layout) if before and layout != last else None
            found.append(Drift(**{**_fields(drift(previous, columns, contract)), "layout": switched}))
        before[layout], last = columns, layout
    return _together(found)


def _fields(found: Drift) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Drift.__dataclass_fields__}


def _together(found: Sequence[Drift]) -> Drift:
    every = {
        name: tuple(dict.fromkeys(item for one in found for item in getattr(one, name)))
        for name in Drift.__dataclass_fields__
        if name != "layout"
    }
    return Drift(**every, layout=next((one.layout for one in reversed(found) if one.layout), None))


@dataclass(frozen=True)
class ContractReport:
    """What loading a file by itself would do.

    Attributes:
        failure: why the file cannot be read at all; the rest is then empty.
        format, encoding, delimiter, layout: how it was read.
        renamed: (header, field) of columns that the contract knows by another name.
        unknown: columns that are not loaded.
        absent: fields that the file does not have.
        missing: those of them that are required.
        records: found in the file.
        rows: that would stand in the table.
        rejected: (column or '', reason, records).
        nulled: (field, kind, records) of values that would become null.
        warned: rule -> records that break it and are kept.
        duplicates: records that lose against another of their key.
    """

    failure: str = ""
    format: str = ""
    encoding: str = ""
    delimiter: str | None = None
    layout: str | None = None
    renamed: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    records: int = 0
    rows: int = 0
    rejected: tuple[tuple[str, str, int], ...] = ()
    nulled: tuple[tuple[str, str, int], ...] = ()
    warned: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0

    @property
    def loadable(self) -> bool:
        """Whether the file can be read, and has what each record needs."""
        return not self.failure and not self.missing

    def as_json(self) -> dict[str, Any]:
        """The attributes."""
        return {**asdict(self), "loadable": self.loadable}

    def lines(self) -> list[str]:
        """For a person."""
        if self.failure:
            return [f"cannot be read: {self.failure}"]
        how = [self.format, self.encoding]
        how += [f"delimiter {self.delimiter!r}"] if self.delimiter else []
        how += [f"layout {self.layout}"] if self.layout else []
        told = [("read as", ", ".join(how)), ("records", f"{self.records:,}"), ("rows", f"{self.rows:,}")]
        told += [("renamed", f"{header} -> {name}") for header, name in self.renamed]
        told += [("not loaded", name) for name in self.unknown]
        told += [("not there", f"{name}{' (required)' if name in self.missing else ''}") for name in self.absent]
        told += [
            ("rejected", f"{count:,} {reason}{f': {column}' if column else ''}")
            for column, reason, count in self.rejected
        ]
        told += [("made null", f"{count:,} {name}: not {kind}") for name, kind, count in self.nulled]
        told += [("warned", f"{count:,} {rule}") for rule, count in self.warned.items() if count]
        told += [("duplicates", f"{self.duplicates:,}")] if self.duplicates else []
        return [f"{what:<12}{which}" for what, which in told]


def check(contract: Contract, path: Path) -> ContractReport:
    """Try a file against a contract: what would be renamed, cast and rejected, and why. Nothing is kept.

    Raises:
        ConfigurationError: where the contract's SQL is wrong, or fails on a record.
    """
    with tempfile.TemporaryDirectory(prefix="medpipe-") as scratch, duck.connected(Path(scratch)) as connection:
        try:
            flat = flatten_file(contract, path, Path(scratch), connection)
        except DocumentError as error:
            return ContractReport(failure=str(error))
        except OSError as error:
            return ContractReport(failure=error.strerror or type(error).__name__)
        columns = frozenset(contract.fields) if flat.format == "csv" else frozenset()
        file = RecordFile(str(flat.path), flat.format == "json", columns)
        try:
            connection.execute("SET integer_division = true; SET default_null_order = 'nulls_last'")
            connection.execute(f"CREATE TEMP VIEW records AS {records([file], list(contract.fields))}")
            judged = judge(connection, TypedRecords(contract, dt.datetime.now(dt.UTC).date()))
            nulled = _nulled(contract, connection)
        except duckdb.Error as error:
            raise ConfigurationError(f"{contract.dataset}: the contract fails on a record: {explain(error)}") from None
        return _report(contract, flat, judged, nulled)


def _nulled(contract: Contract, connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, int]]:
    """Fields whose values become null where they do not fit, with how many do not."""
    lenient = {name: spec.kind for name, spec in contract.fields.items() if spec.invalid == "null"}
    if not lenient:
        return []
    counts = []
    for name, kind in lenient.items():
        text = text_of(duck.name(name))
        counts.append(f"count(*) FILTER (({text}) IS NOT NULL AND ({kind_of(kind).of(f'({text})')}) IS NULL)")
    found = connection.execute(f"SELECT {', '.join(counts)} FROM records").fetchone() or ()
    return [(name, kind, count) for (name, kind), count in zip(lenient.items(), found, strict=True) if count]


def _report(
    contract: Contract, flat: FlatFile, judged: Judged, nulled: Sequence[tuple[str, str, int]]
) -> ContractReport:
    drifted = drift(None, flat.columns, contract)
    rejected = [("", reason, count) for reason, count in flat.rejected.items()]
    rejected += [(column or "", reason, count) for (column, reason), count in judged.rejected.items()]
    return ContractReport(
        format=flat.format,
        encoding=flat.encoding,
        delimiter=flat.delimiter,
        layout=flat.layout,
        renamed=tuple((c.name, c.field) for c in flat.columns if c.field and c.name != c.field),
        unknown=drifted.unknown,
        absent=drifted.absent,
        missing=drifted.missing,
        records=flat.records,
        rows=judged.best.get(0, 0),
        rejected=tuple(rejected),
        nulled=tuple(nulled),
        warned=judged.warned,
        duplicates=judged.duplicates,
    )


def infer(path: Path, dataset: str = "") -> str:
    """Draft a contract from a file: YAML that `contract.parse` accepts, for a person to correct.

    Args:
        dataset: its name; made from the file's when empty.

    Raises:
        ConfigurationError: where the file cannot be read, or has no columns.
    """
    with tempfile.TemporaryDirectory(prefix="medpipe-") as scratch:
        try:
            drafted = draft(path, Path(scratch), dataset)
        except DocumentError as error:
            raise ConfigurationError(f"the file cannot be read: {error}") from None
        except OSError as error:
            raise ConfigurationError(f"the file cannot be read: {error.strerror or type(error).__name__}") from None
    return str(yaml.safe_dump(drafted, sort_keys=False, allow_unicode=True, width=120))
