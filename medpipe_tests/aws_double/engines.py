"""What the double's services know: reading, translating, recognising and coding, as plain functions.

`embedded_engines` answers with medpipe's own local engines, `toy_engines` with next to nothing and at once.
"""

import multiprocessing
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Lock

from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.coding.engine import Candidate, CodableMention, CodableText
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.extraction.engine import Extraction, Page, Words
from medpipe_assets.recognition import phi
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_assets.recognition.engine import NOT_ASSERTED, Mention, Trait
from medpipe_assets.translation.embedded import EmbeddedTranslation
from medpipe_assets.translation.segments import split


@dataclass(frozen=True)
class Engines:
    """The knowledge behind the services.

    Attributes:
        read: bytes and media type to pages; raises DocumentError.
        translate: a text and its language (ISO 639-1) to English.
        recognise: the mentions in an English text, as DetectEntitiesV2 is to name them.
        protected: the protected health information in an English text, as DetectPHI is to name it.
        code: an English text and mentions of it to candidates for each, best first.
    """

    read: Callable[[bytes, str], Extraction]
    translate: Callable[[str, str], str]
    recognise: Callable[[str], Sequence[Mention]]
    protected: Callable[[str], Sequence[Mention]]
    code: Callable[[str, Sequence[Mention]], Sequence[Sequence[Candidate]]]


def embedded_engines() -> Engines:
    """Medpipe's local engines. Documents are read in a process of their own, because PDFium stands no threads.

    DetectEntitiesV2 names what the local recogniser does and no more (no protected health information, which the real
    one names too), so that what comes of a document is the same under both profiles.
    """
    recognition = EmbeddedRecognition()
    return Engines(
        read=_read_apart,
        translate=_translate,
        recognise=lambda text: recognition.recognise(text, "en"),
        protected=phi.find,
        code=_code,
    )


def toy_engines() -> Engines:
    """Engines for tests of the double: text after the format's first 8 bytes is read as it stands, pages parted by form
    feeds ('?' is a page that fails, and a file with '!' is broken); words are translated by turning them round."""
    return Engines(
        read=_toy_read,
        translate=lambda text, _: reversible_toy(text),
        recognise=_toy_recognise,
        protected=phi.find,
        code=_toy_code,
    )


def reversible_toy(text: str) -> str:
    """A translation that undoes itself: every word turned round."""
    return re.sub(r"\w+", lambda word: word[0][::-1], text)


@cache
def _reader() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _read_apart(data: bytes, media_type: str) -> Extraction:
    return _reader().submit(_read, data, media_type).result()


def _read(data: bytes, media_type: str) -> Extraction:
    return EmbeddedExtraction().extract(data, media_type)


@cache
def _translator() -> EmbeddedTranslation:
    return EmbeddedTranslation()


_TRANSLATING = Lock()


def _translate(text: str, language: str) -> str:
    """Segment by segment; what stands between segments stays."""
    spans = split(text, language)
    with _TRANSLATING:  # Apertium's pipes take one text at a time
        english = _translator().translate([text[begin:end] for begin, end in spans], language)
    parts, position = [], 0
    for (begin, end), translation in zip(spans, english, strict=True):
        parts += [text[position:begin], translation.target_text]
        position = end
    return "".join([*parts, text[position:]])


def _code(text: str, mentions: Sequence[Mention]) -> Sequence[Sequence[Candidate]]:
    codable = [
        CodableMention(
            text_index=0,
            spans=mention.spans,
            category=mention.category,
            type=mention.type,
            score=mention.score,
            traits=tuple(trait.name for trait in mention.traits),
            asserted=NOT_ASSERTED.isdisjoint(trait.name for trait in mention.traits),
        )
        for mention in mentions
    ]
    return EmbeddedCoding().code([CodableText(text, "en")], codable).candidates


_TOY_HEADER = 8
_TOY_TERMS = {
    "diabetes": ("E11.9", "Type 2 diabetes mellitus without complications"),
    "hypertension": ("I10", "Essential (primary) hypertension"),
}


def _toy_read(data: bytes, media_type: str) -> Extraction:
    text = data[_TOY_HEADER:].decode(errors="replace")
    if text.startswith("!"):
        raise DocumentError(Reason.ENCRYPTED if text.startswith("!encrypted") else Reason.CORRUPT)
    numbered = list(enumerate(text.split("\f"), start=1))
    failed = tuple(DocumentError(Reason.UNREADABLE, page=number) for number, page in numbered if page == "?")
    return Extraction(tuple(_toy_page(number, page) for number, page in numbered if page != "?"), failed)


def _toy_page(number: int, text: str) -> Page:
    """Lines of words, each a hundredth of the page wide for a letter and high."""
    words = Words()
    for found in re.finditer(r"\S+", text):
        row = text.count("\n", 0, found.start())
        column = found.start() - text.rfind("\n", 0, found.start()) - 1
        words.text.append(found[0])
        words.confidence.append(0.99)
        words.begin.append(found.start())
        words.end.append(found.end())
        right = min(1.0, (column + len(found[0])) / 100)
        words.boxes.append((min(0.9, column / 100), row / 100, right, row / 100 + 0.01))
    return Page(number, 1000, 1000, 0, "ocr", text, words, 0.99 if len(words) else None)


def _toy_recognise(text: str) -> list[Mention]:
    found = re.finditer("|".join(_TOY_TERMS), text, re.IGNORECASE)
    return [Mention("MEDICAL_CONDITION", "DX_NAME", (m.span(),), 0.95, _toy_traits(text[: m.start()])) for m in found]


def _toy_traits(before: str) -> tuple[Trait, ...]:
    return (Trait("NEGATION" if re.search(r"\bno\s+$", before, re.IGNORECASE) else "DIAGNOSIS", 0.9),)


def _toy_code(text: str, mentions: Sequence[Mention]) -> list[list[Candidate]]:
    named = [_TOY_TERMS[text[m.spans[0][0] : m.spans[0][1]].lower()] for m in mentions]
    return [[Candidate(code, title, 0.9, True, code[:3], "toy")] for code, title in named]
