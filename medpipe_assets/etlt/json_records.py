"""JSON to flat records: an NDJSON object of the contract's fields a record, with every record accounted for.

Nested objects are read by dotted paths; a list, or an object that is a field itself, stays JSON text.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.etlt import duck
from medpipe_assets.etlt.columns import Match, match, names_of, type_seen
from medpipe_assets.etlt.contract import Contract, normalised
from medpipe_assets.etlt.json_text import is_lines, part
from medpipe_assets.etlt.lines import MAX_RECORD_BYTES, Census, census
from medpipe_assets.etlt.records import BLANK, MALFORMED, MAX_REJECT_CHARACTERS, FlatFile

SAMPLE_RECORDS = 500
MAX_COLUMNS = 10_000
"""An object with more keys than this is a map by some id, and no record."""
MAX_DEPTH = 8
"""Objects within objects whose keys are columns."""
_KINDS = {
    str: "text", bool: "boolean", int: "integer", float: "double", list: "array", dict: "object",
}  # fmt: skip
_NEVER = "\x01\x02\x01\x02"
"""What no line has, to be the delimiter of its columns."""
_BEGINS = "j IS NOT NULL AND ltrim(j, ' \t\r')[1] = '{'"
_IS_OBJECT = f"({_BEGINS} AND json_valid(j))"

KeyPath = tuple[str, ...]
"""Keys down to a value; that of a record itself is ()."""


def read_json(
    contract: Contract, path: Path, encoding: str, folder: Path, connection: duckdb.DuckDBPyConnection
) -> FlatFile:
    """Flatten a file of UTF-8.

    Args:
        encoding: that its text came in.
        folder: an empty one for what is made.

    Raises:
        DocumentError: corrupt (no JSON), inconsistent (no field of the contract's, or records that do not add up).
    """
    record_path = [key for key in contract.source.record_path.split(".") if key]
    lines = _lines(path, record_path)
    if lines is None:
        path = part(path, record_path, folder / "records.ndjson")
        lines = census(path)
    with duck.refusals():
        source = _Source(path, lines.newline, connection)
        keys = _Keys(source, names_of(contract), _object_paths(source.sample))
        matched = match(contract, [".".join(found) for found in keys.paths])
        if lines.lines and keys.paths and not matched.fields:
            raise DocumentError(Reason.INCONSISTENT, "no field that the contract knows")
        whole = keys.records == lines.lines and not keys.twice
        rows = _copy(source, matched, keys, folder / "rows.ndjson", None if whole else keys.is_record)
        rejected = {} if whole else _write_rejects(source, keys, folder / "rejects.parquet")
    if rows + sum(rejected.values()) != lines.lines:
        raise DocumentError(Reason.INCONSISTENT, "two counts of its records differ")
    return FlatFile(
        path=folder / "rows.ndjson",
        format="json",
        encoding=encoding,
        delimiter=None,
        layout=matched.layout,
        rows=rows,
        rejected=rejected,
        rejects=folder / "rejects.parquet" if rejected else None,
        columns=matched.columns([_type(source.sample, found) for found in keys.paths]),
        absent=matched.absent(contract),
    )


class _Source:
    """A file with a record a line.

    Attributes:
        sql: its lines as `j`; a line that holds nothing is null.
        sample: the first objects.
    """

    def __init__(self, path: Path, newline: str, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.sql = (
            f"read_csv({duck.file(path)}, auto_detect = false, header = false, columns = {{'j': 'VARCHAR'}}, "
            f"delim = '{_NEVER}', quote = '', escape = '', new_line = '{duck.NEWLINES[newline]}', "
            f"max_line_size = {MAX_RECORD_BYTES})"
        )
        self.sample = sample_of(path)


def sample_of(path: Path) -> list[dict[str, Any]]:
    found = []
    with path.open("rb") as file:
        for line in islice(iter(lambda: file.readline(MAX_RECORD_BYTES), b""), SAMPLE_RECORDS):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                found.append(record)
    return found


def _lines(path: Path, record_path: Sequence[str]) -> Census | None:
    """The lines of a file that has a record in each, none of them endless; None where records must be looked for."""
    if not is_lines(path, record_path):
        return None
    try:
        lines = census(path)
    except DocumentError:
        return None
    return lines if lines.regular else None


def _object_paths(sample: Sequence[Mapping[str, Any]]) -> list[KeyPath]:
    """Where records of the sample have objects, themselves included."""
    found: dict[KeyPath, None] = {(): None}
    for record in sample:
        found |= dict.fromkeys(path for path, value in values_of(record, ()) if isinstance(value, dict))
    return list(found)


def values_of(record: Mapping[str, Any], above: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in record.items():
        yield (*above, key), value
        if isinstance(value, dict) and len(above) < MAX_DEPTH:
            yield from values_of(value, (*above, key))


def _type(sample: Sequence[Mapping[str, Any]], path: KeyPath) -> str:
    """What a path's values in the sample are."""
    values = [value for record in sample for found, value in values_of(record, ()) if found == path]
    kinds = {_KINDS[type(value)] for value in values if value is not None}
    if kinds == {"text"}:
        return type_seen(values)
    if kinds == {"integer", "double"}:
        return "double"
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else ""


class _Keys:
    """All keys that records of a file have, those of nested objects included.

    Attributes:
        paths: in the order of the sample, others after them.
        records: lines that are objects.
        twice: whether any has a key twice, and so does not say which value holds.
        is_record: SQL: whether a line is an object with each key once.
    """

    def __init__(self, source: _Source, wanted: frozenset[str], objects: Sequence[KeyPath]) -> None:
        of_sample = dict.fromkeys(path for record in source.sample for path, _ in values_of(record, ()))
        probed = list(dict.fromkeys([*objects, *(path for path in of_sample if _leads_on(path, wanted))]))
        while True:
            self.paths = list(of_sample)
            self._count(source, probed)
            if not (unread := [path for path in self.paths if path not in probed and _leads_on(path, wanted)]):
                break
            probed += unread
        keys = [f"json_keys(j, {_pointer(path)})" for path in probed]
        once = " AND ".join(f"coalesce(len({found}) = len(list_distinct({found})), true)" for found in keys)
        self.is_record = f"CASE WHEN {_IS_OBJECT} THEN {once} ELSE false END"

    def _count(self, source: _Source, probed: Sequence[KeyPath]) -> None:
        found = dict.fromkeys(self.paths)
        self.records, self.twice = 0, False
        for key_lists, count in _key_sets(source, probed):
            self.records += count
            for path, keys in zip(probed, key_lists, strict=True):
                found |= dict.fromkeys((*path, key) for key in keys or ())
                self.twice |= len(keys or ()) != len(set(keys or ()))
            if len(found) > MAX_COLUMNS:
                raise DocumentError(Reason.INCONSISTENT, f"more than {MAX_COLUMNS} different keys")
        self.paths = list(found)


def _key_sets(source: _Source, probed: Sequence[KeyPath]) -> Iterator[tuple[list[list[str] | None], int]]:
    """The keys of each probed object, and how many records have just these."""
    keys = f"json_keys(j, [{', '.join(map(_pointer, probed))}])"
    try:  # a file without a broken line is told from one with some by DuckDB's refusal, which costs least
        answer = source.connection.execute(f"SELECT {keys}, count(*) FROM {source.sql} WHERE {_BEGINS} GROUP BY 1")
    except duckdb.InvalidInputException:
        answer = source.connection.execute(f"SELECT {keys}, count(*) FROM {source.sql} WHERE {_IS_OBJECT} GROUP BY 1")
    while rows := answer.fetchmany(1000):
        yield from rows


def _leads_on(path: KeyPath, wanted: frozenset[str]) -> bool:
    """Whether a field may be looked for below a path."""
    begins = normalised(".".join(path))
    return len(path) < MAX_DEPTH and any(name.startswith(begins) and name != begins for name in wanted)


def _pointer(path: KeyPath) -> str:
    """RFC 6901's pointer to a value."""
    return duck.text("".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in path))


