"""The list of AWS actions in the documentation is what medpipe asks for today."""

from pathlib import Path

import pytest

from medpipe_tests.aws_double import actions

DOCUMENT = Path(__file__).parents[2] / "docs" / "aws_actions.md"


@pytest.mark.long
def test_the_documented_actions_are_those_that_are_asked_for() -> None:
    assert DOCUMENT.read_text() == actions.markdown(actions.recorded()), "run `make docs`"
