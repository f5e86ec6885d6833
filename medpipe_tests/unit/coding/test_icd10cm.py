"""The code set, and what is wrong with a code."""

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


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        ("I10", ()),
        ("E11", ("not_billable",)),
        ("X00.99", ("not_in_code_set", "not_billable")),
        ("S72.001", ("not_billable", "seventh_character_missing", "unspecified")),
        ("S72.001A", ("unspecified",)),
        ("T36.0X1A", ()),
        ("J18.9", ("unspecified",)),
    ],
)
def test_a_code_is_flagged_for_what_a_claim_would_refuse(code: str, flags: tuple[str, ...]) -> None:
    assert validity.flags(code) == flags


def test_a_seventh_character_the_code_does_not_allow_makes_no_code() -> None:
    assert icd10cm.lookup("S72.001Z") is None


@pytest.mark.parametrize(
    ("codes", "above"),
    [
        (("E11.9",), "E11.9"),
        (("E11.21", "E11.22"), "E11.2"),
        (("E11.9", "E10.9"), None),
        (("E11.9", "nonsense"), None),
        ((), None),
    ],
)
def test_codes_roll_up_to_what_they_share(codes: tuple[str, ...], above: str | None) -> None:
    assert validity.rolled_up(codes) == above
