"""Amazon Translate as a translation engine: segments packed into requests, and taken apart again.

What a segment is belongs to segments.py; storing, metering and retrying to aws/calls.py.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.limits import limit
from medpipe_assets.aws.metering import Cost, record
from medpipe_assets.aws.prices import price
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.text_chunks import chunks, inked
from medpipe_assets.translation.engine import Translation, as_it_stands

CODE_VERSION: Final = "1"
"""Raise it when the same answers would give other translations."""

SERVICE: Final = "translate"
OPERATION: Final = "TranslateText"
UNIT: Final = "character"
ENGLISH: Final = "english"
"""reason_saved of text that was English already."""

SEPARATOR: Final = "\n"
"""Between the segments of a request: Translate keeps line breaks. Breaks within a segment are sent as spaces."""

_ONE_IN: Final = 8
"""A pack ends after one segment in so many, by its content. So a passage that stands in two documents falls into the
same packs in both, but for the first and the last, and what is stored serves again; one pack a page would not."""

_LINES = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")

LANGUAGES: Final = frozenset(
    "af am ar az bg bn bs ca cs cy da de el en es et fa fi fr gu ha he hi hr ht hu hy id is it ja ka kk kn ko lt lv mk "
    "ml mn mr ms mt nl no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi zh".split()
)
"""Source: https://docs.aws.amazon.com/translate/latest/dg/what-is-languages.html, those with an ISO 639-1 code."""

_CODES: Final = {"nb": "no", "nn": "no"}
"""Codes that Translate has under another name."""


@dataclass(frozen=True)
class TranslateTranslation:
    """TranslationEngine. English is not sent; repeated segments of a document are sent once.

    Attributes:
        terminology: names of custom terminologies of the account (the API takes one). What they contain is unknown
            here: give a changed terminology a new name, so that what it changes is translated anew.
    """

    io_bound: ClassVar[bool] = True
    calls: PaidCalls
    terminology: Sequence[str] = ()

    @property
    def name(self) -> str:
        return "amazon_translate"

    @property
    def version(self) -> str:
        """Code version and the terminologies' names."""
        return f"{CODE_VERSION} terminology={'+'.join(self.terminology) or 'none'}"

    def supports(self, language: str) -> bool:
        """Whether Translate has the language."""
        return _CODES.get(language, language) in LANGUAGES

    def translate(self, texts: Sequence[str], language: str) -> list[Translation]:
        """Translate segments of one language into English, in order, without alignment.

        Raises:
            DocumentError: unsupported_language, or as PaidCalls.call.
            ConfigurationError, BudgetReachedError: as PaidCalls.call.
        """
        if language == "en":
            return _as_they_stand(texts)
        code = code_of(language)
        lines = [_as_line(text) for text in texts]
        english: dict[str, str] = {"": ""}
        for pack in _packs(lines):
            english.update(zip(pack, self._pack(pack, code), strict=True))
        return [Translation(english[line], None, "machine") for line in lines]

    def close(self) -> None:
        """There is nothing to stop."""

    def _pack(self, lines: Sequence[str], language: str) -> list[str]:
        """The lines' English. A line that came back as more or fewer is sent alone, and with it its whole pack."""
        if len(lines) > 1:
            translated = [line.strip() for line in self._ask(SEPARATOR.join(lines), language).split(SEPARATOR)]
            if len(translated) == len(lines) and all(translated):
                return translated
        return [self._alone(line, language) for line in lines]

    def _alone(self, line: str, language: str) -> str:
        spans = [inked(line, *chunk) for chunk in chunks(line, limit(SERVICE, OPERATION, "text"))]
        return " ".join(_as_line(self._ask(line[begin:end], language)) for begin, end in spans if begin < end)

    def _ask(self, text: str, language: str) -> str:
        terminology = {"TerminologyNames": list(self.terminology)} if self.terminology else {}
        response = self.calls.call(
            SERVICE,
            OPERATION,
            {"Text": text, "SourceLanguageCode": language, "TargetLanguageCode": "en", **terminology},
            content=text.encode(),
            settings={"source": language, "target": "en", "terminology": list(self.terminology)},
            units=len(text),
            unit=UNIT,
        )
        translated: str = response["TranslatedText"]
        return translated


def code_of(language: str) -> str:
    """Translate's code of a language.

    Raises:
        DocumentError: unsupported_language.
    """
    code = _CODES.get(language, language)
    if code not in LANGUAGES:
        raise DocumentError(Reason.UNSUPPORTED_LANGUAGE, f"Translate does not have '{language}'")
    return code


def _as_they_stand(texts: Sequence[str]) -> list[Translation]:
    characters = sum(map(len, texts))
    if characters:
        record(Cost(SERVICE, OPERATION, characters, UNIT, 0.0, price(SERVICE, OPERATION).of(characters), ENGLISH))
    return [as_it_stands(text) for text in texts]


def _as_line(text: str) -> str:
    """A segment on one line: breaks within it are layout."""
    return _LINES.sub(" ", text).strip()


def _packs(lines: Sequence[str]) -> Iterator[list[str]]:
    """Lines, each once, in runs that fit into a request with their separators; their ends depend on the lines alone."""
    most = limit(SERVICE, OPERATION, "text")
    pack: list[str] = []
    size = 0
    for line in dict.fromkeys(filter(None, lines)):
        length = len(line.encode()) + len(SEPARATOR)
        if pack and size + length > most:
            yield pack
            pack, size = [], 0
        pack.append(line)
        size += length
        if _ends_a_pack(line):
            yield pack
            pack, size = [], 0
    if pack:
        yield pack


def _ends_a_pack(line: str) -> bool:
    return hashlib.sha256(line.encode()).digest()[0] % _ONE_IN == 0
