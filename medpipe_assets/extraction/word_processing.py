"""DOCX: headers, body, footers and notes by docx2python, which keeps nested tables, insertions and text boxes.

Nothing a document refers to outside itself is ever fetched.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Iterable

from docx2python import docx2python

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.engine import Extraction
from medpipe_assets.extraction.media_type import ZIP_ERRORS
from medpipe_assets.extraction.plain_text import extraction_of

MAX_UNPACKED_BYTES = 512 << 20
"""Size of all parts of a document together; pictures are most of it in practice."""

MAX_XML_BYTES = 128 << 20
"""Size of the parts that hold text: mark-up makes ten times as much of it, and a parser ten times as much of that."""

_MARKERS = re.compile(
    r"----(?:media/[^-\n]*|(?:Image alt text)?---->.{0,1000}?<|footnote\d+|endnote\d+)----"  # pictures and note marks
    r"|</?a(?:\s[^>]{0,2000})?>"  # links keep their text
)
_NOTE = re.compile(r"^(?:footnote|endnote)\d+\)\t")
_BULLET = re.compile(r"^\t*--\t")


def extract(data: bytes) -> Extraction:
    """The text of a DOCX document, as one page: its pages are made only when it is printed.

    Raises:
        DocumentError: corrupt, too_large or empty.
    """
    _refuse_bad_package(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with docx2python(io.BytesIO(data), duplicate_merged_cells=False) as content:
                parts = [content.header, content.body, content.footnotes, content.endnotes, content.footer]
    except (*ZIP_ERRORS, SyntaxError, AttributeError, TypeError, RecursionError) as error:
        raise DocumentError(Reason.CORRUPT, f"DOCX: {type(error).__name__}") from None
    return extraction_of("\n".join(line for part in parts for table in part for row in table for line in _lines(row)))


def _refuse_bad_package(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            sizes = {part.filename: part.file_size for part in parts.infolist()}
    except ZIP_ERRORS as error:
        raise DocumentError(Reason.CORRUPT, f"DOCX: {type(error).__name__}") from None
    if "_rels/.rels" not in sizes:
        raise DocumentError(Reason.CORRUPT, "DOCX without the list of its parts")
    text = sum(size for name, size in sizes.items() if name.endswith((".xml", ".rels")))
    if sum(sizes.values()) > MAX_UNPACKED_BYTES or text > MAX_XML_BYTES:
        most = f"{MAX_UNPACKED_BYTES >> 20} MB, {MAX_XML_BYTES >> 20} MB of them text"
        raise DocumentError(Reason.TOO_LARGE, f"DOCX that unpacks to more than {most}")


def _lines(row: Iterable[Iterable[str]]) -> list[str]:
    """A row's paragraphs: cells of one paragraph side by side, parted by tabs, longer ones one after the other."""
    cells = [[line for line in map(_visible, paragraphs) if line] for paragraphs in row]
    cells = [cell for cell in cells if cell]
    if all(len(cell) == 1 for cell in cells):
        return ["\t".join(cell[0] for cell in cells)] if cells else []
    return [line for cell in cells for line in cell]


def _visible(paragraph: str) -> str:
    return _BULLET.sub("- ", _NOTE.sub("", _MARKERS.sub("", paragraph))).strip()
