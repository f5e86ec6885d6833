"""Practices: how the records of several files become one row a practice."""

from typing import Any

import pytest

from medpipe_tests.unit.datasets.rows import result, verdicts


def practices(*records: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["practice_id"]: row for row in result("practices", "practices", records)}


def member(npi: str, group: str | None = "42200001", **fields: Any) -> dict[str, Any]:
    """A row of DAC."""
    return {"member_npi": npi, "clinician_pac_id": f"7{npi[:9]}", "organization_pac_id": group, **fields}


@pytest.mark.parametrize(
    ("size", "category"),
    [
        *(("1", "Solo"), ("2", "Small"), ("10", "Small"), ("11", "Medium"), ("49", "Medium"), ("50", "Large")),
        *(("199", "Large"), ("200", "Enterprise"), ("0", None), ("-3", None), ("many", None), (None, None)),
    ],
)
def test_a_size_has_its_category(size: str | None, category: str | None) -> None:
    (row,) = practices({"stated_practice_id": "P", "stated_members": size}).values()
    assert row["practice_size_category"] == category
    assert row["dq_has_size"] is (category is not None)


@pytest.mark.parametrize(
    ("state", "region"),
    [
        *(("NH", "Northeast"), ("PA", "Northeast"), ("OH", "Midwest"), ("DC", "South"), ("DE", "South")),
        *(("AK", "West"), ("PR", "Territories"), ("AE", None), ("ZZ", None), (None, None)),
    ],
)
def test_a_state_has_its_census_region(state: str | None, region: str | None) -> None:
    (row,) = practices({"stated_practice_id": "P", "state_code": state}).values()
    assert row["census_region"] == region
    assert row["dq_has_state"] is (state not in ("ZZ", None))


def test_every_state_and_the_district_is_in_a_region() -> None:
    codes = (
        "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH "
        "OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY"
    ).split()
    rows = practices(*({"stated_practice_id": code, "state_code": code} for code in codes))
    counts: dict[str, int] = {}
    for row in rows.values():
        counts[row["census_region"]] = counts.get(row["census_region"], 0) + 1
    assert counts == {"Northeast": 9, "Midwest": 12, "South": 17, "West": 13}


def test_a_group_of_dac_is_its_members() -> None:
    rows = practices(
        member("2000000010", practice_name="HARBOUR", stated_specialty="CARDIOLOGY", state_code="NH", zip_code="3801"),
        member("2000000028", practice_name="HARBOUR", stated_specialty="cardiology", state_code="NH"),
        member("2000000036", practice_name="HARBOUR", stated_specialty="ONCOLOGY", state_code="ME"),
    )
    row = rows["0042200001"]
    assert (row["practice_name"], row["state"], row["zip_code"]) == ("HARBOUR", "NH", "03801")
    assert (row["practice_size"], row["members_seen"], row["practice_size_category"]) == (3, 3, "Small")
    assert (row["specialties"], row["is_multi_specialty"]) == (2, True)


def test_a_stated_size_goes_before_the_members_seen() -> None:
    row = practices(member("2000000010", stated_members="12"))["0042200001"]
    assert (row["practice_size"], row["members_seen"]) == (12, 1)


def test_a_clinician_without_a_group_is_a_practice_of_one() -> None:
    row = practices(member("2000000010", None, first_name="Ada", last_name="Eastwick"))["7200000001"]
    assert (row["practice_name"], row["practice_size_category"]) == ("Ada Eastwick", "Solo")


def enrollment(enrollment_id: str, **fields: Any) -> dict[str, Any]:
    return {"enrollment_id": enrollment_id, "pecos_pac_id": "1", "practice_npi": "2000000010", **fields}


CLINIC, ADA, BEN, CORA = "O20180530000378", "I20180530000377", "I20190530000379", "I20200530000380"
PPEF = (
    enrollment(CLINIC, practice_name="CLINIC PC", stated_specialty="CLINIC/GROUP PRACTICE", state_code="CT"),
    enrollment(ADA, last_name="ADA", stated_specialty="FAMILY PRACTICE", state_code="CT"),
    enrollment(BEN, last_name="BEN", stated_specialty="INTERNAL MEDICINE", state_code="CT"),
    enrollment(CORA, last_name="CORA", stated_specialty="INTERNAL MEDICINE", state_code="MA"),
    {"enrollment_id": CLINIC, "city": "HARTFORD", "state_code": "CT", "zip_code": "6103"},
    {"enrollment_id": CLINIC, "city": "NEW HAVEN", "state_code": "CT", "zip_code": "065111234"},
    {"stated_practice_id": CLINIC, "reassigned_enrollment_id": ADA},
    {"stated_practice_id": CLINIC, "reassigned_enrollment_id": BEN},
    {"enrollment_id": CORA, "stated_specialty": "CARDIOLOGY"},
)


def test_the_parts_of_ppef_meet() -> None:
    rows = practices(*PPEF)
    assert rows.keys() == {CLINIC, CORA}
    clinic = rows[CLINIC]
    assert (clinic["practice_name"], clinic["city"], clinic["zip_code"]) == ("CLINIC PC", "HARTFORD", "06103")
    assert (clinic["members_seen"], clinic["practice_size_category"]) == (2, "Small")
    assert (clinic["specialties"], clinic["is_multi_specialty"]) == (2, True)
    cora = rows[CORA]
    assert (cora["practice_name"], cora["practice_size_category"], cora["is_multi_specialty"]) == ("CORA", "Solo", True)


def test_the_type_of_an_organisation_is_no_specialty() -> None:
    row = practices(PPEF[0], PPEF[6], PPEF[1])[CLINIC]
    assert (row["specialties"], row["is_multi_specialty"]) == (1, False)


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        *(({"specialties": "Cardiology; Oncology"}, True), ({"specialties": "Cardiology; cardiology;"}, False)),
        *(({"stated_specialty": "Cardiology"}, False), ({}, None)),
        ({"specialties": "Cardiology", "stated_multi_specialty": "Y"}, True),
    ],
)
def test_more_than_one_specialty_makes_a_multi_specialty_practice(fields: dict[str, str], flag: bool | None) -> None:
    (row,) = practices({"stated_practice_id": "P", **fields}).values()
    assert row["is_multi_specialty"] is flag


def test_closed_practices_are_removed_and_records_without_an_id_rejected() -> None:
    records: list[dict[str, Any]] = [
        {"stated_practice_id": "P", "status": "A"},
        {"stated_practice_id": "P", "status": "Closed"},
        {"practice_name": "No id"},
    ]
    assert verdicts("practices", records) == [None, "is_active", "missing practice_id"]
