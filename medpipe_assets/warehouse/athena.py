"""The warehouse on AWS: Athena's SQL run by Athena, answers by page or, for what pages cannot tell, as Parquet.

Which tables there are is the Glue catalog's matter, see glue_tables.py.
"""

import datetime as dt
import io
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.faults import code_of, translated
from medpipe_assets.aws.metering import Cost, record
from medpipe_assets.aws.prices import price
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.warehouse.athena_macros import FAILURES
from medpipe_assets.warehouse.engine import QueryError, QueryReport

LEAST_BYTES = 10_000_000
"""Charged for a query at least. Source: https://aws.amazon.com/athena/pricing/ (10 MB)."""
TERABYTE = 10**12
PAGE_ROWS = 1000
"""The most that GetQueryResults gives. Source: its API reference."""
PAUSE_GROWTH = 1.5
CATALOG = "AwsDataCatalog"
"""Athena's name of the account's own Glue catalog. Source: QueryExecutionContext in its API reference."""


@dataclass(frozen=True)
class AthenaWarehouse:
    """Answers SQL with Athena. Result files hold patient data: they lie in the workgroup's location, or the one given.

    Attributes:
        client: botocore's, of Athena.
        database: where unqualified names are looked up.
        workgroup: with its scan limit and encryption.
        output_location: `s3://` prefix of results; empty for the workgroup's own, which counts anyway where the
            workgroup says so.
        s3: botocore's client of S3, to read Parquet answers; without it, arrays, maps and rows cannot be answered.
        unload: let Athena write every answer as Parquet: for large ones, whose rows then come in no order.
        kms_key: what encrypts results; empty for the workgroup's or the bucket's own.
        first_pause, longest_pause: seconds between two questions after a query; they grow, with some chance in them.
        timeout_seconds: after which a query is stopped.
        prepare: what is made of a query before it is asked, such as to say what its tables mean.
    """

    client: Any
    database: str
    workgroup: str = "primary"
    output_location: str = ""
    s3: Any = None
    unload: bool = False
    kms_key: str = ""
    first_pause: float = 0.2
    longest_pause: float = 5.0
    timeout_seconds: float = 1800.0
    prepare: Callable[[str], str] | None = None

    def query(self, sql: str) -> pa.Table:
        """Answer one query; see `Warehouse.query`."""
        return self.ask(sql)[0]

    def ask(self, sql: str) -> tuple[pa.Table, QueryReport]:
        """Answer one query, and tell what it took (of a query that runs twice, both together).

        An answer with arrays, maps or rows runs a second time, with UNLOAD: by page Athena tells them as text without
        types. Its rows come in no order.

        Raises:
            QueryError: see `Warehouse.query`; also when Athena is not available, or the query ran too long.
            ConfigurationError: credentials, permissions, workgroup or output location are wrong.
        """
        if not _READS.match(sql):
            raise QueryError("only one SELECT (or WITH ... SELECT) is answered; nothing is changed by a query")
        if self.prepare is None:
            return self._ask(sql.strip().rstrip(";"))
        try:
            return self._ask(self.prepare(sql))
        except QueryError as error:
            message = _PLACE.sub("", str(error))  # it is a place in what was made of the query
        raise QueryError(message)

    def _ask(self, sql: str) -> tuple[pa.Table, QueryReport]:
        described = self._run(f"SELECT * FROM (\n{sql}\n) LIMIT 0" if self.unload else sql)
        pages = self._pages(described["QueryExecutionId"])
        first = next(pages)
        columns = [_Column.of(info) for info in first["ResultSetMetadata"]["ColumnInfo"]]
        nested = [column for column in columns if column.kind in _NESTED]
        if not nested and not self.unload:
            rows = [row["Data"] for page in (first, *pages) for row in page["Rows"]][1:]  # the first holds the names
            return _table(columns, rows), _report(described)
        if self.s3 is None:
            names = ", ".join(column.name for column in nested) or "the answer"
            raise QueryError(f"{names}: arrays, maps and rows are read from S3, and no S3 client is set; cast to json")
        written = self._run(_unloading(sql, columns, self._unload_location(described)))
        return self._written(written, columns), _report(described, written)

    def unload_to(self, sql: str, folder: Path) -> tuple[list[Path], QueryReport]:
        """Answer one query into Parquet files in a folder, a file at a time, however large the answer is.

        Raises:
            QueryError, ConfigurationError: as `ask`.
        """
        asked = self.prepare(sql) if self.prepare else sql.strip().rstrip(";")
        described = self._run(f"SELECT * FROM (\n{asked}\n) LIMIT 0")
        first = next(self._pages(described["QueryExecutionId"]))
        columns = [_Column.of(info) for info in first["ResultSetMetadata"]["ColumnInfo"]]
        written = self._run(_unloading(asked, columns, self._unload_location(described)))
        paths: list[Path] = []
        for rows in self._files(written, columns):
            paths.append(folder / f"{len(paths)}.parquet")
            pq.write_table(rows, paths[-1], compression="snappy")
        return paths, _report(described, written)

    def execute(self, sql: str, token: str = "") -> QueryReport:
        """Run a statement that writes: CREATE TABLE AS, INSERT, CREATE VIEW.

        Args:
            token: 32 to 128 characters; a statement sent again with the same token and text does not run again.

        Raises:
            QueryError, ConfigurationError: as `ask`.
        """
        return _report(self._run(sql, token))

    def _run(self, sql: str, token: str = "") -> dict[str, Any]:
        """Run a statement to its end; however the wait for it ends, no query is left at work."""
        query_id = self._start(sql, token or uuid.uuid4().hex)
        ended: dict[str, Any] | None = None
        try:
            ended = self._wait(query_id)
        finally:
            if ended is None:
                with suppress(ClientError, BotoCoreError):
                    self.client.stop_query_execution(QueryExecutionId=query_id)
        _meter(ended)
        if ended["Status"]["State"] != "SUCCEEDED":
            raise _failure(ended)
        return ended

    def _start(self, sql: str, token: str) -> str:
        request: dict[str, Any] = {
            "QueryString": sql,
            "ClientRequestToken": token,
            "QueryExecutionContext": {"Catalog": CATALOG, "Database": self.database},
            "WorkGroup": self.workgroup,
        }
        results: dict[str, Any] = {}
        if self.output_location:
            results["OutputLocation"] = self.output_location
        if self.kms_key:
            results["EncryptionConfiguration"] = {"EncryptionOption": "SSE_KMS", "KmsKey": self.kms_key}
        if results:
            request["ResultConfiguration"] = results
        with _calling("StartQueryExecution"):
            return str(self.client.start_query_execution(**request)["QueryExecutionId"])

    def _wait(self, query_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + self.timeout_seconds
        pause = self.first_pause
        while True:
            with _calling("GetQueryExecution"):
                execution: dict[str, Any] = self.client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return execution
            if time.monotonic() >= deadline:
                raise QueryError(
                    f"the query ran longer than {self.timeout_seconds:.0f} seconds and was stopped: select fewer "
                    "partitions, or allow it more time"
                )
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * PAUSE_GROWTH, self.longest_pause)

    def _pages(self, query_id: str) -> Iterator[dict[str, Any]]:
        """Pages of an answer; the first is there even when no row is."""
        token: dict[str, str] = {}
        while True:
            with _calling("GetQueryResults"):
                answer = self.client.get_query_results(QueryExecutionId=query_id, MaxResults=PAGE_ROWS, **token)
            yield answer["ResultSet"]
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def _unload_location(self, execution: dict[str, Any]) -> str:
        """A place of the answer's own (UNLOAD wants it empty), where results go, or beside that of another answer."""
        beside = str(execution["ResultConfiguration"]["OutputLocation"]).rpartition("/")[0]
        folder = self.output_location.rstrip("/") or beside
        return f"{folder}/unload/{uuid.uuid4().hex}/".replace("'", "''")

    def _written(self, execution: dict[str, Any], columns: Sequence["_Column"]) -> pa.Table:
        """An answer that was written as Parquet."""
        parts = list(self._files(execution, columns))
        return pa.concat_tables(parts) if parts else _table(columns, [])

    def _files(self, execution: dict[str, Any], columns: Sequence["_Column"]) -> Iterator[pa.Table]:
        """The rows of each file of an answer, all of which are gone from S3 when they have been read."""
        manifest = self._object(execution["Statistics"]["DataManifestLocation"]).decode()
        files = [line for line in manifest.splitlines() if line]
        try:
            for file in files:
                rows = pq.read_table(io.BytesIO(self._object(file)))
                arrays = [column.read(rows.column(i)) for i, column in enumerate(columns)]
                yield pa.Table.from_arrays(arrays, [column.name for column in columns])
        finally:
            self._remove(files)

    def _object(self, location: str) -> bytes:
        try:
            with self.s3.get_object(**_address(location))["Body"] as body:
                return bytes(body.read())
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error, "s3", "GetObject") from None

    def _remove(self, locations: Sequence[str]) -> None:
        """Copies of patient data are not left behind; where that fails, the bucket's lifecycle rule has to do it."""
        for location in locations:
            with suppress(ClientError, BotoCoreError):
                self.s3.delete_object(**_address(location))


