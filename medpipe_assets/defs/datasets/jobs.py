"""The jobs of the datasets: one a dataset, and one a line that runs its datasets side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from medpipe_assets.defs.datasets.assets import assets_of
from medpipe_assets.etlt.contract import Contract

SIDE_BY_SIDE = 4
"""Datasets of a line at work at once, each in a process of its own: one that fails leaves the others whole."""


def load_job(contract: Contract) -> Any:
    """A day of a dataset, from its files to its result tables."""
    names = [key.to_user_string() for made in assets_of(contract) for key in made.keys]
    return dg.define_asset_job(
        f"load_{contract.dataset}",
        selection=dg.AssetSelection.assets(*names),
        description=f"A day of {contract.dataset}: files, flat records, typed table, result tables.",
        executor_def=dg.in_process_executor,
    )


def line_jobs(contracts: Sequence[Contract]) -> list[Any]:
    """A job for each line of several datasets."""
    lines: dict[str, list[Contract]] = {}
    for contract in contracts:
        lines.setdefault(contract.line, []).append(contract)
    executor: Mapping[str, Any] = {"max_concurrent": SIDE_BY_SIDE, "start_method": {"forkserver": {}}}
    return [
        dg.define_asset_job(
            line,
            selection=dg.AssetSelection.groups(line),
            description=f"A day of {', '.join(c.dataset for c in found)}, side by side.",
            executor_def=dg.multiprocess_executor.configured(dict(executor)),
        )
        for line, found in lines.items()
        if len(found) > 1
    ]
