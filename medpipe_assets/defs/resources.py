"""The resources that assets are given, and the one place that knows which engines a profile means.

Everything is read from the environment when a run starts, so that the code location loads anywhere.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.telemetry import Telemetry, sink_at
from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.defs.aws import S3, Athena, AwsResource, PipesEmrServerless, PipesGlue, SecretsManager
from medpipe_assets.defs.pipes import SparkResource
from medpipe_assets.documents.intake import read_list
from medpipe_assets.documents.line import Engines, stages
from medpipe_assets.documents.pool import PoolSettings, where
from medpipe_assets.documents.stage import ChunkSettings, Selection, Stage
from medpipe_assets.documents.versions import announce
from medpipe_assets.errors import ConfigurationError, RunStopError, no_room
from medpipe_assets.etlt.engines import LOCAL, Engine, with_athena
from medpipe_assets.etlt.tables import open_lake
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.privacy import keep_private
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_assets.settings import Settings, lake_location, model_file
from medpipe_assets.translation.embedded import EmbeddedTranslation
from medpipe_assets.warehouse.choice import warehouse_over
from medpipe_assets.warehouse.lake_tables import Scope, WarehouseOver


@dataclass(frozen=True)
class Surroundings:
    """What an engine may be made from: the installation's settings, the lake, and (made on first use) paid calls."""

    settings: Settings
    location: LakeLocation
    calls: Callable[[], Any]


Maker = Callable[[Surroundings], Any]


def _paid_calls(settings: Settings, location: LakeLocation) -> Any:
    """One PaidCalls for all engines of a run: they share clients, rates, budget and the answers in the raw zone."""
    from medpipe_assets.aws.calls import PaidCalls
    from medpipe_assets.aws.metering import Budget
    from medpipe_assets.aws.rates import DEFAULT_PER_SECOND, RateLimits
    from medpipe_assets.aws.responses import ResponseStore

    # Rates are ours to keep; botocore's adaptive mode on top of them slows to a crawl under random throttles.
    clients = Clients(settings.region, retry_mode="standard", pool_connections=max(10, settings.threads))
    return PaidCalls(
        clients,
        ResponseStore(f"{location.zone('raw')}/responses", clients, location.kms_key)
        if settings.stored_answers
        else None,
        RateLimits({**DEFAULT_PER_SECOND, **settings.requests_per_second}),
        Budget(settings.budget_dollars),
    )


def _textract(given: Surroundings) -> Any:
    from medpipe_assets.extraction.textract import TextractExtraction

    bucket, where = _raw_folder(given.location, "textract")
    features, key = tuple(given.settings.textract_features), given.location.kms_key
    told = _textract_completions(given)
    return TextractExtraction(
        given.calls(),
        features,
        given.settings.digital_pages,
        bucket,
        where,
        kms_key=key,
        completions=told,
        send_blank=given.settings.send_blank_pages,
    )


def _textract_completions(given: Surroundings) -> Any:
    """What tells the ends of Textract's jobs, where the settings name it."""
    settings = given.settings
    topic, role, queue = settings.textract_topic, settings.textract_topic_role, settings.textract_queue
    if not (topic or role or queue):
        return None
    if not (topic and role and queue):
        raise ConfigurationError(
            "set all of MEDPIPE_TEXTRACT_TOPIC, ..._TOPIC_ROLE and MEDPIPE_TEXTRACT_QUEUE, or none"
        )
    from medpipe_assets.aws.completions import Completions

    return Completions(given.calls(), queue, topic, role)


def _bedrock_data_automation(given: Surroundings) -> Any:
    from medpipe_assets.extraction.bedrock_data_automation import BedrockDataAutomationExtraction

    settings, location = given.settings, given.location
    project, profile = settings.data_automation_project, settings.data_automation_profile
    bucket, where = _raw_folder(location, "data_automation")
    if not (project and profile and bucket):
        raise ConfigurationError(
            "bedrock_data_automation needs MEDPIPE_DATA_AUTOMATION_PROJECT and ..._PROFILE, and a lake on S3"
        )
    return BedrockDataAutomationExtraction(
        given.calls(),
        project,
        profile,
        bucket,
        where,
        location.kms_key,
        settings.data_automation_output,
        settings.digital_pages,
        settings.send_blank_pages,
    )


