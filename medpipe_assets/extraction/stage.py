"""The extraction stage for one document: bytes in, columns of `pages` and `words` out. Pure but for the engine."""

from itertools import chain
from typing import Any

from medpipe_assets.errors import DocumentError
from medpipe_assets.extraction.engine import ExtractionEngine, Page
from medpipe_assets.language import identify

Columns = dict[str, list[Any]]

UNDETERMINED = "und"
"""BCP 47's code for a language that cannot be told."""


def extract_document(
    engine: ExtractionEngine, data: bytes, media_type: str
) -> tuple[dict[str, Columns], tuple[DocumentError, ...]]:
    """Read one document and name the language of each page.

    Returns:
        Columns of `pages` and `words` (without the columns common to all stages), and an error for each page that
        could not be read.

    Raises:
        DocumentError: where no page could be read; the first page's error when each page has its own.
    """
    extraction = engine.extract(data, media_type)
    if not extraction.pages and extraction.failures:
        first = extraction.failures[0]
        raise DocumentError(first.reason, first.detail)
    return (
        {"pages": page_columns(extraction.pages), "words": word_columns(extraction.pages)},
        extraction.failures,
    )


def page_columns(pages: tuple[Page, ...]) -> Columns:
    """`pages` rows; a page with too little text to tell its language takes that of the whole document."""
    languages = [identify(page.text) for page in pages]
    if UNDETERMINED in languages:
        whole = identify("\n".join(page.text for page in pages))
        languages = [whole if found == UNDETERMINED and page.text.strip() else found
                     for found, page in zip(languages, pages, strict=True)]  # fmt: skip
    return {
        "page": [p.number for p in pages],
        "width": [p.width for p in pages],
        "height": [p.height for p in pages],
        "rotation": [p.rotation for p in pages],
        "method": [p.method for p in pages],
        "language": languages,
        "text": [p.text for p in pages],
        "mean_confidence": [p.mean_confidence for p in pages],
    }


def word_columns(pages: tuple[Page, ...]) -> Columns:
    """`words` rows of all pages, in order."""
    boxes = [box or (None, None, None, None) for page in pages for box in page.words.boxes]
    return {
        "page": list(chain.from_iterable([p.number] * len(p.words) for p in pages)),
        "word_index": list(chain.from_iterable(range(len(p.words)) for p in pages)),
        "text": list(chain.from_iterable(p.words.text for p in pages)),
        "confidence": list(chain.from_iterable(p.words.confidence for p in pages)),
        "x0": [box[0] for box in boxes],
        "y0": [box[1] for box in boxes],
        "x1": [box[2] for box in boxes],
        "y1": [box[3] for box in boxes],
        "text_begin": list(chain.from_iterable(p.words.begin for p in pages)),
        "text_end": list(chain.from_iterable(p.words.end for p in pages)),
    }
