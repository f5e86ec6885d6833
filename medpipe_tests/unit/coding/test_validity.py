"""What is wrong with a code, alone and beside others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.coding import validity

CODES = st.sampled_from("E11.9 E10.9 I10 N18.30 I13.0 D63.1 F02.80 R10.9 N23 S72.001A X00.99 M54.50 J18.9".split())


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        ("I10", ()),
        ("E11", ("not_billable",)),
        ("X00.99", ("not_in_code_set", "not_billable")),
        ("S72.001", ("not_billable", "seventh_character_missing", "unspecified")),
        ("S72.001A", ("unspecified",)),
        ("S72.001Z", ("not_in_code_set", "not_billable", "seventh_character_invalid")),
        ("E11.9A", ("not_in_code_set", "not_billable")),
        ("T36.0X1A", ()),
        ("J18.9", ("unspecified",)),
    ],
)
def test_a_code_is_flagged_for_what_a_claim_would_refuse(code: str, flags: tuple[str, ...]) -> None:
    assert validity.flags(code) == flags


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        (["E11.9", "I10"], {}),
        (["E11.9", "E10.9"], {"E11.9": ("excludes1_conflict",), "E10.9": ("excludes1_conflict",)}),
        (["R10.9", "N23"], {"R10.9": ("excludes1_conflict",), "N23": ("excludes1_conflict",)}),
        (["D63.1"], {"D63.1": ("code_first",)}),
        (["D63.1", "N18.4"], {}),
        (["F02.80"], {"F02.80": ("code_first",)}),
        (["F02.80", "G30.9"], {}),
        (["I13.0", "I50.9"], {"I13.0": ("use_additional_code",)}),
        (["I13.0", "I50.9", "N18.30"], {}),
        (["X00.99", "nonsense"], {}),
        ([], {}),
    ],
)
def test_codes_are_judged_beside_each_other(codes: list[str], found: dict[str, tuple[str, ...]]) -> None:
    assert validity.together(codes) == found


@given(st.lists(CODES, unique=True), CODES)
def test_one_more_code_of_a_document_never_ends_a_conflict_nor_makes_a_code_wanting(
    codes: list[str], more: str
) -> None:
    before, after = validity.together(codes), validity.together([*codes, more])
    for code in codes:
        assert ("excludes1_conflict" in before.get(code, ())) <= ("excludes1_conflict" in after.get(code, ()))
        for wanting in ("code_first", "use_additional_code"):
            assert (wanting in after.get(code, ())) <= (wanting in before.get(code, ()))


@given(CODES)
def test_every_flag_is_in_the_list(code: str) -> None:
    assert set(validity.flags(code)) <= validity.FLAGS.keys()


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
