"""Which embedded engine translates what."""

from collections.abc import Sequence

import pytest

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation.embedded import EmbeddedTranslation
from medpipe_assets.translation.engine import Alignment, Translation
from medpipe_assets.translation.gloss import GlossTranslation


class Installed:
    """An engine that translates one language by its own name and keeps count of closing."""

    version = "1"

    def __init__(self, name: str, language: str) -> None:
        self.name = name
        self.language = language
        self.closed = 0

    def supports(self, language: str) -> bool:
        return language == self.language

    def translate(self, texts: Sequence[str], language: str) -> list[Translation]:
        return [Translation(self.name, None, "gist") for _ in texts]

    def close(self) -> None:
        self.closed += 1


def test_english_passes_as_it_stands() -> None:
    engine = EmbeddedTranslation()
    result, empty = engine.translate(["No fever.\nBP 120/80", ""], "en")
    assert result == Translation("No fever.\nBP 120/80", (Alignment(0, 19, 0, 19),), "source")
    assert empty.alignment == ()


def test_the_first_engine_that_has_the_language_translates_it() -> None:
    pairs = Installed("pairs", "es")
    engine = EmbeddedTranslation([pairs, GlossTranslation()])
    assert engine.translate(["fiebre"], "es")[0].target_text == "pairs"
    assert engine.translate(["Fieber"], "de")[0].target_text == "Fever"
    engine.close()
    assert pairs.closed == 1


def test_a_language_that_no_engine_has_is_refused() -> None:
    engine = EmbeddedTranslation()
    assert [engine.supports(x) for x in ("en", "es", "fr", "pt", "it", "de", "ja", "und")] == [True] * 6 + [False] * 2
    with pytest.raises(DocumentError) as caught:
        engine.translate(["x"], "ja")
    assert caught.value.reason is Reason.UNSUPPORTED_LANGUAGE


def test_the_version_names_every_engine_and_its_own() -> None:
    version = EmbeddedTranslation([Installed("pairs", "es"), GlossTranslation()]).version
    assert version.startswith("pairs: 1; gloss: lexicon ")
