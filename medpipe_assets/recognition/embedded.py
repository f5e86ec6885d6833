"""The embedded recogniser: conditions by the lexicon, in the document's own language. No service and no network."""

from dataclasses import dataclass
from typing import Final, Literal

from medpipe_assets.lexicon import build, words
from medpipe_assets.recognition import conditions
from medpipe_assets.recognition.engine import Mention

CODE_VERSION: Final = "1"
"""Raise it when the same lexicon would give other mentions or traits."""


@dataclass(frozen=True, slots=True)
class EmbeddedRecognition:
    """Finds mentions by lexicon and rules."""

    @property
    def name(self) -> str:
        return "lexicon"

    @property
    def version(self) -> str:
        return f"{CODE_VERSION}.{build.fingerprint()}"

    @property
    def reads(self) -> Literal["source", "english"]:
        return "source"

    def supports(self, language: str) -> bool:
        """Whether we have terms in this language."""
        return language in words.LANGUAGES

    def recognise(self, text: str, language: str) -> list[Mention]:
        """Find the mentions in a text, ordered by their first span."""
        return conditions.find(text, language)
