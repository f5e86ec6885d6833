"""Folding text for look-up, and the way back to the original."""

from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.lexicon.normalise import normalise


def test_case_and_accents_do_not_matter() -> None:
    assert normalise("HIPERTENSIÓN").text == normalise("hipertension").text == "hipertension"


def test_a_ligature_and_a_typographic_quote_are_found_as_typed() -> None:
    assert normalise("Œdème de l’œil, ﬁèvre").text == "oedeme de l'oeil, fievre"


def test_a_match_behind_a_letter_that_folds_to_two_maps_back_exactly() -> None:
    text = "großer İ Fußpilz"
    folded = normalise(text)
    begin = folded.text.index("fusspilz")
    assert text[slice(*folded.span(begin, begin + 8))] == "Fußpilz"


def test_a_combining_mark_belongs_to_its_letter() -> None:
    text = "cafe\u0301 frio"
    folded = normalise(text)
    assert folded.text == "cafe frio"
    assert folded.span(0, 4) == (0, 5)


@given(st.text(max_size=200))
def test_every_character_maps_back_into_the_original_in_order(text: str) -> None:
    folded = normalise(text)
    assert len(folded.text) == len(folded.offsets) == len(folded.offsets_end)
    assert list(folded.offsets) == sorted(folded.offsets)
    assert all(0 <= b < e <= len(text) for b, e in zip(folded.offsets, folded.offsets_end, strict=True))


@given(st.text(max_size=60), st.text(min_size=1, max_size=20), st.text(max_size=60))
def test_a_slice_of_the_fold_is_the_fold_of_the_slice(before: str, word: str, after: str) -> None:
    text = before + word + after
    whole = normalise(text)
    inside = [i for i, offset in enumerate(whole.offsets) if len(before) <= offset < len(before) + len(word)]
    assert "".join(whole.text[i] for i in inside) == normalise(word).text
