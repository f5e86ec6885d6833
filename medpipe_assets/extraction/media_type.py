"""What a document is, by its content and never by its name.

Telling types apart belongs here; reading them does not. `SUPPORTED` is what the embedded engine reads; ZIP archives
are containers and expanded by archive.py before extraction.
"""

import io
import json
import lzma
import re
import struct
import zipfile
import zlib

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.plain_text import decode

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
RTF = "application/rtf"
HTML = "text/html"
PLAIN = "text/plain"
ZIP = "application/zip"
UNKNOWN = "application/octet-stream"
HEIF = frozenset({"image/heic", "image/heif"})
IMAGES = frozenset(
    {"image/png", "image/jpeg", "image/tiff", "image/bmp", "image/gif", "image/webp", "image/jp2", "image/avif"} | HEIF
)
ONE_PAGE = frozenset({RTF, HTML, "image/png", "image/jpeg", "image/bmp"})
"""Types whose documents have one page, whatever is in them (a DOCX counts as one, a plain text may have form feeds)."""
SUPPORTED = frozenset({PDF, DOCX, RTF, HTML, PLAIN} | IMAGES)

_PDF_WINDOW = 1024
"""Readers accept junk before the header within the first 1,024 bytes (PDF 1.7, appendix H, note 13)."""

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"II+\0", "image/tiff"),
    (0, b"MM\0+", "image/tiff"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"{\\rtf", RTF),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"%!PS", "application/postscript"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (128, b"DICM", "application/dicom"),
    (257, b"ustar", "application/x-tar"),
)
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"avif": "image/avif",
    b"avis": "image/avif",
}
"""Brands of the ISO base media file format that are still images (ISO/IEC 23008-12); all others are video."""

_OFFICE_FOLDERS = (
    ("word/", DOCX),
    ("xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
ZIP_ERRORS = (
    zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError, EOFError, IndexError, KeyError,
    OverflowError, struct.error, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What zipfile raises for archives that are broken in one way or another."""

_ZIPPED_TYPES = ("application/vnd.oasis.opendocument.", "application/epub+zip", "application/vnd.sun.xml.")
"""What a package's own word on its type is taken for; any other word may be a patient's name."""

_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE2_STREAMS = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__substg1.0_", "application/vnd.ms-outlook"),
)
_HTML = re.compile(  # nothing that is matched is given back: a thousand comments could be parted in 2 ** 1000 ways
    r"\s*+(?:<\?xml[^>]*+>\s*+)?+(?:<!--(?>.*?-->)\s*+)*+"
    r"<(!doctype\s+html|(html|head|body|title|meta|link|style|script|base|div|p|table|h[1-6]|span|br|hr|ul|ol|dl|pre|font"
    r"|center|img|a|b|i|u|em|strong|section|article|header|footer|main|nav|form|blockquote)[\s/>])",
    re.IGNORECASE | re.DOTALL,
)
_XML = re.compile(r"\s*<(\?xml\s|[A-Za-z_][\w.:-]*(\s[^<>]*)?/?>)")
_NOT_TEXT = re.compile("[\x01-\x08\x0e-\x19\x1c-\x1f\x7f-\x84\x86-\x9f\ufffd]")
_MAX_CONTROLS = 0.02
"""Share of control characters up to which bytes still are text; random bytes have 11 %."""

_MAX_NULS = 0.34
"""Share of NULs up to which bytes still are text: records of fixed length are filled up with them."""

_SAMPLE = 1 << 16
_MAX_JSON = 8 << 20
"""Bytes up to which JSON is parsed to know it from a note that begins with a bracket; more is told by its beginning."""

_CONTENT = re.compile(rb"[^\0\t\n\v\f\r ]")
_JSON_BEGIN = re.compile(r'\s*(\{\s*"|\[\s*["{\[\d])')


def sniff(data: bytes) -> str:
    """The media type of a document's bytes.

    Returns:
        One of `SUPPORTED`, 'application/zip', another type where it is known, else 'application/octet-stream'.

    Raises:
        DocumentError: empty for no bytes (or only white space and zeros); encrypted for an Office file with a password.
    """
    if not _CONTENT.search(data):
        raise DocumentError(Reason.EMPTY, f"{len(data)} bytes, none of them content")
    if b"%PDF-" in data[:_PDF_WINDOW]:
        return PDF
    if data.startswith(_OLE2):
        return _ole2(data)
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zip(data)
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12]) or _compatible_brand(data)
    for offset, magic, media_type in _MAGIC:
        if data.startswith(magic, offset):
            return media_type
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return "image/bmp"  # by the sizes that its header can have: two letters alone would take text for a picture
    return _text(data)


def _compatible_brand(data: bytes) -> str:
    listed = data[16 : min(int.from_bytes(data[:4], "big"), 256)]
    brands = (listed[i : i + 4] for i in range(0, len(listed), 4))
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "video/mp4")


def _ole2(data: bytes) -> str:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise DocumentError(Reason.ENCRYPTED, "Office file under a password")
    streams = (media_type for name, media_type in _OLE2_STREAMS if name.encode("utf-16-le") in data)
    return next(streams, "application/x-ole-storage")


def _zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 100:
                declared = archive.read("mimetype").decode("ascii", errors="replace").strip()
                return declared if declared.startswith(_ZIPPED_TYPES) else UNKNOWN
    except ZIP_ERRORS:
        # Broken, but what it was going to be still shows in the local headers.
        names = [n.decode("utf-8", errors="replace") for n in re.findall(rb"PK\x03\x04.{26}([\w\[\]./-]+)", data, re.S)]
    if "[Content_Types].xml" in names:
        return next((t for folder, t in _OFFICE_FOLDERS if any(n.startswith(folder) for n in names)), ZIP)
    return ZIP


def _text(data: bytes) -> str:
    sample = data[:_SAMPLE]
    text = decode(sample[:-1] if len(sample) < len(data) and len(sample) % 2 else sample)
    if text.count("\0") > _MAX_NULS * len(text) or len(_NOT_TEXT.findall(text)) > _MAX_CONTROLS * len(text) + 1:
        return UNKNOWN
    text = text.lstrip("\ufeff")
    if _HTML.match(text):
        return HTML
    if text.lstrip().startswith("{\\rtf"):
        return RTF
    if _XML.match(text):
        return "application/xml"
    if _JSON_BEGIN.match(text) and (len(data) > _MAX_JSON or _is_json(data)):
        return "application/json"
    return PLAIN


def _is_json(data: bytes) -> bool:
    try:
        return isinstance(json.loads(decode(data)), dict | list)
    except RecursionError:  # no note begins with a thousand brackets
        return True
    except ValueError:
        return False
