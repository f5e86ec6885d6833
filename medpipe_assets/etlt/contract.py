"""A dataset's contract: what its files contain, what its table holds, and what must be true of both.

`datasets/<name>/contract.yaml` becomes a `Contract` here, and from it come the Iceberg tables, the checks, the asset
metadata and the SQL of the load. A contract states; how it is carried out is the other modules' matter.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Literal

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.kinds import kind_of, type_of
from medpipe_assets.lake.schemas import TIMESTAMP, Column, TableContract

CONTRACT = "contract.yaml"
_NAME = r"[a-z][a-z0-9_]{0,62}"
Name = Annotated[str, Field(pattern=f"^{_NAME}$")]
_NOT_IN_A_HEADER = re.compile(r"[\W_]+")

PROVENANCE = (
    Column("_pipeline_execution_id", pa.string(), "Dagster run that loaded the row", nullable=True),
    Column("_pipeline_ingested_at", TIMESTAMP, "when the row was loaded (UTC)", nullable=True),
    Column("_pipeline_load_date", pa.date32(), "UTC day of the load", nullable=True),
    Column("_pipeline_source_file", pa.string(), "name of the file that the row came from", nullable=True, phi=True),
    Column("_pipeline_file_id", pa.string(), "SHA-256 of that file's bytes, hex", nullable=True),
    Column("_pipeline_source_row", pa.int64(), "record's number in that file, from 1", nullable=True),
    Column("_pipeline_layout", pa.string(), "layout of that file; null where the contract has none", nullable=True),
    Column(
        "_pipeline_absent_fields",
        pa.string(),
        "fields that the file does not have, separated by spaces; null where it has all",
        nullable=True,
    ),
)
"""Columns that every dataset's table ends with."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Part):
    """Where files come from and how they are read.

    Attributes:
        uri: watched folder or prefix (path, s3://, https://, sftp://); empty: `uploads/<dataset>` in the lake (on S3:
            below MEDPIPE_UPLOADS).
        format: 'auto' tells by the content.
        record_path: keys, separated by dots, under which a JSON file keeps its records; used where the file has them.
        delimiter: of CSV; None tells by the content.
        encodings: of text that is not UTF-8, in order of preference; which of them fit is decided by evidence.
        credentials: name of a secret, never a secret.
        quiet_seconds: a sensor waits until nothing has changed for so long.
    """

    uri: str = ""
    format: Literal["auto", "csv", "json"] = "auto"
    record_path: str = ""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encodings: tuple[str, ...] = ("utf-8", "cp1252", "latin-1")
    credentials: str = ""
    quiet_seconds: float = Field(default=30, ge=0)


class FieldSpec(_Part):
    """A field of the source, and the column that it becomes.

    Attributes:
        kind: how its text is read; one of kinds.KINDS, `identifier(width)`, or an Athena type `array(...)`, `row(...)`.
        aliases: headers or dotted JSON paths by which files have it, beside its own name; compared without case,
            spaces and punctuation. By layout where layouts differ in what a header means.
        required: a record without it is rejected.
        invalid: what becomes of a record whose text does not fit the kind: 'reject' it, or make the value 'null'
            (counted, as `nulled`).
        keep: whether it is a column of the table; else it only serves `columns` and `rules`.
    """

    kind: str = "text"
    description: str
    aliases: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    required: bool = False
    invalid: Literal["reject", "null"] = "reject"
    phi: bool = False
    keep: bool = True

    def names(self, name: str, layout: str | None) -> tuple[str, ...]:
        """The headers by which a file of a layout may have the field called `name`, best first."""
        aliases = self.aliases if isinstance(self.aliases, tuple) else self.aliases.get(layout or "", ())
        return (name, *aliases)


class ColumnSpec(_Part):
    """A column computed from the typed fields: an expression in Athena's dialect; `:as_of` is the load's day."""

    type: str
    sql: str
    description: str
    phi: bool = False


class Layout(_Part):
    """Files of one shape: those that have all headers of `has` and none of `lacks` (compared as aliases are)."""

    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()


class Rule(_Part):
    """What must be true of a row, in Athena's dialect, over fields and columns; null counts as false.

    Attributes:
        otherwise: 'reject' the record before duplicates are told apart; 'remove': it still supersedes older rows of its
            key, and leaves none (an account that was closed); 'warn': count it and keep it.
    """

    sql: str
    description: str
    otherwise: Literal["reject", "remove", "warn"] = "reject"


class Check(_Part):
    """What must be true of a table as a whole, before it is published.

    Attributes:
        table: the dataset's own when empty, else one of its result tables.
        not_null, unique: columns; `unique` is about their combination.
        accepted: column -> values that it may have (null is always accepted).
        references: column -> `table.column` among whose values it must be.
        row_count_change: largest share by which the number of rows may change from one publication to the next.
        sql: a SELECT in Athena's dialect that gives the offending rows.
        blocking: nothing is published where it fails; else it warns.
    """

    table: str = ""
    description: str = ""
    not_null: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    accepted: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    references: Mapping[str, str] = Field(default_factory=dict)
    row_count_change: float | None = Field(default=None, gt=0)
    sql: str = ""
    blocking: bool = True


class Parameter(_Part):
    """A value that result tables' SQL names as `:name`. Without a default it is the day of the newest load."""

    type: Literal["date", "integer", "varchar"]
    description: str
    default: str | int | None = None


