"""A sensor a dataset: it watches the place where files arrive, and loads when they have stopped arriving."""

import datetime as dt
import json
from typing import Any

import dagster as dg

from medpipe_assets.defs.aws import AwsResource
from medpipe_assets.defs.documents.partitions import today
from medpipe_assets.defs.resources import LakeResource, private_errors
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.sources import Changes, changes
from medpipe_assets.settings import Settings

SECONDS = 15
"""Between two looks."""


def decide(found: Changes, cursor: str | None, now: dt.datetime, quiet_seconds: float) -> tuple[bool, str]:
    """Whether to load now, and the next cursor.

    Files arrive one by one, and one by one would be loaded by as many runs: a load waits until what is there has been
    the same for `quiet_seconds`. The cursor holds what was seen, since when, and what was loaded.
    """
    before = json.loads(cursor) if cursor else {"seen": "", "since": "", "loaded": ""}
    if not found.files or found.signature == before["loaded"]:
        return False, json.dumps(before | {"seen": found.signature, "since": now.isoformat()})
    if found.signature != before["seen"]:
        before = before | {"seen": found.signature, "since": now.isoformat()}
    quiet = (now - dt.datetime.fromisoformat(before["since"])).total_seconds() >= quiet_seconds
    return quiet, json.dumps(before | ({"loaded": found.signature} if quiet else {}))


def load_sensor(contract: Contract, job: Any) -> dg.SensorDefinition:
    """The sensor of a dataset."""

    @dg.sensor(
        name=f"{contract.dataset}_uploads",
        job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Loads {contract.dataset} when files have arrived in its watched place and nothing has changed "
        f"there for {contract.source.quiet_seconds:.0f} s.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, lake: LakeResource, aws: AwsResource
    ) -> dg.SensorResult | dg.SkipReason:
        with private_errors():
            found = changes(lake.open(), contract, aws.clients(), uploads=Settings.load().uploads)
        loads, cursor = decide(found, context.cursor, dt.datetime.now(dt.UTC), contract.source.quiet_seconds)
        if loads:
            day = today().isoformat()
            wanted = dg.RunRequest(run_key=f"{day} {found.signature[:32]}", partition_key=day)
            return dg.SensorResult(run_requests=[wanted], cursor=cursor)
        context.update_cursor(cursor)
        return dg.SkipReason(f"{found.files} files, none of them new or all of them still arriving")

    return sensor
