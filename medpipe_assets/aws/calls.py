"""Calls that cost money: stored answers first, then budget, rate, the call, its storing and its metering, in one place.

Every engine on AWS calls through here, so that no call is unmetered and no answer is paid for twice.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.faults import translated
from medpipe_assets.aws.metering import Budget, Cost, record
from medpipe_assets.aws.prices import price
from medpipe_assets.aws.rates import RateLimits
from medpipe_assets.aws.responses import ResponseStore, response_key
from medpipe_assets.errors import DocumentError, Reason

STORED = "stored"
"""reason_saved of a call whose answer was in the store."""

PREPAID = "$prepaid"
"""In a stored answer that a batch job gave: the job's operation, until a call takes the answer and has its cost."""

AT_WORK = frozenset({"IN_PROGRESS", "SUBMITTED", "Created", "InProgress"})
JOB_SECONDS = 3600.0
FIRST_PAUSE, PAUSE_GROWTH, LONGEST_PAUSE = 1.0, 1.5, 20.0
"""Seconds between two questions after a job: a page takes a few, thousands take many minutes."""

WATCHED_PAUSE = 120.0
"""Seconds between two questions after a job whose end is told: messages get lost, though hardly ever."""


@dataclass
class _Turn:
    """Whose turn it is for a key, and how many threads want it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    threads: int = 0


class PaidCalls:
    """Calls of paid operations, shared by the threads of a process.

    Args:
        clients: where clients come from.
        store: answers kept; None keeps none, and asks again each time.
        rates: how often each operation may be sent.
        budget: what may be spent.
        clock, sleep: how the wait for a job is measured and passed, in seconds.
    """

    def __init__(
        self,
        clients: Clients,
        store: ResponseStore | None = None,
        rates: RateLimits | None = None,
        budget: Budget | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.clients = clients
        self.store = store
        self.rates = rates or RateLimits({})
        self.budget = budget or Budget(None)
        self._clock, self._sleep = clock, sleep
        self._turns: dict[str, _Turn] = {}
        self._lock = threading.Lock()

    def call(
        self,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        *,
        content: bytes,
        settings: Mapping[str, Any],
        units: float,
        unit: str,
        option: str = "",
    ) -> dict[str, Any]:
        """A service's answer, without botocore's ResponseMetadata; from the store where it is known.

        Threads that ask the same at once pay once: one sends, the others wait and find the answer stored.

        Args:
            service: botocore's name, e.g. 'textract'.
            operation: the API's name, e.g. 'DetectDocumentText'.
            request: the operation's parameters.
            content: the input's bytes, for the key.
            settings: all else that changes the answer, for the key: must tell requests apart that differ in more
                than the content.
            units: billable units, in those of the price.
            unit: their name, e.g. 'page'.
            option: which of the operation's prices, e.g. 'tables'.

        Raises:
            DocumentError: ENGINE_UNAVAILABLE where the service stayed away over all retries; else what it did not like.
            ConfigurationError: credentials, permissions, region, or an operation without a price.
            BudgetReachedError: the call would exceed the budget; it was not made.
        """
        key = response_key(service, operation, settings, content)

        def pay() -> dict[str, Any]:
            return self.send(service, operation, request)

        return self.once(key, Cost(service, operation, units, unit, price(service, operation, option).of(units)), pay)

    def send(self, service: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """One call at the operation's rate, neither stored nor metered: for polling, and for what costs nothing.

        Raises:
            DocumentError, ConfigurationError: as for `call`.
        """
        method = getattr(self.clients.client(service), xform_name(operation))
        self.rates.wait(service, operation)
        try:
            response: dict[str, Any] = method(**request)
        except (ClientError, BotoCoreError) as error:
            raise translated(error, service, operation) from None
        response.pop("ResponseMetadata", None)
        return response

    def poll(
        self,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        *,
        status: Callable[[Mapping[str, Any]], str],
        seconds: float = JOB_SECONDS,
        wait: Callable[[float], object] | None = None,
    ) -> dict[str, Any]:
        """Ask after a job, ever more rarely, until it is no longer at work; its answer then.

        Args:
            status: reads the job's status out of an answer.
            seconds: how long to wait at most.
            wait: passes so many seconds, or fewer where the job's end is told; then it is asked after rarely.

        Raises:
            DocumentError: TIMEOUT after `seconds`, the job being left alone; else as for `call`.
            ConfigurationError: as for `call`.
        """
        ends, pause, longest = self._clock() + seconds, FIRST_PAUSE, LONGEST_PAUSE
        if wait is not None:
            pause = longest = WATCHED_PAUSE
        while True:
            answer = self.send(service, operation, request)
            if status(answer) not in AT_WORK:
                return answer
            if self._clock() + pause > ends:
                raise DocumentError(Reason.TIMEOUT, f"{service} {operation}: at work for over {seconds:.0f} s")
            (wait or self._sleep)(pause)
            pause = min(pause * PAUSE_GROWTH, longest)

    def once(
        self,
        key: str,
        cost: Cost,
        pay: Callable[[], dict[str, Any]],
        check: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """The stored answer under a key, or the one that is paid for now, which is then stored.

        Args:
            check: raises for an answer that is paid for but not to be kept.
        """
        if self.store is None:
            response = self._metered(cost, pay)
            check(response)
            return response
        with self._turn(key):
            stored = self.store.get(key)
            if stored is not None:
                record(self._of_stored(key, stored, cost))
                return stored
            response = self._metered(cost, pay)
            check(response)
            with suppress(DocumentError):  # the answer is here and paid: a store that is away must not lose it
                self.store.put(key, response)
            return response

    def _of_stored(self, key: str, stored: dict[str, Any], cost: Cost) -> Cost:
        """What a stored answer costs: nothing; or, taken for the first time, its share of the job that gave it."""
        job = stored.pop(PREPAID, None)
        if job is None:
            return dataclasses.replace(cost, dollars=0.0, saved_dollars=cost.dollars, reason_saved=STORED)
        assert self.store is not None
        self.store.put(key, stored)
        return dataclasses.replace(cost, operation=job, dollars=price(cost.service, job).of(cost.units))

    def _metered(self, cost: Cost, pay: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.budget.reserve(cost.dollars)
        actual = 0.0
        try:
            response = pay()
            actual = cost.dollars
        finally:
            self.budget.settle(cost.dollars, actual)
        record(cost)
        return response

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """One thread at a time for a key."""
        with self._lock:
            turn = self._turns.setdefault(key, _Turn())
            turn.threads += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._lock:
                turn.threads -= 1
                if not turn.threads:
                    del self._turns[key]
