"""DOCX, RTF and HTML: the text a reader sees, and nothing from elsewhere."""

from pathlib import Path

import pytest

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import html, rtf, word_processing
from medpipe_tests.unit.extraction.checks import assert_sound
from medpipe_tests.unit.extraction.make import docx, no_file, paragraph, table, zipped


def text_of(data: bytes) -> str:
    extraction = word_processing.extract(data)
    assert_sound(extraction)
    return extraction.pages[0].text


def test_a_word_document_keeps_its_header_and_the_order_of_tables() -> None:
    inner = table([[paragraph("in 1"), paragraph("in 2")]])
    body = paragraph("Informe &amp; alta") + table(
        [[paragraph("Glucosa"), paragraph("105 mg/dL")], [paragraph("before") + inner, paragraph("after")]]
    )
    got = text_of(docx(body, header=paragraph("Hospital San Juan")))
    assert got == "Hospital San Juan\nInforme & alta\nGlucosa\t105 mg/dL\nbefore\nin 1\tin 2\nafter"


def test_inserted_text_is_kept_and_deleted_text_and_link_targets_are_not() -> None:
    body = (
        "<w:p><w:ins><w:r><w:t>no fever </w:t></w:r></w:ins><w:del><w:r><w:delText>fever</w:delText></w:r></w:del>"
        '<w:hyperlink r:id="rId9"><w:r><w:t>guideline</w:t></w:r></w:hyperlink></w:p>'
    )
    assert text_of(docx(body)) == "no fever guideline"


def test_a_word_document_cannot_read_files_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOPSECRET")
    try:
        assert "TOPSECRET" not in text_of(docx(paragraph("x &leak; y"), doctype=no_file(secret)))
    except DocumentError as error:
        assert error.reason is Reason.CORRUPT


@pytest.mark.parametrize("data", [docx(paragraph("x"))[:-40], zipped({"word/document.xml": "<broken"})])
def test_a_broken_word_document_is_corrupt(data: bytes) -> None:
    with pytest.raises(DocumentError) as raised:
        word_processing.extract(data)
    assert raised.value.reason is Reason.CORRUPT


def test_a_word_document_without_text_is_empty() -> None:
    with pytest.raises(DocumentError) as raised:
        word_processing.extract(docx(paragraph("")))
    assert raised.value.reason is Reason.EMPTY


def test_rich_text_keeps_accents_however_they_are_written() -> None:
    data = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl\f0 Arial;}\pard Diagn\'f3stico: {\b neumon\'eda}.\par L\u237?nea\tab 2\par}"
    )
    extraction = rtf.extract(data)
    assert_sound(extraction)
    assert extraction.pages[0].text.rstrip() == "Diagnóstico: neumonía.\nLínea\t2"


def test_html_blocks_become_lines_and_scripts_vanish() -> None:
    data = (
        b"<html><head><title>T</title><style>p{}</style></head><body><h1>Informe</h1><p>Sin <b>fi</b>ebre<br>alta</p>"
        b"<script>track()</script><table><tr><td>Glu</td><td>105</td></tr></table><ul><li>uno<li>dos</ul></body></html>"
    )
    extraction = html.extract(data)
    assert_sound(extraction)
    assert extraction.pages[0].text == "Informe\nSin fiebre\nalta\nGlu\t105\nuno\ndos"


@pytest.mark.parametrize(
    "data",
    [
        "<meta charset=iso-8859-1><p>años".encode("latin-1"),
        "<meta charset=iso-8859-1><p>años".encode("utf-16"),
        "<meta charset=utf-8><p>años".encode("cp1252"),
        '<?xml version="1.0" encoding="utf-8"?><html><p>años</p></html>'.encode(),
    ],
)
def test_html_is_read_right_even_if_it_lies_about_its_encoding(data: bytes) -> None:
    assert html.extract(data).pages[0].text == "años"


def test_html_cannot_read_files_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOPSECRET")
    data = f"{no_file(secret)}<html><p>x &leak; <img src='{secret.as_uri()}'> y</p></html>"
    assert "TOPSECRET" not in html.extract(data.encode()).pages[0].text


def test_html_nested_without_end_is_survived() -> None:
    try:
        assert_sound(html.extract(b"<div>" * 20_000 + b"deep" + b"<p>x"))
    except DocumentError as error:
        assert error.reason in (Reason.EMPTY, Reason.TOO_LARGE)
