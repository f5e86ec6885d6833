"""Enrollment events: what kind each is, how long it lasted, why it ended."""

import datetime as dt
from typing import Any

import pytest

from medpipe_tests.unit.datasets.rows import TODAY, result, typed, verdicts, warned

NPI, ENROLLMENT, GROUP = "2000000010", "I20100203000001", "O20110203000001"


def detail(**fields: Any) -> dict[str, Any]:
    (row,) = result("detail_tables", "detail_tables", [{"npi": NPI, **fields}])
    return row


@pytest.mark.parametrize(
    ("fields", "event", "status"),
    [
        ({}, "Enrollment", "Active"),
        ({"stated_event": "Initial enrollment", "stated_status": "A"}, "Enrollment", "Active"),
        ({"stated_event": "REVALIDATION", "stated_status": "P"}, "Revalidation", "Pending"),
        ({"stated_event": "Change of address"}, "Change", "Active"),
        ({"stated_event": "reactivated", "stated_status": "active"}, "Reactivation", "Active"),
        ({"stated_event": "Seance", "stated_status": "Q"}, "Other", "Unknown"),
        ({"stated_terminated_on": "2020-01-01"}, "Termination", "Terminated"),
        ({"stated_terminated_on": "2030-01-01"}, "Termination", "Active"),
        ({"deactivated_on": "01/01/2020"}, "Deactivation", "Deactivated"),
        ({"deactivated_on": "01/01/2020", "reactivated_on": "01/01/2021"}, "Reactivation", "Active"),
        ({"revoked_on": "2020-01-01"}, "Revocation", "Revoked"),
    ],
)
def test_events_are_classified(fields: dict[str, str], event: str, status: str) -> None:
    row = detail(**fields)
    assert (row["event_type"], row["status"]) == (event, status)


PARTS: list[dict[str, Any]] = [
    {"npi": NPI, "enrollment_id": ENROLLMENT, "pecos_pac_id": "1", "state_code": "TX", "specialty": "X"},
    {"enrollment_id": ENROLLMENT, "group_id": GROUP},
    {"enrollment_id": ENROLLMENT, "city": "Austin", "zip_code": "78701", "state_code": "TX"},
    {"enrollment_id": ENROLLMENT, "specialty": "Y"},
    {"npi": "2000000028", "enrollment_id": ENROLLMENT},
]


def test_the_parts_of_ppef_take_npi_and_state_from_their_enrollment() -> None:
    stray = {"npi": "2000000036"}
    rows = result("detail_tables", "detail_tables", [*PARTS, stray])
    found = {row["event_type"]: row for row in rows if row["enrollment_id"]}
    assert found.keys() == {"Enrollment", "Reassignment", "Practice location", "Secondary specialty", "Additional NPI"}
    assert {row["state"] for row in found.values()} == {"TX"}
    assert {row["npi"] for name, row in found.items() if name != "Additional NPI"} == {NPI}
    assert found["Additional NPI"]["npi"] == "2000000028"
    (alone,) = [row for row in rows if not row["enrollment_id"]]
    assert alone["state"] == "UNKNOWN"


def test_events_are_told_apart_and_the_same_event_is_one() -> None:
    rows = typed("detail_tables", [*PARTS, PARTS[0], {**PARTS[2], "city": "Waco"}])
    assert len({row["event_id"] for row in rows}) == len(PARTS) + 1


@pytest.mark.parametrize(
    ("begins", "ends", "days"),
    [
        *(("2026-11-19", None, 1), ("2026-11-20", None, 0), ("2027-01-01", None, None), (None, None, None)),
        *(("2020-02-28", "2020-03-01", 2), ("2020-03-01", "2020-02-28", None), ("2026-11-10", "2030-01-01", 10)),
    ],
)
def test_an_enrollment_lasts_to_its_end_or_to_today(begins: str | None, ends: str | None, days: int | None) -> None:
    assert detail(stated_enrolled_on=begins, stated_terminated_on=ends)["enrollment_duration_days"] == days


def test_ending_before_beginning_is_flagged_and_counted() -> None:
    fields = {"stated_enrolled_on": "2020-03-01", "stated_terminated_on": "2020-02-28"}
    assert detail(**fields)["dq_dates_in_order"] is False
    assert warned("detail_tables", [{"npi": NPI, **fields}]) == [{"ends_after_it_begins"}]


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("DT", "Death", "Death"),
        ("424.540(a)(7)", "Voluntary withdrawal", "Voluntary"),
        ("42 CFR 424.535(a)(1)", "Noncompliance with enrollment requirements", "Involuntary"),
        ("42 C.F.R. § 424.535(a)(12)", "Termination by Medicaid or another federal programme", "Involuntary"),
        ("424.540 (a) (1)", "No claims submitted in the time prescribed", "Administrative"),
        ("retired", "Retirement", "Voluntary"),
        ("gone fishing", "Unknown reason", "Unspecified"),
        (None, None, "Unspecified"),
    ],
)
def test_a_reason_code_is_decoded(code: str | None, reason: str | None, kind: str) -> None:
    row = detail(stated_status="T", reason_code=code)
    assert (row["reason_code"], row["reason"], row["termination_type"]) == (code, reason, kind)
    assert row["dq_reason_is_known"] is (None if code is None else reason != "Unknown reason")


def test_a_record_of_nobody_is_rejected() -> None:
    assert verdicts("detail_tables", [{"specialty": "X"}, {"npi": NPI}]) == ["is_of_someone", None]


def test_what_has_not_ended_has_no_termination_type() -> None:
    assert detail(reason_code="DT")["termination_type"] is None


@pytest.mark.parametrize(("days", "recent"), [(0, True), (179, True), (180, False), (-1, False)])
def test_recent_is_less_than_180_days(days: int, recent: bool) -> None:
    begun = TODAY - dt.timedelta(days)
    assert detail(stated_enrolled_on=begun.isoformat())["is_recent_enrollment"] is recent


@pytest.mark.parametrize(
    ("fields", "stale"),
    [
        *(({"last_updated": "2021-11-20"}, False), ({"last_updated": "2021-11-19"}, True), ({}, None)),
        ({"stated_enrolled_on": "2001-01-01", "last_updated": "2026-01-01"}, False),
        ({"stated_enrolled_on": "2001-01-01"}, True),
    ],
)
def test_stale_is_more_than_five_years_without_a_change(fields: dict[str, str], stale: bool | None) -> None:
    assert detail(**fields)["is_stale_record"] is stale


def test_the_rate_is_of_the_group() -> None:
    records = [
        {"npi": NPI, "group_id": "G", "stated_reassigned": "Y", "stated_enrolled_on": "2020-01-01"},
        {"npi": NPI, "group_id": "G", "stated_reassigned": "N", "stated_enrolled_on": "2020-01-02"},
        {"npi": NPI, "group_id": "G", "stated_enrolled_on": "2020-01-03"},
        {"npi": NPI, "group_id": "H", "pecos_pac_id": "1", "specialty": "X", "stated_enrolled_on": "2020-01-04"},
        {"npi": NPI, "stated_enrolled_on": "2020-01-05"},
    ]
    rows = result("detail_tables", "detail_tables", records)
    rates = {row["enrolled_on"].day: row["group_reassignment_rate"] for row in rows}
    assert rates == {1: pytest.approx(1 / 3), 2: pytest.approx(1 / 3), 3: pytest.approx(1 / 3), 4: 1.0, 5: None}