def _copy(source: _Source, matched: Match, keys: _Keys, target: Path, condition: str | None) -> int:
    """Write the rows; returns how many. Of several keys that a field may have, the first with a value counts."""
    places = sorted({place for found in matched.fields.values() for place in found})
    pointers = ", ".join(_pointer(keys.paths[place]) for place in places)
    fields = "".join(
        f", coalesce({', '.join(f'v[{places.index(place) + 1}]' for place in found)}, NULL) AS {duck.name(name)}"
        for name, found in matched.fields.items()
    )
    values = f", json_extract_string(j, [{pointers}]) AS v" if places else ""
    answer = source.connection.execute(
        f"COPY (SELECT _row{fields} FROM (SELECT _row{values} FROM (SELECT row_number() OVER () AS _row, j "
        f"FROM {source.sql}) WHERE {condition or 'true'})) TO {duck.text(str(target))} (FORMAT json)"
    )
    (rows,) = answer.fetchone() or (0,)
    return int(rows)


def _write_rejects(source: _Source, keys: _Keys, target: Path) -> dict[str, int]:
    """Write the lines that are no records; returns how many by reason. A JSON string is the text of a broken record."""
    is_text = "j[1] = '\"' AND json_valid(j)"
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE rejects AS "
        f"SELECT _row AS row_number, if(coalesce(trim(j, ' \t\r'), '') = '', '{BLANK}', '{MALFORMED}') AS reason, "
        f"left(if({is_text}, json_extract_string(j, '$'), j), {MAX_REJECT_CHARACTERS}) AS record "
        f"FROM (SELECT row_number() OVER () AS _row, j FROM {source.sql}) WHERE NOT {keys.is_record}"
    )
    source.connection.execute(
        f"COPY (SELECT * FROM rejects ORDER BY row_number) TO {duck.text(str(target))} (FORMAT parquet)"
    )
    counted = source.connection.execute("SELECT reason, count(*) FROM rejects GROUP BY reason ORDER BY reason")
    return dict(counted.fetchall())
