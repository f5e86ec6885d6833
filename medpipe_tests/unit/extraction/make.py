"""Small documents of every format, made on the spot: what they say is what the test wrote into them."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

FONT = "LiberationSans-Regular.ttf"
NOTE = (
    "Discharge summary of the cardiology ward",
    "The patient was admitted with chest pain and shortness of breath.",
    "History of hypertension and type 2 diabetes mellitus since 2011.",
    "No fever, no cough, no allergies known.",
    "Metformin 500 mg twice a day, aspirin 100 mg once a day.",
)


@dataclass(frozen=True)
class Text:
    """A piece of text on a PDF page: position of its baseline in points, size, render mode (3 is invisible)."""

    x: float
    y: float
    text: str
    size: float = 12
    mode: int = 0
    matrix: tuple[float, float, float, float] = (1, 0, 0, 1)


@dataclass(frozen=True)
class Scan:
    """A picture on a PDF page: its place (left, bottom, width, height in points), and whether it covers the text."""

    image: Image.Image
    place: tuple[float, float, float, float] = (0, 0, 612, 792)
    on_top: bool = False


def pdf(
    pages: Iterable[Sequence[Text]], size: tuple[float, float] = (612, 792), entries: str = "", scan: Scan | None = None
) -> bytes:
    """A PDF with a text layer; `entries` are added to each page's dictionary, and the scan to each page."""
    bodies = [_content(page, scan) for page in pages]
    kids = " ".join(f"{5 + 2 * i} 0 R" for i in range(len(bodies)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(bodies)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        _picture_object(scan.image) if scan else b"null",
    ]
    for i, body in enumerate(bodies):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]} {size[1]}] /Contents {6 + 2 * i} 0 R "
            f"/Resources << /Font << /F1 3 0 R >> /XObject << /I1 4 0 R >> >> {entries} >>".encode()
        )
        objects.append(_stream(b"", body))
    return _file(objects)


def _picture_object(image: Image.Image) -> bytes:
    entries = f"/Type /XObject /Subtype /Image /Width {image.width} /Height {image.height} /ColorSpace /DeviceRGB "
    return _stream((entries + "/BitsPerComponent 8 /Filter /DCTDecode").encode(), saved(image, "JPEG", quality=90))


def _stream(entries: bytes, body: bytes) -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(body), body)


def _content(page: Sequence[Text], scan: Scan | None) -> bytes:
    lines = []
    for piece in page:
        a, b, c, d = piece.matrix
        escaped = piece.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        lines.append(f"BT {piece.mode} Tr /F1 {piece.size} Tf {a} {b} {c} {d} {piece.x} {piece.y} Tm ({escaped}) Tj ET")
    if scan:
        x, y, width, height = scan.place
        lines.insert(len(lines) if scan.on_top else 0, f"q {width} 0 0 {height} {x} {y} cm /I1 Do Q")
    return "\n".join(lines).encode("cp1252")


def encrypted_pdf() -> bytes:
    """A PDF that opens only with a password, which nobody knows."""
    data = pdf([note_page()])
    key = "00" * 32
    entry = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >> /ID [<00> <00>] /Root"
    return data.replace(b"/Root", entry.encode())


def xfa_pdf() -> bytes:
    """A form that is in no page: its one page asks for another reader."""
    data = pdf([note_page(["Please wait. If this message is not replaced, your viewer cannot show the form."])])
    entry = b"/NeedsRendering true /AcroForm << /Fields [] /XFA [(template) (none)] >> /Type /Catalog"
    assert data.count(b"/Type /Catalog") == 1
    return data.replace(b"/Type /Catalog", entry)


def blank_megabytes(count: int) -> bytes:
    """So many megabytes of spaces as a zlib stream, made without making them: one packed block, over and over."""
    packer = zlib.compressobj(9)
    header = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return header + block * count + packer.flush()


def pdf_of_stream(body: bytes, entries: bytes) -> bytes:
    """A PDF of one page with this stream for its content."""
    return _file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>",
            _stream(entries, body),
        ]
    )


def portfolio() -> bytes:
    """A PDF whose documents are files inside it, and whose one page only says so."""
    inner = pdf([note_page()])
    return _file(
        [
            b"<< /Type /Catalog /Pages 2 0 R /Collection << /View /D >> /Names << /EmbeddedFiles 7 0 R >> >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>",
            _stream(b"", _content(note_page(["Open this PDF portfolio in another program."]), None)),
            _stream(b"/Type /EmbeddedFile", inner),
            b"<< /Names [(a.pdf) << /Type /Filespec /F (a.pdf) /EF << /F 6 0 R >> >>] >>",
        ]
    )


def encrypted_office() -> bytes:
    """What Word makes of a document under a password: an OLE2 file with the package inside."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(1024)


def _file(objects: list[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def note_page(lines: Sequence[str] = NOTE, size: float = 12) -> list[Text]:
    """A page with a line of text every 20 points."""
    return [Text(72, 720 - 20 * i, line, size) for i, line in enumerate(lines)]


def picture(lines: Sequence[str] = NOTE, width: int = 1240, height: int = 600, size: int = 32) -> Image.Image:
    """A scan: black letters on white, 150 dpi or so."""
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    letters = font(size)
    for i, line in enumerate(lines):
        draw.text((60, 50 + i * size * 2), line, font=letters, fill=10)
    return image.convert("RGB")


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font that is at hand, in pixels; Pillow's own where the machine has none."""
    for name in (FONT, "DejaVuSans.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


_WORD = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def paragraph(text: str) -> str:
    """A paragraph in WordprocessingML."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def table(rows: Iterable[Iterable[str]]) -> str:
    """A table; a cell is WordprocessingML."""
    made = ("<w:tr>" + "".join(f"<w:tc>{cell}</w:tc>" for cell in row) + "</w:tr>" for row in rows)
    return "<w:tbl>" + "".join(made) + "</w:tbl>"


def docx(body: str, header: str = "", doctype: str = "", properties: str = "") -> bytes:
    """A DOCX file with one section and a header, and its title."""
    types = (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{_MAIN}"/></Types>'
    )
    link = f'<Relationship Id="rId9" Type="{_OFFICE}/hyperlink" Target="http://192.0.2.1/x" TargetMode="External"/>'
    links = f'<Relationships xmlns="{_PACKAGE}/relationships">'
    top = f'<Relationship Id="rId7" Type="{_OFFICE}/header" Target="header1.xml"/>'
    main = f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/>'
    return zipped(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": f"{links}{main}</Relationships>",
            "docProps/core.xml": f'<p xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{properties}</dc:title></p>',
            "word/_rels/document.xml.rels": f"{links}{link}{top}</Relationships>",
            "word/header1.xml": f"<w:hdr {_WORD}>{header or paragraph('')}</w:hdr>",
            "word/document.xml": f"{doctype}<w:document {_WORD}><w:body>{body}<w:sectPr/></w:body></w:document>",
        }
    )


def zipped(members: Mapping[Any, str | bytes]) -> bytes:
    """A ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def no_file(path: Path) -> str:
    """A document type that asks for a file of this machine."""
    return f'<!DOCTYPE x [<!ENTITY leak SYSTEM "{path.as_uri()}">]>'
