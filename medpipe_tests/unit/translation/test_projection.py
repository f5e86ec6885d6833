"""Carrying spans across an alignment."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.translation.engine import Alignment
from medpipe_assets.translation.projection import project

# dolor torácico sin fiebre -> chest pain without fever
SWAPPED = [Alignment(0, 5, 6, 10), Alignment(6, 14, 0, 5), Alignment(15, 18, 11, 18), Alignment(19, 25, 19, 24)]


@st.composite
def alignments(draw: st.DrawFn) -> list[Alignment]:
    sides = []
    count = draw(st.integers(0, 8))
    for _ in range(2):
        edges = sorted(draw(st.lists(st.integers(0, 60), min_size=2 * count, max_size=2 * count, unique=True)))
        spans = list(zip(edges[::2], edges[1::2], strict=True))
        sides.append(draw(st.permutations(spans)))
    return [Alignment(*s, *t) for s, t in zip(*sides, strict=True)]


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (min(p), max(p) + 1)), max_size=4)


@given(SPANS, alignments(), st.sampled_from(["target", "source"]))
def test_results_are_ordered_apart_and_inside_the_other_text(spans, alignment, to) -> None:  # type: ignore[no-untyped-def]
    found = project(spans, alignment, to)
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    begins = [a.target_begin if to == "target" else a.source_begin for a in alignment]
    ends = [a.target_end if to == "target" else a.source_end for a in alignment]
    assert all(min(begins) <= begin < end <= max(ends) for begin, end in found)


@given(st.integers(1, 80).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1), st.integers(1, n))))
def test_an_identity_alignment_changes_no_span(case: tuple[int, int, int]) -> None:
    length, begin, end = case
    if begin < end:
        assert project([(begin, end)], [Alignment(0, length, 0, length)]) == [(begin, end)]


def test_words_that_changed_places_are_one_span_together_and_their_own_alone() -> None:
    assert project([(0, 14)], SWAPPED) == [(0, 10)]
    assert project([(6, 14)], SWAPPED) == [(0, 5)]
    assert project([(0, 10)], SWAPPED, "source") == [(0, 14)]


def test_a_span_inside_a_word_counts_the_word() -> None:
    assert project([(20, 22)], SWAPPED) == [(19, 24)]


def test_a_mention_in_two_parts_stays_in_two_parts() -> None:
    assert project([(0, 5), (19, 25)], SWAPPED) == [(6, 10), (19, 24)]


def test_nothing_aligned_gives_nothing() -> None:
    assert project([(14, 15)], SWAPPED) == []
    assert project([(0, 5)], []) == []
