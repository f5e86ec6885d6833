"""Inputs that nobody would send on purpose, made on the spot, and what is to become of each: read by
`integration/test_bad_inputs.py`, which sends them through intake and extraction together.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from medpipe_tests.unit.extraction import make

WORDS = "Patient has asthma and takes metformin daily."
"""What every input that is to be read says."""
DONE = "done"


@dataclass(frozen=True)
class Input:
    """A file, and its outcome: the reason why it is in quarantine, or DONE.

    Attributes:
        outcomes: by the name of a member, of an archive; under '' of the file itself.
        words: whether WORDS is found in its text.
    """

    name: str
    data: bytes
    outcomes: dict[str, str]
    words: bool = False


def done(name: str, data: bytes) -> Input:
    return Input(name, data, {"": DONE}, words=True)


def bad(name: str, data: bytes, reason: str) -> Input:
    return Input(name, data, {"": reason})


def inputs() -> Iterator[Input]:
    """Those that need no OCR."""
    yield from _texts()
    yield from _pdfs()
    yield from _office()
    yield from _archives()


def pictures() -> Iterator[Input]:
    """Those that OCR has to read, or to refuse."""
    yield from _pictures()


# --- text -------------------------------------------------------------------------------------------------------------


def _texts() -> Iterator[Input]:
    yield bad("empty.txt", b"", "empty")
    yield bad("white space.txt", b" \r\n\t\0\0 \n", "empty")
    yield bad("bytes.bin", bytes(range(256)) * 64, "unsupported_type")
    yield done("text.pdf", WORDS.encode())
    yield done("nul bytes.txt", WORDS.replace(" ", " \0").encode())
    yield done("lone surrogates.txt", f"\ud83d {WORDS} \udc80".encode("utf-8", "surrogatepass"))
    yield done("bidi controls.txt", f"\u202e\u2066{WORDS}\u2069\u202c \u200f".encode())
    yield done("utf-16.txt", WORDS.encode("utf-16"))
    yield done("utf-32.txt", WORDS.encode("utf-32"))
    yield bad("too long.txt", b"word " * (11 << 20), "too_large")
    yield bad(
        "a single line.json", b'{"patient": {"name": "x", "notes": ["' + WORDS.encode() + b'"]}}', "unsupported_type"
    )
    yield bad("deep.json", b"[" * 200_000, "unsupported_type")
    yield done("comments.html", b"<!-- x -->" * 2000 + f"<p>{WORDS}</p>".encode())
    yield done("comments without a page.html", b"<!---->" * 40 + WORDS.encode())
    yield bad("too deep.html", b"<div>" * 20_000 + WORDS.encode(), "too_large")
    yield done("deep.html", b"<div>" * 1000 + WORDS.encode())
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    yield done("laughs.html", f'<!DOCTYPE html [<!ENTITY l0 "ha">{laughs}]><p>{WORDS} &l11;</p>'.encode())
    yield done("remote.html", f'<img src="http://192.0.2.1/x.png"><link href="file:///etc/passwd"><p>{WORDS}'.encode())
    yield done("deep.rtf", b"{\\rtf1 " + b"{" * 20_000 + WORDS.encode() + b"}" * 20_000 + b"}")
    yield done("unclosed.rtf", b"{\\rtf1{\\b " + WORDS.encode())
    yield bad("no text.rtf", b"{\\rtf1{\\pict " + b"00" * 1000 + b"}}", "empty")


# --- PDF --------------------------------------------------------------------------------------------------------------


def _pdfs() -> Iterator[Input]:
    page = make.note_page([WORDS])
    whole = make.pdf([page, page, page])
    xref = whole.index(b"xref\n0")
    yield done("whole.txt", whole)
    yield bad("cut short.pdf", whole[: len(whole) * 2 // 3], "corrupt")
    yield bad("cut before its table.pdf", whole[:xref], "corrupt")
    yield bad("header alone.pdf", b"%PDF-1.7\n", "corrupt")
    yield bad("password.pdf", make.encrypted_pdf(), "encrypted")
    yield done("wrong offsets.pdf", whole.replace(b"startxref\n", b"startxref\n9"))
    yield done("no table.pdf", whole[:xref] + whole[whole.index(b"trailer") :])
    yield done("padded.pdf", b"\0" * 400 + whole + b"\0" * 5000)
    yield bad("no pages.pdf", make.pdf([]), "empty")
    for name, box in {
        "huge": "0 0 20000000 20000000", "tiny": "0 0 0.001 0.001", "none": "0 0 0 0", "turned": "612 792 0 0",
        "negative": "-306 -396 306 396", "letters": "a b c d", "infinite": "0 0 1e308 1e308",
    }.items():  # fmt: skip
        boxed = whole.replace(b"/MediaBox [0 0 612 792]", f"/MediaBox [{box}]".encode())
        yield done(f"page box {name}.pdf", boxed)
    yield done("rotated oddly.pdf", make.pdf([page], entries="/Rotate 45"))
    yield done("rotated backwards.pdf", make.pdf([page], entries="/Rotate -450"))
    yield done("user unit.pdf", make.pdf([page], entries="/UserUnit 1000"))
    yield bad("a page that is its own parent.pdf", whole.replace(b"/Kids [5 0 R", b"/Kids [2 0 R"), "corrupt")
    yield bad("portfolio.pdf", make.portfolio(), "unsupported_type")
    yield bad("dynamic form.pdf", make.xfa_pdf(), "unsupported_type")
    yield done("script and links.pdf", make.pdf([page], entries="/AA << /O << /S /JavaScript /JS (app.alert(1)) >> >>"))
    yield bad("bomb.pdf", make.pdf_of_stream(make.blank_megabytes(900), b"/Filter /FlateDecode"), "too_large")


# --- Office -----------------------------------------------------------------------------------------------------------


def _office() -> Iterator[Input]:
    text = make.paragraph(WORDS)
    whole = make.docx(text)
    yield done("whole.docx", whole)
    yield done("a word document.pdf", whole)
    yield bad("cut short.docx", whole[: len(whole) // 2], "corrupt")
    yield bad("password.docx", make.encrypted_office(), "encrypted")
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    yield bad(
        "laughs.docx",
        make.docx(make.paragraph("&l11;"), doctype=f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>'),
        "corrupt",
    )
    yield bad("bomb.docx", make.docx(make.paragraph("word " * (30 << 20))), "too_large")
    yield bad("sheet.xlsx", make.zipped({"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>"}), "unsupported_type")


# --- archives ---------------------------------------------------------------------------------------------------------


def _archives() -> Iterator[Input]:
    text = WORDS.encode()
    inner = make.zipped({"a.txt": text + b" 1"})
    yield Input(
        "nested.zip",
        make.zipped({"x/inner.zip": inner, "b.txt": text + b" 2"}),
        {"x/inner.zip!/a.txt": DONE, "b.txt": DONE},
    )
    deep = inner
    for i in range(6):
        deep = make.zipped({f"{i}.zip": deep})
    yield Input("deep.zip", deep, {"5.zip!/4.zip!/3.zip": "unsafe_archive"})
    yield Input(
        "way out.zip",
        make.zipped({"../a.txt": text + b" 3", "b.txt": text + b" 4"}),
        {"../a.txt": "unsafe_archive", "b.txt": DONE},
    )
    link = zipfile.ZipInfo("link.txt")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    yield Input(
        "link.zip",
        make.zipped({link: "/etc/passwd", "b.txt": text + b" 5"}),
        {"link.txt": "unsafe_archive", "b.txt": DONE},
    )
    yield Input(
        "bomb.zip",
        make.zipped({"zeros.txt": bytes(64 << 20), "b.txt": text + b" 6"}),
        {"zeros.txt": "unsafe_archive", "b.txt": DONE},
    )
    yield bad("cut short.zip", inner[:-30], "corrupt")
    yield bad("empty.zip", make.zipped({}), "empty")
    yield bad("gzip.txt.gz", b"\x1f\x8b\x08" + bytes(100), "unsupported_type")


# --- pictures ---------------------------------------------------------------------------------------------------------


def _pictures() -> Iterator[Input]:
    image = make.picture([WORDS], 900, 120)
    other = make.picture(["History of hypertension since 2011."], 900, 120)
    yield bad("bomb.png", _png(50_000, 50_000), "too_large")
    yield bad("half.jpg", (whole := make.saved(image, "JPEG"))[: len(whole) // 2], "corrupt")
    yield bad("header.png", make.saved(image, "PNG")[:40], "corrupt")
    yield bad("zero.png", _png(0, 0), "corrupt")
    yield done("picture.pdf", make.saved(image, "PNG"))
    yield done("cmyk.jpg", make.saved(image.convert("CMYK"), "JPEG"))
    yield done("sixteen bits.png", make.saved(_sixteen_bits(image), "PNG"))
    yield done("alpha.png", make.saved(_transparent(image), "PNG"))
    yield done("palette.gif", make.saved(image.convert("P"), "GIF"))
    yield done("bilevel.tif", make.saved(image.convert("1"), "TIFF", compression="group4"))
    yield done("lossless.webp", make.saved(image, "WEBP", lossless=True))
    yield done("paper.jp2", make.saved(image, "JPEG2000"))
    for kind in ("TIFF", "GIF", "WEBP"):
        yield done(f"pages.{kind.lower()}", make.saved(other, kind, save_all=True, append_images=[image.copy()]))
    exif = Image.Exif()
    exif[0x0112] = 6
    yield done("turned by its camera.jpg", make.saved(image.rotate(90, expand=True), "JPEG", exif=exif))
    yield done("upside down.png", make.saved(make.picture([WORDS] * 4, 900, 400).rotate(180), "PNG"))
    yield done("sideways.png", make.saved(make.picture([WORDS] * 4, 900, 400).rotate(90, expand=True), "PNG"))


def _png(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds far less."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(6251 * 100))) + chunk(b"IEND", b"")


def _sixteen_bits(image: Image.Image) -> Image.Image:
    grey = image.convert("L")
    return Image.frombytes("I;16", grey.size, b"".join(struct.pack("<H", 257 * value) for value in grey.tobytes()))


def _transparent(image: Image.Image) -> Image.Image:
    ink = Image.new("RGBA", image.size, (0, 0, 0, 0))
    ink.putalpha(image.convert("L").point(lambda value: 255 - value))
    return ink
