"""What a `.sql` file states: header, inputs, order, lineage, parameters; and what is refused in one."""

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.contract import Parameter
from medpipe_assets.etlt.result_sql import in_order, literal, parse, values_of
from medpipe_assets.warehouse.athena_dialect import AthenaQuery
from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_tests.unit.etlt import visits

HEADER = "-- table: t\n-- row: a thing\n-- description: Things.\n"
GOOD = HEADER + "-- column a varchar: first\nselect visit_id as a from visits"


def test_a_header_states_the_table() -> None:
    found = parse(
        "-- table: by_day\n-- row: a day\n-- description: Counts of a day,\n--     goes on here.\n"
        "-- partition_by: state, day\n-- results: json csv\n-- column day date: the day\n"
        "-- column state varchar: where\n"
        "-- column people array(row(name varchar, born date)) phi: who\n"
        "select began as day, state, array[] as people from visits",
        "by_day.sql",
        visits.contract(),
    )
    table = found.table_contract
    assert (table.name, table.zone, table.row, table.partition_by) == ("by_day", "staging", "a day", ("state", "day"))
    assert found.description == "Counts of a day, goes on here." and found.results == ("json", "csv")
    born = pa.struct([("name", pa.string()), ("born", pa.date32())])
    assert [(c.name, c.type, c.phi) for c in table.columns] == [
        ("day", pa.date32(), False),
        ("state", pa.string(), False),
        ("people", pa.list_(born), True),
    ]
    assert found.inputs == ("visits",)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select 1 as a", "lacks '-- table"),
        (GOOD.replace("-- row: a thing\n", ""), "lacks '-- row"),
        (GOOD.replace("varchar", "text128"), "text128"),
        (GOOD.replace("-- column a varchar: first", "-- columns a varchar"), "no entry"),
        (GOOD.replace("as a", "as b"), "the header has the columns a, the SQL gives b"),
        (GOOD.replace("visit_id as a", "*"), "star"),
        (GOOD.replace("visit_id", ":since"), ":since is no parameter"),
        (GOOD + "; select 1", "one SELECT"),
        (GOOD.replace("select", "delete"), "one SELECT"),
        (GOOD.replace("-- column", "-- partition_by: b\n-- column"), "partition_by names b"),
        (GOOD.replace("-- column", "-- results: xml\n-- column"), "results names xml"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name(sql: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"t\.sql") as caught:
        parse(sql, "t.sql", visits.contract())
    assert said in str(caught.value)


def test_tables_are_built_after_those_that_they_read() -> None:
    names = [transform.name for transform in in_order(reversed(visits.transforms()))]
    assert sorted(names) == sorted(visits.FILES)
    assert names.index("visit_texts") < names.index("visit_days")


def test_tables_that_need_each_other_are_refused() -> None:
    one = parse(GOOD.replace("from visits", "from u"), "t.sql", visits.contract())
    two = parse(GOOD.replace("table: t", "table: u").replace("from visits", "from t"), "u.sql", visits.contract())
    with pytest.raises(ConfigurationError, match="need each other"):
        in_order([one, two])


def test_columns_know_where_their_values_come_from() -> None:
    by_name = {transform.name: transform for transform in visits.transforms()}
    schemas = {"visits": visits.contract().table_contract.schema}
    schemas |= {name: transform.table_contract.schema for name, transform in by_name.items()}
    parts = by_name["visit_parts"].lineage(schemas)
    assert parts["amount"] == parts["place"] == parts["last_of_parts"] == (("visits", "parts"),)
    assert parts["tag"] == (("visits", "tags"),)
    order = by_name["visit_order"].lineage(schemas)
    assert order["days_since"] == (("visits", "began"), ("visits", "state"), ("visits", "visit_id"))
    days = by_name["visit_days"].lineage(schemas)
    assert days["as_of"] == () and days["months"] == (("visits", "began"), ("visits", "ended"))
    assert by_name["visit_days"].inputs == ("visits", "visit_texts")


@settings(max_examples=25, deadline=None)
@given(st.text(), st.integers(-(2**62), 2**62), st.dates())
def test_a_parameter_is_a_value_and_never_sql(text: str, number: int, day: dt.date) -> None:
    stated = {"text": (text, "varchar"), "number": (number, "integer"), "day": (day, "date")}
    asked = ", ".join(
        f"{literal(name, Parameter(type=kind, description=''), value).sql(AthenaQuery)} AS {name}"
        for name, (value, kind) in stated.items()
    )
    [row] = DuckDBWarehouse(lambda _: None).query(f"SELECT {asked}").to_pylist()
    assert row == {name: value for name, (value, _) in stated.items()}


def test_parameters_have_defaults_and_a_date_is_the_day() -> None:
    parameters, day = visits.contract().parameters, dt.date(2026, 11, 20)
    assert values_of(parameters, day, {}) == {"as_of": day, "months": 6, "word": "it's ñ"}
    assert values_of(parameters, day, {"as_of": "2026-01-02", "months": 1})["as_of"] == dt.date(2026, 1, 2)
    with pytest.raises(ConfigurationError, match="there is no parameter weeks"):
        values_of(parameters, day, {"weeks": 1})
    with pytest.raises(ConfigurationError, match="YYYY-MM-DD"):
        values_of(parameters, day, {"as_of": "20.11.2026"})
    with pytest.raises(ConfigurationError, match="months: give a value of type integer"):
        visits.transforms()[-1].bound({"as_of": day, "months": "6", "word": ""})
