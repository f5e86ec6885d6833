"""A few records, by hand, through what a contract and its SQL say: typed rows, rules, and result tables.

No files, no lake: the SQL that the load makes runs over records in memory. How it goes on is tested with the machine.
"""

import datetime as dt
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from medpipe_assets.etlt.contract import contract_of
from medpipe_assets.etlt.duck import connected
from medpipe_assets.etlt.result_sql import Transform, Value, transforms_of
from medpipe_assets.etlt.typed import CODE_BITS, MARK, PLACE, TypedRecords
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse

TODAY = dt.date(2026, 11, 20)
Row = dict[str, Any]


def typed(dataset: str, records: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Records by field, as texts (lists and objects become JSON) -> fields and columns of each."""
    rows = _made(dataset, records, lambda made: made.rows([*made.contract.fields, *made.contract.columns]))
    return [{name: value for name, value in row.items() if name != PLACE} for row in rows]


def verdicts(dataset: str, records: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """For each record, why it is rejected or removed ('missing npi', the name of a rule); None where it is fine."""
    made = TypedRecords(contract_of(dataset), TODAY)
    found: list[str | None] = []
    for row in _made(dataset, records, TypedRecords.verdicts):
        code = row[MARK] & (2**CODE_BITS - 1)
        fault = made.fault_of(code)
        removed = made.removals[code - 1] if code and not fault else None
        found.append(" ".join(filter(None, (fault.reason, fault.column))) if fault else removed)
    return found


def warned(dataset: str, records: Sequence[Mapping[str, Any]]) -> list[set[str]]:
    """For each record, the rules that it breaks and that only warn."""
    names = TypedRecords(contract_of(dataset), TODAY).warnings
    rows = _made(dataset, records, TypedRecords.verdicts)
    return [{name for place, name in enumerate(names) if row[f"_warned_{place}"]} for row in rows]


def result(dataset: str, name: str, records: Sequence[Mapping[str, Any]], **parameters: Value) -> list[Row]:
    """The rows of a result table over records."""
    contract = contract_of(dataset)
    rows = [
        {column: value for column, value in row.items() if column in contract.column_names}
        for row in typed(dataset, records)
    ]
    table = pa.Table.from_pylist(rows, schema=contract.table_contract.schema)
    found: list[Row] = answer(dataset, name, table, **parameters).to_pylist()
    return found


def answer(dataset: str, name: str, table: pa.Table, **parameters: Value) -> pa.Table:
    """As `result`, over the typed table."""
    transform = transform_of(dataset, name)
    sql = transform.bound({"as_of": TODAY, "months": 6, **parameters})
    return DuckDBWarehouse({contract_of(dataset).table_name: table}.get).query(sql)


def transform_of(dataset: str, name: str) -> Transform:
    """A result table and its SQL."""
    (found,) = [transform for transform in transforms_of(contract_of(dataset)) if transform.name == name]
    return found


def _made(dataset: str, records: Sequence[Mapping[str, Any]], sql_of: Callable[[TypedRecords], str]) -> list[Row]:
    """Rows of the SQL that the load makes, over records, in their order."""
    contract = contract_of(dataset)
    for record in records:
        assert record.keys() <= contract.fields.keys(), record.keys() - contract.fields.keys()
    texts = [
        {PLACE: place, **{name: _text(value) for name, value in record.items()}} for place, record in enumerate(records)
    ]
    schema = pa.schema([(PLACE, pa.int64()), *((name, pa.string()) for name in contract.fields)])
    made = TypedRecords(contract, TODAY)
    sql = sql_of(made)
    with connected(Path(tempfile.gettempdir())) as connection:
        connection.execute("SET integer_division = true")
        connection.register("records", pa.Table.from_pylist(texts, schema=schema))
        connection.execute(made.macros(sql))
        rows: list[Row] = connection.sql(f"{sql} ORDER BY {PLACE}").to_arrow_table().to_pylist()
    return rows


def _text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)
