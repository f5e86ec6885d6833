"""Spark through Dagster Pipes: an asset, a job that Moto records, and the job's script as a process of its own.

S3 holds context and messages; tables are local files, since Spark here has no reader of S3.
"""

import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster_aws.pipes import PipesEMRServerlessClient, PipesGlueClient
from dagster_aws.pipes.clients import emr_serverless, glue

from medpipe_assets.defs.aws import PipesEmrServerless, PipesGlue
from medpipe_assets.defs.pipes import SparkResource
from medpipe_assets.defs.resources import private_errors
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt import table_checks
from medpipe_assets.etlt.contract import Check
from medpipe_assets.etlt.transforms import run_transform
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import TABLES
from medpipe_assets.warehouse import spark_job
from medpipe_tests import local_spark
from medpipe_tests.unit.etlt import visits
from medpipe_tests.unit.lake import s3
from medpipe_tests.unit.lake.s3 import BUCKET

JOB = "medpipe-spark"
SCRIPT = "scripts/spark_job.py"
HANGS = "import signal\nsignal.pause()\n"
FAILS = "raise SystemExit('it cannot')\n"
EVERY = Check(table="visits_by_state", sql="select state from visits_by_state where visits > 0", blocking=False)
CONTRACT = visits.contract().model_copy(update={"checks": {**visits.contract().checks, "every_state": EVERY}})
BY_STATE = next(transform for transform in visits.transforms() if transform.name == "visits_by_state")


@pytest.fixture(scope="module", autouse=True)
def account() -> Iterator[None]:
    """AWS, in so far as Moto has it, for this process and those that it starts."""
    with s3.served(), pytest.MonkeyPatch.context() as patch:
        no_pauses = SimpleNamespace(sleep=lambda _: None, time=lambda: 0.0)
        patch.setattr(glue, "time", no_pauses)
        patch.setattr(emr_serverless, "time", no_pauses)
        command = {"Name": "glueetl", "ScriptLocation": f"s3://{BUCKET}/{SCRIPT}", "PythonVersion": "3"}
        boto3.client("glue").create_job(Name=JOB, Role="r", Command=command, GlueVersion="5.1")
        yield


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("MEDPIPE_LAKE", f"s3://{BUCKET}/lake")  # where context and messages go
    contract = visits.contract()
    tables = {**TABLES, contract.table_name: contract.table_contract, BY_STATE.name: BY_STATE.table_contract}
    made = Lake(LakeLocation.under(tmp_path / "lake"), tables=tables)
    made.write("visits", visits.rows(contract.table_contract.schema, ("visit_id",), [BY_STATE.parsed], 40))
    return made


def upload(script: str) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key=SCRIPT, Body=script.encode())


def started(folder: Path, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """The uploaded script as a process, its output in files of the folder."""
    folder.mkdir()
    script = folder / "job.py"
    script.write_bytes(boto3.client("s3").get_object(Bucket=BUCKET, Key=SCRIPT)["Body"].read())
    settings = json.dumps(local_spark.SETTINGS | {"spark.local.dir": str(folder)})
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, str(script), *arguments],
            env={**os.environ, "MEDPIPE_SPARK_SETTINGS": settings, **environment},
            cwd=folder,
            stdout=out,
            stderr=errors,
        )


