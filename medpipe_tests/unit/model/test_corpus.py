"""Reading a corpus in CodiEsp's layout."""

from pathlib import Path

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.model import corpus
from medpipe_assets.model.corpus import DIAGNOSIS, PROCEDURE
from medpipe_tests.unit.model.corpora import CONDITIONS, write_corpus


def test_a_document_has_its_codes_and_the_words_that_show_them(tmp_path: Path) -> None:
    documents = corpus.read([write_corpus(tmp_path / "train", 5)])
    assert [document.name for document in documents] == [f"case{i:03}" for i in range(5)]
    for document in documents:
        diagnoses = [e for e in document.evidence if e.kind == DIAGNOSIS]
        assert {e.code for e in diagnoses} == document.codes[DIAGNOSIS]
        assert len(document.codes[PROCEDURE]) == 1
        for piece in diagnoses:
            ((begin, end),) = piece.spans
            assert CONDITIONS[document.text[begin:end]][0] == piece.code


def test_words_that_stand_apart_are_one_piece_of_evidence_in_order(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "dev", 1)
    (folder / "devX.tsv").write_text("case000\tDIAGNOSTICO\tK75.0\ta b\t20 25;3 9\n", encoding="utf-8")
    (piece,) = corpus.read([folder])[0].evidence
    assert (piece.code, piece.spans) == ("k75.0", ((3, 9), (20, 25)))


def test_a_translation_has_codes_and_no_evidence(tmp_path: Path) -> None:
    (document,) = corpus.read([write_corpus(tmp_path / "train", 1)], "en")
    assert document.evidence == () and len(document.codes[DIAGNOSIS]) == 2
    assert "advised" in document.text


def test_texts_without_a_gold_standard_are_read(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "test", 2)
    for file in folder.glob("*.tsv"):
        file.unlink()
    assert all(not d.codes and not d.evidence for d in corpus.read([folder]))


def test_a_folder_that_is_no_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CodiEsp"):
        corpus.read([tmp_path])


@pytest.mark.parametrize("line", ["case000\tDIAGNOSTICO\tr51\twords\tten twelve\n", "case000\tDIAGNOSTICO\n"])
def test_a_line_that_is_not_as_it_should_be_is_told(tmp_path: Path, line: str) -> None:
    folder = write_corpus(tmp_path / "train", 1)
    (folder / "trainX.tsv").write_text(line, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"offsets|columns"):
        corpus.read([folder])
