"""The translation engine of a machine on its own: the best that is installed for each language, without a network.

Only the choice is here; how each engine works is in `apertium` and `gloss`.
"""

from collections.abc import Sequence

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.translation.apertium import ApertiumTranslation
from medpipe_assets.translation.engine import Translation, TranslationEngine, as_it_stands
from medpipe_assets.translation.gloss import GlossTranslation


class EmbeddedTranslation:
    """TranslationEngine: English as it stands, Apertium where the pair is installed, else the lexicon's gloss.

    Args:
        engines: the engines to ask, best first.
    """

    name = "embedded"

    def __init__(self, engines: Sequence[TranslationEngine] | None = None) -> None:
        self._engines = (ApertiumTranslation(), GlossTranslation()) if engines is None else tuple(engines)

    @property
    def version(self) -> str:
        """Each engine's version: Apertium's packages and routes (or 'none'), the gloss lexicon's hash."""
        return "; ".join(f"{engine.name}: {engine.version}" for engine in self._engines)

    def supports(self, language: str) -> bool:
        """Whether the language is English or any engine has it."""
        return language == "en" or any(engine.supports(language) for engine in self._engines)

    def translate(self, texts: Sequence[str], language: str) -> list[Translation]:
        """Translate by the first engine that has the language; English passes, aligned whole with itself.

        Raises:
            DocumentError: unsupported_language, or what the engine raises.
        """
        if language == "en":
            return [as_it_stands(text) for text in texts]
        for engine in self._engines:
            if engine.supports(language):
                return engine.translate(texts, language)
        raise DocumentError(Reason.UNSUPPORTED_LANGUAGE, f"no engine translates {language!r}")

    def close(self) -> None:
        """Stop the engines' child processes."""
        for engine in self._engines:
            engine.close()