def _address(location: str) -> dict[str, str]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


_READS = re.compile(r"(?:--[^\n]*(?:\n|$)|/\*.*?\*/|[\s(])*(?:select|with|values|table)\b", re.IGNORECASE | re.DOTALL)
"""How a statement begins that only reads (Athena runs one statement at a time)."""


def _unloading(sql: str, columns: Sequence["_Column"], location: str) -> str:
    """The query, its answer written as Parquet; what UNLOAD refuses goes as text."""
    names = [f"c{i}" for i in range(len(columns))]
    items = ", ".join(column.unloaded(name) for name, column in zip(names, columns, strict=True))
    query = f"SELECT {items} FROM (\n{sql}\n) AS result ({', '.join(names)})"
    return f"UNLOAD ({query}) TO '{location}' WITH (format = 'PARQUET', compression = 'SNAPPY')"


def _report(*executions: dict[str, Any]) -> QueryReport:
    statistics = [execution.get("Statistics", {}) for execution in executions]
    return QueryReport(
        executions[-1]["QueryExecutionId"],
        sum(int(s.get("DataScannedInBytes", 0)) for s in statistics),
        sum(int(s.get("TotalExecutionTimeInMillis", 0)) for s in statistics),
    )


def _meter(execution: dict[str, Any]) -> None:
    """Athena charges for bytes scanned, also of a query that was stopped; not of one that failed, nor of DDL."""
    if execution["Status"]["State"] == "FAILED" or execution.get("StatementType", "DML") != "DML":
        return
    terabytes = max(int(execution.get("Statistics", {}).get("DataScannedInBytes", 0)), LEAST_BYTES) / TERABYTE
    paid = price("athena", "StartQueryExecution")
    record(Cost("athena", "StartQueryExecution", terabytes, paid.unit, paid.of(terabytes)))


