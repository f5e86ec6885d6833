"""Whether a day's texts are asked about one by one or handed over as a batch job: one pure rule, from cost and time.

Nothing is called here; batch jobs are in aws/batch_jobs.py, prices in aws/prices.py.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medpipe_assets.aws.prices import UNIT_CHARACTERS, price

QUOTAS = "https://docs.aws.amazon.com/comprehend-medical/latest/dev/comprehendmedical-quotas.html"

SYNC_CHARACTERS_A_SECOND = 40_000
SYNC_REQUESTS_A_SECOND = 100
"""Default quotas of DetectEntitiesV2, DetectPHI, InferICD10CM and InferRxNorm in a region. Source: QUOTAS."""

QUOTAS_A_SECOND: Mapping[str, tuple[float, float]] = {"InferSNOMEDCT": (5_000, 2), "TranslateText": (math.inf, 20)}
"""Characters and requests of other operations. Source: QUOTAS; for Translate, which no longer publishes its own, the
last that it did: https://docs.aws.amazon.com/translate/latest/dg/limits-guidelines.html"""

SAME = 0.01
"""Prices that differ by a smaller share than this are the same."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What both ways cost and how fast they are.

    Attributes:
        sync_dollars, batch_dollars: for a unit of 100 characters.
        file_dollars: for a document of a batch: written once, read once by the service and once by us (S3 requests).
        characters_a_second, requests_a_second: what the account may send one by one.
        batch_hours: from handing over to the first answers. AWS promises nothing; a guess on the safe side.
        batch_characters_a_second: a batch's speed after that, likewise.
    """

    sync_dollars: float
    batch_dollars: float
    file_dollars: float = 0.005 / 1000 + 2 * 0.0004 / 1000
    characters_a_second: float = SYNC_CHARACTERS_A_SECOND
    requests_a_second: float = SYNC_REQUESTS_A_SECOND
    batch_hours: float = 1.0
    batch_characters_a_second: float = 10 * SYNC_CHARACTERS_A_SECOND


def terms(service: str, operation: str, job: str, requests_a_second: float | None = None) -> Terms:
    """The list prices of an operation and its job, with the rate that is kept; None: with default quotas."""
    ways = (price(service, operation), price(service, job))
    sync, batch = (way.of(UNIT_CHARACTERS if way.unit == "character" else 1) for way in ways)
    characters, requests = QUOTAS_A_SECOND.get(operation, (SYNC_CHARACTERS_A_SECOND, SYNC_REQUESTS_A_SECOND))
    return Terms(sync, batch, characters_a_second=characters, requests_a_second=requests_a_second or requests)


def choose_batch(characters: int, documents: int, deadline_hours: float, prices: Terms) -> Literal["sync", "batch"]:
    """The cheaper way of those that keep the deadline; at the same price the sooner; if neither keeps it, the sooner.

    List prices being equal today, this sends one by one until the account's quota would miss the deadline. What the
    response store already has must not be counted in: it costs nothing either way.

    Args:
        characters, documents: still to be asked about.
        deadline_hours: when the answers have to be there.
    """
    units = characters / UNIT_CHARACTERS
    dollars = {
        "sync": units * prices.sync_dollars,
        "batch": units * prices.batch_dollars + documents * prices.file_dollars,
    }
    seconds = max(characters / prices.characters_a_second, documents / prices.requests_a_second)
    hours = {
        "sync": seconds / 3600,
        "batch": prices.batch_hours + characters / prices.batch_characters_a_second / 3600,
    }
    sooner: Literal["sync", "batch"] = "sync" if hours["sync"] <= hours["batch"] else "batch"
    in_time: list[Literal["sync", "batch"]] = [way for way in ("sync", "batch") if hours[way] <= deadline_hours]
    if len(in_time) < 2:
        return in_time[0] if in_time else sooner
    if abs(dollars["sync"] - dollars["batch"]) <= SAME * max(dollars.values()):
        return sooner
    return "sync" if dollars["sync"] < dollars["batch"] else "batch"
