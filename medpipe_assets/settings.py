"""What an installation can set, by environment variables named MEDPIPE_...: read when a run starts, never at import."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.location import ZONES, LakeLocation

DEFAULT_INBOX = "inbox"


class Settings(BaseSettings):
    """An installation's settings. Each field's variable is MEDPIPE_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="MEDPIPE_", extra="ignore")

    profile: str = Field(default="local", description="engines of stages that are not named below: local or aws")
    extraction_engine: str = Field(default="", description="engine of the extraction stage; empty: the profile's")
    translation_engine: str = Field(default="", description="engine of the translation stage; empty: the profile's")
    recognition_engine: str = Field(default="", description="engine of the recognition stage; empty: the profile's")
    coding_engine: str = Field(default="", description="engine of the coding stage; empty: the profile's")
    translation_model: str = Field(default="", description="folder of a CTranslate2 model, for the engine ctranslate2")
    model: str = Field(
        default="", description="file of the coding model; empty: medpipe/coding.model in the user's data folder"
    )
    gold: str = Field(default="", description="folder of coded texts that accuracy is watched on; empty: the samples'")
    least_f1: float = Field(default=0.6, ge=0, le=1, description="F1 on the gold set below which a run warns")
    inbox: str = Field(default="", description="folder, or s3://bucket/prefix, watched; empty: `inbox` in the lake")
    uploads: str = Field(default="", description="folder or s3://bucket/prefix with a folder for each dataset's files")
    inbox_queue: str = Field(default="", description="URL of the SQS queue that tells what arrives on S3")
    inbox_dead_letters: str = Field(default="", description="URL of that queue's dead-letter queue")
    alert_topic: str = Field(default="", description="ARN of the SNS topic that alerts go to, beside log and file")
    telemetry: str = Field(
        default="", description="metrics as JSON lines: stdout, stderr, a file or off; empty: stdout under profile aws"
    )
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=0, description="worker processes; 0: none")
    task_seconds: float = Field(
        default=900.0, gt=0, description="longest for one document in a worker, seconds; each page that is done adds 30"
    )
    task_memory_mb: int = Field(
        default=2048,
        ge=0,
        description="most memory that a document may take in a worker, MiB; 0: any. OCR takes up to 1,000",
    )
    chunk_documents: int = Field(default=500, ge=1, description="most documents between two commits")
    chunk_seconds: float = Field(default=20.0, gt=0, description="longest time between two commits, seconds")
    max_quarantined_share: float = Field(default=0.5, ge=0, le=1, description="quarantined share that warns")

    region: str = Field(default="", description="AWS region; empty: as the AWS tools find it")
    budget_dollars: float | None = Field(default=None, ge=0, description="most that a run may pay for calls; none: any")
    requests_per_second: dict[str, float] = Field(
        default_factory=dict, description='quotas as JSON, e.g. {"textract.DetectDocumentText": 25}'
    )
    threads: int = Field(default=16, ge=1, description="documents that wait for AWS services at once")
    batch: Literal["auto", "never", "always"] = Field(
        default="auto", description="batch jobs for a day's calls: by cost and time, never, or always"
    )
    batch_role: str = Field(default="", description="ARN of the role with which batch jobs read the lake; empty: none")
    batch_deadline_hours: float = Field(default=4.0, gt=0, description="time for a day's calls in a stage, hours")
    sql_engine: str = Field(
        default="", description="SQL engine: duckdb or athena; empty: athena under profile aws with a lake on S3"
    )
    athena_workgroup: str = Field(default="primary", description="Athena's workgroup, with its limit of bytes scanned")
    athena_output: str = Field(
        default="", description="s3:// prefix for Athena's answers (patient data); empty: `athena` in the staging zone"
    )
    glue_job: str = Field(default="", description="Glue job that answers for the engine spark; empty: no such job")
    emr_application: str = Field(default="", description="id of an EMR Serverless application, in place of a Glue job")
    emr_role: str = Field(default="", description="ARN of the role with which the application's jobs run")
    spark_script: str = Field(default="", description="s3:// address of warehouse/spark_job.py, for EMR Serverless")
    digital_pages: Literal["text_layer", "ocr"] = Field(
        default="text_layer",
        description="digital PDF pages under AWS engines: text_layer reads them here; ocr sends them",
    )
    send_blank_pages: bool = Field(default=False, description="blank scans are sent to AWS engines, too")
    stored_answers: bool = Field(
        default=True,
        description="false: each answer is asked and paid for anew, and none is kept, not even for a rerun",
    )
    medical_operations: list[Literal["DetectPHI", "InferRxNorm", "InferSNOMEDCT"]] = Field(
        default_factory=list, description="what else Comprehend Medical is asked, as JSON: DetectPHI, ..."
    )
    codes_only: bool = Field(default=False, description="entities from InferICD10CM; DetectEntitiesV2 is not called")
    textract_features: list[str] = Field(default_factory=list, description='as JSON, e.g. ["TABLES", "FORMS"]')
    textract_topic: str = Field(
        default="", description="ARN of the SNS topic told of jobs' ends; empty: they are polled"
    )
    textract_topic_role: str = Field(default="", description="ARN of the role with which Textract tells the topic")
    textract_queue: str = Field(default="", description="URL of the SQS queue that is subscribed to the topic")
    data_automation_project: str = Field(default="", description="ARN of a project that tells words and their boxes")
    data_automation_profile: str = Field(default="", description="ARN of the data automation profile")
    data_automation_output: Literal["standard", "custom"] = Field(
        default="standard", description="what its pages are charged as; custom: the project has blueprints"
    )
    terminology: list[str] = Field(default_factory=list, description="Amazon Translate custom terminologies, as JSON")
    translate_word_documents: bool = Field(
        default=False, description="English DOCX documents, as they look, by Amazon Translate, into the staging zone"
    )

    @classmethod
    def load(cls, profile: str = "") -> "Settings":
        """The settings of the current environment, with another profile where one is given.

        Raises:
            ConfigurationError: naming the variable that is wrong.
        """
        try:
            return cls().model_copy(update={"profile": profile}) if profile else cls()
        except ValidationError as error:
            first = error.errors()[0]
            variable = f"MEDPIPE_{first['loc'][0]}".upper()
            raise ConfigurationError(f"{variable}: {first['msg'].lower()}") from None


def lake_location(root: str = "") -> LakeLocation:
    """The lake at a given folder or `s3://` prefix, or the one that the environment names.

    Home, key and Glue database of a lake on S3 are the environment's either way.
    """
    if root and not is_remote(root):
        return LakeLocation.under(root)
    own = {f"{zone.upper()}_BUCKET": "" for zone in ZONES} | {"MEDPIPE_LAKE": root} if root else {}
    return LakeLocation.from_environment({**os.environ, **own})


def is_remote(place: str) -> bool:
    """Whether an inbox is on S3."""
    return place.startswith("s3://")


def inbox_folder(settings: Settings, location: LakeLocation) -> Path:
    """The watched folder, where the inbox is not on S3."""
    return Path(settings.inbox).expanduser() if settings.inbox else location.home / DEFAULT_INBOX


def model_file(settings: Settings) -> str:
    """Where the coding model is looked for, and written; there need be none."""
    if settings.model:
        return str(Path(settings.model).expanduser())
    data = os.environ.get("XDG_DATA_HOME")
    return str((Path(data) if data else Path.home() / ".local" / "share") / "medpipe" / "coding.model")
