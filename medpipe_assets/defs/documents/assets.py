"""The assets of the document line: each reads tables, calls one function, writes tables and says what it counted."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg

from medpipe_assets.defs.documents.partitions import DAYS, day_of, today
from medpipe_assets.defs.documents.watch import gold_metadata
from medpipe_assets.defs.resources import (
    EnginesResource,
    LakeResource,
    Reprocess,
    RunnerResource,
    TelemetryResource,
    WarehouseResource,
    private_errors,
)
from medpipe_assets.documents.consumers import ConsumerReport, rebuild
from medpipe_assets.documents.intake import take_in
from medpipe_assets.documents.soundness import forget_checks
from medpipe_assets.documents.stage import StageReport, run_stage
from medpipe_assets.documents.word_documents import NAME, translate_word_documents
from medpipe_assets.inbox.places import fetcher
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import verdicts
from medpipe_assets.lake.maintenance import maintain
from medpipe_assets.lake.quarantine import open_failures
from medpipe_assets.lake.schemas import TABLES, TableContract, tables_of
from medpipe_assets.settings import Settings

GROUP = "documents"
OWNERS = ["team:clinical-data"]
RETRY = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

CHECKS_KEPT = dt.timedelta(days=60)
"""How long it is known how far a day has been checked; later runs check all of it."""

POOLS: Mapping[str, str] = {
    "extracted_text": "textract",
    "translated_text": "translate",
    "entities": "comprehend_medical",
    "icd10_mappings": "comprehend_medical",
    "diagnoses": "athena",
    "document_summary": "athena",
}
"""The service that an asset's engine calls under the profile aws: its Dagster pool, whatever the profile in force, so
that the graph is the same everywhere. Limits are the instance's; without one, a pool costs and holds back nothing."""

DESCRIPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "raw_documents": (
        "Documents as received: intake of the day's receipts into the raw zone, each told apart by its content. "
        "Tables document_sources and raw_documents.",
        ("iceberg", "file"),
    ),
    "extracted_text": (
        "Pages of words with boxes and confidences: the text layer where a page is digital, OCR where it is not. "
        "Tables pages and words.",
        ("iceberg", "onnx"),
    ),
    "translated_text": (
        "Sentences with their English beside them, aligned word by word where the engine can. Table segments.",
        ("iceberg",),
    ),
    "entities": (
        "Clinical entities with traits (negation, history, family, hypothetical) and attributes, and where they stand "
        "on the page. Table entities.",
        ("iceberg",),
    ),
    "icd10_mappings": (
        "Candidate ICD-10-CM codes of each entity, ranked and judged against a dated code set, and the codes of each "
        "document. Tables icd10_mappings and document_codes.",
        ("iceberg",),
    ),
    "diagnoses": (
        "One row a current document and asserted code, with probability, mention count and first evidence.",
        ("iceberg", "duckdb", "sql"),
    ),
    "document_summary": (
        "One row a current document: type, languages, pages, words, entities, codes, and where it stands.",
        ("iceberg", "duckdb", "sql"),
    ),
}


