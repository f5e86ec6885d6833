"""The benchmark of recognition's speed, over one short text: that it measures everything, not how fast it is."""

import json
from pathlib import Path

import pytest

from benchmarks.recognition_speed import main


def test_every_layer_is_measured_and_memory_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note.txt").write_text("Denies fever. Has pneumonia, takes amoxicillin.", encoding="utf-8")
    main(["--corpus", str(tmp_path)])
    rows = {row["figure"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows.keys() == {
        *(f"lexicon_{layer}_{over}" for layer in ("matching", "layer") for over in ("pages", "whole")),
        *("recognition", "recognition_and_coding", "recognition_peak_memory", "conditions_and_assertion"),
    }
    assert all(row["value"] > 0 for row in rows.values())
