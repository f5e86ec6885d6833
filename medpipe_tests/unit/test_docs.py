"""The generated documentation is what would be generated now, and no link of ours leads nowhere."""

import re
from pathlib import Path

import pytest

from medpipe_assets.dictionary import markdown

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_data_dictionary_is_that_of_the_schemas() -> None:
    assert (ROOT / "docs" / "data_dictionary.md").read_text() == markdown(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
