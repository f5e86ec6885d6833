"""Rich Text Format: its text, by striprtf; pictures, fonts and styles are dropped."""

import re

from striprtf.striprtf import rtf_to_text

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.engine import Extraction
from medpipe_assets.extraction.plain_text import MAX_TEXT_BYTES, extraction_of

_NO_CHARACTER = re.compile(r"\\u-?\d{6,}")
"""A Unicode escape of more digits than one can have; the converter would give the document up for it."""


def extract(data: bytes) -> Extraction:
    """The text of an RTF file, as one page.

    Raises:
        DocumentError: too_large above `plain_text.MAX_TEXT_BYTES`; corrupt; empty.
    """
    if len(data) > MAX_TEXT_BYTES:
        raise DocumentError(Reason.TOO_LARGE, f"RTF of more than {MAX_TEXT_BYTES >> 20} MB")
    source = data[data.find(b"{\\rtf") :].decode("latin-1")  # RTF is ASCII; latin-1 keeps the odd raw byte
    source = _NO_CHARACTER.sub("", source)
    try:
        text: str = rtf_to_text(source, encoding="cp1252", errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DocumentError(Reason.CORRUPT, f"RTF: {type(error).__name__}") from None
    return extraction_of(text)
