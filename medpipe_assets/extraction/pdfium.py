"""PDF: each page by what it is. Digital pages from their text layer, scanned ones by OCR, mixed ones by both.

How pages are told apart and the text layer is read belongs here; reading a rendered picture to rapid_ocr.py.

Speed: one call fetches a page's text, words are cut in Python, and each word's box takes two calls; a loop over
characters would cost four times as much.
"""

import ctypes
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import TypeVar

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import layout, rapid_ocr
from medpipe_assets.extraction.engine import Extraction, Page, Words
from medpipe_assets.extraction.rapid_ocr import Picture
from medpipe_assets.extraction.text_pages import WORD, clean
from medpipe_assets.pulse import beat

T = TypeVar("T")

RENDER_DPI = 200
"""OCR reads 200 dpi as well as 300 and pays half; lines are scaled to 48 pixels of height anyway."""

MAX_RENDER_PIXELS = 12_000_000
"""A3 at 200 dpi has 7.7 million; a poster is rendered more coarsely."""

MAX_PAGES = 5000
SETTINGS = f"dpi={RENDER_DPI}"

_MIN_LETTERS = 25
"""Fewer letters and digits than this under a scan are a stamp or a page number, not its text."""

_SCAN_COVERAGE = 0.6
"""Share of the page that one picture covers when the page is a scan."""

FIGURE_COVERAGE = 0.04
"""Share of the page from which on a picture may hold text worth reading: a fifth of the width and of the height."""

_MAX_BAD_GLYPHS = 0.1
_MAX_OBJECTS = 20_000
_SPOT_CHECKS = 6
_AGREEMENT = 0.85
"""Mean likeness (difflib) of hidden text to what OCR reads; two good readings of a clean scan are above 0.95."""

_SHIFTED = [c for c in range(0x2000, 0xD800, 0x100)]
_ANGLES = 15
CELL_GAP = 2.0
"""As layout.CELL_GAP; the boxes of a text layer are tight around the letters, and so lower."""

_INVISIBLE = 3
"""Text render mode 3: neither filled nor stroked (PDF 1.7, table 106)."""

_UNMAPPED = re.compile("[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\0-\x08\x0e-\x1f" + "".join(map(chr, _SHIFTED)) + "]")
_SYMBOLS = re.compile(r"[\W_]")
_SOFT_BREAK = re.compile("[\x02\ufffe\xad](?=\\W*$)")
"""What PDFium makes of a hyphen at a line's end."""

_END = re.compile(rb"startxref\s+\d+|%%EOF")
_END_WITHIN = 4096
"""Bytes before the end of a file in which readers look for its end mark."""

_END_WINDOW = 1 << 20
_NO_PAGES = re.compile(rb"/Count\s+0\b")
_A_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")
_COLLECTION = re.compile(rb"/Collection\b")
_PACKED_OBJECTS = re.compile(rb"/ObjStm\b.{0,200}?stream\r?\n", re.DOTALL)
_PACKED_READ = 1 << 20
"""Bytes of a stream of packed objects that are looked at; a catalog is among the first."""

_MAX_PACKED = 200
_IMAGE = raw.FPDF_PAGEOBJ_IMAGE
_MAX_IMAGE_PIXELS = 200_000_000
"""Pixels of a picture on a page up to which the page is rendered: at three bytes each well within a worker's memory."""

_LINE_BREAK = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Placed:
    """The text layer of a page: its text, and the words' offsets and boxes (fractions of the upright page)."""

    text: str
    begin: list[int]
    end: list[int]
    boxes: list[layout.Box]
    rotation: int
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Pictures:
    """What else is on a page: its pictures (fractions of the page), whether a scan hides the text, how many objects."""

    boxes: list[layout.Box]
    hide_text: bool
    objects: int


def extract(data: bytes) -> Extraction:
    """The pages of a PDF; a page that fails becomes a failure with its number.

    Raises:
        DocumentError: encrypted, corrupt, empty (no pages), too_large, or the first page's error when all failed.
    """
    with opened(data) as document:
        results = [_beaten(page_or_failure(document, n, _page)) for n in range(1, page_count(document) + 1)]
    pages = tuple(r for r in results if isinstance(r, Page))
    failures = tuple(r for r in results if isinstance(r, DocumentError))
    if not pages:
        raise DocumentError(failures[0].reason, failures[0].detail)
    return Extraction(pages, failures)


def _beaten(result: T) -> T:
    beat()
    return result


