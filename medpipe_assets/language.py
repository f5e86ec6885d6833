"""Which language a text is in: one model for pages and segments alike.

What a stage does with the answer, and which languages it can translate, is not known here.
"""

import re
import threading
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

CONFIGURED = ("en", "es", "fr", "pt", "it", "de")
"""The languages that documents are expected in; any other must be clearly there to be named."""

UNDETERMINED = "und"
"""ISO 639-2 code for a text that has too few letters to tell."""

MIN_LETTERS = 20
"""Letters below which the model mostly guesses: 'Glucosa 105 mg/dL' is as Italian as it is Spanish."""

_FOREIGN_LETTERS = 40
_FOREIGN_PROBABILITY = 0.9
_SURE_PROBABILITY = 0.9
_WINDOW = 4000
"""Characters that are looked at: more changes no answer."""

_LOADING = threading.Lock()
_NO_LETTERS = re.compile(r"[\W\d_]+")
_CHINESE = {"wuu": "zh", "yue": "zh"}


def identify(text: str, languages: Sequence[str] = CONFIGURED) -> str:
    """The language of a page or a document.

    Args:
        text: what to judge; its first 4,000 characters are.
        languages: ISO 639-1 codes of the expected languages.

    Returns:
        One of `languages`; another ISO 639-1 code where the text is clearly in that language or script; 'und' where
        there are fewer than `MIN_LETTERS` letters and they do not surely tell.
    """
    return _judge(text, tuple(languages))[0]


def identify_or(text: str, fallback: str, languages: Sequence[str] = CONFIGURED) -> str:
    """The language of a segment: the fallback (its page's language) unless the text surely is in another one."""
    language, probability = _judge(text, tuple(languages))
    return language if language != UNDETERMINED and probability >= _SURE_PROBABILITY else fallback


def _judge(text: str, languages: tuple[str, ...]) -> tuple[str, float]:
    """The language and the model's probability for it among those that were in question."""
    text = text[:_WINDOW]
    letters = _NO_LETTERS.sub("", text)
    foreign_script = _mostly_foreign_script(letters)
    if len(letters) < (MIN_LETTERS // 2 if foreign_script else MIN_LETTERS):
        return (UNDETERMINED, 0.0) if foreign_script or not letters else _of_few_letters(text, languages)
    code, probability = _model(()).classify(text)
    code = _CHINESE.get(code, code)
    if foreign_script and len(code) == 2:
        return code, float(probability)
    is_foreign = code not in languages and len(code) == 2  # the three-letter codes are dialects, mostly of these six
    if is_foreign and len(letters) >= _FOREIGN_LETTERS and probability >= _FOREIGN_PROBABILITY:
        return code, float(probability)
    code, probability = _model(languages).classify(text)
    return code, float(probability)


def _of_few_letters(text: str, languages: tuple[str, ...]) -> tuple[str, float]:
    """A note of three words is a note: what is sure of them is taken."""
    code, probability = _model(languages).classify(text)
    return (code, float(probability)) if probability >= _SURE_PROBABILITY else (UNDETERMINED, 0.0)


def _mostly_foreign_script(letters: str) -> bool:
    beyond_latin = [c for c in letters if ord(c) > 0x24F]
    if 2 * len(beyond_latin) <= len(letters):
        return False
    return sum("LATIN" not in unicodedata.name(c, "") for c in beyond_latin) * 2 > len(letters)


def _model(languages: tuple[str, ...]) -> LanguageIdentifier:
    """The model, over all its languages (empty tuple) or some; loaded on first use, about 0.6 s."""
    with _LOADING:  # 16 threads that all came first would load it 16 times: 26 s were measured
        return _loaded(languages)


@lru_cache(maxsize=8)
def _loaded(languages: tuple[str, ...]) -> LanguageIdentifier:
    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if languages:
        model.set_languages(list(languages))
    return model
