"""The matcher: whole words, folded, leftmost and longest, with exact offsets."""

from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.terms import Terms, fold


def test_a_term_is_found_over_a_line_break_but_not_over_a_blank_line() -> None:
    terms = Terms(["heart failure"])
    assert [(m.begin, m.end) for m in terms.find("Heart\n  failure")] == [(0, 15)]
    assert terms.find("Heart\n\nfailure") == []


def test_the_longest_of_overlapping_terms_wins_also_where_it_is_no_whole_word() -> None:
    terms = Terms(["renal", "renal failure"])
    assert [m.index for m in terms.find("renal failure, renal failures")] == [1, 0]


@given(st.text(max_size=80))
def test_folding_keeps_every_place_exact(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) == len(folded.offsets) == len(folded.offsets_end)
    assert all(0 <= b < e <= len(text) for b, e in zip(folded.offsets, folded.offsets_end, strict=True))


@given(st.text(alphabet="aé \n.ßİ\u0301", max_size=30), st.text(alphabet="aé \n.ßİ\u0301", max_size=30))
def test_a_term_between_spaces_is_always_found_where_it_stands(before: str, after: str) -> None:
    text = f"{before} Neumonía {after}"
    begin = len(before) + 1
    assert (begin, begin + 8) in {(m.begin, m.end) for m in Terms(["neumonia"]).find(text)}
