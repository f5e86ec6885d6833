"""From a ranker's log odds to probabilities that can be taken at their word, and the thresholds that follow."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

KNOTS: Final = 64
"""Points of a calibration curve: enough for three decimals, few enough to be looked at."""
_SMALLEST: Final = 0.0005
"""No code is impossible, and none is certain."""


def curve(log_odds: Floats, right: NDArray[np.bool_]) -> Floats:
    """A rising curve (2, KNOTS) from log odds to the share that is right: isotonic regression, thinned to its knots."""
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(log_odds, kind="stable")
    fitted = IsotonicRegression(y_min=_SMALLEST, y_max=1 - _SMALLEST).fit_transform(log_odds[order], right[order])
    at = np.quantile(log_odds, np.linspace(0, 1, KNOTS * 4))
    # The last quantiles hold the sure codes: half of the knots go to the upper end.
    low, high = log_odds[order][0], log_odds[order][-1]
    at = np.unique(np.concatenate([at[::8], np.linspace(low, high, KNOTS // 2)]))
    smooth = np.array([_mean_near(log_odds[order], fitted, x) for x in at])
    return np.stack([at, np.maximum.accumulate(smooth)])


def _mean_near(log_odds: Floats, fitted: Floats, at: float) -> float:
    """Mean of a fit over the fifty values nearest: isotonic fits are stairs, probabilities should not be."""
    middle = int(np.searchsorted(log_odds, at))
    low = max(0, middle - 25)
    return float(fitted[low : low + 50].mean())


def probability(curve: Floats, log_odds: Floats) -> Floats:
    """Probabilities by a calibration curve."""
    probabilities: Floats = np.interp(log_odds, curve[0], curve[1])
    return probabilities


def best_f1(probabilities: Floats, right: NDArray[np.bool_], gold: int) -> float:
    """The threshold with the best micro-F1, given how many right codes there are in all."""
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + gold)
    return float(probabilities[order][int(np.argmax(f1))])


def precise(probabilities: Floats, right: NDArray[np.bool_], wanted: float) -> float:
    """The lowest threshold above which the share of right codes is at least `wanted`; 1 where there is none."""
    order = np.argsort(-probabilities, kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= wanted)
    return float(probabilities[order][enough[-1]]) if len(enough) else 1.0


def expected_error(probabilities: Floats, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over equal-width bins (Naeini et al. 2015)."""
    if not len(probabilities):
        return 0.0
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    size = np.bincount(place, minlength=bins)
    gap = np.abs(
        np.bincount(place, probabilities, minlength=bins) - np.bincount(place, right.astype(float), minlength=bins)
    )
    return float(gap[size > 0].sum() / len(probabilities))
