"""Reading a table of titles."""

from pathlib import Path

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lexicon.titles import Title, read


@pytest.mark.parametrize(
    "content",
    [
        "A001\tDOLOR RARO\nB02\tOtra cosa\n",
        "codigo;clave;titulo\nA00.1;x;DOLOR RARO\nB02;y;Otra  cosa\n",
        'CAPITULO I,"Uno"\nA001,"Dolor raro"\nb02,Otra cosa\n',
        "\ufeffA00.1†\tDolor raro\r\nB02\tOtra cosa\r\n\r\n",
    ],
)
def test_a_table_is_read_however_it_is_written(content: str, tmp_path: Path) -> None:
    (tmp_path / "titles").write_text(content, encoding="utf-8")
    assert read(tmp_path / "titles") == [Title("A00.1", "Dolor raro"), Title("B02", "Otra cosa")]


def test_a_table_in_the_western_code_page_keeps_its_accents(tmp_path: Path) -> None:
    (tmp_path / "titles").write_bytes("A09\tDIARREA CRÓNICA\n".encode("cp1252"))
    assert read(tmp_path / "titles") == [Title("A09", "Diarrea crónica")]


@pytest.mark.parametrize("content", ["", "just text\n", "A001\n"])
def test_a_file_without_titles_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no table of titles"):
        read(tmp_path / "file")