class LocalGlue:
    """Moto's Glue keeps the record of a run, and a process is the run. The first `failing` runs come to nothing."""

    def __init__(self, folder: Path, failing: int = 0, interrupt: bool = False) -> None:
        self.folder, self.failing, self.interrupt = folder, failing, interrupt
        self.glue = boto3.client("glue")
        self.meta = self.glue.meta
        self.runs: dict[str, subprocess.Popen[bytes] | None] = {}
        self.asked = 0
        self.stopped: list[str] = []

    def start_job_run(self, **request: Any) -> Any:
        answer = self.glue.start_job_run(**request)
        run_id = answer["JobRunId"]
        words = [word for pair in request["Arguments"].items() for word in pair]
        fails = len(self.runs) < self.failing
        self.runs[run_id] = None if fails else started(self.folder / run_id, words, {})
        self.asked = 0
        return answer

    def get_job_run(self, **request: Any) -> Any:
        answer = self.glue.get_job_run(**request)
        run = self.runs[request["RunId"]]
        self.asked += 1
        if self.asked == 1:
            answer["JobRun"]["JobRunState"] = "RUNNING"
            return answer
        if self.interrupt:
            raise DagsterExecutionInterruptedError
        code = 1 if run is None else run.wait()
        answer["JobRun"] |= {"JobRunState": "FAILED" if code else "SUCCEEDED", "ErrorMessage": "it cannot"}
        return answer

    def batch_stop_job_run(self, **request: Any) -> Any:
        self.stopped += request["JobRunIds"]
        for run_id in request["JobRunIds"]:
            run = self.runs[run_id]
            assert run is not None
            run.terminate()
            run.wait()
        return {"SuccessfulSubmissions": [{"JobRunId": run_id} for run_id in request["JobRunIds"]]}


class LocalApplication:
    """As LocalGlue, of EMR Serverless: parameters come as Spark's settings, and standard output goes to CloudWatch."""

    GROUP = "/aws/emr-serverless"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.emr, self.logs = boto3.client("emr-serverless"), boto3.client("logs")
        made = self.emr.create_application(name="spark", type="SPARK", releaseLabel="emr-7.9.0")
        self.application = made["applicationId"]
        self.runs: dict[str, subprocess.Popen[bytes]] = {}

    def start_job_run(self, **request: Any) -> Any:
        parameters = request["jobDriver"]["sparkSubmit"].pop("sparkSubmitParameters")
        prefix = "spark.emr-serverless.driverEnv."
        settings = [word.partition("=") for word in parameters.split() if word.startswith(prefix)]
        answer = self.emr.start_job_run(**request)
        environment = {name.removeprefix(prefix): value for name, _, value in settings}
        self.runs[answer["jobRunId"]] = started(self.folder / answer["jobRunId"], [], environment)
        return answer

    def get_job_run(self, **request: Any) -> Any:
        answer = self.emr.get_job_run(**request)
        run_id = request["jobRunId"]
        answer["jobRun"]["state"] = "FAILED" if self.runs[run_id].wait() else "SUCCESS"
        answer["jobRun"]["configurationOverrides"] = {
            "monitoringConfiguration": {"cloudWatchLoggingConfiguration": {"enabled": True}}
        }
        self._log(run_id)
        return answer

    def _log(self, run_id: str) -> None:
        stream = f"/applications/{self.application}/jobs/{run_id}/SPARK_DRIVER"
        self.logs.create_log_group(logGroupName=self.GROUP)
        for name in ("stdout", "stderr"):
            of = {"logGroupName": self.GROUP, "logStreamName": f"{stream}/{name}"}
            self.logs.create_log_stream(**of)
            lines = (self.folder / run_id / name).read_text().splitlines()
            events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines if line]
            if events:
                self.logs.put_log_events(**of, logEvents=events)

    def get_application(self, **request: Any) -> Any:
        answer = self.emr.get_application(**request)
        answer["application"]["type"] = "Spark"  # as the service writes it
        return answer

    def get_dashboard_for_job_run(self, **_: Any) -> Any:
        return {"url": "https://example.invalid"}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.emr, name)


def materialised(lake: Lake, jobs: Any, retries: int = 0) -> dg.ExecuteInProcessResult:
    """The asset of a result table whose engine is Spark, run once."""

    class Glue(PipesGlue):
        def get_client(self) -> PipesGlueClient:
            made = super().get_client()
            made._client = jobs
            return made

    class Emr(PipesEmrServerless):
        def get_client(self) -> PipesEMRServerlessClient:
            made = super().get_client()
            made._client = jobs
            return made

    check = dg.AssetCheckSpec("every_state", asset=BY_STATE.name)

    @dg.asset(name=BY_STATE.name, check_specs=[check], retry_policy=dg.RetryPolicy(max_retries=retries))
    def table(context: dg.AssetExecutionContext, glue: Glue, emr: Emr, spark: SparkResource) -> dg.MaterializeResult:
        with private_errors():
            engines = {"spark": spark.engine(context, glue, emr)}
            report = run_transform(lake, CONTRACT, BY_STATE, run_id=context.run_id, engine="spark", engines=engines)
        found = {finding.check: finding for finding in report.findings}["every_state"]
        return dg.MaterializeResult(
            metadata={"dagster/row_count": report.rows, "query_id": report.query_id, **report.engine_metadata},
            check_results=[
                dg.AssetCheckResult(
                    check_name=found.check,
                    passed=not found.offenders,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"offenders": found.offenders},
                )
            ],
        )

    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"glue": Glue(), "emr": Emr(), "spark": SparkResource()}
        return dg.materialize([table], resources=resources, instance=instance, raise_on_error=False)


