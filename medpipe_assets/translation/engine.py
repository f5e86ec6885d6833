"""The interface of the translation stage: segments of source text in, English with alignment out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Alignment:
    """A source span and the target span it became; offsets count code points within the segment's own texts."""

    source_begin: int
    source_end: int
    target_begin: int
    target_end: int


@dataclass(frozen=True, slots=True)
class Translation:
    """One segment's English.

    Attributes:
        target_text: the English text.
        alignment: word alignment, ordered by source; None where the engine gives none.
        quality: 'source' (was English already), 'machine' (a translation system meant to be read) or 'gist'
            (enough to find one's way, never to base a code on).
        unknown_words: how many words of the source the engine did not know and passed through.
    """

    target_text: str
    alignment: tuple[Alignment, ...] | None
    quality: str
    unknown_words: int = 0


def as_it_stands(text: str) -> Translation:
    """The translation of a text that is English already: itself, aligned with itself."""
    return Translation(text, (Alignment(0, len(text), 0, len(text)),) if text else (), "source")


class TranslationEngine(Protocol):
    """Translates sentence-sized segments into English. Cheap to make; processes and models start on first use."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Versions and settings that can change a result (which language pairs are installed, for one)."""
        ...

    def supports(self, language: str) -> bool:
        """Whether segments in this language (ISO 639-1) can be translated here at all."""
        ...

    def translate(self, texts: Sequence[str], language: str) -> list[Translation]:
        """Translate segments of one language, in order, one Translation each.

        Raises:
            DocumentError: with engine_unavailable, engine_crashed, timeout or unsupported_language.
        """
        ...

    def close(self) -> None:
        """Stop child processes, if any. The engine may be used again afterwards."""
        ...