def _raw_folder(location: LakeLocation, name: str) -> tuple[str, str]:
    """Bucket and prefix of a folder in the raw zone; both empty where the lake is not on S3."""
    if not location.is_remote:
        return "", ""
    bucket, _, prefix = location.zone("raw").removeprefix("s3://").partition("/")
    return bucket, f"{prefix}/{name}/".lstrip("/")


def _translate(given: Surroundings) -> Any:
    from medpipe_assets.translation.amazon_translate import TranslateTranslation

    return TranslateTranslation(given.calls(), tuple(given.settings.terminology))


def _comprehend_medical(given: Surroundings) -> Any:
    from medpipe_assets.recognition.comprehend_medical import ComprehendMedicalRecognition

    more = given.settings.medical_operations
    return ComprehendMedicalRecognition(
        given.calls(),
        given.settings.codes_only,
        detect_phi="DetectPHI" in more,
        rxnorm="InferRxNorm" in more,
        snomed="InferSNOMEDCT" in more,
    )


def _infer_icd10cm(given: Surroundings) -> Any:
    from medpipe_assets.coding.infer_icd10cm import InferICD10CMCoding

    return InferICD10CMCoding(given.calls())


def _ctranslate2(given: Surroundings) -> Any:
    from medpipe_assets.translation.ctranslate2 import CTranslate2Translation

    return CTranslate2Translation(Path(given.settings.translation_model))


def _batches(given: Surroundings) -> Any:
    """Batch jobs, where the settings want them, and there is a role for them and a lake that they can reach."""
    settings, location = given.settings, given.location
    if settings.batch == "never" or (settings.batch == "auto" and not (settings.batch_role and location.is_remote)):
        return None
    if not settings.batch_role or not location.is_remote:
        raise ConfigurationError("MEDPIPE_BATCH=always needs MEDPIPE_BATCH_ROLE, and a lake on S3")
    from medpipe_assets.aws.batch_jobs import Batches, Place

    place = Place(*_raw_folder(location, "batches"), settings.batch_role, location.kms_key)
    return Batches(given.calls(), place, settings.batch == "always", settings.batch_deadline_hours)


def _word_documents(given: Surroundings) -> Any:
    """What translates Word documents as a whole, where the settings want it."""
    if not given.settings.translate_word_documents:
        return None
    from medpipe_assets.translation.word_documents import WordDocumentTranslation

    return WordDocumentTranslation(given.calls(), tuple(given.settings.terminology))


ENGINES: Mapping[str, Mapping[str, Maker]] = {
    "extraction": {
        "embedded": lambda _: EmbeddedExtraction(),
        "textract": _textract,
        "bedrock_data_automation": _bedrock_data_automation,
    },
    "translation": {
        "embedded": lambda _: EmbeddedTranslation(),
        "ctranslate2": _ctranslate2,
        "translate": _translate,
    },
    "recognition": {
        "embedded": lambda given: EmbeddedRecognition(model_file(given.settings)),
        "comprehend_medical": _comprehend_medical,
    },
    "coding": {
        "embedded": lambda given: EmbeddedCoding(model_file(given.settings)),
        "infer_icd10cm": _infer_icd10cm,
    },
}
"""Engines by stage and name. A new engine is a line here."""

PROFILES: Mapping[str, Mapping[str, str]] = {
    "local": {"extraction": "embedded", "translation": "embedded", "recognition": "embedded", "coding": "embedded"},
    "aws": {
        "extraction": "textract",
        "translation": "translate",
        "recognition": "comprehend_medical",
        "coding": "infer_icd10cm",
    },
}


