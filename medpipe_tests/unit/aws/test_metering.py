"""Costs are collected where they arise, and a budget is never exceeded."""

import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.metering import Budget, BudgetReachedError, Cost, collecting, record
from medpipe_assets.errors import RunStopError

COST = Cost("textract", "DetectDocumentText", 1, "page", 0.0015)


def test_costs_are_collected_in_order_and_only_inside() -> None:
    record(COST)
    other = Cost("translate", "TranslateText", 100, "character", 0.0015)
    with collecting() as costs:
        record(COST)
        record(other)
    record(COST)
    assert costs == [COST, other]


def test_an_inner_collection_keeps_its_costs_to_itself() -> None:
    with collecting() as outer:
        with collecting() as inner:
            record(COST)
        record(COST)
    assert (len(outer), len(inner)) == (1, 1)


def test_threads_do_not_see_each_other_s_collections() -> None:
    def document(calls: int) -> int:
        with collecting() as costs:
            for _ in range(calls):
                record(COST)
        return len(costs)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(document, range(50))) == list(range(50))


def test_a_thread_that_runs_in_a_copy_of_the_context_adds_to_its_collection() -> None:
    with collecting() as costs, ThreadPoolExecutor(2) as threads:
        threads.submit(contextvars.copy_context().run, record, COST).result()
    assert costs == [COST]


@given(st.floats(0, 1), st.lists(st.tuples(st.floats(0, 0.3), st.booleans()), max_size=40))
def test_what_is_spent_never_exceeds_the_budget_and_a_call_that_fits_is_made(
    dollars: float, calls: list[tuple[float, bool]]
) -> None:
    budget = Budget(dollars)
    for price, succeeds in calls:
        spent = budget.spent
        try:
            budget.reserve(price)
        except BudgetReachedError:
            assert spent + price > dollars
        else:
            budget.settle(price, price if succeeds else 0.0)
        assert budget.spent <= dollars + 1e-6


def test_reservations_count_until_they_are_settled_and_return_when_not_spent() -> None:
    budget = Budget(1.0)
    budget.reserve(0.6)
    with pytest.raises(BudgetReachedError):
        budget.reserve(0.6)
    budget.settle(0.6, 0.0)
    budget.reserve(0.6)
    budget.settle(0.6, 0.5)
    budget.reserve(0.5)


def test_ten_times_ten_cents_fit_into_a_dollar() -> None:
    budget = Budget(1.0)
    for _ in range(10):
        budget.reserve(0.1)
        budget.settle(0.1, 0.1)
    with pytest.raises(BudgetReachedError, match=r"1\.00 dollars"):
        budget.reserve(0.0001)


def test_without_a_limit_everything_fits_and_is_counted() -> None:
    budget = Budget(None)
    budget.reserve(1e6)
    budget.settle(1e6, 1e6)
    assert budget.spent == 1e6


def test_threads_together_stay_within_the_budget() -> None:
    budget = Budget(1.0)

    def call(_: int) -> bool:
        try:
            budget.reserve(0.01)
        except BudgetReachedError:
            return False
        budget.settle(0.01, 0.01)
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(call, range(500))) == 100


def test_a_budget_that_is_reached_stops_the_run_and_not_the_document() -> None:
    assert issubclass(BudgetReachedError, RunStopError)
