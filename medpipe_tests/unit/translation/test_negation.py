"""Noticing a negation that a translation lost."""

import pytest

from medpipe_assets.translation.negation import denies, negation_cues, negation_lost


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("es", "No presenta fiebre"),
        ("es", "Niega dolor torácico"),
        ("es", "sin disnea ni edemas"),
        ("fr", "Pas de fièvre"),
        ("fr", "Le patient n'a aucune douleur"),
        ("pt", "Não apresenta febre"),
        ("pt", "sem dor"),
        ("it", "Non febbre né tosse"),
        ("it", "senza dolore"),
        ("de", "Kein Fieber"),
        ("de", "ohne Husten"),
    ],
)
def test_a_denial_that_became_a_statement_is_noticed(language: str, source: str) -> None:
    assert negation_lost(source, "Has fever and pain", language)
    assert not negation_lost(source, "No fever", language)
    assert not negation_lost(source, "denies pain", language)
    assert not negation_lost(source, "has pain without fever", language)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("es", "Presenta fiebre"),
        ("es", "Sin embargo tiene fiebre"),
        ("es", "No sólo tiene fiebre"),
        ("es", "nódulo y sinusitis"),
        ("it", "Non solo febbre"),
        ("de", "Nierenstein"),
        ("xx", "no sin ni"),
    ],
)
def test_what_denies_nothing_loses_nothing(language: str, source: str) -> None:
    assert not negation_lost(source, "Has fever", language)


def test_each_cue_is_found_where_it_stands() -> None:
    assert negation_cues("El paciente niega fiebre, sin tos", "es") == [(12, 17), (26, 29)]
    assert negation_cues("El paciente tiene fiebre", "es") == []


@pytest.mark.parametrize("text", ["is unremarkable", "there is no fever", "the test wasn't done", "negative for virus"])
def test_english_denies_in_many_ways(text: str) -> None:
    assert denies(text)
    assert not denies("not only known nodes in November")
