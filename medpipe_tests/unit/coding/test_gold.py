"""Accuracy on a gold set."""

from pathlib import Path

import pytest

from medpipe_assets.coding import icd10cm
from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.coding.gold import accuracy, own_gold
from medpipe_assets.model import corpus
from medpipe_assets.recognition.embedded import EmbeddedRecognition

ENGINES = EmbeddedRecognition(), EmbeddedCoding()


def test_the_samples_gold_set_is_coded_well_by_the_lexicon_alone() -> None:
    found = accuracy(*ENGINES, own_gold())
    assert found is not None and found.texts == 14
    assert found.f1 > 0.85


def test_every_code_of_the_samples_gold_set_is_in_the_code_set() -> None:
    documents = [*corpus.read([own_gold()]), *corpus.read([own_gold()], "en")]
    assert all(document.codes for document in documents)
    assert not [c for d in documents for c in d.codes[corpus.DIAGNOSIS] if icd10cm.lookup(c) is None]


def test_right_wrong_and_missing_codes_are_counted(tmp_path: Path) -> None:
    (tmp_path / "text_files_en").mkdir()
    (tmp_path / "text_files_en" / "a.txt").write_text("Hypertension and asthma.", encoding="utf-8")
    (tmp_path / "text_files_en" / "b.txt").write_text("Pneumonia.", encoding="utf-8")
    (tmp_path / "goldD.tsv").write_text("a\ti10\na\tr51.9\n", encoding="utf-8")
    found = accuracy(*ENGINES, tmp_path)
    assert found is not None
    assert (found.f1, found.precision, found.recall, found.texts) == (0.5, 0.5, 0.5, 1)


@pytest.mark.parametrize("make", [False, True])
def test_where_there_is_no_gold_set_there_is_no_figure(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "text_files").mkdir()
        (tmp_path / "text_files" / "a.txt").write_text("Fiebre.", encoding="utf-8")
    assert accuracy(*ENGINES, tmp_path) is None
