"""The engine that needs no service: each media type goes to the file of the technology that reads it.

Dispatch and the engine's version belong here; reading a format belongs to its own file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import media_type as types
from medpipe_assets.extraction.engine import Extraction

REVISION = 2
"""Raised with every change of this stage's own code that can change a result."""

_LIBRARIES = (
    "pypdfium2", "rapidocr", "onnxruntime", "opencv-python-headless", "pillow", "pillow-heif", "docx2python",
    "striprtf", "lxml", "charset-normalizer",
)  # fmt: skip

_OUT_OF_MEMORY = ("bad_alloc", "Insufficient memory", "Failed to allocate memory")
"""What onnxruntime and OpenCV say in place of a MemoryError."""

_READERS = {
    types.PDF: "pdfium",
    types.DOCX: "word_processing",
    types.RTF: "rtf",
    types.HTML: "html",
    types.PLAIN: "plain_text",
}


@dataclass(frozen=True)
class EmbeddedExtraction:
    """Reads PDF, pictures, DOCX, RTF, HTML and plain text on this machine. Cheap to make and to pickle."""

    @property
    def name(self) -> str:
        """The technology's name."""
        return "embedded"

    @property
    def version(self) -> str:
        """Versions of the libraries and the settings; loads no model."""
        return _version()

    def extract(self, data: bytes, media_type: str) -> Extraction:
        """Read a document.

        Raises:
            DocumentError: when nothing of the document can be read; engine_crashed where a library failed in a way
                that its file does not know.
        """
        if media_type not in types.SUPPORTED:
            raise DocumentError(Reason.UNSUPPORTED_TYPE, media_type)
        try:
            return _reader(media_type)(data)
        except (DocumentError, MemoryError):  # what is too much for a worker that has grown may not be for a fresh one
            raise
        except Exception as error:  # a library's surprise must not end the batch, nor show the text it held
            if any(words in str(error) for words in _OUT_OF_MEMORY):
                raise MemoryError from None
            raise DocumentError(Reason.ENGINE_CRASHED, type(error).__name__) from None


def _reader(media_type: str) -> Callable[[bytes], Extraction]:
    if media_type in types.IMAGES:
        images = import_module("medpipe_assets.extraction.images")
        return lambda data: images.extract(data, media_type)
    module = import_module(f"medpipe_assets.extraction.{_READERS[media_type]}")
    reader: Callable[[bytes], Extraction] = module.extract
    return reader


@lru_cache(maxsize=1)
def _version() -> str:
    from medpipe_assets.extraction.pdfium import SETTINGS as PDF_SETTINGS
    from medpipe_assets.extraction.rapid_ocr import SETTINGS as OCR_SETTINGS

    return " ".join([str(REVISION), *map(_library, _LIBRARIES), PDF_SETTINGS, OCR_SETTINGS])


def _library(name: str) -> str:
    try:
        return f"{name}={version(name)}"
    except PackageNotFoundError:
        return f"{name}=none"
