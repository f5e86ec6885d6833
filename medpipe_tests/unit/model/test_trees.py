"""Boosted trees as arrays say what scikit-learn's own say."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from medpipe_assets.model import trees
from medpipe_assets.model.trees import Forest

RNG = np.random.default_rng(0)
ROWS = np.round(RNG.normal(size=(3000, 6)), 1).astype(np.float32)
RIGHT = ROWS[:, 0] + ROWS[:, 1] * ROWS[:, 2] + RNG.normal(size=3000) > 0


def test_log_odds_are_those_of_scikit_learn() -> None:
    settings = {"max_iter": 30, "max_leaf_nodes": 9}
    forest = trees.trained(ROWS, RIGHT, **settings)
    theirs = HistGradientBoostingClassifier(random_state=0, early_stopping=False, **settings).fit(ROWS, RIGHT)
    np.testing.assert_allclose(forest.log_odds(ROWS), theirs.decision_function(ROWS), atol=1e-5)


def test_a_forest_comes_back_from_its_arrays() -> None:
    forest = trees.trained(ROWS, RIGHT, max_iter=5, max_leaf_nodes=6)
    np.testing.assert_array_equal(Forest(**forest.arrays()).log_odds(ROWS), forest.log_odds(ROWS))


def test_trees_too_large_for_a_table_are_refused() -> None:
    with pytest.raises(ValueError, match="31 leaves"):
        trees.trained(ROWS, RIGHT, max_iter=2, max_leaf_nodes=31, min_samples_leaf=5)


def test_rows_are_judged_alone_however_many_there_are() -> None:
    forest = trees.trained(ROWS, RIGHT, max_iter=5, max_leaf_nodes=6)
    np.testing.assert_array_equal(forest.log_odds(ROWS)[2000:2010], forest.log_odds(ROWS[2000:2010]))


def test_where_all_examples_are_alike_there_is_no_tree() -> None:
    assert (trees.trained(ROWS, np.ones(len(ROWS), bool)).log_odds(ROWS) > 0).all()
    assert (trees.trained(ROWS, np.zeros(len(ROWS), bool)).log_odds(ROWS[:1]) < 0).all()


def test_no_rows_have_no_log_odds() -> None:
    assert trees.trained(ROWS, RIGHT, max_iter=5, max_leaf_nodes=6).log_odds(ROWS[:0]).shape == (0,)
