"""A result table made by Athena, on a lake on S3, against the strict double and Moto."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medpipe_assets.etlt.engines import LOCAL, with_athena
from medpipe_assets.etlt.result_sql import Transform
from medpipe_assets.etlt.transforms import run_transform
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.schemas import TABLES
from medpipe_assets.warehouse import athena
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.athena_lake import athena_over
from medpipe_tests.aws_double.fixtures import Aws, aws, aws_settings, moto_server
from medpipe_tests.unit.etlt import visits

__all__ = ["aws", "aws_settings", "moto_server"]

pytestmark = pytest.mark.slow

BUCKET = "medpipe-results"
DAY = dt.date(2026, 11, 20)


@pytest.fixture
def lake(aws: Aws, tmp_path: Path) -> Lake:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    contract = visits.contract()
    tables = {**TABLES, contract.table_name: contract.table_contract}
    tables |= {transform.name: transform.table_contract for transform in visits.transforms()}
    location = replace(LakeLocation.under(f"s3://{BUCKET}/lake", tmp_path / "home"), database="visits_lake")
    made = Lake(location, tables=tables)
    made.write("visits", visits.rows(contract.table_contract.schema, ("visit_id",), [], 30))
    return made


def run(lake: Lake, transform: Transform, engine: str, aws: Aws) -> Any:
    warehouse = AthenaWarehouse(
        aws.client("athena"), "", output_location=f"s3://{BUCKET}/lake/staging/athena/", s3=aws.client("s3")
    )
    engines = {**LOCAL, "athena": with_athena(athena_over(warehouse))}  # type: ignore[arg-type]
    return run_transform(
        lake, visits.contract(), transform, as_of=DAY, run_id="1", engine=engine, engines=engines, force=True
    )


@pytest.mark.long
def test_athena_makes_the_tables_that_duckdb_makes_and_says_what_it_scanned(
    lake: Lake, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(athena, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: None))
    for transform in visits.transforms():
        here = run(lake, transform, "duckdb", aws)
        rows = sorted(map(str, lake.read(transform.name).to_pylist()))
        there = run(lake, transform, "athena", aws)
        assert there.published and there.engine == "athena" and (there.rows, bool(rows)) == (here.rows, True)
        assert there.query_id and there.bytes_scanned > 0
        assert sorted(map(str, lake.read(transform.name).to_pylist())) == rows
    left = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="lake/staging/athena/unload/").get("Contents", [])
    assert left == []
    results = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="lake/staging/results/")["Contents"]
    assert [found["Key"].rpartition("/")[2] for found in results] == ["visits_by_state.csv", "visits_by_state.json"]
