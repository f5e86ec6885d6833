"""The scoring of extraction: a perfect reader scores perfectly, and each fault costs what it should."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import extraction
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import engine
from samples import truth
from samples.truth import Box, Word

BOXES = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 0.1), st.floats(0.01, 0.1)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
WORDS = (
    Word("dolor", (0.1, 0.1, 0.2, 0.12)),
    Word("torácico", (0.22, 0.1, 0.4, 0.12)),
    Word("dolor", (0.1, 0.2, 0.2, 0.22)),
)
EXPECTED = truth.Page(1, "es", "clean_scan", ("ocr",), 0, "dolor torácico\ndolor", WORDS)


class Reader:
    """An engine that gives back what it is told to; None for one that fails."""

    name, version = "told", "1"

    def __init__(self, words: tuple[Word, ...] | None, rotation: int = 0) -> None:
        self.words, self.rotation = words, rotation

    def extract(self, data: bytes, media_type: str) -> engine.Extraction:
        if self.words is None:
            raise DocumentError(Reason.CORRUPT)
        text = " ".join(word.text for word in self.words)
        ends = [sum(len(w.text) + 1 for w in self.words[: n + 1]) - 1 for n in range(len(self.words))]
        words = engine.Words(
            [w.text for w in self.words],
            [None] * len(self.words),
            [w.box for w in self.words],
            [end - len(w.text) for end, w in zip(ends, self.words, strict=True)],
            ends,
        )
        return engine.Extraction((engine.Page(1, 100, 100, self.rotation, "ocr", text, words),))


def scored(reader: Reader) -> extraction.Score:
    (score,) = extraction.measure(reader, b"", "image/png", [EXPECTED])
    return score


def test_a_perfect_reader_scores_perfectly() -> None:
    score = scored(Reader(WORDS))
    assert extraction.error_rate([score]) == 0
    assert extraction.matched_share([score]) == 1
    assert extraction.mean_overlap([score]) == pytest.approx(1)
    assert extraction.word_f1([score]) == 1
    assert score.method_right and score.rotation_right


def test_a_lost_accent_is_one_error_and_loses_the_word() -> None:
    score = scored(Reader((WORDS[0], Word("toracico", WORDS[1].box), WORDS[2])))
    assert extraction.error_rate([score]) == 1 / len("dolor torácico dolor")
    assert extraction.matched_share([score]) == pytest.approx(2 / 3)


def test_decomposed_accents_are_no_error() -> None:
    assert extraction.error_rate([scored(Reader((WORDS[0], Word("tora\u0301cico", WORDS[1].box), WORDS[2])))]) == 0


def test_the_right_word_in_the_wrong_place_is_not_matched() -> None:
    score = scored(Reader((WORDS[0], WORDS[1], Word("dolor", (0.7, 0.7, 0.8, 0.72)))))
    assert extraction.error_rate([score]) == 0
    assert extraction.matched_share([score]) == pytest.approx(2 / 3)


def test_a_page_that_cannot_be_read_is_all_error() -> None:
    score = scored(Reader(None))
    assert extraction.error_rate([score]) == 1
    assert extraction.matched_share([score]) == 0
    assert not score.method_right


def test_a_page_left_on_its_side_is_noticed() -> None:
    assert not scored(Reader(WORDS, rotation=90)).rotation_right


@given(BOXES, BOXES)
def test_overlap_is_symmetric_and_a_share(a: Box, b: Box) -> None:
    assert 0 <= extraction.overlap(a, b) <= 1 + 1e-9
    assert extraction.overlap(a, b) == pytest.approx(extraction.overlap(b, a))
    assert extraction.overlap(a, a) == pytest.approx(1)


@given(st.lists(st.builds(Word, st.sampled_from("ab"), BOXES)), st.lists(st.builds(Word, st.sampled_from("ab"), BOXES)))
def test_no_word_is_matched_twice(expected: list[Word], read: list[Word]) -> None:
    assert len(extraction.matched(expected, read)) <= min(len(expected), len(read))


@given(st.permutations(WORDS))
def test_lines_have_one_order_however_their_words_come(words: list[Word]) -> None:
    assert [w.text for w in extraction.in_lines(words)] == ["dolor", "torácico", "dolor"]


def test_pages_with_truth_in_funsd_layout_are_read_and_scored(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    picture = io.BytesIO()
    Image.new("L", (1000, 1000), 255).save(picture, "PNG")
    (tmp_path / "images" / "a.png").write_bytes(picture.getvalue())
    rows = [{"text": w.text, "box": [round(v * 1000) for v in w.box or ()]} for w in reversed(WORDS)]
    form = {"form": [{"words": rows[:1]}, {"words": [*rows[1:], {"text": " ", "box": [0, 0, 1, 1]}]}]}
    (tmp_path / "annotations" / "a.json").write_text(json.dumps(form), encoding="utf-8")
    ((data, page),) = extraction.funsd(tmp_path, None)
    assert page.text == "dolor torácico dolor"
    score = extraction.measure_page(Reader(tuple(reversed(WORDS))), data, page)
    assert extraction.error_rate([score]) == 0
    assert extraction.matched_share([score]) == 1


def test_a_quick_run_reads_one_page_of_each_look_and_all_that_needs_no_ocr() -> None:
    chosen = [file for _, file in extraction.quick_choice(extraction.samples_in(extraction.COMMITTED))]
    looks = [page.look for file in chosen for page in file.pages]
    assert [looks.count(look) for look in ("clean_scan", "poor_scan", "handwriting", "photo")] == [1, 1, 1, 0]
    assert looks.count("plain") > 5
