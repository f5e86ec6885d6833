"""Signs of life: whoever works on a long document tells that another page is done, to whomever it concerns.

A worker process has its pool listen, which gives it more time; elsewhere nobody listens.
"""

from collections.abc import Callable


def _nobody() -> None:
    pass


_listener: Callable[[], None] = _nobody


def listen(listener: Callable[[], None]) -> None:
    """Have a function called at each beat of this process."""
    global _listener
    _listener = listener


def beat() -> None:
    """Tell that another page is done."""
    _listener()