# --- what goes wrong


@contextmanager
def _calling(operation: str) -> Iterator[None]:
    """A call of Athena: its failures are told in the project's words."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _unavailable(error, "athena", operation) from None


def _unavailable(error: ClientError | BotoCoreError, service: str, operation: str) -> QueryError | ConfigurationError:
    if isinstance(error, ClientError) and code_of(error) == "InvalidRequestException":
        message = str(error.response["Error"].get("Message", ""))
        if _PLACE.match(message):
            return QueryError(_first_line(message))
        return ConfigurationError(
            f"{service} {operation} was refused: check the workgroup, its output location, and that the SQL is a query"
        )
    told = translated(error, service, operation)
    if isinstance(told, ConfigurationError):
        return told
    return QueryError(f"the query cannot be answered now ({told.detail}): ask again later")


_PLACE = re.compile(r"line \d+:\d+: ")
_CODE = re.compile(r"(?:FAILED: )?([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b")

_ABOUT_SQL = frozenset(
    """
    AMBIGUOUS_NAME CATALOG_NOT_FOUND COLUMN_NOT_FOUND COLUMN_TYPE_UNKNOWN DUPLICATE_COLUMN_NAME EXPRESSION_NOT_AGGREGATE
    EXPRESSION_NOT_CONSTANT EXPRESSION_NOT_IN_DISTINCT EXPRESSION_NOT_SCALAR FUNCTION_NOT_AGGREGATE FUNCTION_NOT_FOUND
    MISMATCHED_COLUMN_ALIASES MISSING_GROUP_BY MISSING_ORDER_BY MISSING_OVER NESTED_AGGREGATION NESTED_WINDOW
    SCHEMA_NOT_FOUND SYNTAX_ERROR TABLE_NOT_FOUND TYPE_MISMATCH TYPE_NOT_FOUND
    """.split()
)
"""Errors found before a row is read, whose words are of the SQL's own names. Source: Trino's StandardErrorCode."""

_ADVICE = FAILURES | {
    "DIVISION_BY_ZERO": "DIVISION_BY_ZERO: put nullif(..., 0) around the divisor, or try() around the division",
    "NUMERIC_VALUE_OUT_OF_RANGE": "NUMERIC_VALUE_OUT_OF_RANGE: a number does not fit its type; cast to a wider one",
    "EXCEEDED_MEMORY_LIMIT": "EXCEEDED_MEMORY_LIMIT: the query needs more memory than it may use; select fewer rows",
    "SUBQUERY_MULTIPLE_ROWS": "SUBQUERY_MULTIPLE_ROWS: a subquery that stands for one value gave several",
}


def _failure(execution: dict[str, Any]) -> QueryError:
    """Why a query failed, never with a value of a row in it: what Athena says while it reads rows quotes them."""
    status = execution["Status"]
    reason = status.get("AthenaError", {}).get("ErrorMessage") or status.get("StateChangeReason") or ""
    query_id = execution["QueryExecutionId"]
    if "bytes scanned limit" in reason.lower():
        return QueryError(
            f"the query scans more than a query of workgroup {execution.get('WorkGroup', '')} may: name partitions in "
            "WHERE, select fewer columns, or raise the workgroup's limit"
        )
    if status["State"] == "CANCELLED":
        return QueryError(f"query {query_id} was stopped from outside")
    found = _CODE.match(reason)
    code = found[1] if found else ""
    if code in _ABOUT_SQL:
        return QueryError(_first_line(reason))
    advice = _ADVICE.get(code) or f"the query failed{f' with {code}' if code else ''}"
    return QueryError(f"{advice} (Athena's query {query_id})")


def _first_line(message: str) -> str:
    """Athena's words about the SQL, without what it always adds (which query it was, where to ask)."""
    return message.partition("\n")[0].partition(" This query ran against")[0].strip()


