"""Fixtures that more than one package's unit tests need."""

from pathlib import Path

import pytest

from medpipe_assets.lake import leases
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake of the test's own."""
    return Lake(LakeLocation.under(tmp_path / "lake"))


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a lease looks again at once."""
    monkeypatch.setattr(leases, "POLL_SECONDS", 0.01)