class Contract(_Part):
    """A dataset.

    Attributes:
        dataset: its name, that of its folder.
        line: the group of its assets.
        table: the name of its typed table; the dataset's own when empty.
        row: what one row of it is.
        load_mode: 'full': a load is the whole table; 'merge': it adds to and supersedes by primary key.
        order: columns by which, of records with the same key, the first is kept, each `name [asc|desc]`, nulls last.
            What they leave open is decided for the record received last.
        history: keep rows that were superseded in `<table>_history`.
        engine: of the result tables; 'auto' goes by the size of what they read.
        fresh_hours: how old the newest load may become before operators are told.
    """

    dataset: Name
    line: Name
    description: str
    table: str = Field(default="", pattern=f"^({_NAME})?$")
    row: str
    owners: tuple[str, ...] = ("team:clinical-data",)
    source: Source = Source()
    load_mode: Literal["full", "merge"] = "merge"
    layouts: Mapping[Name, Layout] = Field(default_factory=dict)
    fields: Mapping[Name, FieldSpec] = Field(min_length=1)
    columns: Mapping[Name, ColumnSpec] = Field(default_factory=dict)
    primary_key: tuple[str, ...] = Field(min_length=1)
    order: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    history: bool = False
    rules: Mapping[Name, Rule] = Field(default_factory=dict)
    checks: Mapping[Name, Check] = Field(default_factory=dict)
    parameters: Mapping[Name, Parameter] = Field(default_factory=dict)
    engine: Literal["duckdb", "athena", "spark", "auto"] = "duckdb"
    fresh_hours: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _names_are_there(self) -> "Contract":
        """What the parts name must be stated; and no name twice."""
        if twice := self.fields.keys() & self.columns.keys():
            raise ValueError(f"{', '.join(sorted(twice))}: both a field and a column")
        known = set(self.column_names)
        order = [words[0] for words in self.order_terms]
        for what, names in (("primary_key", self.primary_key), ("order", order), ("partition_by", self.partition_by)):
            if unknown := [name for name in names if name not in known]:
                raise ValueError(f"{what} names {', '.join(unknown)}, which is no column of the table")
        for name, field in self.fields.items():
            if isinstance(field.aliases, Mapping) and (unknown := sorted(field.aliases.keys() - self.layouts.keys())):
                raise ValueError(f"fields.{name}.aliases names {', '.join(unknown)}, which is no layout")
            kind_of(field.kind)
        for column in self.columns.values():
            type_of(column.type)
        return self

    @property
    def order_terms(self) -> list[tuple[str, str]]:
        """`order` as (column, 'asc' or 'desc')."""
        return [(words[0], words[1] if len(words) > 1 else "asc") for words in map(str.split, self.order)]

    @property
    def table_name(self) -> str:
        """The typed table's name."""
        return self.table or self.dataset

    @property
    def column_names(self) -> tuple[str, ...]:
        """The typed table's columns less PROVENANCE, in order."""
        return (*(name for name, field in self.fields.items() if field.keep), *self.columns)

    @cached_property
    def table_contract(self) -> TableContract:
        """The typed table as the lake has it. Its columns are nullable in the files; `required` is checked on load."""
        fields = [
            Column(name, kind_of(field.kind).arrow, field.description, nullable=True, phi=field.phi)
            for name, field in self.fields.items()
            if field.keep
        ]
        columns = [
            Column(name, type_of(column.type), column.description, nullable=True, phi=column.phi)
            for name, column in self.columns.items()
        ]
        made = (*fields, *columns, *PROVENANCE)
        return TableContract(self.table_name, "parquet", self.row, made, self.partition_by)

    def layout_of(self, headers: frozenset[str]) -> str | None:
        """The first layout that a file with these headers (see `normalised`) has; None where it has none of them."""
        for name, layout in self.layouts.items():
            if headers.issuperset(map(normalised, layout.has)) and headers.isdisjoint(map(normalised, layout.lacks)):
                return name
        return None


def normalised(header: str) -> str:
    """A header without case, spaces and punctuation, as headers are compared."""
    return _NOT_IN_A_HEADER.sub("", header).lower()


def parse(text: str, place: str) -> Contract:
    """A contract from YAML.

    Args:
        place: what to call it in a message.

    Raises:
        ConfigurationError: naming the line or the entry that is wrong.
    """
    try:
        stated: Any = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigurationError(f"{place}, line {line}: {error.problem or 'not YAML'}") from None
    if not isinstance(stated, Mapping):
        raise ConfigurationError(f"{place}: a contract is a mapping; start with 'dataset: name'")
    try:
        return Contract.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{place}: {entry + ': ' if entry else ''}{first['msg']}") from None


def folder_of(dataset: str) -> Traversable:
    """The folder of a dataset's contract and SQL."""
    return files("medpipe_assets").joinpath("datasets", dataset)


def _folders() -> Iterator[Traversable]:
    for folder in sorted(files("medpipe_assets").joinpath("datasets").iterdir(), key=lambda found: found.name):
        if folder.is_dir() and folder.joinpath(CONTRACT).is_file():
            yield folder


@cache
def contracts() -> Mapping[str, Contract]:
    """All contracts by dataset.

    Raises:
        ConfigurationError: as `parse`, or where a folder and its dataset have different names.
    """
    found = {}
    for folder in _folders():
        place = f"datasets/{folder.name}/{CONTRACT}"
        contract = parse(folder.joinpath(CONTRACT).read_text(encoding="utf-8"), place)
        if contract.dataset != folder.name:
            raise ConfigurationError(f"{place}: the dataset is called {contract.dataset}, its folder {folder.name}")
        found[contract.dataset] = contract
    return found


def contract_of(dataset: str) -> Contract:
    """The contract of a dataset.

    Raises:
        ConfigurationError: where there is none, naming those that are.
    """
    found = contracts().get(dataset)
    if found is None:
        raise ConfigurationError(f"there is no dataset '{dataset}': choose one of {', '.join(contracts()) or 'none'}")
    return found
