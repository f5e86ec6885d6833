"""The embedded engine: dispatch, version, pickling, and what it does when a library fails."""

import pickle
import subprocess
import sys

import pytest

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import html
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.extraction.engine import ExtractionEngine
from medpipe_assets.extraction.media_type import sniff
from medpipe_tests.unit.extraction.checks import assert_sound
from medpipe_tests.unit.extraction.make import docx, note_page, paragraph, pdf


@pytest.mark.parametrize(
    "data",
    [
        b"No fever, no cough.",
        b"{\\rtf1 No fever, no cough.}",
        b"<html><body><p>No fever, no cough.",
        docx(paragraph("No fever, no cough.")),
        pdf([note_page(["No fever, no cough."])]),
    ],
)
def test_every_format_gives_the_same_words(data: bytes) -> None:
    engine: ExtractionEngine = EmbeddedExtraction()
    extraction = engine.extract(data, sniff(data))
    assert_sound(extraction)
    assert extraction.pages[0].words.text == ["No", "fever,", "no", "cough."]


def test_a_type_that_nothing_reads_is_refused_by_its_name() -> None:
    with pytest.raises(DocumentError, match="video/mp4") as raised:
        EmbeddedExtraction().extract(b"x", "video/mp4")
    assert raised.value.reason is Reason.UNSUPPORTED_TYPE


def test_a_library_that_fails_ends_the_document_and_shows_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(data: bytes) -> None:
        raise ZeroDivisionError("John Doe has fever")

    monkeypatch.setattr(html, "extract", fails)
    with pytest.raises(DocumentError) as raised:
        EmbeddedExtraction().extract(b"<p>x", "text/html")
    assert raised.value.reason is Reason.ENGINE_CRASHED
    assert "Doe" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_an_engine_travels_to_another_process_and_stays_the_same() -> None:
    engine = EmbeddedExtraction()
    assert pickle.loads(pickle.dumps(engine)) == engine
    assert len(pickle.dumps(engine)) < 500


def test_the_version_names_the_libraries_and_loads_no_model() -> None:
    code = (
        "import sys; from medpipe_assets.extraction.embedded import EmbeddedExtraction as E; v = E().version; "
        "assert 'pypdfium2=' in v and 'rapidocr=' in v and 'dpi=' in v, v; "
        "assert not {'rapidocr', 'onnxruntime', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
