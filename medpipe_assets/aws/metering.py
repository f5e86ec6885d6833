"""Counting units and dollars: costs of the calls made in a context, and a run's budget. Prices are in prices.py."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from medpipe_assets.errors import RunStopError

ROUNDING = 1e-9
"""Dollars: sums of binary fractions miss the budget by less than this."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A call that was paid, or (with a reason) one that was saved; a row of the table `costs`."""

    service: str
    operation: str
    units: float
    unit: str
    dollars: float
    saved_dollars: float = 0.0
    reason_saved: str | None = None


_costs: ContextVar[list[Cost] | None] = ContextVar("costs", default=None)


def record(cost: Cost) -> None:
    """Add a cost to the collection of the current context; without one, nothing is kept."""
    collection = _costs.get()
    if collection is not None:
        collection.append(cost)


@contextmanager
def collecting() -> Iterator[list[Cost]]:
    """Collect what is recorded inside, in the order of recording.

    A thread started inside collects only when it runs in a copy of this context (`contextvars.copy_context().run`).
    """
    collection: list[Cost] = []
    token = _costs.set(collection)
    try:
        yield collection
    finally:
        _costs.reset(token)


class BudgetReachedError(RunStopError):
    """The next call would cost more than is left. What is done stays done; a run with another budget goes on."""

    def __init__(self, dollars: float) -> None:
        super().__init__(f"the budget of {dollars:.2f} dollars is used up: run again with another to go on")


class Budget:
    """Dollars that a run may spend, shared by its threads. None means no limit; spent is counted all the same."""

    def __init__(self, dollars: float | None = None) -> None:
        self._dollars = dollars
        self._spent = 0.0
        self._reserved = 0.0
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """Dollars paid so far."""
        return self._spent

    def reserve(self, dollars: float) -> None:
        """Set dollars aside for a call that is about to be made.

        Raises:
            BudgetReachedError: where spent, reserved and these dollars together would exceed the budget.
        """
        with self._lock:
            if self._dollars is not None and self._spent + self._reserved + dollars > self._dollars + ROUNDING:
                raise BudgetReachedError(self._dollars)
            self._reserved += dollars

    def settle(self, reserved: float, actual: float) -> None:
        """Replace what was reserved for a call by what it cost: nothing, where it failed."""
        with self._lock:
            self._reserved -= reserved
            self._spent += actual
