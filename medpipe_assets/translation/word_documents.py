"""Word documents in English as they look: Amazon Translate's TranslateDocument, which keeps a DOCX's layout.

What the stages read is the text that extraction found; this is for people, and no stage reads it. Which documents are
translated, and where the English ones go, is decided in documents/word_documents.py.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.limits import limit
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation.amazon_translate import SERVICE, UNIT, code_of

OPERATION: Final = "TranslateDocument"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

MOST_UNPACKED: Final = 50_000_000
"""Bytes that the parts with text may unpack to: far more than any text that is translated, far less than a bomb."""

_PARTS = re.compile(r"word/(?:document|header|footer|footnotes|endnotes)\d*\.xml")


@dataclass(frozen=True)
class WordDocumentTranslation:
    """Translates whole DOCX documents into English.

    Attributes:
        terminology: as TranslateTranslation's.
    """

    calls: PaidCalls
    terminology: Sequence[str] = ()

    def translate(self, data: bytes, language: str) -> bytes:
        """A DOCX document in English, otherwise as it was.

        Raises:
            DocumentError: too_large, corrupt, unsupported_language, or as PaidCalls.call.
            ConfigurationError, BudgetReachedError: as PaidCalls.call.
        """
        code = code_of(language)
        if len(data) > limit(SERVICE, OPERATION, "document"):
            raise DocumentError(Reason.TOO_LARGE, f"Translate takes {limit(SERVICE, OPERATION, 'document')} bytes")
        characters = characters_of(data)
        if characters > limit(SERVICE, OPERATION, "characters"):
            raise DocumentError(
                Reason.TOO_LARGE, f"Translate takes {limit(SERVICE, OPERATION, 'characters')} characters"
            )
        terminology = {"TerminologyNames": list(self.terminology)} if self.terminology else {}
        response = self.calls.call(
            SERVICE,
            OPERATION,
            {
                "Document": {"Content": data, "ContentType": DOCX},
                "SourceLanguageCode": code,
                "TargetLanguageCode": "en",
                **terminology,
            },
            content=data,
            settings={"source": code, "target": "en", "terminology": list(self.terminology)},
            units=characters,
            unit=UNIT,
            option="docx",
        )
        content: bytes = response["TranslatedDocument"]["Content"]
        return content


def characters_of(data: bytes) -> int:
    """How many characters of text a DOCX has: in its body, headers, footers and notes.

    Raises:
        DocumentError: corrupt, too_large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            parts = [part for part in package.infolist() if _PARTS.fullmatch(part.filename)]
            if sum(part.file_size for part in parts) > MOST_UNPACKED:
                raise DocumentError(Reason.TOO_LARGE, f"DOCX whose text unpacks to more than {MOST_UNPACKED} bytes")
            return sum(_characters_in(package.read(part)) for part in parts)
    except (zipfile.BadZipFile, etree.XMLSyntaxError, OSError, ValueError, NotImplementedError) as error:
        raise DocumentError(Reason.CORRUPT, f"DOCX: {type(error).__name__}") from None


def _characters_in(part: bytes) -> int:
    texts = etree.iterparse(io.BytesIO(part), events=("end",), tag="{*}t", resolve_entities=False, no_network=True)
    return sum(len(text.text or "") for _, text in texts)
