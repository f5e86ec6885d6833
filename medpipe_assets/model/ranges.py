"""Rows of unequal length kept one after the other: the places of several of them at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ranges(begin: NDArray[Any], size: NDArray[Any]) -> NDArray[np.intp]:
    """The places of several rows, one row after the other; each begins at `begin` and has `size` items."""
    total = int(size.sum())
    if not total:
        return np.zeros(0, np.intp)
    offset = np.repeat(begin - np.concatenate([[0], np.cumsum(size)[:-1]]), size)
    return np.asarray(offset + np.arange(total), np.intp)
