"""How an answer is written for people and programs."""

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.warehouse.format import render, write

ANSWER = pa.table(
    {
        "id": ["a", 'say "hi",\nthere', None],
        "n": pa.array([1, 22, None], pa.int64()),
        "score": pa.array([0.1, float("nan"), None], pa.float32()),
        "price": pa.array([Decimal("12345678901234567890.10"), Decimal("0.00"), None], pa.decimal128(38, 2)),
        "day": [dt.date(2026, 1, 2), None, None],
        "at": pa.array([dt.datetime(2026, 1, 2, 3, 4, 5), None, None], pa.timestamp("us", tz="UTC")),
        "spans": pa.array([[{"page": 1, "at": dt.date(2026, 1, 2)}], [], None]),
        "tags": pa.array([[("k", [1])], [], None], pa.map_(pa.string(), pa.list_(pa.int32()))),
        "ok": [True, False, None],
    }
)


def test_json_is_a_list_of_objects_with_iso_dates_and_exact_numbers() -> None:
    text = render(ANSWER, "json")
    first, second, third = json.loads(text, parse_float=Decimal)
    assert first == {
        "id": "a",
        "n": 1,
        "score": Decimal("0.1"),
        "price": Decimal("12345678901234567890.10"),
        "day": "2026-01-02",
        "at": "2026-01-02T03:04:05Z",
        "spans": [{"page": 1, "at": "2026-01-02"}],
        "tags": {"k": [1]},
        "ok": True,
    }
    assert second["score"] == "NaN"
    assert set(third.values()) == {None}


def test_no_rows_are_an_empty_list() -> None:
    assert render(ANSWER.slice(0, 0), "json") == "[]\n"


def test_columns_of_one_name_are_both_shown() -> None:
    twice = pa.table([[1], [2]], names=["n", "n"])
    assert json.loads(render(twice, "json")) == [{"n": 1, "n_2": 2}]


def test_ndjson_is_one_object_a_line() -> None:
    assert [json.loads(line)["n"] for line in render(ANSWER, "ndjson").splitlines()] == [1, 22, None]


def test_csv_quotes_what_needs_it_and_leaves_nulls_empty() -> None:
    lines = list(csv.reader(io.StringIO(render(ANSWER, "csv"), newline="")))
    assert lines[0] == ANSWER.column_names
    assert lines[1][3:6] == ["12345678901234567890.10", "2026-01-02", "2026-01-02T03:04:05Z"]
    assert json.loads(lines[1][6]) == [{"page": 1, "at": "2026-01-02"}]
    assert lines[2][0] == 'say "hi",\nthere'
    assert lines[3] == [""] * 9


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.integers(-(2**63), 2**63 - 1)
        ),
        max_size=20,
    )
)
def test_csv_and_json_give_back_every_text_and_number(rows: list[tuple[str, int]]) -> None:
    table = pa.table(
        {"t": pa.array([t for t, _ in rows], pa.string()), "n": pa.array([n for _, n in rows], pa.int64())}
    )
    read = list(csv.reader(io.StringIO(render(table, "csv"), newline="")))
    assert read[1:] == [[t, str(n)] for t, n in rows]
    assert json.loads(render(table, "json")) == table.to_pylist()


def test_a_table_fits_the_terminal_aligns_numbers_right_and_cuts_long_text() -> None:
    table = pa.table({"name": ["short", "x" * 500], "count": [7, 12345]})
    text = render(table, "table", width=50)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 50
    assert "x" * 500 not in text and "…" in text
    assert next(line for line in lines if "short" in line).endswith("    7")
    assert lines[-1] == "2 rows"


def test_a_table_cannot_drive_the_terminal() -> None:
    text = render(pa.table({"t": ["\x1b[2Jgone [red]not red[/red] :smile:"]}), "table", width=80)
    assert "\x1b" not in text
    assert "[red]not red[/red] :smile:" in text


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "ndjson"])
def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"out.{form}"
    write(ANSWER, form, path)
    assert list(tmp_path.iterdir()) == [path]
    if form == "parquet":
        assert pq.read_table(path).schema.types == ANSWER.schema.types
    else:
        assert path.read_bytes() == render(ANSWER, form).encode()


def test_an_unknown_format_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="xlsx"):
        write(ANSWER, "xlsx", tmp_path / "out.xlsx")
    assert list(tmp_path.iterdir()) == []
