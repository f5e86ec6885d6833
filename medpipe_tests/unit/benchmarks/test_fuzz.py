"""The front doors answer to broken files with a result or a reason; what fuzzing has found stays found."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import fuzz
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.archive import members
from medpipe_tests.unit.extraction import make

CHEAP = ("pdf", "image", "docx", "rtf", "html", "zip", "notification")


@pytest.mark.parametrize("door", CHEAP)
@given(seed=st.integers(0, 2**32))
def test_a_broken_file_is_read_or_has_a_reason(door: str, seed: int) -> None:
    fuzz.enter((door, fuzz.mutated(Random(seed), fuzz.seeds_of(door))))


@pytest.mark.parametrize("door", fuzz.DOORS)
def test_the_seeds_are_taken(door: str) -> None:
    assert "read" in {fuzz.enter((door, data)) for data in fuzz.seeds_of(door)}


def test_a_member_without_a_name_does_not_end_the_intake_of_all_others() -> None:
    """zipfile raises an IndexError for it."""
    whole = make.zipped({"n": "x", "a.txt": "y"})
    at = whole.index(b"PK\x01\x02")
    nameless = whole[: at + 28] + b"\0\0\1\0" + whole[at + 32 :]  # the name has become an extra field
    (name, refused), (_, kept) = members(nameless)
    assert name == "" and isinstance(refused, DocumentError) and kept == b"y"


def test_a_letter_that_no_alphabet_has_does_not_cost_the_rest_of_the_text() -> None:
    assert fuzz.enter(("rtf", fuzz.RTF.replace(rb"\u233", rb"\u99999999999"))) == "read"


def test_a_later_picture_of_a_stack_that_is_a_bomb_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from medpipe_assets.extraction.images import pictures

    image = make.picture(["a"], 60, 30, 12)
    stack = make.saved(image, "GIF", save_all=True, append_images=[make.picture(["b"], 60, 30, 12)])
    real = Image._decompression_bomb_check
    looked: list[object] = []

    def refuses_the_second(size: tuple[int, int]) -> None:
        looked.append(size)
        if len(looked) > 1:
            raise Image.DecompressionBombError
        real(size)

    monkeypatch.setattr(Image, "_decompression_bomb_check", refuses_the_second)
    found: list[object] = []
    try:
        found += pictures(stack, "image/gif")
    except DocumentError as error:
        found.append(error)
    assert all(e.reason == Reason.TOO_LARGE for e in found if isinstance(e, DocumentError))


def test_a_draft_of_a_contract_survives_fields_that_only_some_records_have() -> None:
    assert fuzz.enter(("json", b'[{"a": {"b": 1}}, {"a": {"b": 2}, "c": "x"}, {"c": "y", "d": [1]}]')) == "read"