# --- values, as GetQueryResults writes them


def _instant(text: str) -> dt.datetime:
    """An instant: date, time and the name or offset of a zone."""
    local, _, zone = text.rpartition(" ")
    if zone[0] in "+-":
        return dt.datetime.fromisoformat(local + zone).astimezone(dt.UTC)
    return dt.datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


_KINDS: Mapping[str, tuple[pa.DataType, Callable[[str], Any]]] = {
    "boolean": (pa.bool_(), {"true": True, "false": False}.__getitem__),
    "tinyint": (pa.int8(), int),
    "smallint": (pa.int16(), int),
    "integer": (pa.int32(), int),
    "int": (pa.int32(), int),
    "bigint": (pa.int64(), int),
    "real": (pa.float32(), float),
    "float": (pa.float32(), float),
    "double": (pa.float64(), float),
    "date": (pa.date32(), dt.date.fromisoformat),
    "time": (pa.time64("us"), dt.time.fromisoformat),
    "timestamp": (pa.timestamp("us"), dt.datetime.fromisoformat),
    "timestamp with time zone": (pa.timestamp("us", tz="UTC"), _instant),
    "varbinary": (pa.binary(), bytes.fromhex),
}
"""Arrow types of Athena's, and how their values are read; all others are text."""

_NESTED: Mapping[str, pa.DataType] = {
    "array": pa.list_(pa.null()),
    "map": pa.map_(pa.string(), pa.null()),
    "row": pa.struct([]),
}
"""Types whose inner types no page tells, and what stands for them in an answer without rows."""

_UNLOADED = {
    "timestamp with time zone": "date_format({0} AT TIME ZONE 'UTC', '%Y-%m-%d %H:%i:%s.%f UTC') AS {0}",
    "json": "json_format({0}) AS {0}",
    "time": "CAST({0} AS varchar) AS {0}",
}
"""What stands in an UNLOAD for types that Parquet from Athena cannot have."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of an answer: Athena's type by its plain name, and how that is read."""

    name: str
    kind: str
    type: pa.DataType
    parse: Callable[[str], Any]

    @classmethod
    def of(cls, info: dict[str, Any]) -> "_Column":
        kind = re.sub(r"\s*\([^)]*\)", "", str(info["Type"]).lower())
        kind = "row" if kind == "struct" else kind
        if kind == "decimal":
            return cls(info["Name"], kind, pa.decimal128(info["Precision"], info["Scale"]), Decimal)
        of, parse = _KINDS.get(kind, (_NESTED.get(kind, pa.string()), str))
        return cls(info["Name"], kind, of, parse)

    def unloaded(self, name: str) -> str:
        """The column in an UNLOAD, under a name that no other has."""
        return _UNLOADED.get(self.kind, "{0}").format(name)

    def texts(self, texts: Sequence[str | None]) -> pa.Array:
        """Values of a page's texts."""
        try:
            return pa.array([None if text is None else self.parse(text) for text in texts], self.type)
        except (ValueError, ArithmeticError, LookupError):  # none may be chained: they quote the value
            pass
        raise QueryError(f"column {self.name} holds a {self.kind} that cannot be read; cast it to varchar")

    def read(self, written: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
        """Values as UNLOAD wrote them."""
        if self.kind in _NESTED:
            return written
        if self.kind in _UNLOADED:
            return self.texts(written.to_pylist())
        return written.cast(self.type)


def _table(columns: Sequence[_Column], rows: Sequence[Sequence[Mapping[str, str]]]) -> pa.Table:
    arrays = [column.texts([row[i].get("VarCharValue") for row in rows]) for i, column in enumerate(columns)]
    return pa.Table.from_arrays(arrays, [column.name for column in columns])
