"""Amazon Athena: queries that are started, polled, stopped and read by page, over DuckDB in Athena's dialect.

SELECT and UNLOAD only. What is Athena's own is here: workgroups, states, bytes scanned, result files in S3; which
tables there are is in athena_tables.py.
"""

import datetime as dt
import hashlib
import io
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_assets.warehouse.engine import ParquetFiles, QueryError, TableData
from medpipe_tests.aws_double.athena_tables import CATALOG, GlueTables, resolved
from medpipe_tests.aws_double.double import Call, Charge
from medpipe_tests.aws_double.errors import AwsError
from medpipe_tests.aws_double.jobs import Ids, Tokens
from medpipe_tests.aws_double.objects import Objects, location

PAGE_ROWS = 1_000
"""Rows of a GetQueryResults page, header row included. Source: its API reference."""

LEAST_BYTES = 10_000_000
"""Charged for a query at least, and the least cutoff (10 MB). Source: https://aws.amazon.com/athena/pricing/"""

TERABYTE = 10**12

_UNLOAD = re.compile(
    r"\s*UNLOAD\s*\((?P<query>.*)\)\s*TO\s*'s3://(?P<bucket>[^/']+)/(?P<prefix>[^']*)'\s*WITH\s*\((?P<options>[^()]*)\)\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_SYNTAX = "SQL does not parse"


@dataclass(frozen=True)
class WorkGroup:
    """A workgroup's settings: the most bytes a query may scan (None: any), and where results go ('s3://b/prefix/')."""

    bytes_cutoff: int | None = None
    output_location: str | None = None
    enforced: bool = False

    def __post_init__(self) -> None:
        if self.bytes_cutoff is not None and self.bytes_cutoff < LEAST_BYTES:
            raise ValueError(f"a workgroup's cutoff is at least {LEAST_BYTES} bytes")


@dataclass
class Query:
    """A query's life. `polls` is how often it still is QUEUED or RUNNING."""

    request: Mapping[str, Any]
    workgroup: str
    output: str
    polls: int
    submitted: dt.datetime
    state: str = "QUEUED"
    completed: dt.datetime | None = None
    reason: str = ""
    result: pa.Table | None = None
    scanned: int = 0
    manifest: str | None = None


class Athena:
    """The service.

    Args:
        warehouse: gives the tables as they are when a query runs.
        charge: takes what a call costs.
        objects: S3, for results.
        workgroups: by name.
        polls: how often a query answers QUEUED or RUNNING.
    """

    name = "athena"

    def __init__(
        self,
        warehouse: Callable[[], DuckDBWarehouse] | GlueTables,
        charge: Callable[[Charge], None],
        objects: Objects,
        workgroups: Mapping[str, WorkGroup] | None = None,
        polls: int = 1,
    ) -> None:
        self._tables = warehouse
        self._charge = charge
        self._objects = objects
        self._workgroups = {"primary": WorkGroup(), **(workgroups or {})}
        self._polls = polls
        self._queries: dict[str, Query] = {}
        self._ids = Ids(32)
        self._tokens = Tokens(lambda: _invalid("Idempotent parameters do not match"))
        self._lock = threading.Lock()
        self.operations: Mapping[str, Callable[[Call], dict[str, Any]]] = {
            "StartQueryExecution": self._start,
            "GetQueryExecution": self._get,
            "StopQueryExecution": self._stop,
            "GetQueryResults": self._results,
            "GetWorkGroup": self._workgroup,
        }

    def _start(self, call: Call) -> dict[str, Any]:
        request = call.request
        name = request.get("WorkGroup", "primary")
        if name not in self._workgroups:
            raise _invalid(f"WorkGroup {name} is not found.")
        group = self._workgroups[name]
        asked = request.get("ResultConfiguration", {}).get("OutputLocation")
        output = group.output_location if group.enforced else asked or group.output_location
        if not output:
            raise _invalid(
                "No output location provided. An output location is required either through the Workgroup result "
                "configuration setting or as an API input."
            )
        bucket, _ = location(output)
        if not self._objects.is_located(bucket):
            raise _invalid(f"Unable to verify/create output bucket {bucket}")
        if "ExecutionParameters" in request:
            raise _invalid("the double takes no execution parameters")

        def start() -> str:
            query_id = _uuid(self._ids.next(call.fingerprint))
            now = dt.datetime.now(dt.UTC)
            self._queries[query_id] = Query(request, name, output.rstrip("/"), self._polls, now)
            return query_id

        return {"QueryExecutionId": self._tokens.once(request.get("ClientRequestToken"), call.fingerprint, start)}

    def _get(self, call: Call) -> dict[str, Any]:
        query_id = call.request["QueryExecutionId"]
        query = self._query(query_id)
        with self._lock:
            if query.state in ("QUEUED", "RUNNING"):
                self._advance(query_id, query)
            return {"QueryExecution": _described(query_id, query)}

    def _advance(self, query_id: str, query: Query) -> None:
        if query.polls > 0:
            query.polls -= 1
            query.state = "RUNNING" if query.state == "QUEUED" and query.polls else query.state
            return
        scanned: list[int] = []
        try:
            self._run(query_id, query, scanned)
            query.state = "SUCCEEDED"
        except QueryError as error:
            query.state = "FAILED"
            query.reason = f"SYNTAX_ERROR: {error}" if _SYNTAX in str(error) else str(error)
        except _CutoffError:
            query.state = "CANCELLED"
            query.reason = "Query cancelled! : Bytes scanned limit was exceeded"
        query.scanned = sum(scanned)
        query.completed = dt.datetime.now(dt.UTC)
        if query.state != "FAILED":
            units = max(query.scanned, LEAST_BYTES) / TERABYTE
            self._charge(Charge(self.name, "StartQueryExecution", units, "TB"))

    def _run(self, query_id: str, query: Query, scanned: list[int]) -> None:
        sql = query.request["QueryString"]
        unload = _UNLOAD.fullmatch(sql)
        cutoff = self._workgroups[query.workgroup].bytes_cutoff
        context = query.request.get("QueryExecutionContext", {})
        sql, warehouse = self._over(unload["query"] if unload else sql.strip().rstrip(";"), context)

        def counted(name: str) -> TableData | None:
            data = warehouse.tables(name)
            if isinstance(data, ParquetFiles):
                data = replace(data, paths=[self._local(path, folder) for path in data.paths])
            if data is not None:
                scanned.append(_size(data))
            if cutoff is not None and sum(scanned) > cutoff:
                raise _CutoffError
            return data

        with TemporaryDirectory(prefix="athena-") as folder:
            table = replace(warehouse, tables=counted).query(sql)
        bucket, prefix = location(query.output)
        if unload:
            query.result = pa.table({"rows": [table.num_rows]})
            query.manifest = f"{query.output}/{query_id}-manifest.csv"
            files = self._unload(query_id, table, unload)
            self._objects.put(bucket, f"{prefix}{query_id}-manifest.csv", "\n".join(files).encode())
        else:
            query.result = table
            self._objects.put(bucket, f"{prefix}{query_id}.csv", _csv(table))

    def _over(self, sql: str, context: Mapping[str, str]) -> tuple[str, DuckDBWarehouse]:
        """A query, and the tables that it names."""
        catalog = context.get("Catalog", CATALOG)
        if catalog.lower() != CATALOG.lower():
            raise QueryError(f"CATALOG_NOT_FOUND: Catalog '{catalog}' does not exist")
        if not isinstance(self._tables, GlueTables):
            return sql, self._tables()
        sql, names = resolved(sql, context.get("Database", "default"))
        glue = self._tables
        return sql, DuckDBWarehouse(lambda word: glue.find(names[word]), threads=1)

    def _local(self, path: str, folder: str) -> str:
        """A file of a table where DuckDB can read it; one in S3 is fetched."""
        if not path.startswith("s3://"):
            return path
        bucket, _, key = path.removeprefix("s3://").partition("/")
        data = self._objects.get(bucket, key)
        if data is None:
            raise QueryError("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split: a file of the table is gone")
        copy = Path(folder) / f"{hashlib.sha256(path.encode()).hexdigest()}.parquet"
        copy.write_bytes(data)
        return str(copy)

    def _unload(self, query_id: str, table: pa.Table, unload: re.Match[str]) -> list[str]:
        """Parquet files under the place that the query names, which must be empty."""
        options = dict(re.findall(r"(\w+)\s*=\s*'([^']*)'", unload["options"]))
        if options.get("format", "").upper() != "PARQUET":
            raise QueryError("the double unloads Parquet only")
        bucket, prefix = unload["bucket"], unload["prefix"].rstrip("/") + "/"
        if next(iter(self._objects.keys(bucket, prefix)), None) is not None:
            raise QueryError("HIVE_PATH_ALREADY_EXISTS: Target directory for table already exists")
        if table.num_rows == 0:
            return []
        out = io.BytesIO()
        pq.write_table(table, out, compression=options.get("compression", "gzip").lower())
        key = f"{prefix}{query_id.replace('-', '_')}_00000"
        self._objects.put(bucket, key, out.getvalue())
        return [f"s3://{bucket}/{key}"]

    def _stop(self, call: Call) -> dict[str, Any]:
        query = self._query(call.request["QueryExecutionId"])
        with self._lock:
            if query.state in ("QUEUED", "RUNNING"):
                query.state, query.reason = "CANCELLED", "Query cancelled by user"
                query.completed = dt.datetime.now(dt.UTC)
        return {}

    def _results(self, call: Call) -> dict[str, Any]:
        query_id = call.request["QueryExecutionId"]
        query = self._query(query_id)
        if query.state != "SUCCEEDED" or query.result is None:
            raise _invalid(f"Query has not yet finished. Current state: {query.state}")
        most = call.request.get("MaxResults", PAGE_ROWS)
        begin = _position(query_id, call.request.get("NextToken"))
        end = begin + most
        header = [] if query.manifest else [[{"VarCharValue": name} for name in query.result.column_names]]
        total = query.result.num_rows + len(header)
        cells = query.result.slice(max(0, begin - len(header)), end - max(begin, len(header)))
        rows = [*header[begin:end], *(list(map(_datum, row, cells.schema.types)) for row in _rows(cells))]
        if query.manifest:  # UNLOAD leaves its rows in S3 and answers with none
            rows, total = [], 0
        return {
            "UpdateCount": int(query.result[0][0].as_py()) if query.manifest else 0,
            "ResultSet": {
                "Rows": [{"Data": row} for row in rows],
                "ResultSetMetadata": {"ColumnInfo": [] if query.manifest else _columns(query.result.schema)},
            },
            "NextToken": f"{query_id}.{end}" if end < total else None,
        }

    def _workgroup(self, call: Call) -> dict[str, Any]:
        name = call.request["WorkGroup"]
        if name not in self._workgroups:
            raise _invalid(f"WorkGroup {name} is not found.")
        group = self._workgroups[name]
        configuration: dict[str, Any] = {
            "EnforceWorkGroupConfiguration": group.enforced,
            "ResultConfiguration": {"OutputLocation": group.output_location} if group.output_location else {},
        }
        if group.bytes_cutoff is not None:
            configuration["BytesScannedCutoffPerQuery"] = group.bytes_cutoff
        return {"WorkGroup": {"Name": name, "State": "ENABLED", "Configuration": configuration}}

    def _query(self, query_id: str) -> Query:
        if query_id not in self._queries:
            raise _invalid(f"QueryExecution {query_id} was not found")
        return self._queries[query_id]


class _CutoffError(Exception):
    """A query would scan more than its workgroup allows."""


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidRequestException", message, members={"AthenaErrorCode": "INVALID_INPUT"})


def _uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _size(data: TableData) -> int:
    if isinstance(data, ParquetFiles):
        return sum(Path(path).stat().st_size for path in data.paths)
    return int(data.nbytes)


def _position(query_id: str, token: str | None) -> int:
    owner, _, position = (token or f"{query_id}.0").rpartition(".")
    if owner != query_id or not position.isdecimal():
        raise _invalid("Invalid NextToken")
    return int(position)


def _described(query_id: str, query: Query) -> dict[str, Any]:
    status: dict[str, Any] = {"State": query.state, "SubmissionDateTime": query.submitted}
    if query.completed:
        status["CompletionDateTime"] = query.completed
    if query.reason:
        status["StateChangeReason"] = query.reason
    if query.state == "FAILED":
        kind = {"ErrorCategory": 2, "ErrorType": 1006, "Retryable": False}
        status["AthenaError"] = {**kind, "ErrorMessage": query.reason}
    took = (query.completed or query.submitted) - query.submitted
    statistics: dict[str, Any] = {
        "DataScannedInBytes": query.scanned,
        "TotalExecutionTimeInMillis": int(took.total_seconds() * 1000),
    }
    if query.manifest:
        statistics["DataManifestLocation"] = query.manifest
    return {
        "QueryExecutionId": query_id,
        "Query": query.request["QueryString"],
        "StatementType": "DML",
        "ResultConfiguration": {"OutputLocation": f"{query.output}/{query_id}{'' if query.manifest else '.csv'}"},
        "QueryExecutionContext": query.request.get("QueryExecutionContext", {}),
        "Status": status,
        "Statistics": statistics,
        "WorkGroup": query.workgroup,
        "EngineVersion": {
            "SelectedEngineVersion": "Athena engine version 3",
            "EffectiveEngineVersion": "Athena engine version 3",
        },
    }


# --- values, as GetQueryResults writes them


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


def _datum(value: Any, kind: pa.DataType) -> dict[str, str]:
    return {} if value is None else {"VarCharValue": written(value, kind)}


def written(value: Any, kind: pa.DataType) -> str:
    """A value that is not null, as Athena writes it into a result."""
    if value is None:
        return "null"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "[" + ", ".join(written(v, kind.value_type) for v in value) + "]"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{f.name}={written(value[f.name], f.type)}" for f in kind) + "}"
    if pa.types.is_map(kind):
        items = (f"{written(k, kind.key_type)}={written(v, kind.item_type)}" for k, v in value)
        return "{" + ", ".join(items) + "}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        milliseconds = value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
        return milliseconds + (" UTC" if value.tzinfo else "")
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return _double(value)
    return str(value)


