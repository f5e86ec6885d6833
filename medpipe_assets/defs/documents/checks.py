"""The asset checks of the document line: the rules of each stage, conservation, and quarantine.

A run checks what it wrote, and what has not been found sound before; the night's maintenance, and whoever runs checks
without their asset, or sets `check_whole_day`, checks whole days. All rules are blocking: what is downstream of a
broken table does not run. The quarantine's share and the buckets of a lake on S3 only warn.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from medpipe_assets.defs.aws import AwsResource
from medpipe_assets.defs.documents.partitions import DAYS, day_of
from medpipe_assets.defs.documents.watch import gold_metadata
from medpipe_assets.defs.resources import EnginesResource, LakeResource, Reprocess, private_errors
from medpipe_assets.documents.line import RULE_NAMES
from medpipe_assets.documents.soundness import check_day, check_days, check_new, days_worked_on
from medpipe_assets.lake.buckets import shortcomings
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import all_verdicts, verdicts
from medpipe_assets.lake.schemas import STAGES
from medpipe_assets.settings import Settings

WORKED_ON = dt.timedelta(days=2)
"""How far back the night's check looks for days that were worked on: two nights, since one may be missed."""

RULE_DESCRIPTIONS = {
    "media_types_are_supported": "What is done with intake can be read by the next stage.",
    "pages_have_a_language": "Each page names its language and is there once.",
    "words_match_their_page": "Each word is the slice of its page's text that its offsets name.",
    "words_inside_page": "Word boxes are fractions of the page.",
    "confidence_in_range": "Confidences lie between 0 and 1.",
    "segments_match_their_page": "Each segment is the slice of its page that its offsets name.",
    "entities_match_their_page": "An entity's words are what its spans name.",
    "entity_scores_in_range": "Scores lie between 0 and 1, and no mention stands twice.",
    "codes_have_their_entity": "Each candidate code belongs to an entity; probabilities lie between 0 and 1.",
    "codes_are_valid": "Codes are in the code set with the right billable flag, or flagged.",
    "conservation": "Documents in = done + quarantined, and each done document's row count equals its rows.",
}


def _stage_checks(stage: str) -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(name, asset=stage, blocking=True, description=RULE_DESCRIPTIONS[name], partitions_def=DAYS)
        for name in (*RULE_NAMES[stage], "conservation")
    ]

    @dg.multi_asset_check(name=f"{stage}_checks", specs=specs)
    def run(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, reprocess: Reprocess
    ) -> Iterator[dg.AssetCheckResult]:
        with private_errors():
            opened, day = lake.open(), day_of(context)
            if reprocess.check_whole_day or _alone(context, stage):
                found = check_day(opened, stage, day)
            else:
                found = check_new(opened, stage, day, context.run.run_id)
        for name, offenders in found.offenders.items():
            yield dg.AssetCheckResult(
                asset_key=stage,
                check_name=name,
                passed=not offenders,
                metadata={
                    "documents_checked": found.looked_at,
                    "offending_documents": len(offenders),
                    "first_offenders": offenders[:20],
                },
            )
        yield _conservation_result(stage, found.balance, reprocess.is_restricted)

    return run


def _alone(context: dg.AssetCheckExecutionContext, stage: str) -> bool:
    """Whether a run was started for checks without their asset: whoever does that wants to know of all there is."""
    return dg.AssetKey(stage) not in context.op_execution_context.job_def.asset_layer.selected_asset_keys


def _conservation_result(stage: str, balance: dict[str, Any], restricted: bool) -> dg.AssetCheckResult:
    """A run restricted to some documents leaves others waiting: that is said, and stops nothing."""
    miscounted = balance["miscounted"]
    counts = {name: balance[name] for name in ("inputs", "done", "quarantined", "pending", "outdated")}
    return dg.AssetCheckResult(
        asset_key=stage,
        check_name="conservation",
        passed=not miscounted and balance["pending"] == 0,
        severity=dg.AssetCheckSeverity.WARN if restricted and not miscounted else dg.AssetCheckSeverity.ERROR,
        metadata={**counts, "miscounted": len(miscounted), "first_miscounted": miscounted[:20]},
    )


def quarantined_share(lake: Lake, day: Any) -> float:
    """Share of a day's documents that some stage put into quarantine."""
    inputs = verdicts(lake, STAGES[0], [day])
    failed = {verdict.document_id for verdict in all_verdicts(lake, [day]) if not verdict.done}
    return len(failed) / len(inputs) if inputs else 0.0


@dg.asset_check(
    asset="quarantine",
    partitions_def=DAYS,
    description="The share of quarantined documents is below MEDPIPE_MAX_QUARANTINED_SHARE.",
)
def share_under_threshold(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
    with private_errors():
        share = quarantined_share(lake.open(), day_of(context))
        threshold = Settings.load().max_quarantined_share
    return dg.AssetCheckResult(
        passed=share <= threshold,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"share": share, "threshold": threshold},
    )


@dg.asset_check(
    asset="icd10_mappings",
    partitions_def=DAYS,
    description="The engines in force code the gold set (MEDPIPE_GOLD) with an F1 of MEDPIPE_LEAST_F1 at least.",
)
def gold_set_is_coded_well(engines: EnginesResource, lake: LakeResource) -> dg.AssetCheckResult:
    with private_errors():
        settings = Settings.load()
        found = gold_metadata(engines.open(lake.open().location), settings)
    return dg.AssetCheckResult(
        passed=found.get("gold_f1", 1.0) >= settings.least_f1,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=found | {"least_f1": settings.least_f1},
    )


@dg.asset_check(
    asset="lake_maintenance",
    description="The rules and the balance of all stages hold over the whole of each day that was worked on since the "
    "night before last. Runs check what they write themselves.",
)
def days_are_sound(lake: LakeResource) -> dg.AssetCheckResult:
    with private_errors():
        opened = lake.open()
        days = days_worked_on(opened, dt.datetime.now(dt.UTC) - WORKED_ON)
        broken = check_days(opened, days)
    return dg.AssetCheckResult(
        passed=not broken,
        metadata={"days_checked": len(days), "broken": dg.MetadataValue.json(broken[:20])},
    )


@dg.asset_check(
    asset="lake_maintenance",
    description="The buckets of a lake on S3 keep versions of what was received, and encrypt with KMS.",
)
def buckets_are_safe(lake: LakeResource, aws: AwsResource) -> dg.AssetCheckResult:
    with private_errors():
        found = shortcomings(lake.open().location, aws.clients())
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"shortcomings": len(found), "next_steps": found},
    )


def checks() -> list[dg.AssetChecksDefinition]:
    """All checks of the line."""
    return [
        *(_stage_checks(stage) for stage in STAGES),
        share_under_threshold,
        gold_set_is_coded_well,
        days_are_sound,
        buckets_are_safe,
    ]
