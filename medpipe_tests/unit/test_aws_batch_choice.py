"""One by one or as a batch."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws_batch_choice import choose_batch, terms

PRICES = terms("comprehendmedical", "DetectEntitiesV2", "StartEntitiesDetectionV2Job")
A_DAY = 3_000 * 1_000


def test_a_common_day_is_asked_one_by_one() -> None:
    assert choose_batch(A_DAY, 1_000, 4, PRICES) == "sync"


def test_a_day_too_large_for_the_quota_goes_as_a_batch() -> None:
    assert choose_batch(1000 * A_DAY, 1_000_000, 4, PRICES) == "batch"


def test_a_batch_that_comes_too_late_is_not_taken_though_it_is_cheaper() -> None:
    cheap = replace(PRICES, batch_dollars=0.001)
    assert choose_batch(A_DAY, 1_000, 24, cheap) == "batch"
    assert choose_batch(A_DAY, 1_000, 0.5, cheap) == "sync"


def test_many_tiny_documents_are_not_worth_their_files_when_there_is_time() -> None:
    tiny = replace(PRICES, sync_dollars=0.00001, batch_dollars=0.00001)
    assert choose_batch(10_000_000, 1_000_000, 100, tiny) == "sync"


@given(st.integers(0, 10**10), st.integers(0, 10**7), st.floats(0, 100), st.floats(0, 100))
def test_more_time_never_makes_it_dearer(characters: int, documents: int, hours: float, more: float) -> None:
    cheap = replace(PRICES, batch_dollars=0.001)
    dollars = {
        "sync": characters / 100 * cheap.sync_dollars,
        "batch": characters / 100 * cheap.batch_dollars + documents * cheap.file_dollars,
    }
    before = choose_batch(characters, documents, hours, cheap)
    after = choose_batch(characters, documents, hours + more, cheap)
    in_time = documents / cheap.requests_a_second <= hours * 3600
    if in_time and characters / cheap.characters_a_second <= hours * 3600:
        assert dollars[after] <= dollars[before] * 1.02
