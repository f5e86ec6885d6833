"""Gradient boosted trees as plain arrays: trained by scikit-learn, kept in the model file, walked here by numpy alone.

No step follows a branch: every node is asked of every row, and a tree's answers, as bits of a number, are the place of
its value in a table of all answers there could be. Which leaf's path agrees with answers is found by products of small
matrices. (The method is GEMM of Nakandala et al., "A Tensor Compiler for Unified Machine Learning Prediction Serving",
OSDI 2020; they multiply for every row, which takes trees of any size and three times as long.)
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.model.artefact import Arrays

Floats = NDArray[np.float32]

_SEED: Final = 0
_NODES: Final = 12
"""Most nodes of a tree: a table has two to this power of values."""
_AT_ONCE: Final = 1 << 10
"""Rows asked at once: so few that their answers stay in the processor's cache."""
_SUMMED: Final = 25
"""Trees summed at once; with another number the last bits of a trained model change."""
_CERTAIN: Final = 4.0
"""Log odds where a corpus has examples of one kind only."""


@dataclass(frozen=True)
class Forest:
    """Trees with the same numbers of nodes and leaves, the smaller ones filled up with nodes that nobody asks.

    Attributes:
        feature, threshold: (trees, nodes); a node says yes where the feature is at most the threshold.
        path: (trees, nodes, leaves); 1 where the leaf lies on the node's yes side, -1 on its no side, else 0.
        yes: (trees, 1, leaves); how many nodes must say yes on the way to a leaf; one more than there are for no leaf.
        value: (trees, leaves, 1); what a leaf adds to the log odds.
        base: (1,) log odds before any tree.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    path: Floats
    yes: Floats
    value: Floats
    base: NDArray[np.float64]

    def log_odds(self, rows: Floats) -> NDArray[np.float64]:
        """One number a row of features."""
        parts = [self._log_odds(rows[begin : begin + _AT_ONCE]) for begin in range(0, len(rows), _AT_ONCE)]
        return np.concatenate([np.zeros(0), *parts])

    def _log_odds(self, rows: Floats) -> NDArray[np.float64]:
        feature, threshold, question = self._questions
        columns = np.ascontiguousarray(rows.T)
        answers = (columns[feature] <= threshold[:, None]).astype(np.uint16)
        place = np.zeros((len(self.feature), len(rows)), np.uint16)
        for bit, asked in enumerate(question.T):
            place |= answers[asked] << np.uint16(bit)
        begin = np.arange(len(self.feature))[:, None] << len(question.T)
        values = self._table[begin + place]
        total = np.full(len(rows), self.base[0])
        for some in range(0, len(values), _SUMMED):
            total += values[some : some + _SUMMED].sum(axis=0, dtype=np.float64)
        return total

    @cached_property
    def _questions(self) -> tuple[NDArray[np.int32], Floats, NDArray[np.intp]]:
        """Feature and threshold of each question, however many nodes ask it, and (trees, nodes) which one each asks."""
        asked = np.stack([self.feature.ravel().astype(np.float64), self.threshold.ravel()])
        (feature, threshold), which = np.unique(asked, axis=1, return_inverse=True)
        return feature.astype(np.int32), threshold.astype(np.float32), which.reshape(self.feature.shape)

    @cached_property
    def _table(self) -> Floats:
        """What each tree adds to the log odds, by its nodes' answers as bits, one tree after the other."""
        nodes = self.feature.shape[1]
        answers = (np.arange(1 << nodes)[:, None] >> np.arange(nodes) & 1).astype(np.float32)
        values = [
            (answers @ path == yes).astype(np.float32) @ value
            for path, yes, value in zip(self.path, self.yes, self.value, strict=True)
        ]
        return np.concatenate([np.zeros((0, 1), np.float32), *values])[:, 0]

    def arrays(self) -> Arrays:
        """As they are kept in a file; `Forest(**arrays)` reads them back."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def trained(rows: Floats, right: NDArray[np.bool_], **settings: Any) -> Forest:
    """Trees that tell right rows from wrong ones; none where all are right, or all wrong.

    Args:
        settings: of scikit-learn's HistGradientBoostingClassifier.

    Raises:
        ValueError: a tree has more than _NODES + 1 leaves.
    """
    if right.all() or not right.any():
        return _empty(0, 1, np.array([_CERTAIN if len(right) and right.all() else -_CERTAIN]))
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums in the same order whatever the machine, and no threads that wait for each other
        model = HistGradientBoostingClassifier(random_state=_SEED, early_stopping=False, **settings).fit(rows, right)
    trees = [tree.nodes for (tree,) in model._predictors]  # there is no public way to a histogram tree's nodes
    leaves = max(int(nodes["is_leaf"].sum()) for nodes in trees)
    if leaves > _NODES + 1:
        raise ValueError(f"trees of {leaves} leaves; {_NODES + 1} are the most that are read")
    forest = _empty(len(trees), leaves, np.ravel(model._baseline_prediction).astype(np.float64))
    for i, nodes in enumerate(trees):
        _fill(forest, i, nodes)
    return forest


def _empty(trees: int, leaves: int, base: NDArray[np.float64]) -> Forest:
    return Forest(
        feature=np.zeros((trees, leaves - 1), np.int32),
        threshold=np.zeros((trees, leaves - 1), np.float32),
        path=np.zeros((trees, leaves - 1, leaves), np.float32),
        yes=np.full((trees, 1, leaves), leaves, np.float32),
        value=np.zeros((trees, leaves, 1), np.float32),
        base=base,
    )


def _fill(forest: Forest, tree: int, nodes: Any) -> None:
    """Enter the nodes of a tree of scikit-learn's."""
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    place = {int(node): i for i, node in enumerate(inner)}
    forest.feature[tree, : len(inner)] = nodes["feature_idx"][inner]
    exact = nodes["num_threshold"][inner]
    rounded = exact.astype(np.float32)
    down = np.nextafter(rounded, np.float32(-np.inf))  # rows are float32: rounded down, none changes its side
    forest.threshold[tree, : len(inner)] = np.where(rounded > exact, down, rounded)
    leaf = 0
    ways: list[tuple[int, list[tuple[int, int]]]] = [(0, [])]
    while ways:
        node, way = ways.pop()
        if nodes["is_leaf"][node]:
            for at, side in way:
                forest.path[tree, at, leaf] = side
            forest.yes[tree, 0, leaf] = sum(side == 1 for _, side in way)
            forest.value[tree, leaf, 0] = nodes["value"][node]
            leaf += 1
        else:
            ways.append((int(nodes["left"][node]), [*way, (place[node], 1)]))
            ways.append((int(nodes["right"][node]), [*way, (place[node], -1)]))
