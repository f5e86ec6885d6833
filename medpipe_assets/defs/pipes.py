"""Spark on Glue or EMR Serverless as an engine of result tables: the job is run through Dagster Pipes.

The job is `warehouse/spark_job.py`, the same for every table: a deployer uploads that one file, and makes one Glue job
(or EMR Serverless application) that runs it. Which one is said by the environment (MEDPIPE_GLUE_JOB, ...). Metadata of
the run goes to the asset that asks; a job that fails fails it, and stopping the run stops the job.
"""

import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import PipesClientCompletedInvocation
from pydantic import PrivateAttr

from medpipe_assets.defs.aws import PipesEmrServerless, PipesGlue
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.engines import Answer, Engine, Question, inputs_of, with_spark
from medpipe_assets.etlt.table_checks import WHOLE
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.objects import S3Objects
from medpipe_assets.settings import Settings
from medpipe_assets.warehouse.athena_dialect import parse, tables_in
from medpipe_assets.warehouse.spark import make_job
from medpipe_assets.warehouse.spark_job import REPORT, Job, Report

ANSWERS = "answers"
"""Where jobs leave their answers, in the staging zone; they are fetched and removed at once."""

Context = dg.AssetExecutionContext | dg.OpExecutionContext
Runs = Callable[[Job], PipesClientCompletedInvocation]
"""Runs the job to its end."""


class SparkResource(dg.ConfigurableResource[None]):
    """Where Spark runs: a Glue job or an EMR Serverless application that the environment names, else this machine."""

    _settings: Settings | None = PrivateAttr(default=None)

    def engine(self, context: Context, glue: PipesGlue, emr: PipesEmrServerless) -> Engine:
        """The engine 'spark' for one asset's run."""
        settings = self._settings or Settings.load()
        if settings.glue_job:
            return with_job(lambda job: _on_glue(context, glue, settings.glue_job, job))
        if settings.emr_application:
            if not (settings.emr_role and settings.spark_script):
                raise ConfigurationError("MEDPIPE_EMR_APPLICATION needs MEDPIPE_EMR_ROLE and MEDPIPE_SPARK_SCRIPT too")
            return with_job(lambda job: _on_emr(context, emr, settings, job))
        return with_spark


def with_job(runs: Runs) -> Engine:
    """An engine that lets a job answer, and fetches what it wrote."""

    def answer(lake: Lake, question: Question) -> Answer:
        place = f"{ANSWERS}/{uuid.uuid4().hex}"
        root = lake.location.staging if lake.location.is_remote else str(question.scratch)
        job = _job(lake, question, f"{root}/{place}")
        try:
            done = runs(job)
            report = _report(done)
            files = _fetched(lake, report["files"], question.scratch)
        finally:
            _remove(lake, place)
        metadata = {name: str(getattr(value, "value", value)) for name, value in done.metadata.items()}
        ids = [value for name, value in metadata.items() if name.endswith("Job Run ID")]
        return Answer(tuple(files), "".join(ids[:1]), offenders=report["findings"], metadata=metadata)

    return answer


def _job(lake: Lake, question: Question, output: str) -> Job:
    """The job: the question, and its checks with the tables that they name beside it."""
    queries = [query for queries in question.checks.values() for query in queries]
    named = {name for query in queries for name in tables_in(parse(query))} - {WHOLE, question.name}
    others = {name: lake.snapshot_id(name) if lake.exists(name) else None for name in named}
    return make_job(
        question.sql,
        inputs_of(lake, {**others, **question.snapshots}),
        question.schema,
        output,
        question.partition_by,
        written=(WHOLE, question.name),
        checks=question.checks,
        input_bytes=question.input_bytes,
    )


def _report(done: PipesClientCompletedInvocation) -> Report:
    reports = [message[REPORT] for message in done.get_custom_messages() if REPORT in message]
    if not reports:
        raise RuntimeError("the job ended without a report: its messages did not arrive")
    report: Report = reports[-1]
    return report


def _on_glue(context: Context, glue: PipesGlue, name: str, job: Job) -> PipesClientCompletedInvocation:
    # A client a run: its reader of messages goes on counting where the last job ended.
    return glue.get_client().run(context=context, start_job_run_params={"JobName": name}, extras={"job": job})


def _on_emr(context: Context, emr: PipesEmrServerless, settings: Settings, job: Job) -> PipesClientCompletedInvocation:
    parameters: dict[str, Any] = {
        "applicationId": settings.emr_application,
        "executionRoleArn": settings.emr_role,
        "clientToken": uuid.uuid4().hex,
        "jobDriver": {"sparkSubmit": {"entryPoint": settings.spark_script}},
        "configurationOverrides": {"monitoringConfiguration": {"cloudWatchLoggingConfiguration": {"enabled": True}}},
    }
    return emr.get_client().run(context=context, start_job_run_params=parameters, extras={"job": job})


def _store(lake: Lake) -> S3Objects:
    assert isinstance(lake.raw, S3Objects)
    return S3Objects(lake.location.staging, lake.location.kms_key, lake.raw.clients)


def _fetched(lake: Lake, files: Sequence[str], scratch: Path) -> list[Path]:
    """The job's files on this machine."""
    folder = scratch / "fetched"
    folder.mkdir(mode=0o700)
    paths = []
    for number, file in enumerate(files):
        path = folder / f"{number}.parquet"
        if lake.location.is_remote:
            bucket, _, key = file.partition("://")[2].partition("/")
            _store(lake).clients.client("s3").download_file(bucket, key, str(path))
        else:
            shutil.move(file, path)
        paths.append(path)
    return paths


def _remove(lake: Lake, place: str) -> None:
    """Nothing of an answer stays behind; a local one lies in the question's own folder, which goes as a whole."""
    if lake.location.is_remote:
        store = _store(lake)
        for found in list(store.list(f"{place}/")):
            store.delete(found.key)