def make_engines(settings: Settings, location: LakeLocation) -> Engines:
    """The engines that the settings name, for a lake.

    Raises:
        ConfigurationError: for a profile or an engine that is not there, naming those that are.
    """
    profile = PROFILES.get(settings.profile)
    if profile is None:
        raise ConfigurationError(f"there is no profile '{settings.profile}': choose one of {', '.join(PROFILES)}")
    given = Surroundings(settings, location, cache(partial(_paid_calls, settings, location)))
    made = {}
    for stage, makers in ENGINES.items():
        name = getattr(settings, f"{stage}_engine") or profile[stage]
        if name not in makers:
            raise ConfigurationError(
                f"there is no {stage} engine '{name}': set MEDPIPE_{stage.upper()}_ENGINE to one of {', '.join(makers)}"
            )
        made[stage] = makers[name](given)
    return Engines(**made, batches=_batches(given), word_documents=_word_documents(given))


class LakeResource(dg.ConfigurableResource[Lake]):
    """The lake. `root`: a folder or `s3://` prefix; empty: what MEDPIPE_LAKE (or the zone variables) names."""

    root: str = ""
    _lake: Lake | None = PrivateAttr(default=None)

    def open(self) -> Lake:
        """The lake, made where there is none yet."""
        if self._lake is None:
            keep_private()
            self._lake = open_lake(lake_location(self.root), Clients(Settings.load().region))
        return self._lake


class EnginesResource(dg.ConfigurableResource[Engines]):
    """The engines of the four stages; what is not given is the environment's (MEDPIPE_PROFILE, ...)."""

    profile: str = ""
    budget: float | None = None
    _engines: Engines | None = PrivateAttr(default=None)
    _announced: bool = PrivateAttr(default=False)

    def open(self, location: LakeLocation) -> Engines:
        """The engines, made once a run: they share the run's budget and rates."""
        if self._engines is None:
            settings = Settings.load(self.profile)
            if self.budget is not None:
                settings = settings.model_copy(update={"budget_dollars": self.budget})
            self._engines = make_engines(settings, location)
        return self._engines

    def stages(self, lake: Lake) -> dict[str, Stage]:
        """The line's stages by these engines; the first time, the lake is told that a run begins with them."""
        made = stages(self.open(lake.location), lake.raw)
        if not self._announced:
            announce(lake, {name: stage.version for name, stage in made.items()})
            self._announced = True
        return made

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        if self._engines is not None:
            self._engines.translation.close()


class WarehouseResource(dg.ConfigurableResource[None]):
    """The SQL engine of consumer tables; what is not given is the environment's (MEDPIPE_SQL_ENGINE, ...)."""

    profile: str = ""

    def open(self, location: LakeLocation) -> WarehouseOver:
        """The engine, over any part of the lake."""
        return warehouse_over(Settings.load(self.profile), location, unload=True)


class TransformsResource(dg.ConfigurableResource[None]):
    """The engines of datasets' result tables. `engine` is used in place of what each contract states."""

    engine: str = ""

    def engines(self, location: LakeLocation) -> Mapping[str, Engine]:
        """Engines by name; Athena where it can see the lake."""
        if not location.is_remote:
            return LOCAL

        def over(lake: Lake, scope: Scope) -> Any:
            settings = Settings.load().model_copy(update={"sql_engine": "athena"})
            return warehouse_over(settings, location, unload=True)(lake, scope)

        return {**LOCAL, "athena": with_athena(over)}


class RunnerResource(dg.ConfigurableResource[None]):
    """How stages run: worker processes and chunk sizes; what is not given comes from the environment."""

    workers: int | None = None

    def pool(self) -> PoolSettings:
        settings = Settings.load()
        workers = settings.workers if self.workers is None else self.workers
        return PoolSettings(
            workers=workers,
            threads=settings.threads,
            task_seconds=settings.task_seconds,
            memory_bytes=settings.task_memory_mb << 20,
        )

    def chunks(self) -> ChunkSettings:
        settings = Settings.load()
        return ChunkSettings(documents=settings.chunk_documents, seconds=settings.chunk_seconds)


