"""How often a process may call each operation: token buckets that its threads share. What a call costs is elsewhere."""

import threading
import time
from collections.abc import Callable, Mapping

BURST_SECONDS = 0.1
"""How much of the rate an idle bucket gathers: services count by the second, and a burst of more would be throttled."""


DEFAULT_PER_SECOND: Mapping[str, float] = {
    "comprehendmedical.DetectEntitiesV2": 100,
    "comprehendmedical.DetectPHI": 100,
    "comprehendmedical.InferICD10CM": 100,
    "comprehendmedical.InferRxNorm": 100,
    "comprehendmedical.InferSNOMEDCT": 2,
}
"""Default quotas of an account where they are the same in all regions; others are found in Service Quotas.

Source: https://docs.aws.amazon.com/comprehend-medical/latest/dev/comprehendmedical-quotas.html
"""


class RateLimits:
    """Requests a second by "service.operation"; operations that are not named go unhindered.

    Every caller is given a moment of its own, one interval after the caller before, and waits for it outside the lock:
    a thread that wakes late delays nobody else, so the rate is neither exceeded nor lost.

    Args:
        per_second: e.g. {"textract.DetectDocumentText": 25}; rates above zero.
        clock: seconds, never going back.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        per_second: Mapping[str, float],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if any(rate <= 0 for rate in per_second.values()):
            raise ValueError("a rate is above zero")
        self._intervals = {name: 1 / rate for name, rate in per_second.items()}
        self._next: dict[str, float] = {}
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()

    def per_second(self, service: str, operation: str) -> float | None:
        """The rate of an operation; None where it has none."""
        interval = self._intervals.get(f"{service}.{operation}")
        return None if interval is None else 1 / interval

    def wait(self, service: str, operation: str) -> None:
        """Block until the caller may send."""
        name = f"{service}.{operation}"
        interval = self._intervals.get(name)
        if interval is None:
            return
        with self._lock:
            now = self._clock()
            moment = max(self._next.get(name, now), now - BURST_SECONDS)
            self._next[name] = moment + interval
        if moment > now:
            self._sleep(moment - now)
