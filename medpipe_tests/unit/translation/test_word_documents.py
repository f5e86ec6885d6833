"""Word documents in English: what is sent, what is refused, what is paid. The service is the double's."""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.metering import collecting
from medpipe_assets.aws.responses import ResponseStore
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation.word_documents import WordDocumentTranslation, characters_of
from medpipe_tests.aws_double.fixtures import Aws, aws, aws_settings, moto_server
from medpipe_tests.aws_double.word_documents import paragraphs
from medpipe_tests.unit.extraction.make import docx, paragraph, table, zipped

__all__ = ["aws", "aws_settings", "moto_server"]

LETTER = docx(
    paragraph("Dolor abdominal") + table([[paragraph("Pulso"), paragraph("72")]]), header=paragraph("Clínica")
)
CHARACTERS = len("Dolor abdominal" + "Pulso" + "72" + "Clínica")


@pytest.fixture
def translation(aws: Aws, tmp_path: Path) -> WordDocumentTranslation:
    return WordDocumentTranslation(PaidCalls(Clients(), ResponseStore(str(tmp_path))))


def parts_without_text(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as package:
        return {
            name: package.read(name) for name in package.namelist() if "document.xml" not in name and "hea" not in name
        }


def test_the_text_is_english_and_the_rest_as_it_was(aws: Aws, translation: WordDocumentTranslation) -> None:
    english = translation.translate(LETTER, "es")
    assert sorted(paragraphs(english)) == sorted(["roloD lanimodba", "osluP", "27", "acinílC"])
    assert parts_without_text(english) == parts_without_text(LETTER)
    assert b"<w:tbl>" in zipfile.ZipFile(BytesIO(english)).read("word/document.xml")


def test_it_is_paid_by_character_and_once(aws: Aws, translation: WordDocumentTranslation) -> None:
    with collecting() as costs:
        first = translation.translate(LETTER, "es")
        assert translation.translate(LETTER, "es") == first
    assert characters_of(LETTER) == CHARACTERS
    assert [(cost.units, cost.reason_saved) for cost in costs] == [(CHARACTERS, None), (CHARACTERS, "stored")]
    assert aws.double.bill.units() == {("translate", "TranslateDocument", "docx"): CHARACTERS}
    assert sum(cost.dollars for cost in costs) == pytest.approx(aws.double.bill.dollars())


def test_another_language_or_terminology_is_another_call(aws: Aws, translation: WordDocumentTranslation) -> None:
    data = {"File": b"es,en\nPulso,heart rate\n", "Format": "CSV"}
    aws.client("translate").import_terminology(Name="clinic", MergeStrategy="OVERWRITE", TerminologyData=data)
    translation.translate(LETTER, "es")
    with_terms = WordDocumentTranslation(translation.calls, ["clinic"]).translate(LETTER, "es")
    assert "heart rate" in paragraphs(with_terms)
    translation.translate(LETTER, "pt")
    assert aws.double.actions["translate:TranslateDocument"] == 3


LONG = docx("".join(paragraph(f"{i} {'dolor ' * 50}") for i in range(400)))


@pytest.mark.parametrize(
    "data, language, reason",
    [
        (LETTER + bytes(100_000), "es", Reason.TOO_LARGE),
        (LONG, "es", Reason.TOO_LARGE),
        (LETTER[:100], "es", Reason.CORRUPT),
        (zipped({"word/document.xml": "<w:document"}), "es", Reason.CORRUPT),
        (LETTER, "tlh", Reason.UNSUPPORTED_LANGUAGE),
    ],
    ids=["many bytes", "many characters", "cut off", "no XML", "Klingon"],
)
def test_what_translate_would_not_take_is_not_sent(
    aws: Aws, translation: WordDocumentTranslation, data: bytes, language: str, reason: Reason
) -> None:
    with pytest.raises(DocumentError) as error:
        translation.translate(data, language)
    assert error.value.reason is reason
    assert aws.actions == {}


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zipped({"word/document.xml": "<w>" + "x" * 60_000_000 + "</w>"})
    with pytest.raises(DocumentError) as error:
        characters_of(bomb)
    assert error.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "content, kind",
    [
        (b"x" * 100_001, "text/plain"),
        (LONG, None),
        (b"no DOCX", None),
        (zipped({"a": "b"}), None),
        (b"<p>hola</p>", "text/html"),
    ],
    ids=["many bytes", "many characters", "no DOCX", "another package", "HTML"],
)
def test_the_double_refuses_what_the_service_does(aws: Aws, content: bytes, kind: str | None) -> None:
    translate = aws.client("translate")
    document: dict[str, Any] = {
        "Content": content,
        "ContentType": kind or "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }
    with pytest.raises(translate.exceptions.InvalidRequestException):
        translate.translate_document(Document=document, SourceLanguageCode="es", TargetLanguageCode="en")
    assert aws.double.bill.charges == []
