"""Media types by content."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.media_type import DOCX, SUPPORTED, sniff
from medpipe_tests.unit.extraction.make import docx, note_page, paragraph, pdf, saved, zipped

OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (pdf([note_page()]), "application/pdf"),
        (b"junk from a mail gateway\r\n" * 30 + pdf([note_page()]), "application/pdf"),
        (docx(paragraph("x")), DOCX),
        (docx(paragraph("x" * 500))[:-60], DOCX),
        (zipped({"a.txt": "x"}), "application/zip"),
        (
            zipped({"[Content_Types].xml": "x", "xl/workbook.xml": "x"}),
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        (
            zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "x"}),
            "application/vnd.oasis.opendocument.text",
        ),
        (b"{\\rtf1 hello}", "application/rtf"),
        (b"<!DOCTYPE html><p>hi", "text/html"),
        (b"\xef\xbb\xbf\n<!-- saved --><HTML><body>hi", "text/html"),
        ("<html><p>año".encode("utf-16"), "text/html"),
        (b'<?xml version="1.0"?><ClinicalDocument/>', "application/xml"),
        (b'{"resourceType": "Patient"}', "application/json"),
        (b"[pt states] pain < 3 days {sic}", "text/plain"),
        (b"<3 days of fever, BMI > 30", "text/plain"),
        (b"BM normal, no blood in stool", "text/plain"),
        ("Paciente de 54 años".encode("cp1252"), "text/plain"),
        ("Paciente de 54 años".encode("utf-16-le"), "text/plain"),
        (OLE2 + "WordDocument".encode("utf-16-le"), "application/msword"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video/mp4"),
        (b"\x1f\x8b\x08\0\0\0", "application/gzip"),
        (bytes(range(256)) * 4, "application/octet-stream"),
    ],
)
def test_the_content_tells_the_type(data: bytes, expected: str) -> None:
    assert sniff(data) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("PNG", "png"), ("JPEG", "jpeg"), ("TIFF", "tiff"), ("BMP", "bmp"), ("GIF", "gif"), ("WEBP", "webp")],
)
def test_pictures_are_told_by_their_first_bytes(kind: str, expected: str) -> None:
    assert sniff(saved(Image.new("RGB", (8, 8)), kind)) == f"image/{expected}"


@pytest.mark.parametrize("data", [b"", b" \r\n\t", bytes(2000)])
def test_no_content_is_empty(data: bytes) -> None:
    with pytest.raises(DocumentError) as raised:
        sniff(data)
    assert raised.value.reason is Reason.EMPTY


def test_an_office_file_under_a_password_is_encrypted() -> None:
    with pytest.raises(DocumentError) as raised:
        sniff(OLE2 + "EncryptedPackage".encode("utf-16-le"))
    assert raised.value.reason is Reason.ENCRYPTED


@given(st.binary(max_size=400))
def test_any_bytes_get_a_type_or_a_reason(data: bytes) -> None:
    try:
        assert "/" in sniff(data)
    except DocumentError as error:
        assert error.reason in (Reason.EMPTY, Reason.ENCRYPTED)


@given(st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "Zs"]), min_size=30, max_size=200))
def test_a_note_of_letters_is_never_taken_for_a_binary_file(text: str) -> None:
    if text.strip():
        assert sniff(("note " + text).encode("utf-8")) == "text/plain"


def test_a_broken_archive_still_has_a_type() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "x" * 100)
    assert sniff(out.getvalue()[:80]) == "application/zip"


def test_an_archive_is_no_document() -> None:
    assert "application/zip" not in SUPPORTED
