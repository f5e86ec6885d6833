"""CSV to flat records: a text column a field, in the file's order, with every record accounted for.

DuckDB reads; what it says it read is held to a count of the file's lines that knows nothing of DuckDB, since a quote
that is never closed can cost it tens of thousands of records without a word. Where the two differ, the file is mended
line by line and read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.etlt import duck
from medpipe_assets.etlt.columns import Match, match, names_of, type_seen
from medpipe_assets.etlt.contract import Contract
from medpipe_assets.etlt.csv_dialect import Head, Mended, head_of, mend
from medpipe_assets.etlt.lines import Numbers, census, numbers_among_all
from medpipe_assets.etlt.records import BLANK, MALFORMED, MAX_REJECT_CHARACTERS, REPEATED_HEADER, FlatFile

PARQUET = "FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 30720, DICTIONARY_SIZE_LIMIT 500"
"""What is read once and soon need not be small: a sixth less work than with DuckDB's defaults, and 7 % larger."""
HEADER_CELLS = 3
"""So many cells that say what the header says make a record a repeated header."""
_NOBODY = np.zeros(0, np.int64)


@dataclass(frozen=True)
class _Scan:
    """A file as it is given to DuckDB, and what its records must add up to.

    Attributes:
        records: all that the file has, down from its first line, blank ones included.
        blank: numbers of the blank ones among them; DuckDB passes over them.
        mended: what was taken out before, if anything had to be.
    """

    path: Path
    head: Head
    match: Match
    newline: str
    records: int
    blank: Numbers
    mended: Mended | None = None

    @property
    def sql(self) -> str:
        """The records after the header, columns c0, c1, ..."""
        dialect = self.head.dialect
        names = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(self.head.headers)))
        return (
            f"read_csv({duck.file(self.path)}, auto_detect = false, header = false, skip = {self.head.skip}, "
            f"delim = {duck.text(dialect.delimiter)}, quote = {duck.text(dialect.quote)}, "
            f"escape = {duck.text(dialect.escape)}, columns = {{{names}}}, new_line = '{duck.NEWLINES[self.newline]}', "
            f"store_rejects = true, rejects_limit = 0, rejects_line_size_limit = {MAX_REJECT_CHARACTERS})"
        )

    @property
    def is_blank(self) -> str:
        """SQL: whether no field of a record has a value."""
        return " AND ".join(f"(c{p} IS NULL OR trim(c{p}) = '')" for p in self._read)

    @property
    def is_header(self) -> str:
        """SQL: whether a record says what the header says."""
        headers = self.head.headers
        cells = [p for p in self._read if headers[p]][:HEADER_CELLS]
        return " AND ".join(f"lower(trim(c{p})) = {duck.text(headers[p].lower())}" for p in cells) or "false"

    @property
    def _read(self) -> list[int]:
        return sorted({places[0] for places in self.match.fields.values()})

    @property
    def own_blank(self) -> Numbers:
        """The blank records that DuckDB passes over; those of one column it gives as nulls."""
        after = self.blank[self.blank > self.head.skip]
        return after if len(self.head.headers) > 1 else _NOBODY


def read_csv(
    contract: Contract, path: Path, encoding: str, folder: Path, connection: duckdb.DuckDBPyConnection
) -> FlatFile:
    """Flatten a file of UTF-8.

    Args:
        encoding: that its text came in.
        folder: an empty one for what is made.

    Raises:
        DocumentError: inconsistent (no header of the contract's, or records that do not add up), too_large, corrupt.
    """
    scan = _scan(contract, path)
    if scan is None:
        scan = _mended(contract, path, folder)
    found = _flatten(contract, scan, folder, connection)
    if found is None and scan.mended is None:
        scan = _mended(contract, path, folder)
        found = _flatten(contract, scan, folder, connection)
    if found is None:
        raise DocumentError(Reason.INCONSISTENT, "two counts of its records differ")
    rows, rejected = found
    return FlatFile(
        path=folder / "rows.parquet",
        format="csv",
        encoding=encoding,
        delimiter=scan.head.dialect.delimiter,
        layout=scan.match.layout,
        rows=rows,
        rejected=rejected,
        rejects=folder / "rejects.parquet" if rejected else None,
        columns=scan.match.columns(_types(scan.head)),
        absent=scan.match.absent(contract),
    )


