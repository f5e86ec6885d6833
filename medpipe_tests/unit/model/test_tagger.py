"""The mention tagger: learning from marked texts, spans with probabilities, bytes."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpipe_assets.model import tagger
from medpipe_assets.model.tagger import Span, Tagger, best

FINDINGS = ("fever", "chest pain", "severe chest pain", "asthma", "renal failure", "cough")
FRAMES = ("The patient has {}.", "She reports {} today.", "Seen for {} and {}.", "{} improved.", "No change in {}.")


def corpus() -> tuple[list[str], list[list[tuple[int, int]]]]:
    texts, spans = [], []
    for frame, first, second in product(FRAMES, FINDINGS, FINDINGS):
        text = frame.format(first, second) + "\nHe walks home. Follow up in May."
        texts.append(text)
        found = {first, second} if frame.count("{}") == 2 else {first}
        longest = [f for f in found if not any(f in other and f != other for other in found)]
        spans.append([(text.index(f), text.index(f) + len(f)) for f in longest])
    return texts, spans


@pytest.fixture(scope="module")
def trained() -> Tagger:
    texts, spans = corpus()
    return Tagger.train(texts, spans, parameters={"c2": 0.1, "max_iterations": 40})


def named(text: str, spans: list[Span]) -> list[str]:
    return [text[span.begin : span.end] for span in spans]


def test_mentions_are_found_in_sentences_never_seen(trained: Tagger) -> None:
    text = "Seen for renal failure today. The patient has severe chest pain and cough."
    assert named(text, best(trained.find(text))) == ["renal failure", "severe chest pain", "cough"]


def test_a_text_without_mentions_has_none(trained: Tagger) -> None:
    assert best(trained.find("He walks home.")) == []
    assert trained.find("") == []
    assert trained.find(" \n ") == []


def test_probabilities_are_those_of_all_labellings_counted_one_by_one(trained: Tagger) -> None:
    text = "She has severe chest pain"
    words = tagger._words(text, ())
    scores = np.exp(trained._emissions(words).astype(float))
    transitions = np.exp(trained._transitions)
    weights: dict[tuple[int, ...], float] = {}
    for inner in product(range(len(tagger.LABELS)), repeat=len(words.surfaces) - 2):
        path = (0, *inner, 0)
        steps = list(pairwise(path))
        if all(after in tagger._FOLLOWS[before] for before, after in steps):
            weight = np.prod([transitions[step] for step in steps])
            weights[inner] = weight * np.prod([scores[i + 1, label] for i, label in enumerate(inner)])
    total = sum(weights.values())
    pattern = {span: span.probability for span in trained.find(text, floor=1e-30)}
    for span, probability in pattern.items():
        first = len(text[: span.begin].split())
        length = len(text[span.begin : span.end].split())
        labels = (4,) if length == 1 else (1, *(2,) * (length - 2), 3)
        counted = sum(w for path, w in weights.items() if path[first : first + length] == labels) / total
        assert probability == pytest.approx(counted, abs=1e-4), span
    assert len(pattern) == 15


def test_what_is_known_of_a_text_helps_with_words_never_seen() -> None:
    texts, spans = corpus()
    marks = [[(begin, end, "known") for begin, end in mentioned] for mentioned in spans]
    marked = Tagger.train(texts, spans, marks, parameters={"c2": 0.1, "max_iterations": 40})
    text = "He walks home with quux today."
    with_mark, without = (
        max(s.probability for s in marked.find(text, known, floor=1e-9) if text[s.begin : s.end] == "quux")
        for known in ([(19, 23, "known")], [])
    )
    assert with_mark > 5 * without


def test_the_same_training_gives_the_same_bytes_and_bytes_the_same_tagger(trained: Tagger) -> None:
    texts, spans = corpus()
    data = Tagger.train(texts, spans, parameters={"c2": 0.1, "max_iterations": 40}).to_bytes()
    assert data == trained.to_bytes()
    text = "She reports asthma and severe cough."
    assert named(text, best(Tagger.from_bytes(data).find(text))) == named(text, best(trained.find(text)))


def test_bytes_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="format"):
        Tagger.from_bytes(b"\x00rest")


def test_of_spans_that_overlap_the_most_probable_stays() -> None:
    spans = [Span(0, 5, 0.6), Span(3, 9, 0.7), Span(10, 12, 0.4), Span(12, 13, 0.5)]
    assert best(spans) == [Span(3, 9, 0.7), Span(12, 13, 0.5)]


@settings(max_examples=60)
@given(st.text(alphabet=st.sampled_from("fever coughABC.\n 12áß\x00\u2028,"), max_size=80))
def test_spans_of_any_text_lie_inside_it_and_probabilities_of_those_that_overlap_are_shared(text: str) -> None:
    texts, spans = corpus()
    found = _small(tuple(texts[::20]), tuple(map(tuple, spans[::20]))).find(text, floor=0.01)
    for span in found:
        assert 0 <= span.begin < span.end <= len(text)
        assert 0 <= span.probability <= 1 + 1e-6
    for place in range(len(text)):
        assert sum(s.probability for s in found if s.begin <= place < s.end) <= 1 + 1e-4


_KEPT: dict[int, Tagger] = {}


def _small(texts: tuple[str, ...], spans: tuple[tuple[tuple[int, int], ...], ...]) -> Tagger:
    if 0 not in _KEPT:
        _KEPT[0] = Tagger.train(texts, spans, parameters={"c2": 0.1, "max_iterations": 5})
    return _KEPT[0]
