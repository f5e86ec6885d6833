"""What changed in a file, what loading it would do, and a contract drafted from it; never a value."""

import csv
import datetime as dt
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.etlt.columns import SourceColumn, from_json, match, to_json, type_seen
from medpipe_assets.etlt.contract import parse
from medpipe_assets.etlt.drift import check, drift, drift_of_day, infer
from medpipe_assets.etlt.flatten import flatten
from medpipe_assets.etlt.sources import extract, request
from medpipe_assets.lake.lake import Lake
from medpipe_tests.unit.etlt.contracts import clinics, people

FIRST, SECOND = dt.date(2026, 11, 2), dt.date(2026, 11, 3)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", " -20 ", ""], "integer"),
        (["007", "12"], "text"),
        (["1.5", "2", "1e3"], "double"),
        (["2026-01-31", "01/31/2026"], "date"),
        (["2026-01-31T10:00:00Z"], "timestamp"),
        (["Y", "n"], "boolean"),
        (["Y", "n", "maybe"], "text"),
        (["", " ", None], ""),
    ],
)
def test_the_type_of_a_column_is_the_narrowest_that_loses_nothing(values: list[str | None], kind: str) -> None:
    assert type_seen(values) == kind


def test_the_best_name_wins_and_others_come_after_it() -> None:
    found = match(clinics(), ["id", "Clinic ID", "location.city", "x"])
    assert found.fields == {"clinic_id": (1, 0), "town": (2,)}
    assert found.absent(clinics()) == ("beds", "wards")


def test_columns_survive_the_ledger() -> None:
    columns = (SourceColumn("Größe", "integer", None), SourceColumn("id", "", "clinic_id"))
    assert from_json(to_json(columns)) == columns


def test_added_dropped_and_retyped_columns_are_told() -> None:
    before = [SourceColumn("Person ID", "integer", "person_id"), SourceColumn("city", "text", "city")]
    now = [
        SourceColumn("person_id", "text", "person_id"),
        SourceColumn("City", "", "city"),
        SourceColumn("shoe", "integer", None),
    ]
    found = drift(before, now, people())
    assert (found.added, found.dropped) == (("shoe",), ())
    assert found.retyped == (("person_id", "integer", "text"),)
    assert (found.unknown, found.absent, found.missing) == (("shoe",), ("last_name",), ())
    assert found.changed
    assert "person_id (integer to text)" in found.markdown
    assert drift(now, before[1:], people()).missing == ("person_id",)
    assert not drift(None, now, people()).changed


def test_an_object_whose_parts_are_fields_is_not_unknown() -> None:
    columns = [
        SourceColumn("location", "object", None),
        SourceColumn("location.city", "text", "town"),
        SourceColumn("wards", "array", "wards"),
        SourceColumn("extra", "text", None),
    ]
    assert drift(None, columns, clinics()).unknown == ("extra",)


def test_a_days_drift_is_told_against_the_file_before(lake: Lake, tmp_path: Path) -> None:
    for day, text in ((FIRST, "person_id,city\n1,Riga\n"), (SECOND, "person_id,shoe\n1,44\n")):
        (tmp_path / "file.csv").write_text(text)
        request(lake, people(), [str(tmp_path / "file.csv")], day)
        extract(lake, people(), day, run_id="r1")
        flatten(lake, people(), day, run_id="r1")
    assert not drift_of_day(lake, people(), FIRST).changed
    found = drift_of_day(lake, people(), SECOND)
    assert (found.added, found.dropped) == (("shoe",), ("city",))
    assert not drift_of_day(lake, people(), dt.date(2026, 11, 4)).changed


def test_a_year_is_held_against_its_own_layout(lake: Lake, tmp_path: Path) -> None:
    texts = ["nr,surname\n1,Abel\n", "person_id,last_name\n1,Abel\n", "nr,surname\n2,Berg\n"]
    for number, text in enumerate(texts):
        (tmp_path / "file.csv").write_text(text)
        day = FIRST + dt.timedelta(days=number)
        request(lake, people(), [str(tmp_path / "file.csv")], day)
        extract(lake, people(), day, run_id="r1")
        flatten(lake, people(), day, run_id="r1")
    found = drift_of_day(lake, people(), FIRST + dt.timedelta(days=2))
    assert not found.changed
    assert found.layout == (None, "old")


