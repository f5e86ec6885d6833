"""The interface of the extraction stage: what an engine receives and what it must give back.

No engine lives here, and nothing here knows where bytes come from or where pages go.
"""

from dataclasses import dataclass, field
from typing import Protocol

from medpipe_assets.errors import DocumentError


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one page in reading order, as parallel columns of one length.

    Attributes:
        text: the word, without surrounding white space.
        confidence: the engine's confidence, 0 to 1; None where there is none (text layers).
        boxes: (x0, y0, x1, y1) as fractions of the page, origin top left, of the page as a reader sees it
            (after rotation is undone); None where the format has no layout (plain text, RTF, HTML, DOCX).
        begin, end: the word's place in `Page.text`, in Unicode code points, end exclusive.
    """

    text: list[str] = field(default_factory=list)
    confidence: list[float | None] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float] | None] = field(default_factory=list)
    begin: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `text[words.begin[i]:words.end[i]] == words.text[i]` holds for every word.

    Attributes:
        number: from 1. A format without pages is one page.
        width, height: of the upright page, in points for PDF and pixels for images; 0 where there is no layout.
        rotation: degrees clockwise (0, 90, 180, 270) that the page had to be turned to be upright.
        method: 'text_layer' or 'ocr'.
        text: the page's text in reading order, lines parted by a newline.
        mean_confidence: mean of the words' confidences; None without any.
    """

    number: int
    width: float
    height: float
    rotation: int
    method: str
    text: str
    words: Words
    mean_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """All pages of a document that could be read, and an error (with its page number) for each that could not."""

    pages: tuple[Page, ...]
    failures: tuple[DocumentError, ...] = ()


class ExtractionEngine(Protocol):
    """Turns a document's bytes into pages of words.

    An engine is cheap to make and to pickle: models are loaded on first use, in the process that uses them.
    """

    @property
    def name(self) -> str:
        """The technology's name, as in `stage_version`."""
        ...

    @property
    def version(self) -> str:
        """Versions of the libraries and every setting that can change a result. Reading it loads no model."""
        ...

    def extract(self, data: bytes, media_type: str) -> Extraction:
        """Read a document.

        Args:
            data: the document's bytes.
            media_type: as `media_type.sniff` names it.

        Raises:
            DocumentError: when nothing of the document can be read.
        """
        ...