class TelemetryResource(dg.ConfigurableResource[Telemetry]):
    """Metrics and log lines as JSON, where MEDPIPE_TELEMETRY says: by default standard output under the profile aws.

    `command_line` is for runs whose standard output is what somebody asked for: theirs is standard error, if asked for.
    """

    command_line: bool = False

    def open(self) -> Telemetry:
        """Telemetry that writes there, or nowhere."""
        settings = Settings.load()
        place = settings.telemetry or ("stdout" if settings.profile == "aws" and not self.command_line else "off")
        return Telemetry(sink_at("stderr" if self.command_line and place == "stdout" else place))

    @contextmanager
    def step(self, **ids: str) -> Iterator[dict[str, float]]:
        """Write, as metrics, what is counted inside and the seconds it took; or a log line, where it failed."""
        told, begun = self.open(), time.monotonic()
        counts: dict[str, float] = {}
        try:
            yield counts
        except Exception:  # told, and raised again
            told.log("step_failed", ids, level="ERROR")
            raise
        told.metrics("step_done", ids, counts | {"seconds": round(time.monotonic() - begun, 3)})


class Reprocess(dg.ConfigurableResource[None]):
    """What a run is to do again. Set at launch; empty means: whatever is new, outdated, or may succeed by now.

    `document_ids` restricts the run to these documents of its day; `document_list` does so for many, by the id under
    which `intake.keep_list` put them into the lake: run configuration is no place for thousands of ids. `force` redoes
    what is up to date and retries what is in quarantine. `from_stage` leaves the stages before it alone.
    `check_whole_day` has the checks look at all that is stored of the day, not only at what is new.
    """

    document_ids: list[str] = []  # noqa: RUF012 - a pydantic field
    document_list: str = ""
    force: bool = False
    from_stage: str = STAGES[0]
    check_whole_day: bool = False

    @property
    def is_restricted(self) -> bool:
        """Whether the run is about some documents only; nothing new is taken in then."""
        return bool(self.document_ids or self.document_list)

    def selection(self, lake: Lake, stage: str) -> Selection | None:
        """Which documents a stage is to process; None where it is to be left alone."""
        if self.from_stage not in STAGES:
            raise ConfigurationError(f"there is no stage '{self.from_stage}': choose one of {', '.join(STAGES)}")
        if STAGES.index(stage) < STAGES.index(self.from_stage):
            return None
        listed = frozenset(self.document_ids) | (
            read_list(lake, self.document_list) if self.document_list else frozenset()
        )
        return Selection(only=listed or None, force=self.force)


class LogProgress:
    """Progress as lines in the run's log: counts only."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._stage, self._total, self._done = "", 0, 0

    def begin(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, total, 0
        self._log.info(f"{stage}: {total} to do")

    def advance(self, documents: int) -> None:
        before, self._done = self._done, self._done + documents
        step = max(1, self._total // 10)
        if self._done // step > before // step:
            self._log.info(f"{self._stage}: {self._done} of {self._total}")

    def waiting(self, stage: str) -> None:
        self._log.info(f"{stage}: another run is at work on it; waiting for its lease")


@dg.resource(description="Reports progress to the run's log")
def log_progress(context: dg.InitResourceContext) -> LogProgress:
    return LogProgress(context.log)


@contextmanager
def private_errors() -> Iterator[None]:
    """Let no exception's message reach the event log, where document text could be in it: only its type and place."""
    try:
        yield
    except (dg.Failure, dg.DagsterError):
        raise
    except RunStopError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except Exception as error:
        if (stop := no_room(error)) is not None:
            raise dg.Failure(str(stop), allow_retries=False) from None
        raise dg.Failure(f"failed with {where(error)}") from None


def resources() -> dict[str, Any]:
    """The resources of a code location, before overrides."""
    return {
        "lake": LakeResource(),
        "engines": EnginesResource(),
        "warehouse": WarehouseResource(),
        "transforms": TransformsResource(),
        "runner": RunnerResource(),
        "reprocess": Reprocess.configure_at_launch(),
        "progress": log_progress,
        "telemetry": TelemetryResource(),
        "aws": AwsResource(),
        "s3": S3(),
        "athena": Athena(),
        "secrets": SecretsManager(),
        "spark": SparkResource(),
        "pipes_glue": PipesGlue(),
        "pipes_emr_serverless": PipesEmrServerless(),
    }
