"""Runs started from the command line: which days they concern, and what came of them.

The work itself is the Dagster graph, materialised in this process by `defs.execution`.
"""

import datetime as dt
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medpipe_assets import report
from medpipe_assets.aws.estimate import Estimate, EstimateSettings, estimate
from medpipe_assets.documents.costs import Counted, count, count_in_lake, spent, tells_budget_reached
from medpipe_assets.documents.intake import documents_of, keep_list, pending_receipts, receive
from medpipe_assets.documents.stage import Stage
from medpipe_assets.errors import ConfigurationError, DocumentError
from medpipe_assets.inbox.engine import Arrival
from medpipe_assets.inbox.local import LocalInbox
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import first_days
from medpipe_assets.lake.location import ZONES, LakeLocation
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.progress import progress_for
from medpipe_assets.settings import Settings, is_remote

MAX_LISTED = 1000
"""More document ids than this go into the lake, and run configuration names the list."""


@dataclass
class RunResult:
    """What `medpipe run` tells: totals over the documents of its input, whether processed now or before."""

    lake: Lake
    inputs: int
    documents: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    total_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    dollars: float = 0.0
    budget_reached: bool = False

    def as_json(self, show_sources: bool) -> dict[str, Any]:
        """Counts, ids and reasons; the names of sources only when asked for."""
        return {
            "documents": len(self.documents),
            **{name: sum(row[name] for row in self.documents) for name in ("pages", "words", "entities", "codes")},
            "quarantined": [
                {
                    **{name: row[name] for name in ("document_id", "source_id", "stage", "page", "reason")},
                    **({"uri": row["uri"]} if show_sources else {}),
                }
                for row in self.quarantined
            ],
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
            "dollars": round(self.dollars, 6),
            "lake": self.lake.location.root,
            **({"sources": {d["document_id"]: d["sources"] for d in self.documents}} if show_sources else {}),
        }


def arrivals_at(inputs: Sequence[str], location: LakeLocation | None = None) -> list[Arrival]:
    """What is there now at files, folders and `s3://bucket/prefix`, save the lake's own objects.

    Raises:
        ConfigurationError: where a file or a bucket is not there, or AWS cannot be reached.
    """
    paths = [Path(text) for text in inputs if not is_remote(text)]
    missing = [str(number) for number, path in enumerate(paths, start=1) if not os.path.lexists(path)]
    if missing:  # by its place, since a name may be a patient's, and errors are logged
        raise ConfigurationError(f"no such file or folder: INPUT number {', '.join(missing)}")
    found = list(LocalInbox(tuple(paths)).arrivals())
    for root in filter(is_remote, inputs):
        found += _listed_at(root, location)
    return found


def _listed_at(root: str, location: LakeLocation | None) -> list[Arrival]:
    from medpipe_assets.aws.clients import Clients
    from medpipe_assets.inbox.places import s3_inbox

    zones = [location.zone(name) for name in ZONES] if location else []
    try:
        return list(s3_inbox(root, Clients(Settings.load().region), zones).arrivals())
    except DocumentError as error:
        raise ConfigurationError(f"{root} cannot be listed ({error.detail}): check network and region") from None


def run_inputs(
    lake: Lake, inputs: Sequence[str], *, profile: str = "", workers: int | None = None, budget: float | None = None
) -> RunResult:
    """Take in what is at the inputs, run the days that have work, and report on all documents of the inputs.

    Args:
        budget: dollars that may be paid for calls in all; None means MEDPIPE_BUDGET_DOLLARS, which may set none.
    """
    begun = time.monotonic()
    arrivals = arrivals_at(inputs, lake.location)
    uris = {arrival.uri for arrival in arrivals}
    result = RunResult(lake, len(arrivals))
    if arrivals:
        made = _stages(lake, profile)  # before anything is received: a wrong profile must change nothing
        receive(lake, arrivals, dt.datetime.now(dt.UTC).date())
        days = {receipt.day for receipt in pending_receipts(lake)} | _unfinished_days(lake, uris, made)
        limit = Settings.load().budget_dollars if budget is None else budget
        outcomes = list(_run_within(limit, lake, days, profile=profile, workers=workers))
        for outcome in outcomes:
            result.failures += outcome.failures
            for stage, seconds in outcome.seconds.items():
                result.seconds[stage] = result.seconds.get(stage, 0.0) + seconds
        result.dollars = spent(lake, [outcome.run_id for outcome in outcomes])
        result.budget_reached = any(map(tells_budget_reached, result.failures))
        told = report.batch(lake, uris)
        result.documents, result.quarantined = told["documents"], told["quarantined"]
    result.total_seconds = time.monotonic() - begun
    return result


def _run_within(budget: float | None, lake: Lake, days: set[dt.date], **more: Any) -> Iterator[Any]:
    """Run days, oldest first: each may pay what those before it have left, and none follows one that used it up."""
    if budget is None:
        yield from _run(lake, days, **more)
        return
    left = budget
    for day in sorted(days):
        (outcome,) = _run(lake, {day}, budget=left, **more)
        yield outcome
        if any(map(tells_budget_reached, outcome.failures)):
            return
        left = max(0.0, left - spent(lake, [outcome.run_id]))


