"""Plain text in any encoding: which encoding it is, by the evidence of the bytes, and its pages.

Mark-up languages decode with `decode` too, but what their tags mean is not known here.
"""

import codecs

import charset_normalizer

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.engine import Extraction
from medpipe_assets.extraction.text_pages import pages_of

MAX_TEXT_BYTES = 16 << 20
"""Largest text taken: some 5,000 printed pages, as many as of a PDF; more is a data file and no document."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = ("cp1252", "mac_roman", "cp850")
"""Single-byte encodings of Western Europe, commonest first: Windows (a superset of latin-1), old Macs, DOS."""

_EXPECTED = frozenset(
    "áàâäãåæçéèêëíìîïñóòôöõøœßúùûüýÿÁÀÂÄÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØŒÚÙÛÜÝ¿¡ªº°²³¹½¼¾±×÷µ§·«»‹›“”„‘’‚–—…•€£©®™´ \u00a0"
)
"""What stands above ASCII in clinical text of Western European languages."""

_SAMPLE = 1 << 16


def decode(data: bytes) -> str:
    """The text of the bytes: by byte order mark, else UTF-16 by its zeros, else UTF-8 if valid, else one byte a letter.

    Never fails: what no encoding explains comes as U+FFFD.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    wide = _utf16_without_mark(data)
    if wide:
        return data.decode(wide, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(_single_byte_encoding(data), errors="replace")


def extract(data: bytes) -> Extraction:
    """The pages of a plain text file, parted at form feeds.

    Raises:
        DocumentError: too_large above `MAX_TEXT_BYTES`; empty when there is nothing but white space.
    """
    if len(data) > MAX_TEXT_BYTES:
        raise DocumentError(Reason.TOO_LARGE, f"text of more than {MAX_TEXT_BYTES >> 20} MB")
    return extraction_of(decode(data))


def extraction_of(text: str) -> Extraction:
    """The pages of a text that a format without layout gave.

    Raises:
        DocumentError: empty when there is nothing but white space.
    """
    pages = pages_of(text)
    if not any(page.words for page in pages):
        raise DocumentError(Reason.EMPTY, "no text in it")
    return Extraction(pages)


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 shows in Latin text by its zeros: nearly every second byte, and hardly any of the others."""
    sample = data[:_SAMPLE]
    pairs = len(sample) // 2
    if pairs < 2 or len(data) % 2:
        return None
    low, high = sample[0 : 2 * pairs : 2].count(0), sample[1 : 2 * pairs : 2].count(0)
    if high > 0.4 * pairs and low < 0.1 * pairs:
        return "utf-16-le"
    if low > 0.4 * pairs and high < 0.1 * pairs:
        return "utf-16-be"
    return None


def _single_byte_encoding(data: bytes) -> str:
    high = bytes(b for b in data[: 16 * _SAMPLE] if b >= 0x80)[:_SAMPLE]
    shares = {
        encoding: sum(c in _EXPECTED for c in high.decode(encoding, errors="replace")) / len(high)
        for encoding in _WESTERN
    }
    best = max(shares, key=lambda encoding: shares[encoding])  # the first of equals
    if shares[best] >= 0.8:
        return best
    guess = charset_normalizer.from_bytes(data[:_SAMPLE]).best()
    return guess.encoding if guess is not None else "cp1252"
