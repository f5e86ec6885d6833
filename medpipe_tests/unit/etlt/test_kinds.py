"""Kinds: each text by hand. What does not fit is null: never rounded, never another day, never a guess."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.etlt.kinds import KINDS, kind_of, text_of, type_of

FEB_28 = dt.date(2026, 2, 28)
JSON_LIST = "array(row(body varchar, until date, beds integer))"


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        opened.execute("set TimeZone = 'UTC'")
        yield opened


def value(connection: duckdb.DuckDBPyConnection, kind: str, text: str | None) -> Any:
    typed = kind_of(kind).of("text")
    found = connection.execute(
        f"select {typed} from (select {text_of('x')} as text from (select ?::varchar as x))", [text]
    )
    row = found.fetchone()
    assert row is not None
    return row[0]


def lost(connection: duckdb.DuckDBPyConnection, kind: str, text: str) -> int:
    row = connection.execute(f"select {kind_of(kind).lost_in('x')} from (select ? as x)", [text]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("text", "  a b\u00a0\r\n", "a b"),
        ("text", "\u2003é ", "é"),
        ("text", " \t", None),
        ("integer", "250", 250),
        ("integer", "250.0", 250),
        ("integer", "-3", -3),
        ("integer", "12.5", None),
        ("integer", "250 staff", None),
        ("integer", "1e3", None),
        ("integer", "1_0", None),
        ("integer", "9223372036854775807", 9223372036854775807),
        ("integer", "9223372036854775808", None),
        ("int", "2147483648", None),
        ("double", "1.5", 1.5),
        ("double", ".5", 0.5),
        ("double", "nan", None),
        ("double", "1e999", None),
        ("double", "0x1F", None),
        ("boolean", "Y", True),
        ("boolean", "no", False),
        ("boolean", "M", None),
        ("date", "2026-02-28", FEB_28),
        ("date", "2026-2-28", FEB_28),
        ("date", "02/28/2026", FEB_28),
        ("date", "20260228", FEB_28),
        ("date", "28-FEB-2026", FEB_28),
        ("date", "2/28/2026 12:00:00 AM", FEB_28),
        ("date", "2026-02-28T23:30:00-05:00", FEB_28),
        ("date", "2026-02-28 00:00:00.000", FEB_28),
        ("date", "2024-02-29", dt.date(2024, 2, 29)),
        ("date", "2026-02-29", None),
        ("date", "2026-02-30", None),
        ("date", "02/30/2026", None),
        ("date", "20260230", None),
        ("date", "28/02/2026", None),
        ("date", "02/28/26", None),
        ("date", "2026-02-28T25:00:00", None),
        ("date", "2026-02-28 and so on", None),
        ("date", "2026123", None),
        ("date", "0000-01-01", None),
        ("date", "9999-12-31", dt.date(9999, 12, 31)),
        ("date", "0001-01-01", dt.date(1, 1, 1)),
        ("timestamp", "2026-02-28T23:30:00-05:00", dt.datetime(2026, 3, 1, 4, 30, tzinfo=dt.UTC)),
        ("timestamp", "2026-02-28", dt.datetime(2026, 2, 28, tzinfo=dt.UTC)),
        ("timestamp", "02/28/2026 1:05 PM", dt.datetime(2026, 2, 28, 13, 5, tzinfo=dt.UTC)),
        ("timestamp", "2026-02-30 10:00:00", None),
        ("code", "1234567890.0", "1234567890"),
        ("code", "E11.9", "E11.9"),
        ("code", "1.23457E+09", None),
        ("code", "007", "007"),
        ("identifier(6)", "30102", "030102"),
        ("identifier(6)", "30102.0", "030102"),
        ("identifier(6)", "05T123", "05T123"),
        ("identifier(6)", "5T123", "5T123"),
        ("identifier(6)", "1234567", None),
        ("npi", "1234567893", "1234567893"),
        ("npi", "1234567893.0", "1234567893"),
        ("npi", "123-456-7893", "1234567893"),
        ("npi", '="0123456789"', "0123456789"),
        ("npi", "123456789", "0123456789"),
        ("npi", "12345678931", None),
        ("npi", "1.23457E+09", None),
        ("npi", "unknown", None),
        ("zip", "01001", "01001"),
        ("zip", "1001", "01001"),
        ("zip", "501", "00501"),
        ("zip", "1001.0", "01001"),
        ("zip", "10011234", "010011234"),
        ("zip", "1001-1234", "010011234"),
        ("zip", "12345-6789", "123456789"),
        ("zip", "12345-", "12345"),
        ("zip", "12345-678", None),
        ("zip", "123456", None),
        ("zip", "00000", None),
        ("zip", "K1A 0B1", None),
        ("state", "TX", "TX"),
        ("state", "tx", "TX"),
        ("state", "Texas", "TX"),
        ("state", "N.Y.", "NY"),
        ("state", "district of columbia", "DC"),
        ("state", "PR", "PR"),
        ("state", "U.S. Virgin Islands", "VI"),
        ("state", "AE", "AE"),
        ("state", "XX", None),
        ("state", "Ontario", None),
    ],
)
def test_a_text_becomes_its_value_or_nothing(
    connection: duckdb.DuckDBPyConnection, kind: str, text: str, expected: Any
) -> None:
    assert value(connection, kind, text) == expected


@pytest.mark.parametrize("kind", [*KINDS, "identifier(4)", "array(date)", "row(a bigint)"])
@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_missing_text_has_no_value_in_any_kind(
    connection: duckdb.DuckDBPyConnection, kind: str, text: str | None
) -> None:
    assert value(connection, kind, text) is None


@given(text=st.from_regex(r"[0-9]{1,10}(-[0-9]{0,5})?", fullmatch=True))
def test_a_zip_has_five_digits_or_nine_and_keeps_all_it_had(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    found = value(connection, "zip", text)
    if found is not None:
        assert len(found) in (5, 9)
        assert found.lstrip("0") == text.replace("-", "").lstrip("0")


def test_a_bad_value_inside_a_list_costs_itself_alone(connection: duckdb.DuckDBPyConnection) -> None:
    text = (
        '[{"body": "NCQA", "until": "2026-02-30", "beds": 1}, {"body": " ", "until": "", "beds": "12.5"}, '
        '"a text", null, {"until": "2026-02-28"}]'
    )
    assert value(connection, JSON_LIST, text) == [
        {"body": "NCQA", "until": None, "beds": 1},
        {"body": None, "until": None, "beds": None},
        None,
        None,
        {"body": None, "until": FEB_28, "beds": None},
    ]
    assert lost(connection, JSON_LIST, text) == 3, "a date, a count and a record; empty ones are none"


@pytest.mark.parametrize("text", ['{"body": "NCQA"}', '"NCQA"', "NCQA", "12", "[1", "true"])
def test_what_is_no_list_is_no_value_of_a_list(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    assert value(connection, JSON_LIST, text) is None


def test_lists_within_rows_are_judged_by_themselves(connection: duckdb.DuckDBPyConnection) -> None:
    kind = "array(row(lab_name varchar, certifications array(varchar)))"
    text = '[{"lab_name": "A", "certifications": ["CLIA", null]}, {"lab_name": 7, "certifications": "CAP"}]'
    assert value(connection, kind, text) == [
        {"lab_name": "A", "certifications": ["CLIA", None]},
        {"lab_name": "7", "certifications": None},
    ]
    assert lost(connection, kind, text) == 1


@given(
    text=st.text(max_size=12) | st.from_regex(r"[0-9/: .TZ+-]{1,20}", fullmatch=True), kind=st.sampled_from([*KINDS])
)
def test_no_text_makes_a_kind_fail(connection: duckdb.DuckDBPyConnection, text: str, kind: str) -> None:
    found = value(connection, kind, text.replace("\0", ""))
    assert found is None or text.strip()


@given(day=st.dates())
def test_every_day_of_the_calendar_is_read_back(connection: duckdb.DuckDBPyConnection, day: dt.date) -> None:
    us = f"{day.month}/{day.day}/{day.year:04}"
    for text in (day.isoformat(), us, day.isoformat().replace("-", ""), f"{day.isoformat()}T00:00:00Z"):
        assert value(connection, "date", text) == day


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))
def test_texts_are_trimmed_as_people_would(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    expected = text.strip().strip("\u200b\ufeff").strip()
    found = value(connection, "text", text)
    assert found == (expected or None) or "\u200b" in text or "\ufeff" in text


def test_a_kind_that_is_none_is_refused() -> None:
    for name in ("nonsense(", "map(varchar, varchar)", "interval year to month"):
        with pytest.raises(ValueError):
            kind_of(name)
    with pytest.raises(ValueError, match="may have"):
        type_of("array(json)")


@pytest.mark.parametrize("key", ["lab_name", "Lab_Name", "LAB NAME", "labName", "lab-name"])
def test_keys_inside_a_list_are_compared_as_headers_are(connection: duckdb.DuckDBPyConnection, key: str) -> None:
    text = json.dumps([{key: 'say "lab_name": x', "site": "S"}])
    found = value(connection, "array(row(lab_name varchar, site varchar))", text)
    assert found == [{"lab_name": 'say "lab_name": x', "site": "S"}]
