"""The day of service that a document states."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.coding.service_date import service_date

RECEIVED = dt.date(2026, 6, 1)


@pytest.mark.parametrize(
    ("language", "text", "day"),
    [
        ("en", "Date of service: 03/04/2026", "2026-03-04"),
        ("en", "DATE: 2026-03-04", "2026-03-04"),
        ("en", "Discharged on March 4, 2026.", "2026-03-04"),
        ("en", "Date of birth: 09/14/1964  Sex: Male\nDate: 13/04/2026", "2026-04-13"),
        ("es", "Fecha: 03/04/2026", "2026-04-03"),
        ("es", "Fecha de alta: 3 de abril de 2026", "2026-04-03"),
        ("es", "Fecha de ingreso 03-04-26", "2026-04-03"),
        ("fr", "Date d'entrée : 1er août 2025", "2025-08-01"),
        ("pt", "Data de internação: 03/04/2026", "2026-04-03"),
        ("it", "Data di ricovero: 3 aprile 2026", "2026-04-03"),
        ("de", "Aufnahmedatum: 03.04.2026", "2026-04-03"),
        ("en", "Admission date: 01/02/2026\nDischarge date: 01/09/2026\nDate: 02/01/2026", "2026-01-09"),
        ("en", "Seen again. Visit date: 01/02/2026. Visit date: 02/02/2026.", "2026-02-02"),
    ],
)
def test_a_labelled_date_is_the_day_of_service(language: str, text: str, day: str) -> None:
    assert service_date([(text, language)], RECEIVED).isoformat() == day


@pytest.mark.parametrize(
    "text",
    ["", "Update 03/04/2026", "in March 2026", "Date of birth: 03/04/1970", "Date: 31/31/2026", "Date: 07/01/2026"],
)
def test_what_states_no_day_or_one_to_come_was_given_when_it_was_received(text: str) -> None:
    assert service_date([(text, "en")], RECEIVED) == RECEIVED


@given(st.text(max_size=60).map(lambda text: f"date {text}") | st.dates().map(lambda day: f"Date: {day:%d/%m/%Y}"))
def test_no_text_gives_a_day_after_its_receipt(text: str) -> None:
    assert service_date([(text, "es")], RECEIVED) <= RECEIVED
