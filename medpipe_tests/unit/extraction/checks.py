"""What holds for every extraction, whatever the format."""

from medpipe_assets.extraction.engine import Extraction, Page


def assert_sound(extraction: Extraction) -> None:
    """Offsets name the words, boxes lie on the page, columns have one length."""
    for page in extraction.pages:
        _assert_page(page)


def _assert_page(page: Page) -> None:
    words = page.words
    assert len({len(words.text), len(words.confidence), len(words.boxes), len(words.begin), len(words.end)}) == 1
    assert [page.text[b:e] for b, e in zip(words.begin, words.end, strict=True)] == words.text
    assert all(word and not any(c.isspace() for c in word) for word in words.text)
    assert words.begin == sorted(words.begin)
    assert page.text.split() == words.text
    page.text.encode("utf-8")
    for box in words.boxes:
        if box is not None:
            x0, y0, x1, y1 = box
            assert 0 <= x0 <= x1 <= 1
            assert 0 <= y0 <= y1 <= 1
    for confidence in words.confidence:
        assert confidence is None or 0 <= confidence <= 1
    assert page.rotation in (0, 90, 180, 270)
