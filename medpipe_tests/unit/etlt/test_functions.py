"""Functions of the contracts' own: true numbers pass, every one-digit error is found."""

from collections.abc import Iterator

import duckdb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.etlt.functions import expand
from medpipe_assets.warehouse.athena_dialect import AthenaQuery, to_duckdb
from medpipe_assets.warehouse.athena_macros import create_macros
from medpipe_assets.warehouse.engine import QueryError


def expanded(sql: str) -> str:
    return expand(sqlglot.parse_one(sql, read=AthenaQuery)).sql(AthenaQuery)


SQL = to_duckdb(expanded("select npi_is_valid(npi) as answer from t"), {"t": {"npi": "VARCHAR"}})


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        opened.execute("create table t (npi varchar)")
        opened.execute(create_macros(SQL))
        yield opened


def is_valid(connection: duckdb.DuckDBPyConnection, *npis: str | None) -> list[bool]:
    connection.execute("delete from t")
    connection.execute("insert into t select unnest(?::varchar[])", [list(npis)])
    return [answer for (answer,) in connection.execute(SQL).fetchall()]


def check_digit(nine: str) -> str:
    """By the standard's own words: double every other digit from the right, add the digits, 24 for the prefix."""
    total = 24
    for place, digit in enumerate(reversed(nine)):
        total += sum(map(int, str(int(digit) * 2))) if place % 2 == 0 else int(digit)
    return str(-total % 10)


def test_the_standards_own_example_is_valid(connection: duckdb.DuckDBPyConnection) -> None:
    assert is_valid(connection, "1234567893") == [True]


def test_what_cannot_be_an_npi_is_not_valid(connection: duckdb.DuckDBPyConnection) -> None:
    padded = "012345678" + check_digit("012345678")
    others = ["1234567890", padded, "12345678931", "123456789", "12345678a3", "", None]
    assert is_valid(connection, *others) == [False] * len(others)


@given(nine=st.from_regex(r"[12][0-9]{8}", fullmatch=True), place=st.integers(0, 9), off=st.integers(1, 9))
def test_every_wrong_digit_is_found(connection: duckdb.DuckDBPyConnection, nine: str, place: int, off: int) -> None:
    npi = nine + check_digit(nine)
    wrong = npi[:place] + str((int(npi[place]) + off) % 10) + npi[place + 1 :]
    assert is_valid(connection, npi, wrong) == [True, False]


def test_calls_within_calls_are_expanded() -> None:
    assert "npi_is_valid" not in expanded("select npi_is_valid(coalesce(npi, x)) from t where not npi_is_valid(x)")


def test_a_call_with_two_arguments_is_refused() -> None:
    with pytest.raises(QueryError, match="one argument"):
        expanded("select npi_is_valid(a, b) from t")