def _double(value: float) -> str:
    """As Java writes it: 1.0E7 from ten million on."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return str(value)
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():E}".partition("E")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"


_NAMES: Sequence[tuple[Callable[[pa.DataType], bool], str]] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "tinyint"),
    (pa.types.is_int16, "smallint"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_int64, "bigint"),
    (pa.types.is_float32, "float"),
    (pa.types.is_float64, "double"),
    (pa.types.is_decimal, "decimal"),
    (pa.types.is_date, "date"),
    (pa.types.is_binary, "varbinary"),
    (pa.types.is_struct, "row"),
    (pa.types.is_map, "map"),
    (pa.types.is_list, "array"),
)


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz else "timestamp"
    return next((name for of, name in _NAMES if of(kind)), "varchar")


def _columns(schema: pa.Schema) -> list[dict[str, Any]]:
    return [
        {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": field.name,
            "Label": field.name,
            "Type": _type_name(field.type),
            "Precision": field.type.precision if pa.types.is_decimal(field.type) else 0,
            "Scale": field.type.scale if pa.types.is_decimal(field.type) else 0,
            "Nullable": "UNKNOWN",
            "CaseSensitive": _type_name(field.type) == "varchar",
        }
        for field in schema
    ]


def _csv(table: pa.Table) -> bytes:
    """The result file: every value in quotes, null as nothing."""
    kinds = table.schema.types
    texts = [[None if v is None else written(v, k) for v, k in zip(row, kinds, strict=True)] for row in _rows(table)]
    lines = [",".join(map(_quoted, row)) + "\n" for row in [table.column_names, *texts]]
    return "".join(lines).encode()


def _quoted(text: str | None) -> str:
    return "" if text is None else '"' + text.replace('"', '""') + '"'
