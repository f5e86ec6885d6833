"""The whole chain of a dataset, as `medpipe load` runs it but without Dagster: a step of benchmarks."""

import datetime as dt
import time
from pathlib import Path
from typing import Any

from medpipe_assets.etlt.contract import contract_of
from medpipe_assets.etlt.flatten import flatten
from medpipe_assets.etlt.load import load
from medpipe_assets.etlt.result_sql import transforms_of
from medpipe_assets.etlt.sources import extract, request
from medpipe_assets.etlt.tables import open_lake
from medpipe_assets.etlt.transforms import run_transform
from medpipe_assets.lake.location import LakeLocation

RUN = "benchmark"


def chain(dataset: str, root: str, source: str, day: str) -> dict[str, Any]:
    """Files to raw bytes, flat records, the typed table and all result tables; seconds of each part."""
    contract, when = contract_of(dataset), dt.date.fromisoformat(day)
    lake = open_lake(LakeLocation.under(Path(root)))
    parts = {}
    begun = time.perf_counter()

    def timed(part: str) -> None:
        nonlocal begun
        now = time.perf_counter()
        parts[part], begun = now - begun, now

    request(lake, contract, [source], when)
    received = extract(lake, contract, when, run_id=RUN)
    timed("raw")
    flatten(lake, contract, when, run_id=RUN)
    timed("flattened")
    loaded = load(lake, contract, when, run_id=RUN)
    timed("typed")
    published = [run_transform(lake, contract, t, run_id=RUN).published for t in transforms_of(contract)]
    timed("results")
    if not (loaded.published and all(published)):
        raise RuntimeError(f"{dataset}: a check failed; what was made up does not fit the contract")
    return {"rows_in": loaded.rows_in, "rows_out": loaded.rows_out, "bytes": received.size_bytes, "parts": parts}
