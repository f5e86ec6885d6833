"""The asset checks of the document line: the rules of each stage over a whole day, conservation, and quarantine.

All rules are blocking: what is downstream of a broken table does not run. The quarantine's share and the buckets of a
lake on S3 only warn.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from medpipe_assets.defs.aws import AwsResource
from medpipe_assets.defs.documents.partitions import DAYS, day_of
from medpipe_assets.defs.resources import LakeResource, Reprocess, private_errors
from medpipe_assets.documents.line import READS, RULE_NAMES, check_rules
from medpipe_assets.lake.buckets import shortcomings
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import conservation, read_vouched, verdicts
from medpipe_assets.lake.schemas import STAGES, tables_of
from medpipe_assets.settings import Settings

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
            opened = lake.open()
            day = day_of(context)
            wanted = {**READS[stage], **{c.name: tuple(c.schema.names) for c in tables_of(stage)}}
            tables = {
                name: read_vouched(
                    opened, name, ("document_id", *(c for c in columns if c != "document_id")), days=[day]
                )
                for name, columns in wanted.items()
            }
            findings = check_rules(stage, tables)
            balance = conservation(opened, stage, day)
        for name, offenders in findings.items():
            yield dg.AssetCheckResult(
                asset_key=stage,
                check_name=name,
                passed=not offenders,
                metadata={"offending_documents": len(offenders), "first_offenders": sorted(offenders)[:20]},
            )
        yield _conservation_result(stage, balance, reprocess.is_restricted)

    return run


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
    failed = {d for stage in STAGES for d, v in verdicts(lake, stage, [day]).items() if not v.done}
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
    return [*(_stage_checks(stage) for stage in STAGES), share_under_threshold, buckets_are_safe]
