"""How every benchmark speaks: its arguments, its figures as JSON lines on stdout, and the intervals around them.

What is measured belongs in the benchmark's own module.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

Item = TypeVar("Item")

_ROUNDS = 1000
"""Bootstrap samples: enough that the ends of a 95 % interval are steady to about a hundredth of its width."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with what all benchmarks share; each adds its own options."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller measurement that ends within 30 seconds")
    return parser


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    low: float | None = None,
    high: float | None = None,
    peer: Mapping[str, float] | None = None,
    ratio: float | None = None,
    n: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Print one figure as one JSON object on a line of stdout.

    Args:
        name: stable name of the figure, in snake case.
        value: what was measured, in `unit`.
        unit: 'share', 'f1', 'seconds', 'pages/second', ...
        low, high: 95 % interval.
        peer: values of other systems, measured in the same run or published, by name.
        ratio: value over the peer's, where one number says it.
        n: items measured.
        config: settings that another person needs to repeat it.
    """
    row = {"figure": name, "value": value, "unit": unit, "low": low, "high": high, "peer": peer, "ratio": ratio}
    rounded = {key: round(item, 6) if isinstance(item, float) else item for key, item in row.items()}
    print(json.dumps(rounded | {"n": n, "config": config}, ensure_ascii=False), flush=True)


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Send what libraries print to stderr: on stdout stand figures alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def interval(
    items: Sequence[Item], statistic: Callable[[Sequence[Item]], float], seed: int = 0
) -> tuple[float | None, float | None]:
    """95 % percentile bootstrap of a statistic, by drawing items with replacement; (None, None) below five items."""
    if len(items) < 5:
        return None, None
    rng = Random(seed)
    values = sorted(statistic(rng.choices(items, k=len(items))) for _ in range(_ROUNDS))
    return values[round(0.025 * (_ROUNDS - 1))], values[round(0.975 * (_ROUNDS - 1))]