def _run(lake: Lake, days: set[dt.date], *, profile: str, workers: int | None, **more: Any) -> list[Any]:
    if not days:
        return []
    from medpipe_assets.defs.execution import run_days

    with progress_for(sys.stderr) as progress:
        return run_days(lake.location, sorted(days), progress=progress, profile=profile, workers=workers, **more)


def _stages(lake: Lake, profile: str) -> Mapping[str, Stage]:
    """The stages under a profile (the environment's when empty)."""
    from medpipe_assets.defs.resources import make_engines
    from medpipe_assets.documents.line import stages

    return stages(make_engines(Settings.load(profile), lake.location), lake.raw)


def _unfinished_days(lake: Lake, uris: set[str], made: Mapping[str, Stage]) -> set[dt.date]:
    """Days of the input's documents on which some stage has work to do, or a consumer table is behind."""
    from medpipe_assets.documents.consumers import is_stale
    from medpipe_assets.lake.ledger import inputs_of, verdicts, work_list

    firsts = first_days(lake)
    days = {firsts[document_id] for document_id in documents_of(lake, uris)}

    def has_work(day: dt.date) -> bool:
        return any(
            work_list(inputs_of(lake, name, day), verdicts(lake, name, [day]), stage.version).input_versions
            for name, stage in made.items()
        ) or is_stale(lake, day)

    return {day for day in days if has_work(day)}


def reprocess_documents(
    lake: Lake,
    documents: Sequence[str],
    day: dt.date | None,
    *,
    from_stage: str | None,
    force: bool,
    workers: int | None = None,
) -> list[Any]:
    """Run the days of the documents, or one day, or all days; the outcomes, a day each."""
    if from_stage is not None and from_stage not in STAGES:
        raise ConfigurationError(f"there is no stage '{from_stage}': choose one of {', '.join(STAGES)}")
    firsts = first_days(lake)
    by_day: dict[dt.date, list[str]] = {}
    for document_id in documents:
        by_day.setdefault(firsts[document_id], []).append(document_id)
    if documents and day is not None:
        by_day = {d: ids for d, ids in by_day.items() if d == day}
    days = set(by_day) if documents else ({day} if day else set(firsts.values()))
    settings = {
        d: {**_listed(lake, by_day.get(d, [])), "force": force, "from_stage": from_stage or STAGES[0]} for d in days
    }
    return _run(lake, days, profile="", workers=workers, reprocess=settings)


def _listed(lake: Lake, documents: list[str]) -> dict[str, Any]:
    """Configuration that names documents: themselves while they are few, by reference when they are many."""
    if len(documents) > MAX_LISTED:
        return {"document_list": keep_list(lake, documents)}
    return {"document_ids": documents}


def estimate_cost(
    inputs: Sequence[str], location: LakeLocation, lake: Lake | None = None, day: dt.date | None = None
) -> tuple[Counted, list[Estimate]]:
    """What is at the inputs and what AWS would be paid for it, without a paid call.

    Args:
        lake: without inputs, its documents are counted: those of a day, or all.
    """
    from medpipe_assets.inbox.places import fetcher

    settings = Settings.load()
    if lake is None:
        counted = count((a.uri for a in arrivals_at(inputs, location)), fetcher(settings.region))
    else:
        counted = count_in_lake(lake, [day] if day else None)
    return counted, estimate(counted.facts, _estimated(settings))


def _estimated(settings: Settings) -> EstimateSettings:
    """The stages that call AWS under the profile aws, less those whose engine is set to one that does not."""
    from medpipe_assets.defs.resources import PROFILES
    from medpipe_assets.extraction.textract import option_of

    on_aws: dict[str, Any] = {
        stage: (getattr(settings, f"{stage}_engine") or engine) == engine for stage, engine in PROFILES["aws"].items()
    }
    data_automation = settings.extraction_engine == "bedrock_data_automation"
    return EstimateSettings(
        **on_aws | {"extraction": on_aws["extraction"] or data_automation},
        features=option_of(settings.textract_features),
        data_automation=settings.data_automation_output if data_automation else "",
        skip_digital=settings.digital_pages == "text_layer",
        codes_only=settings.codes_only,
        also=tuple(settings.medical_operations),
    )


def redrive_dead_letters(lake: Lake) -> int:
    """Bring dead letters back to the queue, and resolve their quarantine; how many messages were moved."""
    from medpipe_assets.aws.clients import Clients
    from medpipe_assets.documents.news import release_letters
    from medpipe_assets.inbox.sqs import redrive

    settings = Settings.load()
    if not settings.inbox_dead_letters:
        raise ConfigurationError("no dead letters are configured: set MEDPIPE_INBOX_DEAD_LETTERS to their queue's URL")
    moved = redrive(settings.inbox_dead_letters, Clients(settings.region).client("sqs"), settings.inbox_queue)
    release_letters(lake, run_id="redrive")
    return moved