def opened(data: bytes) -> pdfium.PdfDocument:
    """A PDF, its forms ready to be made part of its pages. PDFium is not safe for threads, neither here nor below.

    Raises:
        DocumentError: encrypted, empty, corrupt; unsupported_type for a dynamic XFA form or a portfolio, whose page
            only says to open it elsewhere.
    """
    if not _END.search(data[-_END_WINDOW:].rstrip(b"\0\r\n\t ")[-_END_WITHIN:]):
        # PDFium would find what pages it can, and nobody would know of the others.
        raise DocumentError(Reason.CORRUPT, "a PDF that breaks off: the mark at its end is missing")
    start = max(data[:1024].find(b"%PDF-"), 0)  # offsets inside the file count from the header
    for content in (data, data[start:]) if start else (data,):
        try:
            document = pdfium.PdfDocument(content)
            break
        except pdfium.PdfiumError as error:
            code = error.err_code
    else:
        # PDFium keeps the code of the document before where it has none of its own, so the file has to agree.
        if code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY) and b"/Encrypt" in data:
            raise DocumentError(Reason.ENCRYPTED, "PDF that asks for a password") from None
        if _NO_PAGES.search(data) and not _A_PAGE.search(data):
            raise DocumentError(Reason.EMPTY, "a PDF without pages") from None
        raise DocumentError(Reason.CORRUPT, f"PDFium cannot open it (code {code})") from None
    if document.get_formtype() == raw.FORMTYPE_XFA_FULL:
        document.close()
        raise DocumentError(Reason.UNSUPPORTED_TYPE, "PDF that is a dynamic XFA form")
    if document.count_attachments() and _is_portfolio(data):
        document.close()
        raise DocumentError(Reason.UNSUPPORTED_TYPE, "PDF portfolio: its documents are files inside it")
    document.init_forms()  # before any page is loaded, or the page cannot be flattened
    return document


def _is_portfolio(data: bytes) -> bool:
    """Whether the catalog names a collection; it may stand among packed objects."""
    if _COLLECTION.search(data):
        return True
    for found in islice(_PACKED_OBJECTS.finditer(data), _MAX_PACKED):
        with suppress(zlib.error):
            unpacked = zlib.decompressobj().decompress(data[found.end() :], _PACKED_READ)
            if _COLLECTION.search(unpacked):
                return True
    return False


def page_count(document: pdfium.PdfDocument) -> int:
    """How many pages a PDF has.

    Raises:
        DocumentError: empty where it has none, too_large where it has more than are read.
    """
    count = len(document)
    if not count:
        raise DocumentError(Reason.EMPTY, "a PDF without pages")
    if count > MAX_PAGES:
        raise DocumentError(Reason.TOO_LARGE, f"{count} pages, at most {MAX_PAGES} are read")
    return count


def page_or_failure(
    document: pdfium.PdfDocument, number: int, read: Callable[[pdfium.PdfPage, int], T]
) -> T | DocumentError:
    """What `read` makes of a page, or why it could not, with the page's number."""
    try:
        with _loaded(document, number) as page:
            return read(page, number)
    except DocumentError as error:
        return DocumentError(error.reason, error.detail, number)
    except MemoryError:
        return DocumentError(Reason.TOO_LARGE, "a page that needs too much memory", number)
    except (pdfium.PdfiumError, ValueError) as error:
        return DocumentError(Reason.CORRUPT, f"PDFium: {type(error).__name__}", number)


@contextmanager
def _loaded(document: pdfium.PdfDocument, number: int) -> Iterator[pdfium.PdfPage]:
    """A page whose typed-in form values, notes and stamps are part of it, as they are on paper."""
    page = document[number - 1]
    try:
        if document.formenv and _has_writing_on_top(page):
            page.flatten()
            page.close()
            page = document[number - 1]
        yield page
    finally:
        page.close()


def _has_writing_on_top(page: pdfium.PdfPage) -> bool:
    for i in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, i)
        kind = raw.FPDFAnnot_GetSubtype(annotation)
        raw.FPDFPage_CloseAnnot(annotation)
        if kind in (raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_STAMP):
            return True
    return False


