"""Which AWS actions medpipe asks for, recorded while it works: `python -m medpipe_tests.aws_double.actions`.

The scenes call the product's own code, a part of it each, against the double and moto; nothing is listed by hand. What
an action means for a permission's resources and conditions belongs to the deployment.
"""

import datetime as dt
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError
from dagster_pipes import decode_param
from PIL import Image, ImageDraw

from medpipe_assets.aws.alerts import Alert, Alerts, Kind, SentInBucket, Severity, SnsChannel
from medpipe_assets.aws.batch_jobs import MEDICAL_JOBS, Batches, Place, Rehearsal
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.completions import Completions
from medpipe_assets.aws.medical_text import ask
from medpipe_assets.aws.responses import ResponseStore
from medpipe_assets.aws.secrets import secret
from medpipe_assets.defs.aws import PipesEmrServerless, PipesGlue
from medpipe_assets.defs.pipes import SparkResource
from medpipe_assets.defs.resources import make_engines
from medpipe_assets.documents.consumers import CONSUMERS, rebuild
from medpipe_assets.documents.intake import receive, take_in
from medpipe_assets.documents.line import stages
from medpipe_assets.documents.news import reconcile
from medpipe_assets.documents.stage import run_stage
from medpipe_assets.errors import DocumentError
from medpipe_assets.etlt.engines import Question
from medpipe_assets.extraction.bedrock_data_automation import BedrockDataAutomationExtraction
from medpipe_assets.extraction.textract import TextractExtraction
from medpipe_assets.inbox.s3 import S3Inbox
from medpipe_assets.inbox.sqs import dead_letters, drain, redrive
from medpipe_assets.lake.buckets import shortcomings
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.maintenance import maintain
from medpipe_assets.recognition.comprehend_medical import ComprehendMedicalRecognition
from medpipe_assets.settings import Settings
from medpipe_assets.translation.amazon_translate import TranslateTranslation
from medpipe_assets.translation.word_documents import WordDocumentTranslation
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.choice import warehouse_over
from medpipe_assets.warehouse.engine import QueryError
from medpipe_assets.warehouse.glue_tables import PlainTable, export_plain, register_table
from medpipe_assets.warehouse.lake_tables import Scope
from medpipe_assets.warehouse.spark_job import REPORT
from medpipe_tests.aws_double import engines
from medpipe_tests.aws_double.fixtures import FROM_OUTSIDE, Aws, standing_aws
from medpipe_tests.aws_double.moto_server import MotoServer
from medpipe_tests.unit.extraction.make import docx, paragraph

ROLE = "arn:aws:iam::123456789012:role/medpipe-batch"
DAY = dt.date(2026, 11, 20)
NOTES = {
    "note.txt": b"The patient has hypertension and takes lisinopril 10 mg daily for it.\n",
    "nota.txt": "El paciente tiene diabetes mellitus tipo 2 desde hace dos años y toma metformina.\n".encode(),
}

HEADER = """# AWS actions

Every AWS action that medpipe asks for, by the part of it that does, as recorded while that part runs against the
stand-ins of the tests (`make docs` writes this file anew; a test fails when it is stale). Names are IAM's: a batch of
SQS is the single action. What a request needs besides is recorded with it: the key of an object under SSE-KMS
(`kms:GenerateDataKey`, `kms:Decrypt`), and a role that is handed on (`iam:PassRole`). A deployment grants these.

| action | asked for by |
|---|---|
"""


def recorded() -> dict[str, set[str]]:
    """Actions by scene."""
    found: dict[str, set[str]] = {}
    with ExitStack() as stack:
        moto = stack.enter_context(MotoServer())
        moto.forget()  # what else this process has put there: moto has one account a process
        aws = stack.enter_context(standing_aws(moto, engines=_knowledge()))
        outside = {name: value for name, value in os.environ.items() if name not in FROM_OUTSIDE}
        stack.enter_context(patch.dict(os.environ, {**outside, **aws.environment}, clear=True))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for bucket in ("lake", "inbox"):
            aws.client("s3").create_bucket(Bucket=f"medpipe-{bucket}")
        key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
        location = replace(LakeLocation.under("s3://medpipe-lake/lake", folder / "home"), kms_key=key)
        lake = Lake(location)
        for name, scene in SCENES.items():
            prepared = scene(aws, lake)
            before = aws.actions
            prepared()
            found[name] = {action for action, count in aws.actions.items() if count > before[action]}
    return found