def _types(head: Head) -> list[str]:
    columns: Sequence[Sequence[str]] = list(zip(*head.sample, strict=True)) or [()] * len(head.headers)
    return [type_seen(values) for values in columns]


def _scan(contract: Contract, path: Path, mended: Mended | None = None) -> _Scan | None:
    """How to read a file; None where it must be mended first."""
    head = head_of(path, names_of(contract), contract.source.delimiter)
    if head is None:
        raise DocumentError(Reason.INCONSISTENT, "no header that the contract knows")
    matched = match(contract, head.headers)
    if mended is not None:
        kept = mended.records - len(mended.removed) - len(mended.blank)
        return _Scan(path, head, matched, "\n", kept, _NOBODY, mended)
    if head.dialect.escape != head.dialect.quote:  # quotes that a census takes for quotes
        return None
    lines = census(path, head.dialect.quote, head.dialect.delimiter)
    if not lines.regular:
        return None
    return _Scan(path, head, matched, lines.newline, lines.lines, lines.blank)


def _mended(contract: Contract, path: Path, folder: Path) -> _Scan:
    head = head_of(path, names_of(contract), contract.source.delimiter)
    if head is None:
        raise DocumentError(Reason.INCONSISTENT, "no header that the contract knows")
    mended = mend(path, head.dialect, folder)
    scan = _scan(contract, mended.path, mended)
    assert scan is not None
    return scan


def _flatten(
    contract: Contract, scan: _Scan, folder: Path, connection: duckdb.DuckDBPyConnection
) -> tuple[int, dict[str, int]] | None:
    """Write the rows and the rejects; None where the records do not add up."""
    _begin(connection)
    try:
        with duck.refusals():
            rows = _copy(contract, scan, folder / "rows.parquet", connection)
    except DocumentError:
        if scan.mended is None:  # DuckDB gives up on some files with stray quotes
            return None
        raise
    malformed = _column(connection, "SELECT DISTINCT line FROM reject_errors ORDER BY line")
    dropped = sum(last or 0 for (last,) in connection.execute("SELECT last_value FROM duckdb_sequences()").fetchall())
    blank = scan.own_blank
    if rows + dropped + len(malformed) + len(blank) + scan.head.skip != scan.records:
        return None
    if not (dropped or len(malformed) or len(blank) or scan.mended):
        return rows, {}
    with duck.refusals():
        return rows, _write_rejects(scan, malformed, blank, folder, connection)


