"""What AWS charges: prices.tsv, read once. What was really called and paid is counted in metering.py.

Prices are list prices of us-east-1 in dollars, before free tiers and volume discounts.
"""

import csv
import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from medpipe_assets.errors import ConfigurationError

UNIT_CHARACTERS = 100
"""Comprehend Medical charges by units of this many characters, one at least a request. Source: its pricing page."""


@dataclass(frozen=True, slots=True)
class Price:
    """`dollars` for `per` units, where it was found, and when."""

    dollars: float
    unit: str
    per: int
    source: str
    date: dt.date

    def of(self, units: float) -> float:
        """Dollars for so many units."""
        return self.dollars * units / self.per


@cache
def prices() -> Mapping[tuple[str, str, str], Price]:
    """All prices by (service, operation, option)."""
    with (files("medpipe_assets.aws") / "prices.tsv").open(encoding="utf-8") as file:
        return {
            (line["service"], line["operation"], line["option"]): Price(
                float(line["dollars"]),
                line["unit"],
                int(line["per"]),
                line["source"],
                dt.date.fromisoformat(line["date"]),
            )
            for line in csv.DictReader(file, delimiter="\t")
        }


def price(service: str, operation: str, option: str = "") -> Price:
    """The price of an operation, e.g. of ('textract', 'AnalyzeDocument', 'forms+tables'); parts in any order.

    Raises:
        ConfigurationError: for what has no price: a call that nobody can meter must not be made.
    """
    try:
        return prices()[service, operation, "+".join(sorted(option.split("+")))]
    except KeyError:
        named = f"{service} {operation} {option}".strip()
        raise ConfigurationError(f"there is no price for {named}: add it to medpipe_assets/aws/prices.tsv") from None


def units_of_text(characters: int) -> int:
    """Units of 100 characters that a Comprehend Medical request of so many characters is charged for."""
    return max(1, math.ceil(characters / UNIT_CHARACTERS))
