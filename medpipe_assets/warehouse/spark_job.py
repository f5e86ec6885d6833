"""The job that answers one query with Spark: on Glue, on EMR Serverless, or on this machine. One script for all.

It stands alone: put this file where the job finds it (Glue 5.1 = Spark 3.5.6, Python 3.11; `--additional-python-modules
dagster-pipes`). What to do comes as the extra `job` of a Dagster Pipes session, in the form of `Job`: SQL that is
Spark's already, tables as Parquet files, checks, and where the answer goes. What it did goes back as a message.
No value of a row leaves the job but in its files: failures are told by their class.

pyspark, dagster_pipes and boto3 are imported where they are used: this module is imported where they may be absent.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any, TypedDict
from urllib.parse import unquote, urlsplit

SETTINGS: Mapping[str, str] = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "false",
    "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.parquet.compression.codec": "snappy",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}
"""What the SQL and the files rely on; set for each query, so that no job definition has to say it."""

SHUFFLE_BYTES = 128 * 2**20
"""Of input, a task: Spark's own size of a piece of a file (spark.sql.files.maxPartitionBytes)."""
MOST_PARTITIONS = 2000
PARTITION = "partition_"
"""Prefix of the folders' names: a partition column stands in the files as well, as Iceberg wants it."""
REPORT = "medpipe_report"
"""Key of the message that holds the job's report."""


class Table(TypedDict):
    """A table: its Parquet files, and its schema in Spark's words."""

    paths: list[str]
    schema: str


class Job(TypedDict):
    """What a job is to do; JSON.

    Attributes:
        sql: Spark's.
        tables: by name.
        columns: name and type of the answer, in Spark's words; none for whatever the query gives, as
            c0, c1, ...
        partition_by: columns.
        output: an empty folder or `s3://` prefix.
        input_bytes: of the tables' files.
        written: names of the answer as written, for the checks.
        checks: queries of each check that give a number of offenders, Spark's, by name.
    """

    sql: str
    tables: dict[str, Table]
    columns: list[tuple[str, str]]
    partition_by: list[str]
    output: str
    input_bytes: int
    written: list[str]
    checks: dict[str, list[str]]


class Report(TypedDict):
    """What a job did: the answer's columns, the files that it wrote, and the offenders of each check."""

    columns: list[str]
    files: list[str]
    rows: int
    spark: str
    findings: dict[str, int]


class JobError(Exception):
    """A query failed: a class of error and what the SQL said of it, never a value."""


def run(spark: Any, job: Job) -> Report:
    """Answer a query into files, and check what was written.

    Args:
        spark: a session of its own (`newSession()`): settings and names are made in it.

    Raises:
        JobError: the query does not fit the tables or fails, or its columns are not those of the job.
    """
    with told("the query"):
        _prepare(spark, job)
        answer = spark.sql(job["sql"])
        columns = list(answer.columns)
        answer = _typed(answer, job) if job["columns"] else answer.toDF(*[f"c{i}" for i in range(len(columns))])
        _write(answer, job)
    with told("what was written"):
        written = spark.read.schema(answer.schema).option("recursiveFileLookup", "true").parquet(job["output"])
        for name in job["written"]:
            written.createOrReplaceTempView(name)
        rows = written.count()
        findings = {name: sum(_number(spark, sql) for sql in queries) for name, queries in job["checks"].items()}
        files = sorted(map(_path, written.inputFiles()))
    return {"columns": columns, "files": files, "rows": rows, "spark": str(spark.version), "findings": findings}


def _number(spark: Any, sql: str) -> int:
    return int(spark.sql(sql).first()[0] or 0)