def markdown(found: Mapping[str, set[str]]) -> str:
    """The document: a row an action."""
    actions = sorted(set().union(*found.values()))
    rows = (f"| `{action}` | {', '.join(name for name in found if action in found[name])} |\n" for action in actions)
    return HEADER + "".join(rows)


def _knowledge() -> engines.Engines:
    """Toy engines; a page of a scan says the same whatever is on it."""

    def read(data: bytes, media_type: str) -> Any:
        pages = 2 if data.startswith(b"%PDF") else 1
        return engines.toy_engines().read(b"-" * 8 + b"\f".join([NOTES["note.txt"]] * pages), media_type)

    return replace(engines.toy_engines(), read=read)


def _scans() -> list[Image.Image]:
    scans = []
    for number in range(2):
        scan = Image.new("RGB", (400, 500), "white")
        ImageDraw.Draw(scan).text((40, 60), f"page {number}: hypertension", "black")
        scans.append(scan)
    return scans


def _pdf() -> bytes:
    first, second = _scans()
    pdf = io.BytesIO()
    first.save(pdf, "PDF", save_all=True, append_images=[second])
    return pdf.getvalue()


def _inputs(aws: Aws) -> None:
    png = io.BytesIO()
    _scans()[0].save(png, "PNG")
    for name, data in {**NOTES, "scan.png": png.getvalue(), "scans.pdf": _pdf()}.items():
        aws.client("s3").put_object(Bucket="medpipe-inbox", Key=f"in/{name}", Body=data)


# --- scenes: each prepares, and gives back what is recorded


def _lake(aws: Aws, lake: Lake) -> Callable[[], None]:
    return lambda: _ignored(Lake(replace(lake.location, database="another")).table("pages"))


def _inbox(aws: Aws, lake: Lake) -> Callable[[], None]:
    _inputs(aws)

    def run() -> None:
        inbox = S3Inbox("medpipe-inbox", "in/", Clients().client("s3"))
        receive(lake, inbox.arrivals(), DAY)
        take_in(lake, DAY, inbox.fetch, run_id="actions")

    return run


def _graph(aws: Aws, lake: Lake) -> Callable[[], None]:
    def run() -> None:
        made = make_engines(Settings.load("aws"), lake.location)
        for stage in stages(made, lake.raw).values():
            run_stage(lake, stage, DAY, run_id="actions")
        for name in CONSUMERS:
            rebuild(lake, name, DAY)

    return run


def _options(aws: Aws, lake: Lake) -> Callable[[], None]:
    """What settings add to the graph's calls."""
    scan, scans = io.BytesIO(), io.BytesIO()
    first, second = _scans()
    first.save(scan, "PNG")
    first.save(scans, "PDF", save_all=True, append_images=[second])

    def run() -> None:
        calls = PaidCalls(Clients(), sleep=lambda _: None)
        medical = ComprehendMedicalRecognition(calls, detect_phi=True, rxnorm=True, snomed=True)
        medical.recognise("The patient has hypertension.", "en")
        tables = TextractExtraction(calls, ("TABLES", "FORMS"), bucket="medpipe-lake", kms_key=lake.location.kms_key)
        tables.extract(scan.getvalue(), "image/png")
        tables.extract(scans.getvalue(), "application/pdf")

    return run


def _nightly(aws: Aws, lake: Lake) -> Callable[[], None]:
    def run() -> None:
        clients = Clients()
        reconcile(lake, S3Inbox("medpipe-inbox", "in/", clients.client("s3")), DAY, run_id="actions")
        shortcomings(lake.location, clients)

    return run


def _maintenance(aws: Aws, lake: Lake) -> Callable[[], None]:
    def run() -> None:
        maintain(lake, dt.datetime.now(dt.UTC) + dt.timedelta(days=60))
        shortcomings(lake.location, Clients())

    return run


