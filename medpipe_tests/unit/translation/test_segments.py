"""Cutting page text into sentences and lines."""

from itertools import pairwise

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from medpipe_assets.translation.segments import LIMIT, split

CLINICAL = st.text(alphabet=st.sampled_from("aáñ Z.,;:!?\n\n\r\t-•1 2()«»̀👩‍💻日\x00\x1f\u2028"), max_size=300)


def sentences(text: str, language: str = "es") -> list[str]:
    return [text[begin:end] for begin, end in split(text, language)]


@given(st.one_of(st.text(max_size=300), CLINICAL), st.sampled_from(["es", "fr", "pt", "it", "de", "en", "und"]))
@example("", "es")
@example("\n \n", "es")
def test_segments_cover_all_that_is_not_blank_once_and_in_order(text: str, language: str) -> None:
    spans = split(text, language)
    assert all(begin < end for begin, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert all(text[b:e] == text[b:e].strip() for b, e in spans)
    covered = "".join("".join(text[b:e].split()) for b, e in spans)
    assert covered == "".join(text.split())


@given(CLINICAL, st.integers(min_value=1, max_value=40))
def test_no_segment_is_longer_than_the_limit(text: str, limit: int) -> None:
    spans = split(text, "es", limit)
    assert all(end - begin <= limit for begin, end in spans)
    assert "".join("".join(text[b:e].split()) for b, e in spans) == "".join(text.split())


@given(st.lists(st.sampled_from(["a", "e\u0301", "👩‍💻", "🇪🇸", "ñ"]), min_size=20, max_size=120))
def test_a_long_word_is_cut_between_graphemes(graphemes: list[str]) -> None:
    text = "".join(graphemes)
    cuts = {begin for begin, _ in split(text, "es", 10)}
    assert cuts <= {match.start() for match in regex.finditer(r"\X", text)}


def test_an_endless_sentence_is_cut_at_a_clause_before_it_is_cut_at_a_word() -> None:
    text = "palabra " * 150 + "fin; " + "palabra " * 150
    first, *rest = sentences(text)
    assert first.endswith("fin;") and len(rest) == 1
    assert len(first) <= LIMIT
    assert all(s.endswith("palabra") for s in sentences("palabra " * 600))


@pytest.mark.parametrize(
    "text",
    [
        "Valorado por el Dr. García y la Dra. Ruiz.",
        "Habitación No. 5 de la planta.",
        "Creatinina de 3.5 mg. al ingreso.",
        "Síntomas, p. ej. tos, desde ayer.",
        "Omeprazol 20 mg. v.o. cada 24 h. hasta el alta.",
        "Operado por J. M. García ayer.",
        "Estudio vs. placebo, cf. Fig. 3 del informe.",
        "1. Diabetes mellitus tipo 2.",
    ],
)
def test_an_abbreviation_or_a_decimal_ends_no_sentence(text: str) -> None:
    assert sentences(text) == [text]


def test_a_sentence_ends_at_its_full_stop_even_after_a_number_or_a_type() -> None:
    assert sentences("Fiebre de 39. Se ingresa. Tiene hepatitis C. Dice que no. ¿Tose? Sí.") == [
        "Fiebre de 39.",
        "Se ingresa.",
        "Tiene hepatitis C.",
        "Dice que no.",
        "¿Tose?",
        "Sí.",
    ]


def test_a_german_ordinal_goes_on() -> None:
    assert sentences("Aufnahme am 3. Mai wegen Fieber. Kein Husten.", "de") == [
        "Aufnahme am 3. Mai wegen Fieber.",
        "Kein Husten.",
    ]


def test_a_wrapped_line_continues_the_sentence_and_a_blank_line_ends_it() -> None:
    text = (
        "Paciente que acude por dolor torácico opresivo de dos horas de evolución, sin\n"
        "disnea ni palpitaciones, que cede con el reposo\n\n"
        "Exploración normal"
    )
    assert [s.split()[0] for s in sentences(text)] == ["Paciente", "Exploración"]


def test_headings_labels_and_list_items_stand_alone() -> None:
    text = (
        "INFORME DE ALTA\nDiagnóstico: neumonía adquirida en la comunidad\nTratamiento:\n- metformina 850 mg\n"
        "- enalapril 20 mg\n1) Reposo\n2) Dieta\nFecha: 3 de mayo"
    )
    assert sentences(text) == text.split("\n")


def test_lines_that_had_room_for_the_next_word_are_lines_of_their_own() -> None:
    text = "Antecedentes personales del paciente según consta en la historia clínica previa\nHTA\nDiabetes\nasma"
    assert sentences(text) == text.split("\n")
