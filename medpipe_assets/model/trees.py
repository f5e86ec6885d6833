"""Gradient boosted trees as plain arrays: trained by scikit-learn, kept in the model file, walked here by numpy alone.

All trees are walked at once, a level a step, for all rows. Which features a row has is the caller's affair.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.model.artefact import Arrays

Floats = NDArray[np.float32]

_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Forest:
    """Nodes of all trees. A leaf leads to itself.

    Attributes:
        feature, threshold: a row goes left where its feature is at most the threshold.
        left, right: rows of the nodes below. value: what a leaf adds to the log odds.
        root: each tree's first node. base: log odds before any tree. depth: of the deepest tree.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    root: NDArray[np.int32]
    base: float
    depth: int

    def log_odds(self, rows: Floats) -> NDArray[np.float64]:
        """One number a row of features."""
        count, width = rows.shape
        flat = np.ascontiguousarray(rows, dtype=np.float32).ravel()
        node = np.repeat(self.root[None, :], count, axis=0)
        offset = (np.arange(count) * width)[:, None]
        for _ in range(self.depth):
            left = flat[offset + self.feature[node]] <= self.threshold[node]
            node = np.where(left, self.left[node], self.right[node])
        total: NDArray[np.float64] = self.base + self.value[node].sum(axis=1)
        return total

    def arrays(self) -> Arrays:
        """As they are kept in a file."""
        shape = np.array([self.base, self.depth], dtype=np.float64)
        named = {name: getattr(self, name) for name in ("feature", "threshold", "left", "right", "value", "root")}
        return {**named, "shape": shape}


def forest(arrays: Arrays) -> Forest:
    """What `Forest.arrays` kept."""
    kept = {name: array for name, array in arrays.items() if name != "shape"}
    return Forest(**kept, base=float(arrays["shape"][0]), depth=int(arrays["shape"][1]))


def trained(rows: Floats, right: NDArray[np.bool_], **settings: Any) -> Forest:
    """Trees that tell right rows from wrong ones.

    Args:
        settings: of scikit-learn's HistGradientBoostingClassifier.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=_SEED, early_stopping=False, **settings).fit(rows, right)
    return _of(model)


def _of(model: Any) -> Forest:
    parts: list[Any] = []
    roots, size, depth = [], 0, 1
    for (tree,) in model._predictors:  # there is no public way to a histogram tree's nodes
        nodes = tree.nodes
        own = np.arange(len(nodes))
        leaf = nodes["is_leaf"].astype(bool)
        parts.append(
            (
                np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
                np.where(leaf, np.inf, nodes["num_threshold"]).astype(np.float64),
                (np.where(leaf, own, nodes["left"]) + size).astype(np.int32),
                (np.where(leaf, own, nodes["right"]) + size).astype(np.int32),
                np.where(leaf, nodes["value"], 0.0).astype(np.float64),
            )
        )
        roots.append(size)
        size += len(nodes)
        depth = max(depth, int(nodes["depth"].max()))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    base = float(np.ravel(model._baseline_prediction)[0])
    return Forest(*columns, np.array(roots, np.int32), base, depth)
