"""The rate of requests is neither exceeded nor lost, however many threads send. Time here is counted, not waited."""

import heapq
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.aws.rates import BURST_SECONDS, RateLimits

OPERATION = ("textract", "DetectDocumentText")
NAME = "textract.DetectDocumentText"


def simulate(rate: float, latencies: list[float], seconds: float) -> list[float]:
    """When workers send that each wait for their turn and then for an answer, as fast as they may."""
    now = [0.0]
    delay = [0.0]

    def sleep(wanted: float) -> None:
        delay[0] = wanted

    limits = RateLimits({NAME: rate}, clock=lambda: now[0], sleep=sleep)
    free = [(0.0, worker) for worker in range(len(latencies))]
    sent = []
    while free[0][0] < seconds:
        now[0], worker = heapq.heappop(free)
        delay[0] = 0.0
        limits.wait(*OPERATION)
        moment = now[0] + delay[0]
        sent.append(moment)
        heapq.heappush(free, (moment + latencies[worker], worker))
    return sorted(moment for moment in sent if moment < seconds)


@pytest.mark.parametrize("rate", [2.0, 25.0, 100.0])
def test_eight_workers_that_could_send_more_send_at_the_rate(rate: float) -> None:
    sent = simulate(rate, [4 / rate] * 8, seconds=100)
    assert len(sent) == pytest.approx(rate * 100, rel=0.02)


@given(
    st.floats(0.5, 200),
    st.lists(st.floats(0, 3), min_size=1, max_size=8),
)
def test_no_second_sees_more_than_the_rate_and_the_burst(rate: float, latencies: list[float]) -> None:
    sent = simulate(rate, [max(latency, 0.01) for latency in latencies], seconds=5)
    for first in range(len(sent)):
        within = sum(sent[first] <= moment < sent[first] + 1 for moment in sent[first:])
        assert within <= rate * (1 + BURST_SECONDS) + 2


def test_threads_are_each_given_a_moment_of_their_own() -> None:
    waits: list[float] = []
    lock = threading.Lock()

    def sleep(seconds: float) -> None:
        with lock:
            waits.append(seconds)

    limits = RateLimits({NAME: 100}, clock=lambda: 0.0, sleep=sleep)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: limits.wait(*OPERATION), range(800)))
    at_once = 800 - len(waits)
    assert at_once <= 100 * BURST_SECONDS + 1
    assert sum(wait < 1 for wait in waits) + at_once == pytest.approx(100, abs=12)
    assert len(set(waits)) == len(waits)
    assert max(waits) == pytest.approx(8, rel=0.02)


def test_operations_do_not_wait_for_each_other_nor_do_those_without_a_rate() -> None:
    waits: list[float] = []
    limits = RateLimits({NAME: 0.1}, clock=lambda: 0.0, sleep=waits.append)
    limits.wait(*OPERATION)
    for _ in range(100):
        limits.wait("translate", "TranslateText")
    assert waits == []


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        RateLimits({NAME: 0})
