"""A second release of the code set."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from medpipe_assets.lexicon import releases


@pytest.fixture
def next_year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A release of 1 October 2026 beside the shipped one: with no cholera, and a code of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    codes = [("E11", 0, "Type 2 diabetes"), ("E119", 0, "Of old"), ("E1190", 1, "Of new"), ("S720", 0, "Broken hip")]
    codes += [("S72", 0, "Broken thigh"), ("S720XXA", 1, "Broken hip, initial encounter")]
    lines = [f"{i:05} {code:<7} {valid} {title:<60} {title}" for i, (code, valid, title) in enumerate(codes)]
    order = tmp_path / "icd10cm-order-2027.txt"
    order.write_text("\n".join(lines), encoding="utf-8")
    releases.releases.cache_clear()
    yield releases.add(order)
    monkeypatch.undo()
    releases.releases.cache_clear()
    releases.index.cache_clear()