def test_a_check_says_what_loading_would_do(tmp_path: Path) -> None:
    path = tmp_path / "clinics.json"
    records = [
        {"ID": "1", "location": {"city": "Riga"}, "beds": "20"},
        {"id": "2", "beds": "20 beds", "new": 1},
        {"beds": "5"},
        {"id": "1"},
    ]
    path.write_text(json.dumps({"clinics": records}) + "{")
    report = check(clinics(), path)
    assert report.loadable
    assert report.renamed == (("ID", "clinic_id"), ("location.city", "town"), ("id", "clinic_id"))
    assert (report.unknown, report.absent) == (("new",), ("wards",))
    assert report.rejected == (("", "malformed", 1), ("clinic_id", "missing", 1))
    assert report.nulled == (("beds", "integer", 1),)
    assert (report.records, report.rows, report.duplicates) == (5, 2, 1)
    assert json.loads(json.dumps(report.as_json()))["loadable"]
    assert not [line for line in report.lines() if "20 beds" in line or "Riga" in line]


def test_a_check_of_a_file_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("shoe,size\n1,2\n")
    report = check(people(), path)
    assert not report.loadable
    assert "no header" in report.failure
    path.write_text("city\nRiga\n")
    report = check(people(), path)
    assert not report.loadable
    assert report.missing == ("person_id",)


def test_a_drafted_contract_of_csv_reads_its_file(tmp_path: Path) -> None:
    path = tmp_path / "Provider List.csv"
    path.write_text(
        "Provider Name;NPI;Zip Code;Since;Beds;Group ID;no\n"
        "Abel;1234567893;00501;2026-01-31;5;0012;y\nBerg;1234567893;10001;2025-02-01;7;0013;n\n"
    )
    text = infer(path)
    contract = parse(text, "draft")
    assert contract.dataset == "provider_list"
    assert {name: spec.kind for name, spec in contract.fields.items()} == {
        "provider_name": "text",
        "npi": "npi",
        "zip_code": "zip",
        "since": "date",
        "beds": "integer",
        "group_id": "identifier(4)",
        "no": "boolean",
    }
    assert contract.primary_key == ("group_id",)
    assert contract.fields["provider_name"].phi
    assert not contract.fields["beds"].phi
    assert "Abel" not in text
    report = check(contract, path)
    assert (report.rows, report.unknown, report.absent) == (2, (), ())


def test_a_drafted_contract_of_json_reads_its_file(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    records = [
        {"facilityId": "A1", "at": {"city": "Riga", "zip": "00501"}, "labs": [{"name": "x", "codes": ["1"]}], "n": 5},
        {"facilityId": "A2", "at": {"city": "Oslo"}, "labs": [], "n": None, "open": True},
    ]
    path.write_text(json.dumps({"found": records}, indent=2))
    contract = parse(infer(path, "sites"), "draft")
    assert contract.source.record_path == "found"
    assert {name: spec.kind for name, spec in contract.fields.items()} == {
        "facility_id": "text",
        "at_city": "text",
        "at_zip": "zip",
        "labs": "array(row(name varchar, codes array(varchar)))",
        "n": "integer",
        "open": "boolean",
    }
    assert contract.primary_key == ("facility_id",)
    report = check(contract, path)
    assert (report.rows, report.rejected, report.unknown) == (2, (), ())


headers = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=12),
    min_size=2,
    max_size=5,
)


@settings(max_examples=40)
@given(headers=headers, rows=st.integers(1, 4))
@example(headers=["0", "\U000114d0"], rows=1)  # a digit, but not an ASCII one
def test_whatever_the_headers_the_draft_is_a_contract(
    tmp_path_factory: pytest.TempPathFactory, headers: list[str], rows: int
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerows([headers, *([[f"{row}{place}" for place in range(len(headers))] for row in range(rows)])])
    path = tmp_path_factory.mktemp("draft") / "table.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    assert parse(infer(path), "draft").fields


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04junk", b"[]", b"\x1f\x8bjunk"])
def test_no_contract_is_drafted_from_what_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        infer(path)
