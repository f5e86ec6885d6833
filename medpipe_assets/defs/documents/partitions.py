"""The partitions of the document line: the UTC day on which a document was first received."""

import datetime as dt

import dagster as dg

FIRST_DAY = "2026-01-01"

DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC", end_offset=1)
"""`end_offset=1`: today's partition is there from midnight on, not only once the day is over."""


def day_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> dt.date:
    """The day that a run is about."""
    return dt.date.fromisoformat(context.partition_key)


def today() -> dt.date:
    """The day of documents received now."""
    return dt.datetime.now(dt.UTC).date()
