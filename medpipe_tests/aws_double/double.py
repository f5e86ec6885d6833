"""The double itself: every request checked, its fate decided, answered by a service, checked again, counted.

How each service answers is in its own file, how bytes arrive in `server` and `attach`. What a test asks afterwards is
here: `bill`, `actions`, `faults.counts`.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from medpipe_assets.aws.prices import price
from medpipe_tests.aws_double import errors, wire
from medpipe_tests.aws_double.errors import AwsError, DoubleError
from medpipe_tests.aws_double.faults import FaultPlan, Kind, fingerprint
from medpipe_tests.aws_double.model import action_name, operation_model, violations
from medpipe_tests.aws_double.wire import Address


class ConnectionLostError(Exception):
    """No answer comes: the connection is to be broken."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call costs, in the units of medpipe's price table ('page', 'character', '100 characters', 'TB').

    `option` tells prices of one operation apart, as there ('forms+tables').
    """

    service: str
    operation: str
    units: float
    unit: str
    option: str = ""


class Bill:
    """All charges, in the order they arose."""

    def __init__(self) -> None:
        self._charges: list[Charge] = []
        self._lock = threading.Lock()

    def add(self, charge: Charge) -> None:
        with self._lock:
            self._charges.append(charge)

    @property
    def charges(self) -> list[Charge]:
        with self._lock:
            return list(self._charges)

    def units(self) -> dict[tuple[str, str, str], float]:
        """Units by (service, operation, option)."""
        total: Counter[tuple[str, str, str]] = Counter()
        for charge in self.charges:
            total[charge.service, charge.operation, charge.option] += charge.units  # type: ignore[assignment]
        return dict(total)

    def dollars(self) -> float:
        """The sum at the prices of medpipe's table."""
        prices = [(charge, price(charge.service, charge.operation, charge.option)) for charge in self.charges]
        return sum(charge.units * each.dollars / each.per for charge, each in prices)

    def calls(self) -> dict[tuple[str, str, str], int]:
        """How often something was charged, by (service, operation, option)."""
        return dict(Counter((c.service, c.operation, c.option) for c in self.charges))


@dataclass(frozen=True, slots=True)
class Call:
    """A valid request as a service's operation gets it. `partial` asks a job to lose pages."""

    operation: str
    request: Mapping[str, Any]
    fingerprint: str
    partial: bool = False


class Service(Protocol):
    """One service: its operations by name, each giving the reply's members or raising an AwsError."""

    @property
    def name(self) -> str: ...

    @property
    def operations(self) -> Mapping[str, Callable[[Call], dict[str, Any]]]: ...


