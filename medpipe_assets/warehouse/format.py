"""A query's result for a person or another program: a table on a terminal, JSON, CSV, Parquet, or JSON lines.

Values are written one way everywhere: dates and times in ISO 8601 (an instant ends in Z), decimals as numbers, bytes in
hexadecimal, nested values as JSON. Nothing is queried here.
"""

import csv
import datetime as dt
import io
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

CELL = 60
"""Characters of a cell that a terminal shows before it is cut; JSON and CSV show all."""

FORMS = ("table", "json", "csv", "ndjson")


def render(table: pa.Table, form: str, width: int | None = None) -> str:
    """A result as text in one of FORMS, ending in a newline.

    `width` is the terminal's, in characters; None asks it. CSV follows RFC 4180 and writes values as they are:
    text that a spreadsheet would take for a formula is not altered, for others read these files too.
    """
    writers = {"table": lambda t: _terminal(t, width), "json": _json, "csv": _csv, "ndjson": _ndjson}
    if form not in writers:
        raise ValueError(f"format {form!r} is not one of {', '.join(FORMS)}")
    return writers[form](table)


def write(table: pa.Table, form: str, path: Path) -> None:
    """Write a result to a file as 'parquet' (Snappy), 'json', 'csv' or 'ndjson', all of it or nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        if form == "parquet":
            pq.write_table(table, part, compression="snappy")
        else:
            part.write_text(render(table, form), encoding="utf-8", newline="")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _columns(table: pa.Table) -> list[str]:
    """Column names, a second one of the same name told apart by a number, so that no value is lost."""
    seen: dict[str, int] = {}
    names = []
    for name in table.column_names:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def _rows(table: pa.Table) -> Iterator[list[Any]]:
    """Rows of plain values, a batch at a time."""
    for batch in table.to_batches(max_chunksize=10_000):
        columns = [[plain(v, column.type) for v in column.to_pylist()] for column in batch.columns]
        yield from map(list, zip(*columns, strict=True))


def plain(value: Any, kind: pa.DataType) -> Any:
    """A value in JSON's types: numbers, text, true and false, null, lists and objects.

    NaN and infinities, which JSON has not, become the texts NaN, Infinity, -Infinity, as Athena writes them.
    """
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {str(plain(k, kind.key_type)): plain(v, kind.item_type) for k, v in value}
    if pa.types.is_struct(kind):
        return {field.name: plain(value[field.name], field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [plain(v, kind.value_type) for v in value]
    if pa.types.is_float32(kind) and math.isfinite(value):
        return float(str(np.float32(value)))  # the digits a float32 has, not those of the double it became
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        zoned = value.tzinfo is not None
        return (value.astimezone(dt.UTC).replace(tzinfo=None) if zoned else value).isoformat() + ("Z" if zoned else "")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, bool | int | float | str | Decimal) else str(value)


def _dumps(value: Any) -> str:
    """JSON text of a plain value; a decimal keeps all its digits, which the standard writer would lose."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_dumps(k)}: {_dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _objects(table: pa.Table) -> Iterator[str]:
    names = _columns(table)
    return (_dumps(dict(zip(names, row, strict=True))) for row in _rows(table))


def _json(table: pa.Table) -> str:
    body = ",\n".join(_objects(table))
    return f"[\n{body}\n]\n" if body else "[]\n"


def _ndjson(table: pa.Table) -> str:
    return "".join(f"{line}\n" for line in _objects(table))


def _text(value: Any) -> str:
    """A value in a cell: null is empty, booleans and nested values as in JSON."""
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return _dumps(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _csv(table: pa.Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_columns(table))
    writer.writerows([_text(v) for v in row] for row in _rows(table))
    return out.getvalue()


def _terminal(table: pa.Table, width: int | None) -> str:
    console = Console(file=io.StringIO(), width=width or Console().width, highlight=False, markup=False, emoji=False)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, field in zip(_columns(table), table.schema, strict=True):
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
        grid.add_column(name, justify="right" if number else "left", no_wrap=number, overflow="ellipsis")
    for row in _rows(table):
        grid.add_row(*[_cell(v) for v in row])
    console.print(grid)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in text.splitlines()]
    count = f"{table.num_rows:,} row{'' if table.num_rows == 1 else 's'}"
    return "\n".join([*lines, count]) + "\n"


def _cell(value: Any) -> str:
    """A cell on one line: control characters shown as spaces, long text cut."""
    text = "".join(c if c.isprintable() else " " for c in _text(value))
    return text if len(text) <= CELL else text[: CELL - 1] + "…"