def column_schema(contract: TableContract) -> dg.TableSchema:
    """A contract as Dagster shows it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(c.name, str(c.type), c.description, dg.TableColumnConstraints(nullable=c.nullable))
            for c in contract.columns
        ]
    )


def _definition_metadata(main: TableContract, *others: TableContract) -> dict[str, Any]:
    metadata: dict[str, Any] = {"dagster/column_schema": column_schema(main), "dagster/table_name": main.name}
    return metadata | {f"columns_of_{other.name}": column_schema(other) for other in others}


def _stage_asset(stage: str, upstream: str | None, code_version: str) -> dg.AssetsDefinition:
    description, kinds = DESCRIPTIONS[stage]

    @dg.asset(
        name=stage,
        deps=[upstream] if upstream else [],
        partitions_def=DAYS,
        group_name=GROUP,
        owners=OWNERS,
        kinds=set(kinds),
        description=description,
        code_version=code_version,
        metadata=_definition_metadata(*tables_of(stage)),
        retry_policy=RETRY,
        pool=POOLS.get(stage),
    )
    def run(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        engines: EnginesResource,
        runner: RunnerResource,
        reprocess: Reprocess,
        telemetry: TelemetryResource,
        progress: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        day = day_of(context)
        metadata: dict[str, Any] = {}
        with private_errors(), telemetry.step(stage=stage, **_ids(context)) as counts:
            opened = lake.open()
            if stage == "raw_documents" and not reprocess.is_restricted:
                fetch = fetcher(Settings.load().region)
                intake = take_in(opened, day, fetch, run_id=context.run.run_id, progress=progress)
                metadata |= {"sources_received": intake.sources, "sources_unreadable": intake.unreadable}
            selection = reprocess.selection(opened, stage)
            report = StageReport(stage)
            in_force = engines.open(opened.location)
            made = engines.stages(opened)[stage]
            if selection is not None:
                report = run_stage(
                    opened,
                    made,
                    day,
                    run_id=context.run.run_id,
                    selection=selection,
                    pool=runner.pool(),
                    chunks=runner.chunks(),
                    progress=progress,
                )
            counts |= _report_counts(report)
            metadata |= _report_metadata(opened, report, day) | {"engine": made.engine, "stage_version": made.version}
            if stage == "icd10_mappings":
                metadata |= gold_metadata(in_force, Settings.load())
        return dg.MaterializeResult(metadata=metadata)

    return run


def _ids(context: dg.AssetExecutionContext) -> dict[str, str]:
    return {"day": context.partition_key, "run_id": context.run.run_id}


def _report_counts(report: StageReport) -> dict[str, float]:
    """What a run did in a stage, such that the runs of a day add up."""
    return {
        "documents_done": report.done,
        "documents_quarantined": report.quarantined,
        "rows": sum(report.rows.values()),
        "dollars": round(report.dollars, 6),
        "dollars_saved": round(report.saved_dollars, 6),
    }


def _report_metadata(lake: Lake, report: StageReport, day: dt.date) -> dict[str, Any]:
    in_force = verdicts(lake, report.stage, [day]).values()
    return {
        "dagster/partition_row_count": sum(v.row_count for v in in_force if v.done),
        "documents_done": sum(v.done for v in in_force),
        "documents_quarantined": sum(not v.done for v in in_force),
        "processed_in_this_run": report.processed,
        "seconds": round(report.seconds, 3),
        "chunks": report.chunks,
        "orphaned_documents_swept": report.swept,
        "dollars": round(report.dollars, 6),
        "dollars_saved": round(report.saved_dollars, 6),
        **{f"rows_written_{table}": count for table, count in report.rows.items()},
    }


def _consumer_asset(name: str, deps: list[str]) -> dg.AssetsDefinition:
    description, kinds = DESCRIPTIONS[name]
    audited = dg.AssetCheckSpec("audit", asset=name, blocking=True, description="What was staged is fit to publish.")

    @dg.asset(
        name=name,
        deps=deps,
        partitions_def=DAYS,
        group_name=GROUP,
        owners=OWNERS,
        kinds=set(kinds),
        description=description,
        metadata=_definition_metadata(TABLES[name]),
        check_specs=[audited],
        pool=POOLS[name],
    )
    def run(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        warehouse: WarehouseResource,
        reprocess: Reprocess,
        telemetry: TelemetryResource,
        progress: dg.ResourceParam[Any],
    ) -> Any:
        with private_errors(), telemetry.step(table=name, **_ids(context)) as counts:
            opened = lake.open()
            report = rebuild(
                opened,
                name,
                day_of(context),
                run_id=context.run.run_id,
                warehouse=warehouse.open(opened.location),
                progress=progress,
                force=reprocess.force,
            )
            counts |= {"rows": report.rows, "dollars": round(report.dollars, 6)}
        passed = not any(report.findings.values())
        yield dg.AssetCheckResult(
            check_name="audit", passed=passed, metadata={k: v for k, v in report.findings.items()}
        )
        if not passed:
            raise dg.Failure(f"{name} was not published: the audit found offending documents", allow_retries=False)
        yield dg.MaterializeResult(
            metadata={
                "rows": report.rows,
                "days_rebuilt": [day.isoformat() for day in report.days],
                "published": report.published,
                **_query_metadata(report),
            }
        )

    return run


def _query_metadata(report: ConsumerReport) -> dict[str, Any]:
    if report.query is None:
        return {}
    return {
        "athena_query_id": report.query.query_id,
        "bytes_scanned": report.query.bytes_scanned,
        "dollars": round(report.dollars, 6),
    }


@dg.asset(
    deps=["icd10_mappings"],
    partitions_def=DAYS,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"iceberg"},
    description="What could not be processed, at which stage and why. The stages write it; this counts what stands.",
    metadata=_definition_metadata(TABLES["quarantine"]),
)
def quarantine(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    with private_errors():
        rows = open_failures(lake.open(), [day_of(context)])
    reasons = sorted({(row["stage"], row["reason"]) for row in rows})
    counted = [(s, r, sum((row["stage"], row["reason"]) == (s, r) for row in rows)) for s, r in reasons]
    records = [dg.TableRecord({"stage": s, "reason": r, "failures": n}) for s, r, n in counted]
    columns = [dg.TableColumn("stage"), dg.TableColumn("reason"), dg.TableColumn("failures", "int")]
    return dg.MaterializeResult(
        metadata={
            "failures_standing": len(rows),
            "by_reason": dg.MetadataValue.table(records, dg.TableSchema(columns)),
        }
    )


@dg.asset(
    name=NAME,
    deps=["extracted_text"],
    partitions_def=DAYS,
    group_name="word_documents",
    owners=OWNERS,
    kinds={"word"},
    description="English Word documents, as they look, of those in other languages: translated/ID.docx in the staging "
    "zone. For people; no table is made from them. Nothing is done unless MEDPIPE_TRANSLATE_WORD_DOCUMENTS is set.",
)
def translated_documents(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    engines: EnginesResource,
    reprocess: Reprocess,
    progress: dg.ResourceParam[Any],
) -> dg.MaterializeResult:
    with private_errors():
        opened = lake.open()
        engine = engines.open(opened.location).word_documents
        selection = reprocess.selection(opened, "translated_text")
        if engine is None:
            return dg.MaterializeResult(metadata={"nothing_done": "switched off: MEDPIPE_TRANSLATE_WORD_DOCUMENTS"})
        if selection is None:
            return dg.MaterializeResult(metadata={"nothing_done": "the run begins with a later stage"})
        report = translate_word_documents(
            opened,
            day_of(context),
            engine,
            run_id=context.run.run_id,
            selection=selection,
            threads=Settings.load().threads,
            progress=progress,
        )
    failed = {f"failed_{reason}": count for reason, count in sorted(report.failed.items())}
    return dg.MaterializeResult(
        metadata={
            "written": report.written,
            "there_before": report.there,
            "dollars": round(report.dollars, 6),
            "dollars_saved": round(report.saved_dollars, 6),
            **failed,
        }
    )


@dg.asset(
    group_name="lake",
    owners=OWNERS,
    kinds={"iceberg"},
    description="Keeps the lake small and quick: compacts days of many files, expires old snapshots, removes orphans.",
)
def lake_maintenance(lake: LakeResource) -> dg.MaterializeResult:
    with private_errors():
        opened = lake.open()
        report = maintain(opened)
        forget_checks(opened, today() - CHECKS_KEPT)
    return dg.MaterializeResult(metadata=report)


def assets(code_versions: Mapping[str, str]) -> list[dg.AssetsDefinition]:
    """All assets of the line.

    Args:
        code_versions: stage -> stage_version under the profile in force.
    """
    before = [None, *list(code_versions)[:-1]]
    made = [_stage_asset(s, b, code_versions[s]) for b, s in zip(before, code_versions, strict=True)]
    return [
        *made,
        _consumer_asset("diagnoses", ["icd10_mappings", "entities"]),
        _consumer_asset("document_summary", ["diagnoses", "extracted_text"]),
        quarantine,
        translated_documents,
        lake_maintenance,
    ]