def _queue(aws: Aws, lake: Lake) -> Callable[[], None]:
    sqs = aws.client("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
    url = sqs.create_queue(QueueName="news", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"Event": "s3:TestEvent", "Bucket": "medpipe-inbox"}))
    sqs.send_message(QueueUrl=dead, MessageBody="none of S3's")

    def run() -> None:
        client = Clients().client("sqs")
        drain(url, client, lambda *_: None, seconds=5, threads=1)
        dead_letters(dead, client)
        with suppress(DocumentError):  # moto moves no messages
            redrive(dead, client, url, seconds=5)
        with patch.object(client, "start_message_move_task"), suppress(DocumentError):
            redrive(dead, client, url, seconds=5)

    return run


def _data_automation(aws: Aws, lake: Lake) -> Callable[[], None]:
    arn = "arn:aws:bedrock:us-east-1:123456789012:"

    def run() -> None:
        project, profile = f"{arn}data-automation-project/words", f"{arn}data-automation-profile/us.data-automation-v1"
        calls = PaidCalls(Clients(), sleep=lambda _: None)
        engine = BedrockDataAutomationExtraction(calls, project, profile, "medpipe-lake", kms_key=lake.location.kms_key)
        engine.extract(_pdf(), "application/pdf")

    return run


def _told_jobs(aws: Aws, lake: Lake) -> Callable[[], None]:
    topic = aws.client("sns").create_topic(Name="ends")["TopicArn"]
    queue = aws.client("sqs").create_queue(QueueName="ends")["QueueUrl"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:ends")
    for body in ("none of Textract's", '{"JobId": "a job"}'):
        aws.client("sqs").send_message(QueueUrl=queue, MessageBody=body)

    def run() -> None:
        calls = PaidCalls(Clients())
        completions = Completions(calls, queue, topic, ROLE)
        engine = TextractExtraction(calls, bucket="medpipe-lake", completions=completions)
        engine.extract(_pdf(), "application/pdf")
        completions.wait("a job", 20)

    return run


def _word_documents(aws: Aws, lake: Lake) -> Callable[[], None]:
    translation = WordDocumentTranslation(PaidCalls(Clients()))
    letter = docx(paragraph("El paciente tiene diabetes."))
    return lambda: _ignored(translation.translate(letter, "es"))


def _warehouse(aws: Aws, lake: Lake) -> Callable[[], None]:
    """Consumer tables by Athena, a query that is given up, and a table for readers that have no Iceberg."""
    aws.client("glue").create_database(DatabaseInput={"Name": "plain"})

    def run() -> None:
        settings, clients = Settings.load("aws"), Clients()
        for name in CONSUMERS:
            rebuild(lake, name, DAY, warehouse=warehouse_over(settings, lake.location, unload=True), force=True)
        athena = warehouse_over(settings, lake.location)(lake, Scope())
        rows = athena.query("SELECT document_id, ingest_date FROM diagnoses")
        with suppress(QueryError):
            replace(cast(AthenaWarehouse, athena), timeout_seconds=0).query("SELECT 1 AS one")
        table = PlainTable("diagnoses", "s3://medpipe-lake/plain/diagnoses", rows.schema, ("ingest_date",))
        for _ in range(2):
            export_plain(clients, "plain", table, rows)
        register_table(clients.client("glue"), "plain", replace(table, location="s3://medpipe-lake/moved"))
        replace(cast(AthenaWarehouse, athena), database="plain", prepare=None).query("SELECT * FROM diagnoses")

    return run


def _glue_jobs(aws: Aws, lake: Lake) -> Callable[[], None]:
    """A question that a Glue job answers; the job itself is played: what it asks for is its own role's matter."""
    glue = PipesGlue()
    jobs = glue.clients().client("glue")
    jobs.create_job(Name="spark", Role=ROLE, Command={"Name": "glueetl", "ScriptLocation": "s3://medpipe-lake/x.py"})
    s3 = aws.client("s3")

    def answer(params: dict[str, Any], **_: Any) -> None:
        context = decode_param(params["Arguments"]["--dagster-pipes-context"])
        job = json.loads(s3.get_object(Bucket=context["bucket"], Key=context["key"])["Body"].read())["extras"]["job"]
        file = f"{job['output']}/part-0.parquet"
        rows = io.BytesIO()
        pq.write_table(pa.table({"name": ["x"]}), rows)
        s3.put_object(Bucket="medpipe-lake", Key=file.removeprefix("s3://medpipe-lake/"), Body=rows.getvalue())
        report = {"payload": {REPORT: {"columns": ["name"], "files": [file], "rows": 1, "spark": "", "findings": {}}}}
        told = [("opened", {}), ("report_custom_message", report), ("closed", {})]
        to = decode_param(params["Arguments"]["--dagster-pipes-messages"])
        lines = [json.dumps({"__dagster_pipes_version": "0.1", "method": m, "params": p}) for m, p in told]
        s3.put_object(Bucket=to["bucket"], Key=f"{to['key_prefix']}/1.json", Body="\n".join(lines).encode())

    jobs.meta.events.register("provide-client-params.glue.StartJobRun", answer)

    def run() -> None:
        @dg.asset
        def asked(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            with patch.dict(os.environ, {"MEDPIPE_LAKE": "s3://medpipe-lake/lake", "MEDPIPE_GLUE_JOB": "spark"}):
                engine = SparkResource().engine(context, glue, PipesEmrServerless())
                schema = pa.schema([("name", pa.string())])
                scratch = Path(tempfile.mkdtemp(dir=lake.location.scratch))
                snapshots = {"document_sources": lake.snapshot_id("document_sources")}
                sql = "SELECT source_id AS name FROM document_sources"
                engine(lake, Question("names", sql, snapshots, 0, schema, (), scratch))
                with suppress(ClientError):  # as a stopped run does; moto has no such operation
                    jobs.batch_stop_job_run(JobName="spark", JobRunIds=["jr_stopped"])
            return dg.MaterializeResult()

        with dg.DagsterInstance.ephemeral() as instance:
            assert dg.materialize([asked], instance=instance).success

    return run


def _batches(aws: Aws, lake: Lake) -> Callable[[], None]:
    def rehearse(rehearsal: Rehearsal) -> None:
        for operation in MEDICAL_JOBS:
            _ignored(ask(rehearsal, operation, "The patient has diabetes."))  # type: ignore[arg-type]
        TranslateTranslation(rehearsal).translate(["El paciente tiene diabetes."], "es")  # type: ignore[arg-type]

    def run() -> None:
        calls = PaidCalls(Clients(), ResponseStore("s3://medpipe-lake/responses"), sleep=lambda _: None)
        place = Place("medpipe-lake", "batches/", ROLE, lake.location.kms_key)
        Batches(calls, place, always=True).prefetch("actions", rehearse)

    return run


def _alerts(aws: Aws, lake: Lake) -> Callable[[], None]:
    topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]

    def run() -> None:
        clients = Clients()
        alerts = Alerts(SentInBucket(clients, "s3://medpipe-lake/alerts"), [SnsChannel(clients, topic)])
        alerts.send(Alert(Kind.BUDGET_REACHED, Severity.WARNING, {"documents": 1}))

    return run


def _secrets(aws: Aws, lake: Lake) -> Callable[[], None]:
    aws.client("secretsmanager").create_secret(Name="medpipe/key", SecretString="not one")
    return lambda: _ignored(secret("medpipe/key", clients=Clients(), environment={}))


def _ignored(_: object) -> None:
    """Only what is asked for matters."""


SCENES: Mapping[str, Callable[[Aws, Lake], Callable[[], None]]] = {
    "lake": _lake,
    "inbox": _inbox,
    "graph": _graph,
    "options": _options,
    "nightly": _nightly,
    "maintenance": _maintenance,
    "queue": _queue,
    "data automation": _data_automation,
    "told jobs": _told_jobs,
    "word documents": _word_documents,
    "warehouse": _warehouse,
    "glue jobs": _glue_jobs,
    "batches": _batches,
    "alerts": _alerts,
    "secrets": _secrets,
}
"""Parts of medpipe that call AWS. A new one is a line here."""


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        document = markdown(recorded())
    sys.stdout.write(document)
