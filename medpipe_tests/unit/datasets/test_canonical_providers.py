"""Golden records: which source each part comes from, and how far a provider takes part."""

from typing import Any

import pytest

from medpipe_tests.unit.datasets.rows import result, typed

NPI, OTHER = "2000000010", "2000000028"


def golden(*records: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["npi"]: row for row in result("canonical_providers", "canonical_providers", records)}


DAC = {
    **{"npi": NPI, "dac_pac_id": "1", "enrollment_id": "I20100203000001", "last_name": "DOE", "first_name": "JANE"},
    **{"credential": "MD", "telehealth": "Y", "state_code": "TX", "city": "AUSTIN", "zip_code": "78701"},
}
PPEF = {
    **{"npi": NPI, "ppef_pac_id": "1", "enrollment_id": "I20150203000001", "last_name": "DOE", "first_name": "JANE"},
    **{"middle_name": "Q", "state_code": "CA"},
}
NPPES = {
    **{"npi": NPI, "entity_type": "1", "last_name": "DOE-ROE", "first_name": "JANE"},
    **{"enumeration_date": "01/01/2006", "other_id_type_2": "05"},
}


def test_each_part_is_of_the_first_source_that_has_it() -> None:
    row = golden(DAC, PPEF, NPPES)[NPI]
    assert row["display_name"] == "JANE Q DOE-ROE, MD"
    assert (row["sources"], row["records"], row["dq_sources_agree"]) == ("DAC+NPPES+PPEF", 3, False)
    assert row["enrollment_id"] == "I20150203000001"


def test_the_parts_of_an_address_are_of_one_record() -> None:
    row = golden(DAC, PPEF, NPPES)[NPI]
    assert (row["city"], row["state"], row["zip_code"]) == ("AUSTIN", "TX", "78701")


def test_the_order_of_the_records_does_not_matter() -> None:
    assert golden(DAC, PPEF, NPPES) == golden(NPPES, DAC, PPEF)


@pytest.mark.parametrize(
    ("medicare", "medicaid", "telehealth", "score", "tier"),
    [
        *(("Y", "Y", "Y", 3, "Full"), ("Y", "N", "Y", 2, "Partial"), ("N", None, "Y", 1, "Limited")),
        *(("N", "N", "N", 0, "None"), (None, None, None, 0, "None")),
    ],
)
def test_taking_part_is_counted(
    medicare: str | None, medicaid: str | None, telehealth: str | None, score: int, tier: str
) -> None:
    stated = {"stated_medicare": medicare, "stated_medicaid": medicaid, "telehealth": telehealth}
    row = golden({"npi": NPI, "last_name": "DOE", **stated})[NPI]
    assert (row["participation_score"], row["participation_tier"]) == (score, tier)
    assert row["dq_knows_medicaid"] is (medicaid is not None)


def test_who_is_listed_by_medicare_takes_part_and_nppes_knows_of_medicaid() -> None:
    row = golden(DAC, PPEF, NPPES)[NPI]
    assert (row["medicare"], row["medicaid"], row["telehealth"], row["participation_tier"]) == (
        True,
        True,
        True,
        "Full",
    )
    alone = golden(NPPES)[NPI]
    assert (alone["medicare"], alone["dq_knows_medicare"], alone["participation_score"]) == (None, False, 1)


def test_a_deactivated_npi_stays_as_inactive() -> None:
    row = golden({"npi": OTHER, "deactivated_on": "01/02/2020"})[OTHER]
    assert (row["display_name"], row["is_active"], row["dq_has_name"]) == (f"NPI {OTHER}", False, False)
    listed = golden(DAC, {"npi": NPI, "deactivated_on": "01/02/2020"})[NPI]
    assert (listed["is_active"], listed["participation_score"], listed["participation_tier"]) == (False, 0, "None")
    assert listed["display_name"] == "JANE DOE, MD"


def test_a_reactivated_npi_is_active() -> None:
    row = golden({**NPPES, "deactivated_on": "01/02/2020", "reactivated_on": "06/07/2021"})[NPI]
    assert (row["is_active"], row["deactivated_on"]) == (True, None)


def test_the_blanked_record_of_a_deactivation_is_newer_than_the_one_before() -> None:
    before, after = typed(
        "canonical_providers",
        [{**NPPES, "stated_last_updated": "08/09/2019"}, {"npi": NPI, "deactivated_on": "01/02/2020"}],
    )
    assert (before["record_source"], before["record_id"]) == (after["record_source"], after["record_id"])
    assert after["last_updated"] > before["last_updated"]


@pytest.mark.parametrize(
    ("fields", "name", "entity"),
    [
        ({"first_name": "Ada", "last_name": "Roe", "credential": "NP"}, "Ada Roe, NP", "individual"),
        ({"last_name": "Roe"}, "Roe", "individual"),
        ({"first_name": "Ada", "last_name": "Roe", "suffix": "II"}, "Ada Roe II", "individual"),
        ({"entity_type": "2", "organization_name": "CLINIC INC", "credential": "MD"}, "CLINIC INC", "organization"),
        ({"organization_name": "CLINIC INC"}, "CLINIC INC", "organization"),
        (
            {"entity_type": "Organization", "organization_name": "CLINIC INC", "last_name": "Roe"},
            "CLINIC INC",
            "organization",
        ),
        ({"enrollment_id": "O20150203000001", "organization_name": "CLINIC"}, "CLINIC", "organization"),
        ({"credential": "MD"}, f"NPI {NPI}", None),
    ],
)
def test_people_and_organisations_have_their_names(fields: dict[str, str], name: str, entity: str | None) -> None:
    row = golden({"npi": NPI, **fields})[NPI]
    assert (row["display_name"], row["entity_type"]) == (name, entity)


def test_a_stated_status_that_is_not_active_makes_inactive() -> None:
    rows = golden(
        {"npi": NPI, "last_name": "ROE", "status": "Inactive", "stated_medicare": "Y"},
        {"npi": OTHER, "last_name": "ROE", "status": "a", "stated_medicare": "Y"},
    )
    assert [(rows[npi]["is_active"], rows[npi]["participation_score"]) for npi in (NPI, OTHER)] == [
        (False, 0),
        (True, 1),
    ]
