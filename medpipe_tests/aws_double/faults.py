"""What goes wrong on purpose: a seeded plan that gives the same request the same fate whoever else is calling.

The fate of an attempt hangs on the seed, the request's content and how often it was sent before, never on the clock or
on the order of other requests, so runs with many threads can be repeated. Outages count the requests to a service.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["", "throttle", "server_error", "reset", "slow", "lost_reply", "partial", "refused", "outage"]
"""What happens to a request.

throttle: refused as one too many; server_error: a failure of the service's own; reset: the connection breaks before
anything is done; slow: the answer takes `slow_seconds` longer; lost_reply: the work is done and billed and the answer
never arrives; partial: a Textract job loses pages; refused: refused for good, whenever it is sent; outage: the service
is down.
"""


@dataclass(frozen=True, slots=True)
class Outage:
    """A service is down from its `first` request (from 0) up to, not including, its `last`."""

    service: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Shares of requests, 0 to 1, that meet each fault; together at most 1. `refused` is a share of contents."""

    throttle: float = 0.0
    server_error: float = 0.0
    reset: float = 0.0
    slow: float = 0.0
    lost_reply: float = 0.0
    partial: float = 0.0
    refused: float = 0.0


@dataclass
class FaultPlan:
    """Decides each request's fate.

    Args:
        rates: for all operations.
        operations: rates for single ones, by 'service.Operation' ('textract.DetectDocumentText').
        outages: when services are down.
        slow_seconds: how much longer a slow answer takes.
    """

    seed: int = 0
    rates: FaultRates = FaultRates()
    operations: Mapping[str, FaultRates] = field(default_factory=dict)
    outages: Sequence[Outage] = ()
    slow_seconds: float = 0.1
    counts: Counter[tuple[str, str, Kind]] = field(default_factory=Counter)
    """How often each fault happened, by (service, operation, kind)."""
    _attempts: Counter[str] = field(default_factory=Counter)
    _requests: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fate(self, service: str, operation: str, request: Mapping[str, Any]) -> Kind:
        """What happens to this request, which counts as sent once more."""
        content = fingerprint(service, operation, request)
        with self._lock:
            number, attempt = self._requests[service], self._attempts[content]
            self._requests[service] += 1
            self._attempts[content] += 1
            kind = self._kind(service, operation, content, number, attempt)
            if kind:
                self.counts[service, operation, kind] += 1
        return kind

    def _kind(self, service: str, operation: str, content: str, number: int, attempt: int) -> Kind:
        if any(o.service == service and o.first <= number < o.last for o in self.outages):
            return "outage"
        rates = self.operations.get(f"{service}.{operation}", self.rates)
        if self.draw(content, "for good") < rates.refused:
            return "refused"
        drawn = self.draw(content, str(attempt))
        kinds: tuple[Kind, ...] = ("throttle", "server_error", "reset", "slow", "lost_reply", "partial")
        for kind in kinds:
            drawn -= getattr(rates, kind)
            if drawn < 0:
                return kind
        return ""

    def draw(self, *what: str) -> float:
        """A number from 0 to 1 (exclusive) that only the seed and `what` decide."""
        drawn = hashlib.sha256("\0".join((str(self.seed), *what)).encode()).digest()
        return int.from_bytes(drawn[:8], "big") / 2**64


_TOKENS = frozenset({"ClientRequestToken", "ClientToken", "clientToken"})
"""Members that hold idempotency tokens."""


def fingerprint(service: str, operation: str, request: Mapping[str, Any]) -> str:
    """A hash of a request's content; idempotency tokens, which clients draw anew, leave it unchanged."""
    content = {name: value for name, value in request.items() if name not in _TOKENS}
    written = json.dumps(content, sort_keys=True, default=_name)
    return hashlib.sha256(f"{service}.{operation}:{written}".encode()).hexdigest()


def _name(value: Any) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
