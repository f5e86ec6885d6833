"""Languages of pages and segments."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.language import CONFIGURED, identify, identify_or

PAGES = {
    "en": "The patient was admitted with chest pain and shortness of breath. No fever.",
    "es": "El paciente acude por dolor torácico y disnea de esfuerzo. Sin fiebre.",
    "fr": "Le patient est admis pour une douleur thoracique et une dyspnée. Pas de fièvre.",
    "pt": "O doente foi internado com dor no peito e falta de ar. Não tem febre.",
    "it": "Il paziente è stato ricoverato per dolore toracico e dispnea. Non ha febbre.",
    "de": "Der Patient wurde mit Brustschmerzen und Atemnot aufgenommen. Kein Fieber.",
    "nl": "De patiënt werd opgenomen met pijn op de borst en kortademigheid sinds gisteren. Geen koorts.",
    "ru": "Пациент поступил с жалобами на боль в груди и одышку при нагрузке.",
    "el": "Ο ασθενής προσήλθε με πόνο στο στήθος και δύσπνοια κατά την κόπωση.",
    "zh": "患者因胸痛和呼吸困难入院，既往有高血压病史，无发热。",
}


@pytest.mark.parametrize("language", PAGES)
def test_a_page_is_in_the_language_it_is_written_in(language: str) -> None:
    assert identify(PAGES[language]) == language
    assert identify(PAGES[language].upper()) == language


@pytest.mark.parametrize("text", ["", "12/03/2021 14:30", "HTA, DM2, IRC", "120/80 mmHg"])
def test_too_little_text_is_undetermined_and_takes_its_page_s_language(text: str) -> None:
    assert identify(text) == "und"
    assert identify_or(text, "es") == "es"


@pytest.mark.parametrize(("text", "language"), [("Patient with asthma.", "en"), ("Le patient tousse", "fr")])
def test_a_note_of_three_words_has_a_language_where_they_surely_tell(text: str, language: str) -> None:
    assert identify(text) == language


def test_a_segment_overrides_its_page_only_when_sure() -> None:
    assert identify_or(PAGES["en"], "es") == "en"
    assert identify_or("Glucosa basal, sodio, potasio", "es") == "es"
    assert identify_or("Atorvastatin 20 mg, Metformin 850 mg", "pt") == "pt"


def test_other_languages_can_be_expected() -> None:
    assert identify("Pacient má vysoký krevní tlak a cukrovku", languages=("cs", "sk")) == "cs"


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=200))
def test_any_text_gets_an_answer_and_always_the_same(text: str) -> None:
    answer = identify(text)
    assert answer == "und" or (len(answer) >= 2 and answer.isalpha())
    assert identify(text) == answer


@pytest.mark.corpora
@pytest.mark.parametrize(("folder", "language"), [("codiesp/dev/text_files", "es"), ("notes_en", "en")])
def test_whole_documents_are_never_mistaken(folder: str, language: str) -> None:
    default = Path(__file__).parents[3] / "shared" / "data"
    files = sorted((Path(os.environ.get("MEDPIPE_CORPORA", default)) / folder).glob("*.txt"))[:60]
    if not files:
        pytest.skip("the development corpora are not here; set MEDPIPE_CORPORA")
    assert {identify(f.read_text(encoding="utf-8"), CONFIGURED) for f in files} == {language}
