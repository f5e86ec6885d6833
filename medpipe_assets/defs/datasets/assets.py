"""The assets of a dataset, made from its contract: files, flat records, the typed table, and a table a `.sql` file.

A new dataset is a folder in `medpipe_assets/datasets`; nothing is added here.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import dagster as dg

from medpipe_assets.aws.clients import Clients
from medpipe_assets.defs.aws import PipesEmrServerless, PipesGlue
from medpipe_assets.defs.documents.assets import column_schema
from medpipe_assets.defs.documents.partitions import DAYS, day_of
from medpipe_assets.defs.pipes import SparkResource
from medpipe_assets.defs.resources import (
    LakeResource,
    TelemetryResource,
    TransformsResource,
    private_errors,
)
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.drift import Drift, drift_of_day
from medpipe_assets.etlt.flatten import flatten
from medpipe_assets.etlt.load import CONSERVATION, load
from medpipe_assets.etlt.result_sql import Transform, transforms_of
from medpipe_assets.etlt.sources import extract
from medpipe_assets.etlt.table_checks import checks_of
from medpipe_assets.etlt.tables import all_tables
from medpipe_assets.etlt.transforms import run_transform
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.publication import Finding
from medpipe_assets.lake.schemas import TableContract
from medpipe_assets.settings import Settings

RETRY = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""Three tries, each after twice the wait."""
SHOWN_ROWS = 5
"""Rows of a preview, which leaves out columns that may hold patient data."""
DRIFT = "columns_are_as_before"


def assets_of(contract: Contract) -> list[dg.AssetsDefinition]:
    """A dataset's assets, in order."""
    results = [_result(contract, transform) for transform in transforms_of(contract)]
    return [_raw(contract), _flattened(contract), _typed(contract), *results]


def _common(contract: Contract, kinds: Iterable[str]) -> dict[str, Any]:
    return {
        "partitions_def": DAYS,
        "group_name": contract.line,
        "owners": list(contract.owners),
        "kinds": set(kinds),
        "retry_policy": RETRY,
    }


def _definition(table: TableContract) -> dict[str, Any]:
    return {"dagster/column_schema": column_schema(table), "dagster/table_name": table.name}


def _ids(context: dg.AssetExecutionContext, contract: Contract) -> dict[str, str]:
    return {"day": context.partition_key, "run_id": context.run.run_id, "dataset": contract.dataset}


def counts_of(report: Any) -> dict[str, float]:
    """The numbers of a report."""
    values = {field.name: getattr(report, field.name) for field in fields(report)}
    return {k: v for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _by_name(counted: Mapping[str, int]) -> str:
    return json.dumps(dict(sorted(counted.items())))


def _raw(contract: Contract) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"{contract.dataset}_raw",
        description=f"Files of {contract.dataset} as they came, with their checksums: those asked for, and what is "
        "new in the watched place. Table dataset_files.",
        **_common(contract, ["file"]),
    )
    def run(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        telemetry: TelemetryResource,
        progress: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        with private_errors(), telemetry.step(**_ids(context, contract)) as counts:
            settings = Settings.load()
            report = extract(
                lake.open(),
                contract,
                day_of(context),
                run_id=context.run.run_id,
                clients=Clients(settings.region),
                uploads=settings.uploads,
                progress=progress,
            )
            counts |= counts_of(report)
        return dg.MaterializeResult(metadata=counts_of(report))

    return run


def _flattened(contract: Contract) -> dg.AssetsDefinition:
    drift = dg.AssetCheckSpec(
        DRIFT,
        asset=f"{contract.dataset}_flattened",
        description="The files have the columns of the files before, of the same types, and all that are required.",
    )

    @dg.asset(
        name=f"{contract.dataset}_flattened",
        deps=[f"{contract.dataset}_raw"],
        description="The files' records with the contract's names, all text: Parquet where they are flat, NDJSON where "
        "they are nested. Table dataset_flattened; what could not be read is in dataset_rejects.",
        check_specs=[drift],
        **_common(contract, ["duckdb", "parquet"]),
    )
    def run(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        telemetry: TelemetryResource,
        progress: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        day = day_of(context)
        with private_errors(), telemetry.step(**_ids(context, contract)) as counts:
            opened = lake.open()
            report = flatten(opened, contract, day, run_id=context.run.run_id, progress=progress)
            counts |= counts_of(report)
            found = drift_of_day(opened, contract, day)
        return dg.MaterializeResult(
            metadata={**counts_of(report), "rejected_by_reason": _by_name(report.rejected)},
            check_results=[_drift_result(found)],
        )

    return run


def _drift_result(drift: Drift) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=DRIFT,
        passed=not drift.changed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"drift": dg.MetadataValue.md(drift.markdown)},
    )


def _check_specs(contract: Contract, table: str) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=table, blocking=check.blocking, description=check.description or None)
        for name, check in checks_of(contract, table).items()
    ]


def _check_results(findings: Sequence[Finding], names: Sequence[str]) -> Iterator[dg.AssetCheckResult]:
    """A result for each check by its name. Where nothing was done, what stands has passed those that block."""
    found = {finding.check: finding for finding in findings}
    for name in names:
        finding = found.get(name)
        yield dg.AssetCheckResult(
            check_name=name,
            passed=finding is None or not finding.offenders,
            severity=dg.AssetCheckSeverity.ERROR if finding is None or finding.blocking else dg.AssetCheckSeverity.WARN,
            metadata={"offending_rows": finding.offenders} if finding else {"unchanged": True},
        )


