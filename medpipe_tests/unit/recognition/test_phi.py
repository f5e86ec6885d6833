"""Protected health information that its form gives away."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpipe_assets.recognition.phi import find


def found(text: str) -> list[tuple[str, str]]:
    return [(mention.type, text[slice(*mention.spans[0])]) for mention in find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Seen on 2014-03-12.", [("DATE", "2014-03-12")]),
        ("Fecha: 12/03/2014", [("DATE", "12/03/2014")]),
        ("ingresó el 12 de marzo de 2014", [("DATE", "12 de marzo de 2014")]),
        ("on March 12, 2014 she", [("DATE", "March 12, 2014")]),
        ("am 3. März 2014 entlassen", [("DATE", "3. März 2014")]),
        ("le 12 février 2014", [("DATE", "12 février 2014")]),
        ("A 54-year-old woman", [("AGE", "54")]),
        ("varón de 61 años de edad", [("AGE", "61")]),
        ("Tel: 91 123 45 67", [("PHONE_OR_FAX", "91 123 45 67")]),
        ("call (555) 123-4567 now", [("PHONE_OR_FAX", "(555) 123-4567")]),
        ("ana.b@example.org", [("EMAIL", "ana.b@example.org")]),
        ("see https://example.org/a?b=1.", [("URL", "https://example.org/a?b=1")]),
        ("MRN: A1234567", [("ID", "A1234567")]),
        ("SSN 123-45-6789", [("ID", "123-45-6789")]),
    ],
)
def test_its_form_or_label_gives_it_away(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text", ["BP 120/80/60", "creatinina 1.4 mg/dl", "1-0-1", "may improve", "account of pain", "2,5 mg"]
)
def test_clinical_numbers_and_words_are_none(text: str) -> None:
    assert found(text) == []


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["12/03/2014", " ", "Tel: 911234567", "@", "54", " años", "MRN 12345"]), st.text(max_size=5)
        )
    ).map("".join)
)
def test_mentions_lie_in_the_text_in_order_without_overlap(text: str) -> None:
    spans = [mention.spans[0] for mention in find(text)]
    assert all(0 <= begin < end <= len(text) for begin, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
