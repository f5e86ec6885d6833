"""Clinicians: what is computed of each record, and who is none."""

import datetime as dt

import pytest

from medpipe_assets.etlt.contract import contract_of
from medpipe_tests.unit.datasets.rows import TODAY, typed, verdicts

NPI = "2000000010"


@pytest.mark.parametrize(
    ("credential", "group"),
    [
        *(
            ("MD", "Physician"),
            ("M.D.", "Physician"),
            ("do", "Physician"),
            ("MD, PhD", "Physician"),
            ("MBBS", "Physician"),
        ),
        *(
            ("NP", "Mid-Level"),
            ("FNP-BC", "Mid-Level"),
            ("PA-C", "Mid-Level"),
            ("CNA", "Mid-Level"),
            ("CRNA", "Mid-Level"),
        ),
        *(("RN", "Nursing"), ("LPN", "Nursing"), ("BSN, RN", "Nursing"), ("RN, NP", "Mid-Level")),
        *(("PT", "Other"), ("DC", "Other"), ("PHARMD", "Other"), ("", "Other"), (None, "Other")),
    ],
)
def test_a_credential_has_its_group(credential: str | None, group: str) -> None:
    (row,) = typed("clinicians", [{"npi": NPI, "credential": credential}])
    assert row["credential_group"] == group
    assert row["dq_has_credential"] is bool(credential)


def test_the_enrollment_id_tells_the_day_and_a_date_of_its_own_goes_before() -> None:
    rows = typed(
        "clinicians",
        [
            {"npi": NPI, "enrollment_id": "I20031204000123"},
            {"npi": NPI, "enrollment_id": "I20031204000123", "stated_enrollment_date": "01/05/2010"},
            {"npi": NPI, "enrollment_id": "I20031304000123"},
            {"npi": NPI},
        ],
    )
    days = [row["enrollment_date"] for row in rows]
    assert days == [dt.date(2003, 12, 4), dt.date(2010, 1, 5), None, None]
    assert [row["years_enrolled"] for row in rows] == [22, 16, None, None]
    assert [row["dq_has_enrollment_date"] for row in rows] == [True, True, False, False]


@pytest.mark.parametrize(
    ("day", "years"),
    [(TODAY, 0), (TODAY.replace(year=2025), 1), (dt.date(2025, 11, 21), 0), (dt.date(2027, 1, 1), 0)],
)
def test_years_are_whole_and_not_negative(day: dt.date, years: int) -> None:
    (row,) = typed("clinicians", [{"npi": NPI, "stated_enrollment_date": day.isoformat()}])
    assert row["years_enrolled"] == years


@pytest.mark.parametrize(
    ("npi", "cleaned", "valid"),
    [
        *((NPI, NPI, True), (f"{NPI}.0", NPI, True), (f" {NPI} ", NPI, True), ("1234567893", "1234567893", True)),
        *(("2000000011", "2000000011", False), ("12345678", "0012345678", False), ("3000000019", "3000000019", False)),
    ],
)
def test_an_npi_is_restored_and_judged(npi: str, cleaned: str, valid: bool) -> None:
    (row,) = typed("clinicians", [{"npi": npi}])
    assert (row["npi"], row["npi_valid"]) == (cleaned, valid)


@pytest.mark.parametrize(
    ("npi", "verdict"), [("NOT A NUMBER", "invalid npi"), ("12345678901", "invalid npi"), ("", "missing npi")]
)
def test_what_cannot_be_ten_digits_is_rejected(npi: str, verdict: str) -> None:
    assert verdicts("clinicians", [{"npi": npi}]) == [verdict]


def test_padding_never_makes_an_npi_valid() -> None:
    assert not any(row["npi_valid"] for row in typed("clinicians", [{"npi": str(n)} for n in range(1, 2000)]))


@pytest.mark.parametrize(
    ("fields", "active"),
    [
        *(({}, True), ({"status": "A"}, True), ({"status": "active"}, True), ({"status": "D"}, False)),
        *(({"deactivated_on": "01/02/2020"}, False), ({"status": "Inactive"}, False)),
        ({"deactivated_on": "01/02/2020", "reactivated_on": "06/07/2021"}, True),
        ({"deactivated_on": "01/02/2020", "reactivated_on": "06/07/2019"}, False),
    ],
)
def test_only_the_active_stay(fields: dict[str, str], active: bool) -> None:
    assert verdicts("clinicians", [{"npi": NPI, **fields}]) == [None if active else "is_active"]


@pytest.mark.parametrize(
    ("fields", "person"),
    [
        *(({}, True), ({"entity_type": "1"}, True), ({"entity_type": "2"}, False)),
        *(({"enrollment_id": "I20031204000123"}, True), ({"enrollment_id": "O20031204000123"}, False)),
    ],
)
def test_organisations_are_no_clinicians(fields: dict[str, str], person: bool) -> None:
    assert verdicts("clinicians", [{"npi": NPI, **fields}]) == [None if person else "is_a_person"]


def test_a_state_that_is_none_has_a_partition_of_its_own() -> None:
    rows = typed("clinicians", [{"npi": NPI, "state_code": state} for state in ("TX", "texas", "ZZ", None)])
    assert [row["state"] for row in rows] == ["TX", "TX", "UNKNOWN", "UNKNOWN"]
    assert [row["dq_has_state"] for row in rows] == [True, True, False, False]
    assert contract_of("clinicians").partition_by == ("state",)


def test_a_taxonomy_code_counts_as_a_specialty() -> None:
    rows = typed("clinicians", [{"npi": NPI}, {"npi": NPI, "taxonomy_code": "207R00000X"}])
    assert [row["dq_has_specialty"] for row in rows] == [False, True]
