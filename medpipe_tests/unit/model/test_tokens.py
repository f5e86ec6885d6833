"""Tokens stand in the text where they say."""

from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.model.tokens import Words

WORDS = Words("es")


@given(st.text(max_size=60))
def test_tokens_are_the_words_and_signs_of_a_text_in_order(text: str) -> None:
    tokens = WORDS.read(text)
    spans = list(zip(tokens.begin.tolist(), tokens.end.tolist(), strict=True))
    assert [text[begin:end] for begin, end in spans] == [WORDS.written[row] for row in tokens.word]
    seen = {place for begin, end in spans for place in range(begin, end)}
    assert all(text[place].isspace() for place in range(len(text)) if place not in seen)
    assert spans == sorted(set(spans))
