"""The warehouse on Spark of this machine (extra `spark`): Athena's SQL, translated, over the tables that a query names.

It does what the job on Glue does, with the same code (spark_job.py), in a session of this process.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.processes import owned_prefix
from medpipe_assets.warehouse import athena_dialect, spark_dialect
from medpipe_assets.warehouse.engine import ParquetFiles, QueryError, QueryReport, TableData, unknown_table
from medpipe_assets.warehouse.spark_job import Job, JobError, Report, Table, run, session

LOCAL_SETTINGS: Mapping[str, str] = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.showConsoleProgress": "false",
}


def make_job(
    sql: str,
    tables: Mapping[str, ParquetFiles],
    schema: pa.Schema,
    output: str,
    partition_by: Sequence[str] = (),
    *,
    written: Sequence[str] = (),
    checks: Mapping[str, Sequence[str]] | None = None,
    input_bytes: int = 0,
) -> Job:
    """What Spark is to do: the job's own form of a query in Athena's SQL.

    Args:
        tables: those that the query and the checks name.
        schema: of the answer.
        written: names of the answer in the checks.
        checks: by name, queries in Athena's SQL that give a number of offenders.

    Raises:
        QueryError: see `Warehouse.query`.
    """
    schemas = {name: table.schema for name, table in tables.items()}
    known = {**schemas, **dict.fromkeys(written, schema)}
    return {
        "sql": spark_dialect.to_spark(sql, schemas),
        "tables": {name: Table(paths=list(map(str, t.paths)), schema=_ddl(t.schema)) for name, t in tables.items()},
        "columns": [(field.name, spark_dialect.spark_type(field.type)) for field in schema],
        "partition_by": list(partition_by),
        "output": output,
        "input_bytes": input_bytes,
        "written": list(written),
        "checks": {
            name: [spark_dialect.to_spark(query, known) for query in queries]
            for name, queries in (checks or {}).items()
        },
    }


def _ddl(schema: pa.Schema) -> str:
    return ", ".join(f"`{field.name}` {spark_dialect.spark_type(field.type)}" for field in schema)


@dataclass(frozen=True, slots=True)
class SparkWarehouse:
    """Answers Athena's SQL with Spark.

    Attributes:
        tables: gives the data of a table by its name (lower case), None where there is none.
        names: the names of all tables, for the message about an unknown one.
        temp_directory: where Spark spills, and where a folder of each query's own is, gone afterwards. It must last as
            long as the process.
        memory: of the driver, which is the whole of a local Spark; counts for the first session of the process.
    """

    tables: Callable[[str], TableData | None]
    names: Callable[[], Iterable[str]] = tuple
    temp_directory: Path | None = None
    memory: str = "2g"

    def ask(self, sql: str) -> tuple[pa.Table, QueryReport | None]:
        """As `query`; nothing is charged for."""
        return self.query(sql), None

    def query(self, sql: str) -> pa.Table:
        """Answer one query; see `Warehouse.query`."""
        with tempfile.TemporaryDirectory(dir=self.temp_directory, prefix=owned_prefix()) as folder:
            tables = self._tables(sql, Path(folder))
            spark = local_session(self.memory, self.temp_directory)
            job = make_job(sql, tables, pa.schema([]), f"{folder}/answer", input_bytes=_bytes(tables))
            report = _done(spark, job)
            files = [pq.read_table(path, partitioning=None) for path in report["files"]]
            return pa.concat_tables(files).rename_columns(report["columns"])

    def write(self, sql: str, folder: Path, schema: pa.Schema, partition_by: Sequence[str] = ()) -> list[str]:
        """Answer one query into Parquet files; see `DuckDBWarehouse.write`."""
        with tempfile.TemporaryDirectory(dir=self.temp_directory, prefix=owned_prefix()) as scratch:
            tables = self._tables(sql, Path(scratch))
            # Spark makes the folder itself, and refuses one that is there.
            output = str(folder / uuid.uuid4().hex)
            job = make_job(sql, tables, schema, output, partition_by, input_bytes=_bytes(tables))
            return _done(local_session(self.memory, self.temp_directory), job)["files"]

    def _tables(self, sql: str, folder: Path) -> dict[str, ParquetFiles]:
        """The tables that a query names; rows that are in memory are put into files."""
        found = {}
        for name in athena_dialect.tables_in(athena_dialect.parse(sql)):
            table = self.tables(name)
            if table is None:
                raise unknown_table(name, self.names())
            if not isinstance(table, ParquetFiles):
                path = folder / f"{uuid.uuid4().hex}.parquet"
                pq.write_table(table, path, coerce_timestamps="us", allow_truncated_timestamps=False)
                table = ParquetFiles([str(path)], table.schema)
            found[name] = table
        return found


def _bytes(tables: Mapping[str, ParquetFiles]) -> int:
    return sum(Path(path).stat().st_size for table in tables.values() for path in table.paths)


def _done(spark: Any, job: Job) -> Report:
    message = ""
    try:
        return run(spark.newSession(), job)
    except JobError as error:
        message = str(error)
    raise QueryError(message)


def local_session(memory: str = "2g", local_directory: Path | None = None) -> Any:
    """Spark's session in this process, started on first use (10 s or more) with what is given then.

    Args:
        memory: of the one process that does all.
        local_directory: where it spills; it must last as long as the process.

    Raises:
        ConfigurationError: pyspark or Java is not there.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise ConfigurationError("Spark is not installed: pip install 'medpipe[spark]', and Java 17 with it") from None
    if (running := SparkSession.getActiveSession()) is not None:
        return running
    home = os.environ.get("JAVA_HOME")
    if not (home and Path(home, "bin", "java").exists()) and shutil.which("java") is None:
        raise ConfigurationError("Spark needs Java 17: install it (Debian: openjdk-17-jre-headless), or set JAVA_HOME")
    own = {"spark.driver.memory": memory, "spark.master": "local[*]"}
    if local_directory is not None:
        own["spark.local.dir"] = str(local_directory)
    return session({**LOCAL_SETTINGS, **own})
