"""The lexicon's gloss."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation import inflection
from medpipe_assets.translation.cognates import cognate
from medpipe_assets.translation.gloss import LANGUAGES, GlossTranslation, lexicon

WORDS = {language: sorted(lexicon(language).entries) for language in LANGUAGES}


def gloss(text: str, language: str = "es") -> str:
    return GlossTranslation().translate([text], language)[0].target_text


@st.composite
def clinical_text(draw: st.DrawFn) -> tuple[str, str]:
    language = draw(st.sampled_from(LANGUAGES))
    part = st.one_of(
        st.sampled_from(WORDS[language]), st.text(max_size=6), st.sampled_from([" ", ", ", ". ", "3,5 mg"])
    )
    return "".join(draw(st.lists(part, max_size=12))), language


@given(clinical_text())
def test_alignment_lies_inside_both_texts_and_covers_each_place_once(case: tuple[str, str]) -> None:
    text, language = case
    result = GlossTranslation().translate([text], language)[0]
    assert result.quality == "gist" and result.alignment is not None
    assert list(result.alignment) == sorted(result.alignment)
    source_end = 0
    for a in result.alignment:
        assert source_end <= a.source_begin < a.source_end <= len(text)
        assert 0 <= a.target_begin < a.target_end <= len(result.target_text)
        source_end = a.source_end
    targets = sorted((a.target_begin, a.target_end) for a in result.alignment)
    assert all(before[1] <= after[0] for before, after in pairwise(targets))


@given(st.text(alphabet="0123456789.,/:-<>%()[]^$*@\\\x00\n 日本", max_size=60))
def test_what_holds_no_word_of_the_language_passes_unchanged(text: str) -> None:
    assert gloss(text) == text


def test_each_word_is_aligned_with_its_english() -> None:
    text = "Niega dolor torácico y disnea"
    result = GlossTranslation().translate([text], "es")[0]
    assert result.target_text == "Denies chest pain and dyspnea"
    pairs = {
        text[a.source_begin : a.source_end]: result.target_text[a.target_begin : a.target_end]
        for a in result.alignment or ()
    }
    assert pairs == {"Niega": "Denies", "dolor torácico": "chest pain", "y": "and", "disnea": "dyspnea"}
    assert result.unknown_words == 0


@pytest.mark.parametrize(
    ("language", "source", "english"),
    [
        ("es", "No presenta fiebre ni tos", "Does not present fever nor cough"),
        ("es", "dolor abdominal agudo", "acute abdominal pain"),
        ("es", "Se realizó ecografía abdominal", "Was performed abdominal ultrasound"),
        ("es", "EPOC", "COPD"),
        ("es", "clinico sin hipertension", "clinical without hypertension"),
        ("es", "En ninguna zona", "In no area"),
        ("es", "No presenta ninguna masa", "Does not present any mass"),
        ("es", "Hernia no operada", "Hernia not operated on"),
        ("es", "Se realizó RMN y se confirmó quiste", "Was performed MRI and was confirmed cyst"),
        ("es", "Valorado por la Dra. Blanco", "Evaluated by the Dra. Blanco"),
        ("fr", "Il ne prend plus d'alcool", "He takes no longer of alcohol"),
        ("es", "SIN FIEBRE", "WITHOUT FEVER"),
        ("fr", "L'examen clinique", "The physical examination"),
        ("fr", "Pas de fièvre", "There is no fever"),
        ("pt", "sem febre, nega dor torácica", "without fever, denies chest pain"),
        ("it", "dell’addome senza dolore", "of the abdomen without pain"),
        ("de", "Kein Hinweis auf Pneumonie", "No evidence of pneumonia"),
        ("de", "starke Kopfschmerzen ohne Übelkeit", "severe headaches without nausea"),
    ],
)
def test_clinical_phrases_read_as_a_clinician_would_say_them(language: str, source: str, english: str) -> None:
    assert gloss(source, language) == english


def test_doses_and_unknown_names_pass_and_only_names_count_as_unknown() -> None:
    result = GlossTranslation().translate(["Zyloprimex 850 mg 1-0-1 cada 8h, 3,5 mmol/L"], "es")[0]
    assert result.target_text.startswith("Zyloprimex 850 mg 1-0-1 each 8h, 3,5")
    assert 1 <= result.unknown_words <= 2


@pytest.mark.parametrize(
    ("language", "word", "english"),
    [
        ("es", "orquiectomía", "orchiectomy"),
        ("es", "glomerulonefritis", "glomerulonephritis"),
        ("es", "espondilosis", "spondylosis"),
        ("fr", "splénomégalie", "splenomegaly"),
        ("pt", "perfusão", "perfusion"),
        ("it", "emocromatosi", "hemochromatosis"),
        ("de", "hepatomegalie", "hepatomegaly"),
    ],
)
def test_a_learned_word_is_respelled_by_its_parts(language: str, word: str, english: str) -> None:
    found = cognate(word, language)
    assert found is not None and found[0] == english


@pytest.mark.parametrize("word", ["casa", "tosse", "paciente", "x-itis", "1234567"])
def test_an_everyday_word_is_no_cognate(word: str) -> None:
    assert cognate(word, "es") is None


@pytest.mark.parametrize(
    ("singular", "plural"),
    [("diagnosis", "diagnoses"), ("woman", "women"), ("reason for admission", "reasons for admission"),
     ("biopsy", "biopsies"), ("loss of weight", "losses of weight"), ("X-ray", "X-rays")],
)  # fmt: skip
def test_english_plurals(singular: str, plural: str) -> None:
    assert inflection.english_plural(singular) == plural


def test_regular_forms_come_from_the_base_form() -> None:
    forms = dict(inflection.forms("lesión cutánea", "skin lesion", "n", "", "es"))
    assert forms["lesiones cutáneas"] == "skin lesions"
    verb = dict(inflection.forms("presentar", "present", "v", "", "es"))
    assert verb["presenta"] == "presents" and verb["no presentó"] == "did not present"
    assert verb["se presentaron"] == "were presented"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_lexicon_is_large_clean_and_free_of_untranslated_negations(language: str) -> None:
    entries = lexicon(language).entries
    assert len(entries) >= (1_500 if language == "es" else 800)
    assert all(form == form.strip().lower() and "\t" not in e.target for form, e in entries.items())
    assert all(
        entries[word].target not in ("", word)
        for word in {"es": ["no", "sin", "ni"], "fr": ["pas", "sans"], "pt": ["não", "sem"], "it": ["non", "senza"],
                     "de": ["nicht", "ohne", "kein"]}[language]
        if word != "no"
    )  # fmt: skip


def test_a_language_without_lexicon_is_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        GlossTranslation().translate(["x"], "ja")
    assert caught.value.reason is Reason.UNSUPPORTED_LANGUAGE
    assert not GlossTranslation().supports("en")


def test_the_version_names_the_lexicon() -> None:
    assert len(GlossTranslation().version.split()[-1]) == 12