def _page(page: pdfium.PdfPage, number: int) -> Page:
    """Decides what a page is, cheapest evidence first: most pages have a sound text layer and no picture."""
    layer = text_layer(page)
    pictures = pictures_of(page)
    readable = bool(layer.begin) and is_sane(layer.text)
    if not readable and not pictures.objects:
        return digital(layer, number)  # a blank page
    if not readable:
        return _scanned(page, number)
    if pictures.hide_text:
        return digital(layer, number) if _agrees_with_ocr(page, layer) else _scanned(page, number)
    figures = [box for box in pictures.boxes if area(box) >= FIGURE_COVERAGE]
    if figures and layer.rotation == page.get_rotation():
        return _mixed(page, layer, figures, number)
    return digital(layer, number)


# --- the text layer ---------------------------------------------------------------------------------------------------


def text_layer(page: pdfium.PdfPage) -> Placed:
    """The text of a page as it stands in the file."""
    textpage = page.get_textpage()
    try:
        count = textpage.count_chars()
        text = textpage.get_text_range() if count else ""
        spans = [m.span() for m in WORD.finditer(text)]
        rectangles = _rectangles(textpage, spans, one_to_one=len(text) == count)
        turn = _turn(page, textpage, spans)
    finally:
        textpage.close()
    size, boxes = _upright(page, rectangles, turn)
    return _assembled(text, spans, boxes, turn, size)


