"""The sample documents and their truth: that they are what they say, and the same whenever they are made."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pypdfium2
import pytest
import simple_icd_10_cm as cm
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import samples
from samples import bank, notes, truth
from samples.generate import BAD, RECIPES, generate
from samples.layout import A4, A5, HAND, SANS, SERIF, Face, lay_out, width_of

FOLDER = Path(samples.__file__).parent
DOCUMENTS = FOLDER / "documents"
MAX_BYTES = 5_000_000
KINDS = sorted({recipe.kind for recipe in RECIPES})


@cache
def committed() -> truth.Truth:
    return truth.load(FOLDER / "truth.json")


def pages() -> Iterator[tuple[truth.File, truth.Page]]:
    return ((file, page) for file in committed().files for page in file.pages)


def says(text: str, evidence: str) -> bool:
    return bool(re.search(r"(?<!\w)" + r"\s+".join(map(re.escape, evidence.split())) + r"(?!\w)", text))


def named(name: str) -> truth.File:
    return next(file for file in committed().files if file.name == name)


# The bank


@pytest.mark.parametrize("condition", bank.conditions(), ids=lambda condition: condition.key)
def test_every_code_of_the_bank_is_a_billable_code(condition: bank.Condition) -> None:
    assert condition.codes
    assert all(cm.is_valid_item(code) and cm.is_leaf(code) for code in condition.codes)


@pytest.mark.parametrize("row", [*bank.conditions(), *bank.drugs()], ids=lambda row: row.key)
def test_every_row_of_the_bank_has_words_in_all_languages(row: bank.Condition | bank.Drug) -> None:
    words = row.terms if isinstance(row, bank.Condition) else {k: (v,) for k, v in row.names.items()}
    assert all(words[language] and all(words[language]) for language in bank.LANGUAGES)


def test_all_languages_say_the_same_kinds_of_things() -> None:
    english = bank.phrasing()["en"]
    for language in bank.LANGUAGES:
        spoken = bank.phrasing()[language]
        assert set(spoken) == set(english)
        assert all(set(spoken[key]) == set(value) for key, value in english.items() if isinstance(value, dict))


# Notes, for any seed


@settings(max_examples=50, deadline=None)
@given(st.integers(), st.sampled_from(KINDS), st.sampled_from(bank.LANGUAGES))
def test_the_truth_knows_every_condition_that_a_note_names(seed: int, kind: str, language: str) -> None:
    note = notes.write(kind, language, Random(seed))
    text = "\n".join(" ".join(row) for block in note.blocks for row in block.lines)
    told = [mention.evidence.lower() for mention in note.mentions]
    assert all(says(text, mention.evidence) for mention in note.mentions)
    for condition in bank.conditions():
        for term in condition.terms[language]:
            assert not says(text.lower(), term.lower()) or any(term.lower() in evidence for evidence in told)


@settings(max_examples=50, deadline=None)
@given(st.integers(), st.sampled_from(KINDS), st.sampled_from(bank.LANGUAGES))
def test_no_condition_is_both_asserted_and_not_nor_coded_in_combination(seed: int, kind: str, language: str) -> None:
    mentions = notes.write(kind, language, Random(seed)).mentions
    own = {m.condition.key for m in mentions if m.assertion in truth.CODED}
    others = {m.condition.key for m in mentions} - own
    assert own and others
    assert not {m.condition.key for m in mentions if m.assertion not in truth.CODED} & own
    assert not any(pair <= own for pair in bank.COMBINED)


@settings(max_examples=50, deadline=None)
@given(st.integers(), st.sampled_from(KINDS), st.sampled_from(bank.LANGUAGES), st.sampled_from([SERIF, SANS, HAND]))
def test_nothing_is_set_beyond_the_margins(seed: int, kind: str, language: str, face: Face) -> None:
    note = notes.write(kind, language, Random(seed))
    for sheet in lay_out(note, face, A5 if face is HAND else A4, furniture=face is not HAND):
        for run in sheet.runs:
            assert sheet.width * 0.09 < run.x
            assert run.x + width_of(run.text, run.font, run.size) < sheet.width * 0.91
            assert 0 < run.y < sheet.height - 20


# The committed documents


def test_documents_and_truth_name_the_same_files() -> None:
    expected = {file.name.partition("!/")[0] for file in committed().files}
    assert {path.name for path in DOCUMENTS.iterdir()} == expected


def test_the_documents_are_small() -> None:
    assert sum(path.stat().st_size for path in DOCUMENTS.iterdir()) < MAX_BYTES


def test_four_languages_and_all_formats_are_there() -> None:
    good = [file for file in committed().files if file.quarantine is None]
    assert len({page.language for file in good for page in file.pages}) >= 4
    assert len({file.media_type for file in good}) >= 8
    assert {page.look for file in good for page in file.pages} == {
        "digital", "clean_scan", "poor_scan", "photo", "handwriting", "searchable", "mixed", "plain"
    }  # fmt: skip


def test_each_fact_and_drug_is_on_the_page_that_the_truth_names() -> None:
    for file in committed().files:
        texts = {page.number: page.text for page in file.pages}
        assert all(says(texts[fact.page], fact.evidence) for fact in file.facts)
        assert all(says(texts[drug.page], drug.name) and says(texts[drug.page], drug.dose) for drug in file.medications)


def test_words_are_the_text_and_lie_within_the_page() -> None:
    for _, page in pages():
        assert [word.text for word in page.words] == page.text.split()
        for word in page.words:
            if word.box:
                x0, y0, x1, y1 = word.box
                assert 0 <= x0 < x1 <= 1
                assert 0 <= y0 < y1 <= 1
            else:
                assert page.look == "plain"


@pytest.mark.parametrize(
    "name", ["discharge_summary_en.png", "discharge_photo_pt.jpg", "clinic_note_fr.jpg", "emergency_note_fr.pdf"]
)
def test_boxes_hold_the_ink_of_their_words(name: str) -> None:
    page = named(name).pages[0]
    upright = Image.open(DOCUMENTS / name).convert("L").rotate(-page.rotation, expand=True)
    pixels = np.asarray(upright, dtype=float)
    height, width = pixels.shape
    inked = 0
    for word in page.words:
        assert word.box is not None
        x0, y0, x1, y1 = (round(v * size) for v, size in zip(word.box, (width, height) * 2, strict=True))
        around = pixels[max(0, y0 - 8) : y1 + 8, max(0, x0 - 8) : x1 + 8]
        inked += pixels[y0 : y1 + 1, x0 : x1 + 1].min() < np.median(around) - 60
    assert inked / len(page.words) > 0.98


def test_digital_pages_have_the_truth_in_their_text_layer() -> None:
    document = pypdfium2.PdfDocument(DOCUMENTS / "discharge_summary_es.pdf")
    for page in named("discharge_summary_es.pdf").pages:
        assert document[page.number - 1].get_textpage().get_text_range().split() == page.text.split()


def test_scans_have_no_text_layer_and_searchable_ones_a_hidden_one() -> None:
    scan = pypdfium2.PdfDocument(DOCUMENTS / "referral_letter_fr.pdf")[0]
    searchable = pypdfium2.PdfDocument(DOCUMENTS / "laboratory_report_en.pdf")[0]
    assert scan.get_textpage().count_chars() == 0
    assert searchable.get_textpage().get_text_range().split() == named("laboratory_report_en.pdf").pages[0].text.split()


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("progress_note_en.txt", "utf-8"), ("emergency_note_pt.txt", "cp1252"), ("referral_letter_de.txt", "utf-16")],
)
def test_plain_texts_are_in_the_encodings_they_are_there_for(name: str, encoding: str) -> None:
    text = (DOCUMENTS / name).read_bytes().decode(encoding)
    assert text.replace("\r\n", "\n") == named(name).pages[0].text


def test_bad_documents_are_bad_in_the_way_the_truth_says() -> None:
    assert {file.name: file.quarantine for file in committed().files if file.quarantine} == {b[0]: b[2] for b in BAD}
    assert (DOCUMENTS / "empty.pdf").stat().st_size == 0
    for name, message in (("encrypted.pdf", "password"), ("cut_off.pdf", "format")):
        with pytest.raises(pypdfium2.PdfiumError, match=message):
            pypdfium2.PdfDocument(DOCUMENTS / name)


def test_a_document_bears_codes_and_codes_that_it_must_not() -> None:
    for file in committed().files:
        if file.quarantine is None:
            assert len(file.asserted) >= 3
            assert file.not_asserted
            assert not file.not_asserted & frozenset().union(*file.asserted)


def test_truth_survives_storage(tmp_path: Path) -> None:
    truth.save(committed(), tmp_path / "truth.json")
    assert truth.load(tmp_path / "truth.json") == committed()


# The generator


@pytest.mark.slow
def test_the_same_seed_gives_the_committed_truth_and_the_same_bytes(tmp_path: Path) -> None:
    for run in ("first", "second"):
        generate(0, tmp_path / run)
    assert truth.load(tmp_path / "first" / "truth.json") == committed()
    for path in (tmp_path / "first" / "documents").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / "documents" / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_another_seed_gives_other_facts_in_the_same_kinds_of_files(tmp_path: Path) -> None:
    other = generate(41, tmp_path)
    assert [f.name for f in other.files] == [f.name for f in committed().files]
    for ours, theirs in zip(committed().files, other.files, strict=True):
        assert ours.quarantine == theirs.quarantine
        if ours.quarantine is None:
            assert {f.evidence for f in ours.facts} != {f.evidence for f in theirs.facts}
            assert [p.look for p in ours.pages] == [p.look for p in theirs.pages]
