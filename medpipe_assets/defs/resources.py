"""The resources that assets are given, and the one place that knows which engines a profile means.

Everything is read from the environment when a run starts, so that the code location loads anywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.documents.intake import read_list
from medpipe_assets.documents.line import Engines
from medpipe_assets.documents.pool import PoolSettings, where
from medpipe_assets.documents.stage import ChunkSettings, Selection
from medpipe_assets.errors import ConfigurationError, RunStopError
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_assets.settings import Settings, lake_location
from medpipe_assets.translation.embedded import EmbeddedTranslation

Maker = Callable[[Settings], Any]


def _ctranslate2(settings: Settings) -> Any:
    from medpipe_assets.translation.ctranslate2 import CTranslate2Translation

    return CTranslate2Translation(Path(settings.translation_model))


ENGINES: Mapping[str, Mapping[str, Maker]] = {
    "extraction": {"embedded": lambda _: EmbeddedExtraction()},
    "translation": {"embedded": lambda _: EmbeddedTranslation(), "ctranslate2": _ctranslate2},
    "recognition": {"embedded": lambda _: EmbeddedRecognition()},
    "coding": {"embedded": lambda _: EmbeddedCoding()},
}
"""Engines by stage and name. A new engine is a line here."""

PROFILES: Mapping[str, Mapping[str, str]] = {
    "local": {"extraction": "embedded", "translation": "embedded", "recognition": "embedded", "coding": "embedded"},
}


def make_engines(settings: Settings) -> Engines:
    """The engines that the settings name.

    Raises:
        ConfigurationError: for a profile or an engine that is not there, naming those that are.
    """
    profile = PROFILES.get(settings.profile)
    if profile is None:
        raise ConfigurationError(f"there is no profile '{settings.profile}': choose one of {', '.join(PROFILES)}")
    made = {}
    for stage, makers in ENGINES.items():
        name = getattr(settings, f"{stage}_engine") or profile[stage]
        if name not in makers:
            raise ConfigurationError(
                f"there is no {stage} engine '{name}': set MEDPIPE_{stage.upper()}_ENGINE to one of {', '.join(makers)}"
            )
        made[stage] = makers[name](settings)
    return Engines(**made)


class LakeResource(dg.ConfigurableResource[Lake]):
    """The lake. `root` is a folder; empty means the one that MEDPIPE_LAKE (or the zone variables) names."""

    root: str = ""
    _lake: Lake | None = PrivateAttr(default=None)

    def open(self) -> Lake:
        """The lake, made where there is none yet."""
        if self._lake is None:
            self._lake = Lake(lake_location(self.root))
        return self._lake


class EnginesResource(dg.ConfigurableResource[Engines]):
    """The engines of the four stages; an empty profile means the environment's (MEDPIPE_PROFILE)."""

    profile: str = ""
    _engines: Engines | None = PrivateAttr(default=None)

    def open(self) -> Engines:
        if self._engines is None:
            settings = Settings.load()
            self._engines = make_engines(
                settings.model_copy(update={"profile": self.profile}) if self.profile else settings
            )
        return self._engines

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        if self._engines is not None:
            self._engines.translation.close()


class RunnerResource(dg.ConfigurableResource[None]):
    """How stages run: worker processes and chunk sizes; what is not given comes from the environment."""

    workers: int | None = None

    def pool(self) -> PoolSettings:
        settings = Settings.load()
        workers = settings.workers if self.workers is None else self.workers
        return PoolSettings(workers=workers, task_seconds=settings.task_seconds)

    def chunks(self) -> ChunkSettings:
        settings = Settings.load()
        return ChunkSettings(documents=settings.chunk_documents, seconds=settings.chunk_seconds)


class Reprocess(dg.ConfigurableResource[None]):
    """What a run is to do again. Set at launch; empty means: whatever is new, outdated, or may succeed by now.

    `document_ids` restricts the run to these documents of its day; `document_list` does so for many, by the id under
    which `intake.keep_list` put them into the lake: run configuration is no place for thousands of ids. `force` redoes
    what is up to date and retries what
    is in quarantine. `from_stage` leaves the stages before it alone.
    """

    document_ids: list[str] = []  # noqa: RUF012 - a pydantic field
    document_list: str = ""
    force: bool = False
    from_stage: str = STAGES[0]

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
        raise dg.Failure(f"failed with {where(error)}") from None


def resources() -> dict[str, Any]:
    """The resources of a code location, before overrides."""
    return {
        "lake": LakeResource(),
        "engines": EnginesResource(),
        "runner": RunnerResource(),
        "reprocess": Reprocess.configure_at_launch(),
        "progress": log_progress,
    }
