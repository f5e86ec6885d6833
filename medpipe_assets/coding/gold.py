"""How well engines code a gold set: a folder in CodiEsp's layout, such as the samples' own or a hospital's.

Small and quick, so that every run can watch it: a figure that falls says that an engine, a lexicon or a model has
become worse, or other. How good they are in absolute terms is for the benchmarks to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import medpipe_assets
from medpipe_assets.coding.engine import CodableMention, CodableText, CodingEngine
from medpipe_assets.coding.stage import is_asserted
from medpipe_assets.model import corpus
from medpipe_assets.recognition.engine import RecognitionEngine

LANGUAGES = ("es", "en")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Micro-averages over the codes that a gold set's texts name, denied ones too."""

    f1: float
    precision: float
    recall: float
    texts: int


def own_gold() -> Path:
    """The samples' gold set, which a checkout has and an installed package has not."""
    return Path(medpipe_assets.__file__).parents[1] / "samples" / "gold"


def accuracy(recogniser: RecognitionEngine, coder: CodingEngine, folder: Path) -> Accuracy | None:
    """How well the texts of a folder are coded; None where there are none with codes."""
    counts = [
        (len(gold & told), len(told), len(gold))
        for language, text, gold in _texts(folder)
        if recogniser.supports(language)
        for told in [_codes(recogniser, coder, text, language)]
    ]
    if not counts:
        return None
    right, told, gold = (sum(column) for column in zip(*counts, strict=True))
    return Accuracy(2 * right / (told + gold), right / max(1, told), right / gold, len(counts))


def _texts(folder: Path) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Language, text and codes of each text that has any."""
    for language in LANGUAGES:
        if (folder / ("text_files" if language == corpus.LANGUAGE else f"text_files_{language}")).is_dir():
            for document in corpus.read([folder], language):
                if codes := document.codes.get(corpus.DIAGNOSIS):
                    yield language, document.text, codes


def _codes(recogniser: RecognitionEngine, coder: CodingEngine, text: str, language: str) -> frozenset[str]:
    mentions = []
    for m in recogniser.recognise(text, language):
        traits = tuple(trait.name for trait in m.traits)
        mentions.append(CodableMention(0, m.spans, m.category, m.type, m.score, traits, is_asserted(traits)))
    coding = coder.code([CodableText(text, language)], mentions)
    return frozenset(code.code.lower() for code in coding.codes if code.accepted)
