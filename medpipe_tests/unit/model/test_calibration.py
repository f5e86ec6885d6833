"""Calibration: probabilities that rise with the score and come true as often as they say; thresholds."""

import numpy as np

from medpipe_assets.model import calibration

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=20_000) * 2
TRUE = 1 / (1 + np.exp(-2 * SCORES - 1))
RIGHT = RNG.random(20_000) < TRUE


def test_probabilities_rise_with_the_score_and_come_true() -> None:
    curve = calibration.curve(SCORES, RIGHT)
    assert (np.diff(curve[1]) >= 0).all()
    probability = calibration.probability(curve, SCORES)
    assert np.abs(probability - TRUE).mean() < 0.02
    assert calibration.expected_error(probability, RNG.random(20_000) < TRUE) < 0.02


def test_overconfidence_shows_as_error() -> None:
    assert calibration.expected_error(np.full(100, 0.9), np.arange(100) < 50) > 0.39
    assert calibration.expected_error(np.zeros(0), np.zeros(0, bool)) == 0


def test_the_threshold_with_the_best_f1_is_found() -> None:
    probabilities = np.array([0.9, 0.8, 0.7, 0.6])
    assert calibration.best_f1(probabilities, np.array([True, True, False, True]), 3) == 0.6
    assert calibration.best_f1(probabilities, np.array([True, True, False, False]), 3) == 0.8


def test_the_lowest_threshold_that_is_precise_enough_is_found() -> None:
    probabilities = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, True, False, True])
    assert calibration.precise(probabilities, right, 0.75) == 0.6
    assert calibration.precise(probabilities, right, 0.9) == 0.8
    assert calibration.precise(probabilities, ~right, 0.9) == 1.0
