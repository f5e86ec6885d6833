"""Figures as others read them: one JSON object a line, intervals that hold the value."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reporting import arguments, figure, interval, quiet_stdout


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_a_figure_is_one_line_with_all_fields(capsys: pytest.CaptureFixture[str]) -> None:
    figure("f1_of_x", 0.5, "f1", low=0.4, high=0.6, peer={"other": 0.45}, n=10, config={"seed": 1})
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "figure": "f1_of_x", "value": 0.5, "unit": "f1", "low": 0.4, "high": 0.6, "peer": {"other": 0.45},
        "ratio": None, "n": 10, "config": {"seed": 1},
    }  # fmt: skip


def test_what_a_library_prints_stays_off_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet_stdout():
        print("loading model")
    figure("x", 1.0, "share")
    captured = capsys.readouterr()
    assert captured.out.startswith('{"figure"')
    assert "loading model" in captured.err


@given(st.lists(st.floats(0, 1), min_size=5, max_size=30))
def test_an_interval_lies_within_what_was_measured(values: list[float]) -> None:
    low, high = interval(values, mean)
    assert low is not None and high is not None
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_too_few_items_have_no_interval() -> None:
    assert interval([1.0, 2.0], mean) == (None, None)


def test_every_benchmark_has_a_quick_mode() -> None:
    assert arguments("x").parse_args(["--quick"]).quick
    assert not arguments("x").parse_args([]).quick
