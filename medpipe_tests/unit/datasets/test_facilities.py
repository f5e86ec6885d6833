"""Facilities: what is read from odd records, and each result table by hand."""

import datetime as dt
from typing import Any

import pytest

from medpipe_tests.unit.datasets.rows import TODAY, result, typed, verdicts, warned


def accreditation(body: str | None, until: str | None) -> dict[str, str | None]:
    return {"accreditation_body": body, "accreditation_id": "1", "valid_until": until}


def facility(facility_id: str, **fields: Any) -> dict[str, Any]:
    return {"facility_id": facility_id, "facility_name": facility_id.title(), "state_code": "TX", **fields}


CITY = facility("CITY", accreditations=[accreditation("JC", "2026-12-31"), accreditation("NCQA", "2025-06-30")])


def test_the_first_accreditation_is_that_of_the_list_and_the_earliest_is_beside_it() -> None:
    (row,) = result("facilities", "facility_metrics", [CITY])
    assert row["expiry_date_of_first_accreditation"] == dt.date(2026, 12, 31)
    assert row["earliest_accreditation_expiry"] == dt.date(2025, 6, 30)


@pytest.mark.parametrize("empty", [{}, {"services": None, "accreditations": None}, {"services": [], "labs": []}])
def test_missing_null_and_empty_lists_count_as_empty(empty: dict[str, Any]) -> None:
    records = [facility("A", **empty)]
    (row,) = result("facilities", "facility_metrics", records)
    assert row["number_of_offered_services"] == 0
    assert row["expiry_date_of_first_accreditation"] is None
    assert row["earliest_accreditation_expiry"] is None
    for table in ("facility_services", "lab_certifications", "expiring_accreditations"):
        assert result("facilities", table, records) == []
    (state,) = result("facilities", "accredited_facilities_by_state", records)
    assert (state["facilities"], state["accredited_facilities"], state["accreditations_by_body"]) == (1, 0, [])


def test_blank_services_are_not_counted_and_keep_the_places_of_the_others() -> None:
    records = [facility("A", services=["Surgery", " ", None, "  Radiology "])]
    (row,) = result("facilities", "facility_metrics", records)
    assert row["number_of_offered_services"] == 2
    services = result("facilities", "facility_services", records)
    assert sorted((s["service_position"], s["service"]) for s in services) == [(1, "Surgery"), (4, "Radiology")]


def test_an_impossible_date_leaves_its_accreditation_in_its_place() -> None:
    given = [accreditation("JC", "2026-02-30"), accreditation("NCQA", ""), accreditation("URAC", "6/30/2027")]
    (row,) = typed("facilities", [facility("A", accreditations=given)])
    assert [a["valid_until"] for a in row["accreditations"]] == [None, None, dt.date(2027, 6, 30)]
    (metrics,) = result("facilities", "facility_metrics", [facility("A", accreditations=given)])
    assert metrics["expiry_date_of_first_accreditation"] is None
    assert metrics["earliest_accreditation_expiry"] == dt.date(2027, 6, 30)


@pytest.mark.parametrize(("stated", "employees"), [("250", 250), ("250.0", 250), ("250 staff", None), ("-4", None)])
def test_an_employee_count_that_is_none_is_null(stated: str, employees: int | None) -> None:
    (row,) = typed("facilities", [facility("A", stated_employees=stated)])
    assert row["employee_count"] == employees


def test_a_record_without_an_id_is_rejected() -> None:
    assert verdicts("facilities", [facility(" "), facility("A")]) == ["missing facility_id", None]


def test_a_negative_employee_count_is_counted() -> None:
    found = warned("facilities", [facility("A", stated_employees="-4"), facility("B")])
    assert found == [{"employees_are_not_negative"}, set()]


def test_an_accreditation_is_valid_on_its_last_day_and_not_on_the_next() -> None:
    records = [facility("A", accreditations=[accreditation("JC", TODAY.isoformat())])]
    for day, accredited in ((TODAY, 1), (TODAY + dt.timedelta(1), 0)):
        (row,) = result("facilities", "accredited_facilities_by_state", records, as_of=day)
        assert row["as_of_date"] == day
        assert row["accredited_facilities"] == accredited


def test_states_count_all_their_facilities_and_each_accredited_one_once() -> None:
    records = [
        facility("A", stated_employees="10", accreditations=[accreditation("JC", "2027-01-01")] * 2),
        facility("B", accreditations=[accreditation("JC", "2024-01-01"), accreditation("CAP", None)]),
        facility("C", stated_employees="5", accreditations=[accreditation(" CAP ", "2027-01-01")]),
        facility("D", state_code="Atlantis", accreditations=[accreditation(None, "2027-01-01")]),
    ]
    rows = {row["state"]: row for row in result("facilities", "accredited_facilities_by_state", records)}
    assert rows.keys() == {"TX", "UNKNOWN"}
    texas = rows["TX"]
    assert (texas["facilities"], texas["accredited_facilities"], texas["employees"]) == (3, 2, 15)
    assert texas["accredited_share"] == pytest.approx(2 / 3)
    assert texas["accreditations_by_body"] == [
        {"accreditation_body": "CAP", "accreditations": 1},
        {"accreditation_body": "JC", "accreditations": 2},
    ]
    assert (rows["UNKNOWN"]["accredited_facilities"], rows["UNKNOWN"]["accreditations_by_body"]) == (1, [])


def test_what_expires_within_the_months_is_listed_with_its_days() -> None:
    dates = ["2026-11-19", "2026-11-20", "2027-05-20", "2027-05-21", None]
    records = [facility("A", accreditations=[accreditation("JC", day) for day in dates])]
    rows = result("facilities", "expiring_accreditations", records)
    assert sorted((r["accreditation_position"], r["days_left"]) for r in rows) == [(2, 0), (3, 181)]
    assert len(result("facilities", "expiring_accreditations", records, months=1)) == 1


def test_certifications_keep_their_laboratory_and_place() -> None:
    labs = [
        {"lab_name": "L", "certifications": ["CLIA", "", "CAP"]},
        {"lab_name": "M", "certifications": None},
        {"lab_name": "L", "certifications": ["CLIA"]},
    ]
    rows = result("facilities", "lab_certifications", [facility("A", labs=labs)])
    found = sorted((r["lab_position"], r["certification_position"], r["lab_name"], r["certification"]) for r in rows)
    assert found == [(1, 1, "L", "CLIA"), (1, 3, "L", "CAP"), (3, 1, "L", "CLIA")]
