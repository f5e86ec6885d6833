"""Words of one language met by those of another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.model import bridge


@pytest.mark.parametrize(
    ("spanish", "english"),
    [
        ("hepatomegalia", "hepatomegaly"), ("nefropatia", "nephropathy"), ("taquicardia", "tachycardia"),
        ("artritis", "arthritis"), ("fibrosis", "fibrosis"), ("linfoma", "lymphoma"), ("cronica", "chronic"),
    ],
)  # fmt: skip
def test_cognates_share_their_skeleton(spanish: str, english: str) -> None:
    assert bridge.skeleton(spanish) == bridge.skeleton(english)


def test_words_that_are_no_cognates_do_not() -> None:
    assert bridge.skeleton("higado") != bridge.skeleton("liver")


def test_as_many_sentences_on_both_sides_are_paired_in_order() -> None:
    assert bridge.sentence_pairs(["a", "b"], ["c", "d"]) == [("a", "c"), ("b", "d")]


def test_a_sentence_that_was_split_is_paired_with_both_parts() -> None:
    left = ["x" * 40, "y" * 100, "z" * 30]
    right = ["a" * 41, "b" * 50, "c" * 49, "d" * 30]
    assert bridge.sentence_pairs(left, right) == [
        (left[0], right[0]), (left[1], f"{right[1]} {right[2]}"), (left[2], right[3]),
    ]  # fmt: skip


SENTENCES = st.lists(st.text("ab", min_size=1, max_size=40), max_size=8)


@given(SENTENCES, SENTENCES)
def test_pairs_keep_the_order_of_both_sides(left: list[str], right: list[str]) -> None:
    pairs = bridge.sentence_pairs(left, right)
    for side, sentences in ((0, left), (1, right)):
        whole = " ".join(sentences)
        at = 0
        for pair in pairs:
            at = whole.index(pair[side], at) + len(pair[side])


def test_words_that_stand_together_translate_each_other() -> None:
    pairs = [(["fiebr", "alta"], ["high", "fever"]), (["fiebr"], ["fever"]), (["tos", "alta"], ["high", "cough"])] * 5
    table = bridge.translations(pairs)
    assert max(table["fiebr"], key=table["fiebr"].__getitem__) == "fever"
    assert max(table["tos"], key=table["tos"].__getitem__) == "cough"
    assert all(bridge.LEAST <= p <= 1 for told in table.values() for p in told.values())


def test_nothing_translates_nothing() -> None:
    assert bridge.translations([]) == {}
    assert bridge.translations([([], ["a"])]) == {}
    assert bridge.sentence_pairs([], ["a"]) == []


def test_tables_are_merged_by_the_higher_probability() -> None:
    assert bridge.merged([{"a": {"x": 0.2}}, {"a": {"x": 0.5, "y": 0.1}}]) == {"a": {"x": 0.5, "y": 0.1}}
