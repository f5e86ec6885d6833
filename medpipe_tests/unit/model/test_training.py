"""A model built from a small corpus: what it finds, how it is kept, and that nothing of a document helps itself."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.coding.engine import CodableMention, CodableText
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lexicon.tabular import Row
from medpipe_assets.model import artefact, reader, training, wordings
from medpipe_assets.model.corpus import DIAGNOSIS, PROCEDURE
from medpipe_assets.model.reader import Model
from medpipe_assets.model.training import Sources
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_tests.unit.model.corpora import write_corpus

TITLES = {"R05": "Cough", "J18.9": "Pneumonia, unspecified organism", "I10": "Hypertension", "K35.80": "Appendicitis"}
TEXT = "Varón de 54 años. Presenta fiebre y tos seca, sin hipertensión arterial. Se pide radiografía de tórax."


@pytest.fixture(scope="module", autouse=True)
def few_codes() -> Iterator[None]:
    """A code set of four codes and no terms of our own, so that knowledge is made in no time."""
    rows = [Row(code, title, code[:3], True, {}, (), ()) for code, title in TITLES.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wordings.build, "newest_rows", lambda: rows)
        patch.setattr(wordings.terms, "own", lambda: iter(()))
        patch.setattr(wordings.terms, "abbreviations", lambda: iter(()))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpora") / "train", 40)


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    file = folder.parent / "coding.model"
    artefact.write(file, *training.build(Sources([folder]), ["es"]))
    return file


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    opened = reader.load(str(path))
    assert opened is not None
    return opened


def test_what_a_text_names_is_proposed_where_it_stands(model: Model) -> None:
    found = model.readers["es", DIAGNOSIS]
    reading = found.read(TEXT)
    accepted = {(TEXT[p.begin : p.end], p.code) for p in reading.proposals if p.probability >= found.accepted}
    assert {("fiebre", "r50.9"), ("tos seca", "r05"), ("hipertensión arterial", "i10")} <= accepted
    assert not {code for code, p in reading.codes if p >= found.accepted} - {"r50.9", "r05", "i10"}


def test_procedures_are_read_as_well(model: Model) -> None:
    reading = model.readers["es", PROCEDURE].read(TEXT)
    assert reading.codes[0][0] == "bw03zzz"


def test_codes_are_ranked_and_proposals_ordered_by_place(model: Model) -> None:
    reading = model.readers["es", DIAGNOSIS].read(TEXT)
    probabilities = [p for _, p in reading.codes]
    assert probabilities == sorted(probabilities, reverse=True) and all(0 < p < 1 for p in probabilities)
    assert [(p.begin, p.end) for p in reading.proposals] == sorted((p.begin, p.end) for p in reading.proposals)


@pytest.mark.parametrize("text", ["", " \n", "...", "7", "zzz qqq", "fiebre " * 500])
def test_any_text_can_be_read(model: Model, text: str) -> None:
    for found in model.readers.values():
        for p in found.read(text).proposals:
            assert 0 <= p.begin < p.end <= len(text)


def test_a_text_is_read_alike_whatever_was_read_before(path: Path) -> None:
    first, second = (reader._load(str(path), i, 0).readers["es", DIAGNOSIS] for i in (-1, -2))
    second.read("Cefalea y neumonía bilateral con palabras nuevas: xilofón, ábaco.")
    second.finders.words.clear()
    second.latest.clear()
    assert first.read(TEXT) == second.read(TEXT)


def test_the_same_corpus_gives_the_same_bytes(folder: Path, path: Path) -> None:
    assert artefact.written(*training.build(Sources([folder]), ["es"])) == path.read_bytes()


def test_a_title_that_no_document_used_is_known_by_its_translation_or_its_cognate(model: Model) -> None:
    codes = dict(model.readers["es", DIAGNOSIS].read("Ingresó hace 3 horas con apendicitis.").codes)
    assert "k35.80" in codes


def test_counts_without_a_document_are_those_of_a_corpus_that_lacks_it(tmp_path: Path) -> None:
    from medpipe_assets.model import corpus, dictionary
    from medpipe_assets.model.tokens import Words

    documents = corpus.read([write_corpus(tmp_path / "train", 8)])
    words = Words("es")
    tokens = [words.read(document.text) for document in documents]
    number = {code: i for i, code in enumerate(sorted({c for d in documents for c in d.codes[DIAGNOSIS]}))}
    gold = [frozenset(number[code] for code in document.codes[DIAGNOSIS]) for document in documents]
    whole, _ = training._learnt(DIAGNOSIS, documents, tokens, words, number, gold)
    less, _ = training._learnt(DIAGNOSIS, documents[1:], tokens[1:], words, number, gold[1:])
    shared = np.flatnonzero(np.isin(whole.terms.key, less.terms.key))
    without = whole.counting.counts(shared, without=0)
    kept = np.searchsorted(less.terms.key, whole.terms.key[shared])
    for name in dictionary.Counts._fields:
        if name not in ("outermost", "gold_outermost"):  # what lies inside what depends on the other terms there are
            np.testing.assert_array_equal(getattr(without, name), getattr(less.counting.whole, name)[kept])


def test_recognition_and_coding_use_the_model_and_their_versions_tell_which(path: Path, model: Model) -> None:
    recogniser, coder = EmbeddedRecognition(str(path)), EmbeddedCoding(str(path))
    for engine, bare in ((recogniser, EmbeddedRecognition()), (coder, EmbeddedCoding())):
        assert engine.version == f"{bare.version}.{model.fingerprint}"
    mentions = [m for m in recogniser.recognise(TEXT, "es") if m.category == "MEDICAL_CONDITION"]
    denied = next(m for m in mentions if TEXT[slice(*m.spans[0])] == "hipertensión arterial")
    assert "NEGATION" in {trait.name for trait in denied.traits}
    codable = [CodableMention(0, m.spans, m.category, m.type, m.score, asserted=m is not denied) for m in mentions]
    codes = {c.code: c for c in coder.code([CodableText(TEXT, "es")], codable).codes}
    assert codes["R50.9"].accepted and codes["R50.9"].asserted
    assert codes["I10"].accepted and not codes["I10"].asserted


def test_a_model_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    assert EmbeddedCoding(str(tmp_path / "none")).version == EmbeddedCoding().version
    assert reader.load(str(tmp_path / "none")) is None


def test_a_translation_is_learnt_from_its_codes_alone(folder: Path, tmp_path: Path) -> None:
    artefact.write(tmp_path / "m", *training.build(Sources([folder]), ["en"]))
    found = reader._load(str(tmp_path / "m"), 0, 0).readers["en", DIAGNOSIS]
    reading = found.read("A 50 year old man who came for pneumonia and hypertension.")
    assert {code for code, p in reading.codes if p >= found.accepted} == {"j18.9", "i10"}


def test_a_corpus_that_tells_no_codes_is_refused(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "test", 2)
    for file in folder.glob("*.tsv"):
        file.unlink()
    with pytest.raises(ConfigurationError, match="nothing to learn"):
        training.build(Sources([folder]), ["es"])


def test_titles_are_told_with_their_language(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("R05\tTos\n", encoding="utf-8")
    assert training.titles_by_language([f"es={tmp_path / 't.tsv'}"]) == {"es": [tmp_path / "t.tsv"]}
    with pytest.raises(ConfigurationError, match="LANGUAGE=FILE"):
        training.titles_by_language(["t.tsv"])