def _refused(table: str) -> dg.Failure:
    return dg.Failure(f"{table} was not published: a check of its contract failed", allow_retries=False)


def _typed(contract: Contract) -> dg.AssetsDefinition:
    table = contract.table_contract
    conservation = dg.AssetCheckSpec(
        CONSERVATION, asset=table.name, blocking=True, description="Rows in = rows out + rejected + duplicates."
    )
    hours = contract.fresh_hours
    freshness = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=hours)) if hours else None

    @dg.asset(
        name=table.name,
        deps=[f"{contract.dataset}_flattened"],
        description=f"{contract.description} Typed, one row {contract.row}; "
        + ("a load is the whole table." if contract.load_mode == "full" else "loads merge by primary key."),
        metadata=_definition(table),
        check_specs=[conservation, *_check_specs(contract, table.name)],
        **_common(contract, ["iceberg", "duckdb"]),
        freshness_policy=freshness,
    )
    def run(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        telemetry: TelemetryResource,
        progress: dg.ResourceParam[Any],
    ) -> Any:
        with private_errors(), telemetry.step(table=table.name, **_ids(context, contract)) as counts:
            opened = lake.open()
            report = load(opened, contract, day_of(context), run_id=context.run.run_id, progress=progress)
            counts |= counts_of(report)
            shown = _shown(opened, table) if report.published else {}
        refused = any(finding.stops for finding in report.findings)
        yield from _check_results(report.findings, (CONSERVATION, *checks_of(contract, table.name)))
        if refused:
            raise _refused(table.name)
        yield dg.MaterializeResult(
            metadata={
                **counts_of(report),
                "rejected_by_reason": _by_name(report.rejected_by_reason),
                "broken_rules_of_kept_rows": _by_name(report.warned),
                "partitions": len(report.partitions),
                "published": report.published,
                "repeated": report.repeated,
                **shown,
            }
        )

    return run


def _result(contract: Contract, transform: Transform) -> dg.AssetsDefinition:
    table = transform.table_contract

    @dg.asset(
        name=table.name,
        deps=list(transform.inputs),
        description=transform.description,
        metadata=_definition(table),
        check_specs=_check_specs(contract, table.name),
        **_common(contract, ["iceberg", "sql", contract.engine if contract.engine != "auto" else "duckdb"]),
    )
    def run(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        transforms: TransformsResource,
        spark: SparkResource,
        pipes_glue: PipesGlue,
        pipes_emr_serverless: PipesEmrServerless,
        telemetry: TelemetryResource,
        progress: dg.ResourceParam[Any],
    ) -> Any:
        with private_errors(), telemetry.step(table=table.name, **_ids(context, contract)) as counts:
            opened = lake.open()
            engines = {
                **transforms.engines(opened.location),
                "spark": spark.engine(context, pipes_glue, pipes_emr_serverless),
            }
            report = run_transform(
                opened,
                contract,
                transform,
                run_id=context.run.run_id,
                engine=transforms.engine,
                engines=engines,
                progress=progress,
            )
            counts |= counts_of(report)
            shown = _shown(opened, table) if not any(finding.stops for finding in report.findings) else {}
        yield from _check_results(report.findings, tuple(checks_of(contract, table.name)))
        if any(finding.stops for finding in report.findings):
            raise _refused(table.name)
        yield dg.MaterializeResult(
            metadata={
                **counts_of(report),
                "engine": report.engine,
                "as_of": report.as_of.isoformat(),
                "published": report.published,
                "unchanged": report.unchanged,
                "results": list(report.results),
                **report.engine_metadata,
                "dagster/column_lineage": _lineage(transform),
                **shown,
            }
        )

    return run


def _lineage(transform: Transform) -> dg.TableColumnLineage:
    """Which columns of which assets each column is made from."""
    known = all_tables()
    made_from = transform.lineage({name: known[name].schema for name in transform.inputs})
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=dg.AssetKey([table]), column_name=name) for table, name in sources]
            for column, sources in made_from.items()
        }
    )


def _shown(lake: Lake, table: TableContract) -> dict[str, Any]:
    """The number of rows, and some of them without the columns that may hold patient data."""
    scan = lake.table(table.name).scan()
    rows = sum(task.file.record_count for task in scan.plan_files())
    names = [c.name for c in table.columns if not c.phi and not c.name.startswith("_pipeline_")]
    if not rows or not names:
        return {"dagster/row_count": rows}
    few = lake.table(table.name).scan(selected_fields=tuple(names), limit=SHOWN_ROWS).to_arrow().select(names)
    records = [dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in few.to_pylist()]
    columns = [dg.TableColumn(name) for name in names]
    return {"dagster/row_count": rows, "preview": dg.MetadataValue.table(records, dg.TableSchema(columns))}


def _cell(value: object) -> str | int | float | bool:
    """A value as a preview shows it."""
    return value if isinstance(value, str | int | float | bool) else "" if value is None else str(value)
