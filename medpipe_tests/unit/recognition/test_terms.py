"""The matcher: whole words, folded, leftmost and longest, with exact offsets."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from medpipe_assets.lexicon.normalise import normalise
from medpipe_assets.recognition.terms import LONGEST, Terms, canonical, read


def test_a_term_is_found_over_a_line_break_but_not_over_a_blank_line() -> None:
    terms = Terms(["heart failure"])
    assert [(m.begin, m.end) for m in terms.find("Heart\n  failure")] == [(0, 15)]
    assert terms.find("Heart\n\nfailure") == []


def test_the_longest_of_overlapping_terms_wins_also_where_it_is_no_whole_word() -> None:
    terms = Terms(["renal", "renal failure"])
    assert [m.index for m in terms.find("renal failure, renal failures")] == [1, 0]


@given(st.text(max_size=80))
@example("İ ß\t\n\n x\u0301\U0001d400 ﬁ")
def test_folding_keeps_every_place_exact(text: str) -> None:
    folded = read(text)
    assert len(folded.text) == len(folded.offsets) == len(folded.offsets_end)
    assert all(0 <= b < e <= len(text) for b, e in zip(folded.offsets, folded.offsets_end, strict=True))
    spaced = re.sub(r"\s+", lambda run: "\n" if run.group().count("\n") > 1 else " ", normalise(text).text)
    assert folded.text == spaced


@given(st.text(alphabet="aé \n.ßİ\u0301", max_size=30), st.text(alphabet="aé \n.ßİ\u0301", max_size=30))
def test_a_term_between_spaces_is_always_found_where_it_stands(before: str, after: str) -> None:
    text = f"{before} Neumonía {after}"
    begin = len(before) + 1
    assert (begin, begin + 8) in {(m.begin, m.end) for m in Terms(["neumonia"]).find(text)}


PIECES = st.lists(
    st.sampled_from(["ab", "a", "b", "-", "(", " ", "  ", "\n", "\n\n", "ç", "c", "\U0001f600", "1"]), max_size=14
)


@given(PIECES.map("".join), st.lists(PIECES.map("".join), max_size=6))
def test_found_is_what_a_search_word_by_word_finds(text: str, terms: list[str]) -> None:
    words = re.findall(r"[^\W_]+|[^\w\s]|_|\n(?=\s*\n)", normalise(text).text)
    wanted = set()
    for index, term in enumerate(terms):
        parts = canonical(term).split()
        if parts and canonical(term) not in [canonical(other) for other in terms[:index]]:
            places = range(len(words) - len(parts) + 1)
            wanted |= {(first, len(parts), index) for first in places if words[first : first + len(parts)] == parts}
    reading = read(text)
    starts = {begin: at for at, begin in enumerate(reading.begins.tolist())}
    ends = {end: at for at, end in enumerate(reading.ends.tolist())}
    found = [(starts[b], ends[e] + 1 - starts[b], index) for b, e, index in Terms(terms)._occurrences(reading)]
    assert set(found) == wanted
    assert found == sorted(found, key=lambda f: (f[0], -f[1]))


def test_where_matches_overlap_find_takes_the_first_and_find_all_all_but_those_within_another() -> None:
    terms = Terms(["a b", "b c", "c", "c d"])
    assert [m.index for m in terms.find("a b c d")] == [0, 3]
    assert [m.index for m in terms.find_all("a b c d")] == [0, 1, 3]


def test_a_term_may_be_longer_than_the_text_and_not_longer_than_the_limit() -> None:
    assert Terms(["a b c"]).find("a b") == []
    assert Terms([]).find("a b") == Terms(["", " "]).find("a b") == []
    with pytest.raises(ValueError, match="more than"):
        Terms(["a " * (LONGEST + 1)])
