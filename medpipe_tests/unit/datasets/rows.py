"""A few records, by hand, through what a contract and its SQL say: typed rows, rules, and result tables.

The shortest way there is: no files, no lake. How the machine does it at length is tested where the machine is.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot

from medpipe_assets.etlt.contract import Contract, contract_of
from medpipe_assets.etlt.functions import expand
from medpipe_assets.etlt.kinds import kind_of, text_of
from medpipe_assets.etlt.result_sql import Transform, Value, transforms_of
from medpipe_assets.warehouse.athena_dialect import AthenaQuery
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse

TODAY = dt.date(2026, 11, 20)
Row = dict[str, Any]


def typed(dataset: str, records: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Records by field, as texts (lists and objects become JSON) -> fields and columns of each."""
    contract = contract_of(dataset)
    return _asked(
        f"select x.*, {', '.join(f'{c.sql} as {name}' for name, c in contract.columns.items())} from x",
        x=_fields(contract, records),
    )


def kept(dataset: str, records: Sequence[Mapping[str, Any]], otherwise: str) -> list[Row]:
    """For each record, whether it keeps each of the rules that have this consequence."""
    contract = contract_of(dataset)
    rules = [f"({rule.sql}) as {name}" for name, rule in contract.rules.items() if rule.otherwise == otherwise]
    fields = _fields(contract, records)
    columns = ", ".join(f"{c.sql} as {name}" for name, c in contract.columns.items())
    return _asked(f"select {', '.join(rules)} from (select x.*, {columns} from x) y", x=fields)


def result(dataset: str, name: str, records: Sequence[Mapping[str, Any]], **parameters: Value) -> list[Row]:
    """The rows of a result table over records."""
    contract = contract_of(dataset)
    rows = [
        {column: value for column, value in row.items() if column in contract.column_names}
        for row in typed(dataset, records)
    ]
    table = pa.Table.from_pylist(rows, schema=contract.table_contract.schema)
    return answer(dataset, name, table, **parameters).to_pylist()


def answer(dataset: str, name: str, table: pa.Table, **parameters: Value) -> pa.Table:
    """As `result`, over the typed table."""
    transform = transform_of(dataset, name)
    sql = transform.bound({"as_of": TODAY, "months": 6, **parameters})
    return DuckDBWarehouse({contract_of(dataset).table_name: table}.get).query(sql)


def transform_of(dataset: str, name: str) -> Transform:
    """A result table and its SQL."""
    (found,) = [transform for transform in transforms_of(contract_of(dataset)) if transform.name == name]
    return found


def _fields(contract: Contract, records: Sequence[Mapping[str, Any]]) -> pa.Table:
    for record in records:
        assert record.keys() <= contract.fields.keys(), record.keys() - contract.fields.keys()
    texts = [
        {name: value if isinstance(value, str | None) else json.dumps(value) for name, value in record.items()}
        for record in records
    ]
    table = pa.Table.from_pylist(texts, schema=pa.schema([(name, pa.string()) for name in contract.fields]))
    values = ", ".join(f"{kind_of(f.kind).of(text_of(name))} as {name}" for name, f in contract.fields.items())
    with duckdb.connect() as connection:
        connection.register("texts", table)
        return connection.sql(f"select {values} from texts").to_arrow_table()


def _asked(sql: str, x: pa.Table) -> list[Row]:
    """Rows of a query over fields, its dates bound and its functions expanded."""
    parsed = expand(sqlglot.parse_one(sql.replace(":as_of", f"date '{TODAY}'"), read=AthenaQuery))
    rows: list[Row] = DuckDBWarehouse({"x": x}.get).query(parsed.sql(AthenaQuery)).to_pylist()
    return rows
