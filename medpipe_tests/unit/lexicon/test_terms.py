"""Our own term lists: what they promise their readers. How lists compile and match is tested next door."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from medpipe_assets.coding.icd10cm import lookup
from medpipe_assets.lexicon.lexicon import Lexicon, load
from medpipe_assets.lexicon.terms import FILES, abbreviations, own, table
from medpipe_assets.lexicon.words import LANGUAGES, normals

_CONDITIONS_AT_LEAST = 1000
_ABBREVIATIONS_AT_LEAST = {"en": 60, "es": 60, "fr": 25, "pt": 25, "it": 25, "de": 25}


def _cells() -> Iterator[tuple[str, str, list[str]]]:
    for row in table("conditions.tsv"):
        for language in LANGUAGES:
            yield row["code"], language, row[language].split("|")


@pytest.mark.parametrize("name", ["conditions.tsv", "abbreviations.tsv"])
def test_every_code_is_billable_and_written_as_the_code_set_writes_it(name: str) -> None:
    entries = {row["code"]: lookup(row["code"]) for row in table(name)}
    assert [code for code, entry in entries.items() if entry is None or not entry.billable or entry.code != code] == []


@pytest.mark.parametrize("name", ["conditions.tsv", "abbreviations.tsv"])
def test_every_row_has_all_its_cells_and_no_space_around_them(name: str) -> None:
    header, *rows = (FILES / name).read_text(encoding="utf-8").splitlines()
    cells = [row.split("\t") for row in rows]
    assert {len(row) for row in cells} == {len(header.split("\t"))}
    assert [
        cell for row in cells for cell in row if any(text != " ".join(text.split()) for text in cell.split("|"))
    ] == []


def test_a_concept_stands_in_one_row_and_has_an_english_name() -> None:
    rows = table("conditions.tsv")
    assert len(rows) >= _CONDITIONS_AT_LEAST
    assert [code for code, count in Counter(row["code"] for row in rows).items() if count > 1] == []
    assert [row["code"] for row in rows if not row["en"]] == []


def test_no_synonym_is_empty_or_repeated() -> None:
    faulty = [
        (code, language)
        for code, language, synonyms in _cells()
        if synonyms != [""] and ("" in synonyms or len({s.casefold() for s in synonyms}) < len(synonyms))
    ]
    assert faulty == []


def test_no_term_means_two_things_in_a_language() -> None:
    meant = defaultdict(set)
    for term in own():
        meant[term.language, " ".join(normals(term.text, term.language))].add(term.code)
    assert {term: codes for term, codes in meant.items() if len(codes) > 1} == {}


def test_every_term_and_abbreviation_comes_back_under_its_own_code_first() -> None:
    named = [(t.language, t.text, t.code) for t in (*own(), *abbreviations())]
    senses = [load(language).sense(text) for language, text, _ in named]
    assert [term for term, sense in zip(named, senses, strict=True) if not sense or sense.codes[0] != term[2]] == []


def test_there_are_enough_abbreviations_and_none_means_two_things() -> None:
    counted = Counter((a.language, a.text) for a in abbreviations())
    assert [pair for pair, count in counted.items() if count > 1] == []
    by_language = Counter(language for language, _ in counted)
    assert {k: by_language[k] for k, least in _ABBREVIATIONS_AT_LEAST.items() if by_language[k] < least} == {}
    assert {row["ambiguous"] for row in table("abbreviations.tsv")} == {"yes", "no"}


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "hearing aids"),
        ("en", "breast pad"),
        ("es", "les explicamos"),
        ("es", "con ira"),
        ("fr", "les examens"),
        ("pt", "ela refere"),
        ("de", "als Kind"),
        ("es", "una gota cada 8 horas"),
        ("pt", "zona dolorosa"),
        ("es", "gases arteriales"),
        ("en", "dialysis was started"),
        ("es", "imágenes hipo e hiperecogénicas"),
        ("fr", "une goutte par jour"),
        ("fr", "goutte à goutte"),
        ("es", "gota gruesa"),
        ("en", "Seen by the infectious disease team after vaccination, between two pregnancies."),
    ],
)
def test_everyday_words_are_no_conditions(language: str, text: str) -> None:
    assert list(load(language).find(text)) == []


@pytest.fixture(scope="module")
def lexicons() -> dict[str, Lexicon]:
    return {language: load(language) for language in LANGUAGES}


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [
        ("en", "Hypertension", "I10"),
        ("en", "type 2 diabetes mellitus", "E11.9"),
        ("en", "shortness of breath", "R06.02"),
        ("en", "Parkinson's disease", "G20.A1"),
        ("en", "haematuria", "R31.9"),
        ("en", "hip fracture", "S72.009A"),
        ("en", "CKD stage 3", "N18.30"),
        ("en", "COPD exacerbation", "J44.1"),
        ("en", "HTN", "I10"),
        ("en", "elevated blood pressure", "R03.0"),
        ("en", "blood pressure raised", "R03.0"),
        ("en", "high blood pressure", "I10"),
        ("en", "bladder tumour", "D49.4"),
        ("en", "bladder mass", "N32.89"),
        ("en", "on dialysis", "Z99.2"),
        ("es", "hiperparatiroidismo", "E21.3"),
        ("es", "hiperparatiroidismo secundario", "N25.81"),
        ("es", "masa renal", "N28.89"),
        ("es", "tumor renal", "D49.519"),
        ("es", "gota", "M10.9"),
        ("es", "hipertensión arterial", "I10"),
        ("es", "diabetes mellitus tipo II", "E11.9"),
        ("es", "fibrilación auricular paroxística", "I48.0"),
        ("es", "cólico nefrítico", "N23"),
        ("es", "metástasis hepáticas", "C78.7"),
        ("es", "disnea de esfuerzo", "R06.09"),
        ("es", "derrame pleural", "J90"),
        ("es", "carcinoma urotelial", "C67.9"),
        ("es", "ictus", "I63.9"),
        ("es", "EPOC", "J44.9"),
        ("es", "alergia a penicilina", "Z88.0"),
        ("fr", "insuffisance cardiaque", "I50.9"),
        ("fr", "embolie pulmonaire", "I26.99"),
        ("fr", "BPCO", "J44.9"),
        ("pt", "infarto agudo do miocárdio", "I21.9"),
        ("pt", "doença renal crónica", "N18.9"),
        ("pt", "pressão alta", "I10"),
        ("it", "polmonite", "J18.9"),
        ("it", "scompenso cardiaco", "I50.9"),
        ("it", "carcinoma prostatico", "C61"),
        ("de", "Herzinsuffizienz", "I50.9"),
        ("de", "Vorhofflimmern", "I48.91"),
        ("de", "Lungenembolie", "I26.99"),
        ("de", "KHK", "I25.10"),
    ],
)
def test_a_common_term_gives_the_code_of_its_plain_meaning(
    lexicons: dict[str, Lexicon], language: str, text: str, code: str
) -> None:
    sense = lexicons[language].sense(text)
    assert sense is not None
    assert sense.codes[0] == code
