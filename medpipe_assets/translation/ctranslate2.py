"""Translation by a neural model in a local folder, in CTranslate2's format: better English, no word alignment.

The folder holds `model.bin` as ct2-transformers-converter writes it, and the SentencePiece models the translation
model came with: `source.spm` and `target.spm` (Opus-MT), or one `sentencepiece.bpe.model` (NLLB). Nothing is ever
downloaded. Needs the extra `ctranslate2`.
"""

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.translation.engine import Translation

NLLB_NAMES: Mapping[str, str] = {
    "de": "deu_Latn", "en": "eng_Latn", "es": "spa_Latn", "fr": "fra_Latn", "it": "ita_Latn", "pt": "por_Latn",
}  # fmt: skip
"""NLLB's names of languages (FLORES-200) by ISO 639-1."""


class CTranslate2Translation:
    """TranslationEngine by a local model. Quality 'machine', alignment None.

    Args:
        model_path: folder of the converted model.
        languages: the languages that the model reads (ISO 639-1).
        threads: CPU threads for one translation.

    Raises:
        ConfigurationError: from `translate` and `version`, where the folder or the packages are missing.
    """

    name = "ctranslate2"

    def __init__(self, model_path: Path, languages: Sequence[str] = ("es",), threads: int = 1) -> None:
        self._path = Path(model_path)
        self._languages = frozenset(languages)
        self._threads = threads
        self._loaded: _Model | None = None

    @cached_property
    def version(self) -> str:
        """A hash of the model's first megabyte and size, and the languages: no model is loaded for it."""
        model = _existing(self._path / "model.bin")
        with model.open("rb") as file:
            digest = hashlib.sha256(file.read(1 << 20)).hexdigest()[:12]
        return f"model {digest} of {model.stat().st_size} bytes; {'+'.join(sorted(self._languages))}"

    def supports(self, language: str) -> bool:
        """Whether the model was said to read the language."""
        return language in self._languages

    def translate(self, texts: Sequence[str], language: str) -> list[Translation]:
        """Translate each text.

        Raises:
            ConfigurationError: packages or files are missing.
            DocumentError: unsupported_language; engine_crashed where the model fails.
        """
        if not self.supports(language):
            raise DocumentError(Reason.UNSUPPORTED_LANGUAGE, f"model not configured for {language!r}")
        if self._loaded is None:
            self._loaded = _Model(self._path, self._threads)
        try:
            targets = self._loaded.translate(texts, language)
        except RuntimeError as error:
            raise DocumentError(Reason.ENGINE_CRASHED, type(error).__name__) from None
        return [Translation(target, None, "machine") for target in targets]

    def close(self) -> None:
        """Let go of the model's memory."""
        self._loaded = None


class _Model:
    """The translator and its tokenizers, loaded."""

    def __init__(self, path: Path, threads: int) -> None:
        _existing(path / "model.bin")
        translator, sentencepiece = _package("ctranslate2"), _package("sentencepiece")
        shared = path / "sentencepiece.bpe.model"
        self._many_languages = shared.is_file()
        source = shared if self._many_languages else _existing(path / "source.spm")
        target = shared if self._many_languages else _existing(path / "target.spm")
        self._source = sentencepiece.SentencePieceProcessor(model_file=str(source))
        self._target = sentencepiece.SentencePieceProcessor(model_file=str(target))
        self._translator = translator.Translator(str(path), device="cpu", intra_threads=threads)

    def translate(self, texts: Sequence[str], language: str) -> list[str]:
        pieces = [[*self._source.encode(text, out_type=str), "</s>"] for text in texts]
        prefix = None
        if self._many_languages:
            pieces = [[NLLB_NAMES[language], *tokens] for tokens in pieces]
            prefix = [[NLLB_NAMES["en"]]] * len(pieces)
        results = self._translator.translate_batch(pieces, target_prefix=prefix, beam_size=4)
        return [str(self._target.decode(result.hypotheses[0][self._many_languages :])) for result in results]


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigurationError(
            f"the translation engine 'ctranslate2' needs the package {name}: pip install 'medpipe[ctranslate2]'"
        ) from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigurationError(
            f"no {path.name} in the translation model's folder {path.parent}: convert a model with "
            "ct2-transformers-converter and copy its SentencePiece files there"
        )
    return path