def _turn(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage, spans: list[tuple[int, int]]) -> int:
    """Degrees clockwise that turn the page's own units upright: as most of its text was drawn; a few letters tell.

    What the page declares of its turn decides only where there is no text: text drawn along it needs none of it.
    """
    sample = spans[:: max(1, len(spans) // _ANGLES)]
    angles = [raw.FPDFText_GetCharAngle(textpage, begin) for begin, _ in sample]
    turns = Counter(round(-math.degrees(angle) / 90) * 90 % 360 for angle in angles if angle >= 0)
    return turns.most_common(1)[0][0] if turns else page.get_rotation()


def _rectangles(textpage: pdfium.PdfTextPage, spans: list[tuple[int, int]], one_to_one: bool) -> list[layout.Box]:
    """The box of each word in the page's own units (left, bottom, right, top)."""
    handle = textpage.raw
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    references = [ctypes.byref(c) for c in (left, top, right, bottom)]
    count_rectangles, get_rectangle = raw.FPDFText_CountRects, raw.FPDFText_GetRect
    index_of = raw.FPDFText_GetCharIndexFromTextIndex
    boxes = []
    for begin, end in spans:
        first, last = (begin, end - 1) if one_to_one else (index_of(handle, begin), index_of(handle, end - 1))
        parts = []
        for i in range(count_rectangles(handle, first, last - first + 1)):
            get_rectangle(handle, i, *references)
            parts.append((left.value, bottom.value, right.value, top.value))
        boxes.append(parts[0] if len(parts) == 1 else _union(parts))
    return boxes


def _union(parts: list[layout.Box]) -> layout.Box:
    if not parts:
        return (0.0, 0.0, 0.0, 0.0)
    x0, y0, x1, y1 = zip(*parts, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _upright(
    page: pdfium.PdfPage, rectangles: list[layout.Box], turn: int
) -> tuple[tuple[float, float], list[layout.Box]]:
    """The size of the turned page, and rectangles in the page's own units as fractions of it."""
    left, bottom, right, top = page.get_bbox()
    width, height = max(right - left, 1e-6), max(top - bottom, 1e-6)
    size = (width, height) if turn in (0, 180) else (height, width)
    if not rectangles:
        return size, []
    r = np.asarray(rectangles, np.float64)
    x0, x1 = (r[:, 0] - left) / width, (r[:, 2] - left) / width
    y0, y1 = (top - r[:, 3]) / height, (top - r[:, 1]) / height
    for _ in range(turn // 90):
        x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
    inside = np.clip(np.stack([x0, y0, x1, y1], axis=1), 0.0, 1.0)
    return size, [tuple(box) for box in inside.tolist()]


def _assembled(
    text: str, spans: list[tuple[int, int]], boxes: list[layout.Box], turn: int, size: tuple[float, float]
) -> Placed:
    """The words cleaned, with offsets into the text that they make together."""
    parts: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    kept: list[layout.Box] = []
    position = previous = 0
    aspect = CELL_GAP * size[1] / size[0]
    for (begin, end), box in zip(spans, boxes, strict=True):
        word = _clean_word(text[begin:end])
        if not word:
            continue
        gap = ""
        if kept:
            wide = box[0] - kept[-1][2] > aspect * (box[3] - box[1])
            gap = "\n" if _LINE_BREAK.search(text, previous, begin) else "\t" if wide else " "
        previous = end
        parts.append(gap + word)
        position += len(gap)
        begins.append(position)
        position += len(word)
        ends.append(position)
        kept.append(box)
    return Placed("".join(parts), begins, ends, kept, turn, *size)


def _clean_word(word: str) -> str:
    if word.isascii() and word.isprintable():
        return word
    return "".join(clean(_SOFT_BREAK.sub("-", word)).split())


def digital(layer: Placed, number: int) -> Page:
    """The text layer as it is, if it comes in reading order; else its lines are put in order by their place."""
    if _jumps(layer):
        lines = _lines_of(layer, layer.width, layer.height)
        return layout.page_of(layout.Reading(lines, layer.width, layer.height, layer.rotation), number)
    texts = [layer.text[b:e] for b, e in zip(layer.begin, layer.end, strict=True)]
    words = Words(texts, [None] * len(texts), list(layer.boxes), layer.begin, layer.end)
    return Page(number, layer.width, layer.height, layer.rotation, "text_layer", layer.text, words)


def _jumps(layer: Placed) -> bool:
    """Whether the text goes back up the page: columns, or a program that wrote the page in an order of its own."""
    boxes = layer.boxes
    return any(boxes[i + 1][3] < boxes[i][1] for i in range(len(boxes) - 1))


def is_sane(text: str) -> bool:
    """Whether a text layer can be what a reader sees: glyphs that are mapped, and letters or digits for the most part.

    Fonts without a map to Unicode give private characters, codes moved by a byte (all multiples of 256), or symbols.
    """
    inked = "".join(text.split())
    bad = len(_UNMAPPED.findall(inked)) if not inked.isascii() or not inked.isprintable() else 0
    if bad > _MAX_BAD_GLYPHS * len(inked):
        return False
    return len(inked) < _MIN_LETTERS or len(_SYMBOLS.findall(inked)) < 0.5 * len(inked)


# --- what the page is -------------------------------------------------------------------------------------------------


def pictures_of(page: pdfium.PdfPage) -> Pictures:
    """Looks at the page's objects, in the order they are drawn, without pypdfium2's costly wrappers."""
    boxes: list[layout.Box] = []
    turn = page.get_rotation()
    visible = hidden = objects = 0
    for handle, kind in _objects(page.raw):
        objects += 1
        if kind == _IMAGE:
            boxes.append(_bounds(handle))
            _, [box] = _upright(page, boxes[-1:], turn)
            if area(box) >= _SCAN_COVERAGE:  # what was drawn before lies under it
                hidden, visible = hidden + visible, 0
        elif kind == raw.FPDF_PAGEOBJ_TEXT:
            if _is_invisible(handle):
                hidden += 1
            else:
                visible += 1
    _, fractions = _upright(page, boxes, turn)
    scan = any(area(box) >= _SCAN_COVERAGE for box in fractions)
    return Pictures(fractions, scan and hidden > visible, objects)


def _objects(page: raw.FPDF_PAGE) -> Iterator[tuple[raw.FPDF_PAGEOBJECT, int]]:
    for i in range(min(raw.FPDFPage_CountObjects(page), _MAX_OBJECTS)):
        handle = raw.FPDFPage_GetObject(page, i)
        kind = raw.FPDFPageObj_GetType(handle)
        yield handle, kind
        if kind == raw.FPDF_PAGEOBJ_FORM:
            for j in range(min(raw.FPDFFormObj_CountObjects(handle), _MAX_OBJECTS)):
                child = raw.FPDFFormObj_GetObject(handle, j)
                yield child, raw.FPDFPageObj_GetType(child)


def _is_invisible(text: raw.FPDF_PAGEOBJECT) -> bool:
    """Text neither filled nor stroked, or wholly transparent: both are ways to hide what OCR read under a scan."""
    if raw.FPDFTextObj_GetTextRenderMode(text) == _INVISIBLE:
        return True
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    return bool(raw.FPDFPageObj_GetFillColor(text, red, green, blue, alpha)) and alpha.value == 0


def _bounds(handle: raw.FPDF_PAGEOBJECT) -> layout.Box:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    raw.FPDFPageObj_GetBounds(handle, left, bottom, right, top)
    return left.value, bottom.value, right.value, top.value


def _pixels(image: raw.FPDF_PAGEOBJECT) -> int:
    width, height = ctypes.c_uint(), ctypes.c_uint()
    raw.FPDFImageObj_GetImagePixelSize(image, width, height)
    return width.value * height.value


def area(box: layout.Box) -> float:
    """A box's area, in the square of its unit."""
    return (box[2] - box[0]) * (box[3] - box[1])


# --- pages that hold pictures of text ---------------------------------------------------------------------------------


def rendered(page: pdfium.PdfPage) -> Picture:
    """The page as it prints, at RENDER_DPI or as many pixels as are allowed.

    Raises:
        DocumentError: too_large, where a picture on it would fill the memory.
    """
    if any(_pixels(handle) > _MAX_IMAGE_PIXELS for handle, kind in _objects(page.raw) if kind == _IMAGE):
        raise DocumentError(Reason.TOO_LARGE, f"a picture of more than {_MAX_IMAGE_PIXELS} pixels")
    width, height = page.get_size()
    scale = min(RENDER_DPI / 72, (MAX_RENDER_PIXELS / max(width * height, 1e-6)) ** 0.5)
    bitmap = page.render(scale=scale, rev_byteorder=True, no_smoothtext=False, maybe_alpha=False)
    try:
        pixels = bitmap.to_numpy()
        return np.ascontiguousarray(pixels[:, :, :3] if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2))
    finally:
        bitmap.close()


def _scanned(page: pdfium.PdfPage, number: int) -> Page:
    return _in_points(layout.page_of(rapid_ocr.read(rendered(page)), number), page)


def _in_points(read: Page, page: pdfium.PdfPage) -> Page:
    """A page read by OCR, its size in points and its turn counted from the page's own units."""
    width, height = page.get_size()
    if read.rotation % 180:
        width, height = height, width
    turn = (page.get_rotation() + read.rotation) % 360
    return Page(read.number, width, height, turn, read.method, read.text, read.words, read.mean_confidence)


def _mixed(page: pdfium.PdfPage, layer: Placed, figures: list[layout.Box], number: int) -> Page:
    """The text layer, and what the pictures say beyond it."""
    picture = rendered(page)
    height, width = picture.shape[:2]
    mask = np.ones((height, width), bool)
    for x0, y0, x1, y1 in figures:
        mask[int(y0 * height) : int(y1 * height) + 1, int(x0 * width) : int(x1 * width) + 1] = False
    picture[mask] = 255
    for x0, y0, x1, y1 in layer.boxes:  # the layer's own words are not read twice
        picture[int(y0 * height) : int(y1 * height) + 2, int(x0 * width) : int(x1 * width) + 2] = 255
    try:
        reading = rapid_ocr.read(picture)
    except DocumentError:  # what a picture says in an unknown script must not cost the page its own text
        return digital(layer, number)
    if not reading.lines or reading.rotation:  # nothing more, or turned: then the layer knows better where the top is
        return digital(layer, number)
    both = layout.Reading(_lines_of(layer, width, height) + reading.lines, width, height, 0)
    return _in_points(layout.page_of(both, number), page)


def _lines_of(layer: Placed, width: float, height: float) -> list[layout.Line]:
    """The lines of a text layer, cut where cells end, in units of a page of that size."""
    lines: list[list[layout.Word]] = []
    for i, (begin, end) in enumerate(zip(layer.begin, layer.end, strict=True)):
        if not i or layer.text[begin - 1] != " ":
            lines.append([])
        x0, y0, x1, y1 = layer.boxes[i]
        box = (x0 * width, y0 * height, x1 * width, y1 * height)
        lines[-1].append(layout.Word(layer.text[begin:end], None, box))
    return [layout.Line(_union([word.box for word in line]), line) for line in lines]


def _agrees_with_ocr(page: pdfium.PdfPage, layer: Placed) -> bool:
    """Whether hidden text, which another OCR left, says what the picture over it does: some lines are read again."""
    picture = rendered(page)
    lines = _lines_of(layer, picture.shape[1], picture.shape[0])
    said = [("".join(word.text for word in line.words), line.box) for line in lines]
    said = sorted(said, key=lambda line: -len(line[0]))[:_SPOT_CHECKS]
    read = rapid_ocr.read_lines(picture, [box for _, box in said])
    scores = [_similarity(text, seen) for (text, _), seen in zip(said, read, strict=True)]
    return len("".join(text for text, _ in said)) >= _MIN_LETTERS and sum(scores) >= _AGREEMENT * len(scores)


def _similarity(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), "".join(other.lower().split()), autojunk=False).ratio()
