"""The engines that answer a result table's SQL into files, and which of them `auto` takes.

An engine gets a question and gives Parquet files in this machine's scratch, whatever machine did the work. Checking and
publishing them is not its matter.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.duck import MEMORY_LIMIT
from medpipe_assets.lake.lake import Lake, local_path
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles
from medpipe_assets.warehouse.lake_tables import Scope


@dataclass(frozen=True)
class Question:
    """What an engine is asked.

    Attributes:
        sql: Athena's.
        snapshots: of the tables it reads, None for one that is empty.
        schema: of the answer.
        input_bytes: of the files of the tables it reads.
        partition_by: columns; a file holds rows of one combination of their values.
        scratch: an empty folder of this question's own.
        checks: of the table, by name, as queries that give a number of offenders; an engine may ask them where its
            answer is.
    """

    name: str
    sql: str
    snapshots: Mapping[str, int | None]
    input_bytes: int
    schema: pa.Schema
    partition_by: tuple[str, ...]
    scratch: Path
    checks: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Files, and what they took.

    Attributes:
        query_id: the engine's own, where it has one.
        bytes_scanned: that are charged for.
        offenders: of each of the question's checks, where the engine has asked them.
        metadata: what else a person may want to know of the run; no value of a row.
    """

    files: tuple[Path, ...]
    query_id: str = ""
    bytes_scanned: int | None = None
    offenders: Mapping[str, int] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


Engine = Callable[[Lake, Question], Answer]

AUTO: tuple[tuple[int, str], ...] = ((10 * 2**30, "duckdb"),)
"""Up to so many bytes of Parquet that a question reads, `auto` takes the engine; beyond all of them, what BEYOND says.

Measured on 2 cores: DuckDB took 41 s under a 2 GB limit for 15 million clinician rows (4.1 GB of CSV, about a fifth of
that as Parquet), and spills beyond; at 3 million rows it took a seventh of local Spark's time (5.5 s and 39 s), at
300,000 a twentieth. Ten times the largest of them is where a cluster's minute of starting begins to pay.
"""
BEYOND = {"local": "spark", "s3": "athena"}
"""By where the lake is: Athena cannot see a folder."""


def choose(stated: str, input_bytes: int, lake: Lake) -> str:
    """The engine by name; 'auto' goes by the bytes of what is read."""
    if stated != "auto":
        return stated
    fitting = (engine for most, engine in AUTO if input_bytes <= most)
    return next(fitting, BEYOND["s3" if lake.location.is_remote else "local"])


def inputs_of(lake: Lake, snapshots: Mapping[str, int | None]) -> dict[str, ParquetFiles]:
    """Tables at snapshots, as files where the lake has them."""
    found = {}
    for name, snapshot in snapshots.items():
        files = [] if snapshot is None else lake.data_files(name, snapshot_id=snapshot)
        found[name] = ParquetFiles([local_path(file.file_path) for file in files], lake.tables[name].schema)
    return found


def here(lake: Lake, question: Question) -> dict[str, ParquetFiles]:
    """As `inputs_of`, as files that engines on this machine can read."""
    folder = question.scratch / "inputs"
    return {
        name: ParquetFiles([str(path) for path in lake.local_copies(table.paths, folder)], table.schema)
        for name, table in inputs_of(lake, question.snapshots).items()
    }


def with_duckdb(lake: Lake, question: Question, memory_limit: str = MEMORY_LIMIT) -> Answer:
    """DuckDB, in bounded memory."""
    tables = here(lake, question)
    warehouse = DuckDBWarehouse(
        tables.get, lambda: list(lake.tables), memory_limit=memory_limit, temp_directory=question.scratch
    )
    folder = _folder(question)
    return Answer(tuple(map(Path, warehouse.write(question.sql, folder, question.schema, question.partition_by))))


def with_spark(lake: Lake, question: Question) -> Answer:
    """Spark of this machine (extra `spark`)."""
    from medpipe_assets.warehouse.spark import SparkWarehouse

    tables = here(lake, question)
    warehouse = SparkWarehouse(tables.get, lambda: list(lake.tables), temp_directory=lake.location.scratch)
    folder = _folder(question)
    return Answer(tuple(map(Path, warehouse.write(question.sql, folder, question.schema, question.partition_by))))


def with_athena(over: Callable[[Lake, Scope], AthenaWarehouse]) -> Engine:
    """Athena over the lake: it writes its answer into staging (UNLOAD), from where it is fetched and put into files of
    the table's own types and partitions.
    """

    def answer(lake: Lake, question: Question) -> Answer:
        warehouse = over(lake, Scope(pinned=question.snapshots))
        fetched = question.scratch / "fetched"
        fetched.mkdir(mode=0o700)
        paths, report = warehouse.unload_to(question.sql, fetched)
        files = rewritten(question, [str(path) for path in paths])
        return Answer(files, report.query_id, report.bytes_scanned)

    return answer


def rewritten(question: Question, paths: list[str]) -> tuple[Path, ...]:
    """Files with the answer of another machine as files of the question's types and partitions."""
    if not paths:
        return ()
    given = ParquetFiles(paths, pq.read_schema(paths[0]).remove_metadata())
    warehouse = DuckDBWarehouse({"answer": given}.get, memory_limit=MEMORY_LIMIT, temp_directory=question.scratch)
    return tuple(
        map(Path, warehouse.write("SELECT * FROM answer", _folder(question), question.schema, question.partition_by))
    )


def _folder(question: Question) -> Path:
    folder = question.scratch / f"answer-{uuid.uuid4().hex}"
    folder.mkdir(mode=0o700)
    return folder


LOCAL: Mapping[str, Engine] = {"duckdb": with_duckdb, "spark": with_spark}
"""The engines of this machine, by name."""


def engine_named(name: str, engines: Mapping[str, Engine]) -> Engine:
    """An engine.

    Raises:
        ConfigurationError: there is none of the name, with the next step.
    """
    if name in engines:
        return engines[name]
    how = "Athena wants a lake on S3 and the profile aws" if name == "athena" else "see docs/architecture.md"
    raise ConfigurationError(f"there is no engine '{name}' here ({', '.join(engines)}): {how}")