def texts(result: dg.ExecuteInProcessResult) -> str:
    return "".join(f"{event.message} {event.event_specific_data}" for event in result.all_events)


@pytest.mark.spark
def test_a_glue_job_makes_the_table_after_a_failure_and_tells_rows_and_checks(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_spark.needs_spark()
    monkeypatch.setenv("MEDPIPE_GLUE_JOB", JOB)
    upload(inspect.getsource(spark_job))
    jobs = LocalGlue(tmp_path, failing=1)
    with monkeypatch.context() as patch:
        patch.setattr(table_checks, "DuckDBWarehouse", None)  # the job asks the checks, where its answer is
        result = materialised(lake, jobs, retries=2)
    assert result.success, (tmp_path / list(jobs.runs)[-1] / "stderr").read_text()[-3000:]
    [event] = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["dagster/row_count"].value == lake.read(BY_STATE.name).num_rows > 3
    assert metadata["query_id"].value == metadata["AWS Glue Job Run ID"].value == list(jobs.runs)[1]
    [check] = result.get_asset_check_evaluations()
    assert not check.passed and check.metadata["offenders"].value == metadata["dagster/row_count"].value
    by_spark = sorted(map(str, lake.read(BY_STATE.name).to_pylist()))
    run_transform(lake, visits.contract(), BY_STATE, run_id="here", force=True)
    assert sorted(map(str, lake.read(BY_STATE.name).to_pylist())) == by_spark


@pytest.mark.long
def test_a_job_that_fails_fails_the_asset_and_leaves_the_table(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPIPE_GLUE_JOB", JOB)
    upload(FAILS)
    jobs = LocalGlue(tmp_path)
    result = materialised(lake, jobs)
    assert not result.success and len(jobs.runs) == 1
    assert lake.read(BY_STATE.name).num_rows == 0 and not list(lake.location.scratch.iterdir())


@pytest.mark.long
def test_stopping_the_run_stops_the_job(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPIPE_GLUE_JOB", JOB)
    upload(HANGS)
    jobs = LocalGlue(tmp_path, interrupt=True)
    assert not materialised(lake, jobs).success
    assert jobs.stopped == list(jobs.runs)
    assert all(run is not None and run.returncode for run in jobs.runs.values())


@pytest.mark.spark
def test_an_emr_serverless_application_makes_the_table(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_spark.needs_spark()
    upload(inspect.getsource(spark_job))
    jobs = LocalApplication(tmp_path)
    monkeypatch.setenv("MEDPIPE_EMR_APPLICATION", jobs.application)
    monkeypatch.setenv("MEDPIPE_EMR_ROLE", "arn:aws:iam::123456789012:role/spark")
    monkeypatch.setenv("MEDPIPE_SPARK_SCRIPT", f"s3://{BUCKET}/{SCRIPT}")
    result = materialised(lake, jobs)
    assert result.success, texts(result)
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["dagster/row_count"].value == lake.read(BY_STATE.name).num_rows > 3
    assert event.materialization.metadata["query_id"].value in jobs.runs


def test_an_application_without_a_role_is_refused(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPIPE_EMR_APPLICATION", "00f")
    with pytest.raises(ConfigurationError, match="MEDPIPE_EMR_ROLE"):
        SparkResource().engine(dg.build_asset_context(), PipesGlue(), PipesEmrServerless())