def _prepare(spark: Any, job: Job) -> None:
    parts = max(-(-job["input_bytes"] // SHUFFLE_BYTES), spark.sparkContext.defaultParallelism)
    settings = {**SETTINGS, "spark.sql.shuffle.partitions": str(min(parts, MOST_PARTITIONS))}
    for name, value in settings.items():
        spark.conf.set(name, value)
    for name, table in job["tables"].items():
        if table["paths"]:
            rows = spark.read.schema(table["schema"]).option("recursiveFileLookup", "true").parquet(*table["paths"])
        else:
            rows = spark.createDataFrame([], table["schema"])
        rows.createOrReplaceTempView(name)


_WIDENED = {("int", "bigint"), ("smallint", "bigint"), ("tinyint", "bigint"), ("smallint", "int"), ("tinyint", "int")}
_WIDENED_TOO = {("float", "double"), ("timestamp_ntz", "timestamp")}


def _typed(answer: Any, job: Job) -> Any:
    """The answer, its columns in the types of the job; none may lose a value on the way."""
    names = [name for name, _ in job["columns"]]
    if [column.lower() for column in answer.columns] != names:
        given = ", ".join(answer.columns)
        raise JobError(f"the query gives the columns {given}, and is said to give {', '.join(names)}")
    casts = []
    for field, (name, kind) in zip(answer.schema, job["columns"], strict=True):
        given, wanted = _plain(field.dataType.simpleString()), _plain(kind)
        if given not in (wanted, "void") and (given, wanted) not in _WIDENED | _WIDENED_TOO:
            raise JobError(f"column {name} is {given} in the query's answer, and is said to be {wanted}")
        casts.append(f"CAST(`{field.name}` AS {kind}) AS `{name}`")
    return answer.selectExpr(*casts)


def _plain(kind: str) -> str:
    """A type without quotes, spaces and names of fields, which are told apart by their places."""
    text = re.sub(r"[`\s]", "", kind).lower()
    return re.sub(r"(?<=[<,])\w+:", "", text)


def _write(answer: Any, job: Job) -> None:
    """Write files of one partition each; the partition's rows come together first, or each task would write to all."""
    from pyspark.sql import functions

    by = job["partition_by"]
    if not by:
        answer.write.mode("error").parquet(job["output"])
        return
    together = answer.repartition(*by)
    for name in by:  # '=' before it, since no text and no value would go into one folder
        together = together.withColumn(PARTITION + name, functions.concat(functions.lit("="), together[name]))
    together.write.mode("error").partitionBy(*[PARTITION + name for name in by]).parquet(job["output"])


def _path(uri: str) -> str:
    """A file's address as other programs take it: a path for a local file."""
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "file" else unquote(uri)


@contextmanager
def told(what: str) -> Any:
    """Failures are told by their class: Spark's messages quote values."""
    message = ""
    try:
        yield
    except JobError:
        raise
    except Exception as error:
        message = _words(error)
    if message:
        raise JobError(f"{what}: {message}")


_OF_THE_SQL = ("PARSE_", "UNRESOLVED_", "TABLE_OR_VIEW", "DATATYPE_MISMATCH", "WRONG_NUM_ARGS", "MISSING_", "AMBIGUOUS")
"""Classes of errors found before a row is read, whose words are the SQL's own."""


def _words(error: BaseException) -> str:
    """What went wrong: the class of the innermost of Spark's errors, or ours, or the exception's type."""
    texts = [str(error)]
    while (inner := getattr(error, "_cause", None) or error.__cause__) is not None:
        error = inner
        texts.append(str(error))
    if marker := re.search(r"INVALID_[A-Z]+_ARGUMENT", "".join(texts)):
        return marker[0]
    found = re.findall(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)?)\]", "".join(texts))
    if not found:
        return type(error).__name__
    if found[0].startswith(_OF_THE_SQL):
        return texts[0].partition("\n")[0].partition(" SQLSTATE")[0]
    return str(found[-1])


def session(settings: Mapping[str, str]) -> Any:
    """Spark's session: that of the machine it runs on, or a new one."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("medpipe")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")  # what it logs of a failure quotes values
    return spark


def main(open_pipes: Callable[[], Any]) -> None:
    """Do the job of a Pipes session, and report."""
    with open_pipes() as pipes:
        job: Job = pipes.get_extra("job")
        spark = session(json.loads(os.environ.get("MEDPIPE_SPARK_SETTINGS", "{}")))
        report = run(spark.newSession(), job)
        pipes.report_custom_message({REPORT: report})


def _pipes() -> Any:
    """The session that started this job. Glue hands its parameters over as arguments, EMR Serverless as variables, and
    messages go through S3 or standard output then.
    """
    import boto3
    import dagster_pipes

    pipes: Any = dagster_pipes
    s3 = boto3.client("s3")
    on_glue = any(argument.startswith("--dagster-pipes-context") for argument in sys.argv)
    return pipes.open_dagster_pipes(
        context_loader=pipes.PipesS3ContextLoader(s3),
        message_writer=pipes.PipesS3MessageWriter(s3) if on_glue else pipes.PipesDefaultMessageWriter(),
        params_loader=pipes.PipesCliArgsParamsLoader() if on_glue else pipes.PipesEnvVarParamsLoader(),
    )


if __name__ == "__main__":
    main(_pipes)
