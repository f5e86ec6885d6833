"""A small table with every kind of column, and a warehouse over it."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from medpipe_assets.warehouse.duckdb import DuckDBWarehouse

CODING = pa.struct([("system", pa.string()), ("code", pa.string())])

NOTES = pa.table(
    {
        "id": ["a", "b", "c"],
        "n": pa.array([1, 2, 4], pa.int64()),
        "small": pa.array([3, None, 5], pa.int32()),
        "score": pa.array([1.5, 2.5, None], pa.float64()),
        "day": pa.array([dt.date(2026, 1, 31), dt.date(2026, 2, 28), None], pa.date32()),
        "seen": pa.array(
            [dt.datetime(2026, 1, 1, 2, 0, 0, 1500), dt.datetime(2026, 1, 31, 23, 59, 59), None],
            pa.timestamp("us", tz="UTC"),
        ),
        "codes": pa.array(
            [[{"system": "icd10", "code": "E11.9"}, {"system": "snomed", "code": "44054006"}], [], None],
            pa.list_(CODING),
        ),
        "numbers": pa.array([[1, 2, 3], [4, None], None], pa.list_(pa.int64())),
        "tags": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "json": ['{"A": 1, "a": {"b": [1, "z"], "t": true, "x": null}}', None, "{broken"],
        "price": pa.array([Decimal("1.00"), Decimal("2.00"), None], pa.decimal128(10, 2)),
    }
)


@pytest.fixture(scope="session")
def warehouse() -> DuckDBWarehouse:
    return DuckDBWarehouse({"notes": NOTES}.get, names=lambda: ["notes"], threads=1)


@pytest.fixture(scope="session")
def ask(warehouse: DuckDBWarehouse) -> Callable[[str], list[tuple[Any, ...]]]:
    """The rows of an answer as tuples."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        table = warehouse.query(sql)
        return list(zip(*[column.to_pylist() for column in table.columns], strict=True))

    return rows
