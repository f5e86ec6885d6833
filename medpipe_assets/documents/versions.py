"""Which version of a stage is wanted: that of the run that began last, so that an older one still going undoes nothing.

A run says at its begin by what it would do its work; that is an object in the raw zone, each time that it changes.
Going back to an earlier version is a begin, too.
"""

from collections.abc import Mapping

from medpipe_assets.lake.lake import Lake


def _folder(stage: str) -> str:
    return f"versions/{stage}/"


def wanted(lake: Lake, stage: str) -> str | None:
    """The stage_version that the run which began last would do its work by; None where none ever said."""
    keys = [found.key for found in lake.raw.list(_folder(stage))]
    return max(keys).partition(".")[2] if keys else None


def announce(lake: Lake, versions: Mapping[str, str]) -> None:
    """Say that a run begins, and the stage_version of each stage."""
    for stage, version in versions.items():
        if wanted(lake, stage) != version:
            (number,) = lake.leases.next_numbers("wanted versions", 1)
            lake.raw.put(f"{_folder(stage)}{number:012d}.{version}", b"")