@dataclass
class AwsDouble:
    """Answers as AWS would.

    Args:
        services: what is answered; see `standing.services`.
        bill: where those services put their charges.
        faults: what goes wrong on purpose.
        quotas: requests a second by 'service.Operation'; what is not named is unlimited.
        denied: actions ('textract:DetectDocumentText') that the caller has no permission for.
        latency_seconds: how long every answer takes at least.
        clock: seconds, for the quotas.
    """

    services: Mapping[str, Service]
    bill: Bill
    faults: FaultPlan = field(default_factory=FaultPlan)
    quotas: Mapping[str, float] = field(default_factory=dict)
    denied: Container[str] = frozenset()
    latency_seconds: float = 0.0
    clock: Callable[[], float] = time.monotonic
    actions: Counter[str] = field(default_factory=Counter)
    """How often each action was asked for, by 'service:Operation'."""
    _tokens: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, service: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request.

        Raises:
            AwsError: what the service would answer instead.
            ConnectionLostError: where the plan wants no answer.
            DoubleError: where the double is about to break the service model.
        """
        try:
            return self._answer(service, operation, request)
        except AwsError as error:
            known = {shape.name for shape in operation_model(service, operation).error_shapes}
            if error.code not in known | errors.ALWAYS_POSSIBLE:
                raise DoubleError(f"{service} {operation} cannot answer {error.code}") from None
            raise

    def _answer(self, service: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        started = time.monotonic()
        self._admit(service, operation)
        fate = self.faults.fate(service, operation, request)
        self._fail_before(service, operation, fate)
        self._count_against_quota(service, operation)
        model = operation_model(service, operation)
        if problems := violations(model.input_shape, request):
            raise errors.constraint_error(service, problems, known={e.name for e in model.error_shapes})
        if _hands_on_a_role(request):
            self._admit("iam", "PassRole")
        work = self.services[service].operations.get(operation) if service in self.services else None
        if work is None:
            raise AwsError("UnknownOperationException", f"the double does not do {service} {operation}")
        if fate == "refused":
            raise AwsError(_refusal(known={e.name for e in model.error_shapes}), "refused by the plan")
        call = Call(operation, request, fingerprint(service, operation, request), fate == "partial")
        reply = {name: value for name, value in work(call).items() if value is not None}
        if problems := violations(model.output_shape, reply):
            raise DoubleError(f"{service} {operation} answered wrongly: {'; '.join(problems)}")
        wait = self.latency_seconds + (self.faults.slow_seconds if fate == "slow" else 0)
        if (left := wait - (time.monotonic() - started)) > 0:
            time.sleep(left)
        if fate == "lost_reply":
            raise ConnectionLostError
        return reply

    def _admit(self, service: str, operation: str) -> None:
        action = action_name(service, operation)
        with self._lock:
            self.actions[action] += 1
        if action in self.denied:
            raise AwsError("AccessDeniedException", f"User is not authorized to perform: {action}")

    def _fail_before(self, service: str, operation: str, fate: Kind) -> None:
        """The faults that happen before anything is done."""
        if fate == "outage":
            raise AwsError("ServiceUnavailable", "", 503)
        if fate == "throttle":
            raise self._throttled(service, operation)
        if fate == "server_error":
            raise AwsError(errors.INTERNAL[service], "", 500)
        if fate == "reset":
            raise ConnectionLostError

    def _throttled(self, service: str, operation: str) -> AwsError:
        """One request too many: the API's own exception and the front door's, in turns."""
        known = {shape.name for shape in operation_model(service, operation).error_shapes} | errors.ALWAYS_POSSIBLE
        codes = [code for code in errors.THROTTLES[service] if code in known]
        return AwsError(codes[self.actions[action_name(service, operation)] % len(codes)], "Rate exceeded")

    def _count_against_quota(self, service: str, operation: str) -> None:
        """A bucket of tokens that holds one second's requests."""
        rate = self.quotas.get(f"{service}.{operation}")
        if rate is None:
            return
        with self._lock:
            now = self.clock()
            level, filled = self._tokens.get(f"{service}.{operation}", (max(rate, 1.0), now))
            level = min(max(rate, 1.0), level + (now - filled) * rate)
            admitted = level >= 1
            self._tokens[f"{service}.{operation}"] = (level - admitted, now)
        if not admitted:
            raise self._throttled(service, operation)

    def reply(self, to: Address, body: bytes) -> tuple[int, bytes]:
        """Answer a request of bytes: status and body.

        Raises:
            ConnectionLostError: where the plan wants no answer.
        """
        try:
            members = self.call(to.service, to.operation, wire.decoded(to, body))
            return 200, wire.encoded(to, members)
        except AwsError as error:
            return wire.encoded_error(to, error)


def _hands_on_a_role(value: Any) -> bool:
    """Whether a request names a role that the service is to take on, which the caller must be allowed to pass."""
    if isinstance(value, Mapping):
        return any(name.endswith("RoleArn") or _hands_on_a_role(member) for name, member in value.items())
    return False


def _refusal(known: Container[str]) -> str:
    """What the operation says of input that it will never take."""
    codes = ("BadDocumentException", "InvalidRequestException", "InvalidParameterException", "ValidationException")
    return next(code for code in codes if code in known or code in errors.ALWAYS_POSSIBLE)
