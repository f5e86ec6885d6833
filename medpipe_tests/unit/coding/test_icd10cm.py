"""The code set, by release."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.coding import icd10cm, validity


@pytest.mark.parametrize("written", ["E11.9", "e119", " E11.9 "])
def test_a_code_is_known_however_it_is_written(written: str) -> None:
    entry = icd10cm.lookup(written)
    assert entry is not None
    assert (entry.code, entry.billable) == ("E11.9", True)


@given(st.text(max_size=9))
def test_any_text_is_a_code_or_is_not(text: str) -> None:
    entry = icd10cm.lookup(text)
    assert entry is None or entry.category == entry.code[:3]


def test_a_seventh_character_the_code_does_not_allow_makes_no_code() -> None:
    assert icd10cm.lookup("S72.001Z") is None


def test_a_seventh_character_is_part_of_the_title() -> None:
    entry = icd10cm.lookup("T36.0X1A")
    assert entry is not None
    assert entry.title.endswith(", initial encounter")
    assert icd10cm.lookup("S06.9XAA") is not None


def test_all_codes_for_claims_are_there_and_are_billable() -> None:
    codes = icd10cm.billable("2026-04-01")
    assert len(codes) == 74_719  # as CMS counts them
    sample = sorted(codes)[::500]
    assert [code for code in sample if (entry := icd10cm.lookup(code)) is None or not entry.billable] == []


def test_a_code_is_judged_by_the_release_of_its_day(next_year: str) -> None:
    before, after = (icd10cm.release_on(day) for day in (dt.date(2026, 9, 30), dt.date(2026, 10, 1)))
    assert (before, after) == ("2026-04-01", next_year) == ("2026-04-01", "2026-10-01")
    assert [icd10cm.lookup("A00.0", release) is not None for release in (before, after)] == [True, False]
    assert [validity.flags("E11.9", release) for release in (before, after)] == [(), ("not_billable",)]
    assert [validity.flags("S72.0XXA", release) for release in (before, after)][1] == ()
    assert validity.flags("S72.0", after) == ("not_billable", "seventh_character_missing")


def test_the_oldest_release_answers_for_the_days_before_it() -> None:
    assert icd10cm.release_on(dt.date(1999, 1, 1)) == icd10cm.release_on(dt.date(2026, 4, 1)) == "2026-04-01"
