"""Every result table of every dataset is the same on every engine, row for row."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medpipe_assets.etlt.contract import Contract, contracts
from medpipe_assets.etlt.result_sql import Transform, transforms_of, values_of
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.spark import SparkWarehouse
from medpipe_tests import local_spark
from medpipe_tests.unit.etlt import visits

pytestmark = pytest.mark.spark

DAY = dt.date(2026, 11, 20)
DATASETS: Mapping[str, tuple[Contract, tuple[Transform, ...]]] = {
    "visits": (visits.contract(), visits.transforms()),
    **{name: (contract, transforms_of(contract)) for name, contract in contracts().items()},
}
CASES = [(dataset, transform) for dataset, (_, found) in DATASETS.items() for transform in found]


def plain(value: Any) -> Any:
    """A value to compare: of a double as many digits as no order of adding changes."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, list):
        return [plain(v) for v in value]
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def rows_of(files: list[str], schema: pa.Schema) -> list[str]:
    found = [pq.read_table(file, partitioning=None) for file in files]
    types = [kind for table in found for kind in table.schema.types]
    assert [_names_aside(kind) for kind in types] == [_names_aside(kind) for kind in schema.types] * len(found)
    return sorted(str([plain(value) for value in row.values()]) for table in found for row in table.to_pylist())


def _names_aside(kind: pa.DataType) -> str:
    return str(kind).replace("element: ", "item: ").replace(" not null", "")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, pa.Table]]:
    """For each dataset, generated rows of its table, and the result tables on DuckDB, for those that read them."""
    made: dict[str, dict[str, pa.Table]] = {}
    for dataset, (contract, transforms) in DATASETS.items():
        schema = contract.table_contract.schema
        found = {contract.table_name: visits.rows(schema, contract.primary_key, [t.parsed for t in transforms])}
        for transform in transforms:
            folder = tmp_path_factory.mktemp("duckdb")
            found[transform.name] = _table(DuckDBWarehouse(found.get), transform, contract, folder)
        made[dataset] = found
    return made


def _table(warehouse: DuckDBWarehouse, transform: Transform, contract: Contract, folder: Path) -> pa.Table:
    schema = transform.table_contract.schema
    files = warehouse.write(_sql(transform, contract), folder, schema, transform.partition_by)
    found = [pq.read_table(file, partitioning=None).cast(schema) for file in files]
    return pa.concat_tables(found) if found else schema.empty_table()


def _sql(transform: Transform, contract: Contract) -> str:
    return transform.bound(values_of(contract.parameters, DAY, {}))


@pytest.mark.parametrize(("dataset", "transform"), CASES, ids=[f"{d}-{t.name}" for d, t in CASES])
def test_spark_gives_what_duckdb_gives(
    dataset: str, transform: Transform, tables: Mapping[str, Mapping[str, pa.Table]], tmp_path: Path
) -> None:
    local_spark.start()
    contract, _ = DATASETS[dataset]
    schema, sql = transform.table_contract.schema, _sql(transform, contract)
    answers = []
    for engine in (DuckDBWarehouse, SparkWarehouse):
        folder = tmp_path / engine.__name__
        folder.mkdir()
        files = engine(tables[dataset].get).write(sql, folder, schema, transform.partition_by)
        answers.append(rows_of(files, schema))
    assert answers[1] == answers[0]
    assert answers[0], "the rows leave nothing to compare"