def _begin(connection: duckdb.DuckDBPyConnection) -> None:
    """Forget what an earlier file left in the connection."""
    for table in ("reject_errors", "reject_scans"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for sequence in ("blank", "repeated"):
        connection.execute(f"CREATE OR REPLACE SEQUENCE {sequence}")


def _copy(contract: Contract, scan: _Scan, target: Path, connection: duckdb.DuckDBPyConnection) -> int:
    """Rows written. The sequences count what is left out on the way, so that the file need not be read again."""
    places = {name: f"c{found[0]}" for name, found in scan.match.fields.items()}
    fields = ", ".join(f"{places.get(name, 'NULL::VARCHAR')} AS {duck.name(name)}" for name in contract.fields)
    goes_on = (
        f"CASE WHEN {scan.is_blank} THEN nextval('blank') < 0 "
        f"WHEN {scan.is_header} THEN nextval('repeated') < 0 ELSE true END"
    )
    connection.execute(
        f"COPY (SELECT {fields} FROM {scan.sql} WHERE {goes_on}) TO {duck.text(str(target))} ({PARQUET})"
    )
    (rows,) = connection.fetchone() or (0,)
    return int(rows)


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> Numbers:
    (values,) = connection.execute(sql).fetchnumpy().values()
    return np.asarray(values, np.int64)


def _write_rejects(
    scan: _Scan, malformed: Numbers, blank: Numbers, folder: Path, connection: duckdb.DuckDBPyConnection
) -> dict[str, int]:
    """Write all records that do not go on, numbered as they are in the file; returns how many by reason."""
    skip = scan.head.skip
    connection.execute("CREATE OR REPLACE TEMP TABLE rejects (row_number BIGINT, reason VARCHAR, record VARCHAR)")
    blank_line = "trim(any_value(csv_line), ' \t\r\n') = ''"
    _insert(
        connection,
        f"SELECT line AS place, if({blank_line}, '{BLANK}', '{MALFORMED}') AS reason, "
        "ltrim(any_value(csv_line), '\r\n') AS record FROM reject_errors GROUP BY line",
        malformed,
        _in_file(scan, malformed),
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE dropped AS {_dropped(scan)}")
    dropped = _column(connection, "SELECT place FROM dropped ORDER BY place")
    among_all = numbers_among_all(dropped, np.union1d(malformed, blank) - skip) + skip
    _insert(connection, "SELECT * FROM dropped", dropped, _in_file(scan, among_all))
    if scan.mended is None:
        _insert(connection, _BLANK_PLACES, blank, blank - skip)
    else:
        _insert_mended(scan.mended, _header_line(scan), connection)
    connection.execute(
        f"COPY (SELECT row_number, reason, left(record, {MAX_REJECT_CHARACTERS}) AS record FROM rejects "
        f"ORDER BY row_number) TO {duck.text(str(folder / 'rejects.parquet'))} (FORMAT parquet)"
    )
    return dict(connection.execute("SELECT reason, count(*) FROM rejects GROUP BY reason ORDER BY reason").fetchall())


def _dropped(scan: _Scan) -> str:
    """SQL: the records that `_copy` left out, by their places among those that DuckDB could read."""
    cells = ", ".join(f"coalesce(c{place}, '')" for place in range(len(scan.head.headers)))
    return (
        f"SELECT place, if({scan.is_blank}, '{BLANK}', '{REPEATED_HEADER}') AS reason, "
        f"concat_ws({duck.text(scan.head.dialect.delimiter)}, {cells}) AS record "
        f"FROM (SELECT row_number() OVER () AS place, * FROM {scan.sql}) WHERE ({scan.is_blank}) OR ({scan.is_header})"
    )


def _as_it_came(scan: _Scan, lines: Numbers) -> Numbers:
    """Numbers of records in the file as it came, from those in the file that DuckDB read."""
    if scan.mended is None:
        return lines
    return numbers_among_all(lines, np.union1d(scan.mended.removed, scan.mended.blank))


def _header_line(scan: _Scan) -> int:
    return int(_as_it_came(scan, np.array([scan.head.skip]))[0])


def _in_file(scan: _Scan, lines: Numbers) -> Numbers:
    """Numbers after the header, in the file as it came."""
    return _as_it_came(scan, lines) - _header_line(scan)


def _insert(connection: duckdb.DuckDBPyConnection, sql: str, places: Numbers, numbers: Numbers) -> None:
    """Take in rejects (place, reason, record), whose places have these numbers in the file."""
    connection.register("numbered", pa.table({"place": places, "row_number": numbers}))
    connection.execute(
        f"INSERT INTO rejects SELECT row_number, reason, record FROM ({sql}) JOIN numbered USING (place)"
    )
    connection.unregister("numbered")


_BLANK_PLACES = f"SELECT place, '{BLANK}' AS reason, NULL::VARCHAR AS record FROM numbered"


def _insert_mended(mended: Mended, header: int, connection: duckdb.DuckDBPyConnection) -> None:
    """Take in what was taken out of the file after its header."""
    blank = mended.blank[mended.blank > header]
    _insert(connection, _BLANK_PLACES, blank, blank - header)
    if len(mended.removed):
        texts = (
            f"SELECT row_number() OVER () AS place, '{MALFORMED}' AS reason, record FROM read_json("
            f"{duck.file(mended.texts)}, format = 'newline_delimited', columns = {{'record': 'VARCHAR'}})"
        )
        after = mended.removed > header
        _insert(connection, texts, np.flatnonzero(after) + 1, mended.removed[after] - header)
