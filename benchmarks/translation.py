"""How much the embedded translation loses: `python -m benchmarks.translation [--quick] [--corpus DIR]...`.

Per engine (Apertium where its pairs are installed, the lexicon's gloss) and source language, over the self-made
sentences of data/negated_sentences.tsv, each of which denies something:

- `translation_unknown_words_*`: share of words (numbers aside) that the engine passed through untranslated.
- `translation_negations_kept_*`: share of negation cues in the source near whose English words something is denied:
  the cue's own, those of the next two aligned words, three words before and one behind.
- `translation_sentences_per_second_*`: after a first sentence has started the engine; engines take turns, median.

With `--corpus`, the same over the Spanish (or `--language`) text files below a folder, names ending in `_corpus`. Where
BRAT annotations stand beside the texts, their `NegSynMarker` cues count instead of the cue list's.

A cue that is kept is no proof that the sentence is right: the figure finds losses, it does not measure quality.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median

from benchmarks.reporting import arguments, figure, interval
from medpipe_assets.translation.apertium import ApertiumTranslation
from medpipe_assets.translation.engine import Translation, TranslationEngine
from medpipe_assets.translation.gloss import GlossTranslation, tokens
from medpipe_assets.translation.negation import denies, negation_cues
from medpipe_assets.translation.projection import project
from medpipe_assets.translation.segments import split

SENTENCES = Path(__file__).parent / "data" / "negated_sentences.tsv"
ROUNDS = 3
QUICK_SENTENCES = 300

_GOLD = re.compile(r"^T\d+\tNegSynMarker (\d+) (\d+)\t", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A source sentence and the spans of its negation cues."""

    text: str
    language: str
    cues: list[tuple[int, int]]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--corpus", type=Path, action="append", default=[], help="a folder of text files")
    parser.add_argument("--language", default="es", help="language of the corpora")
    options = parser.parse_args(argv)
    engines: list[TranslationEngine] = [ApertiumTranslation(), GlossTranslation()]
    for language, group in groupby(own_sentences(), key=lambda sentence: sentence.language):
        measure(list(group), language, engines, f"{language}")
    for corpus in options.corpus:
        sentences = list(corpus_sentences(corpus, options.language))
        if options.quick:
            sentences = sentences[:: max(1, len(sentences) // QUICK_SENTENCES)]
        measure(sentences, options.language, engines, f"{options.language}_{corpus.name}_corpus")
    for engine in engines:
        engine.close()


def own_sentences() -> Iterator[Sentence]:
    """The committed sentences, language by language."""
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        language, text = line.split("\t")
        yield Sentence(text, language, negation_cues(text, language))


def corpus_sentences(folder: Path, language: str) -> Iterator[Sentence]:
    """The segments of all text files below a folder, cues from BRAT files where they are."""
    for path in sorted(folder.rglob("*.txt")):
        text = path.read_text(encoding="utf-8")
        annotations = path.with_suffix(".ann")
        gold = None
        if annotations.is_file():
            gold = [(int(b), int(e)) for b, e in _GOLD.findall(annotations.read_text(encoding="utf-8"))]
        for begin, end in split(text, language):
            segment = text[begin:end]
            if gold is None:
                yield Sentence(segment, language, negation_cues(segment, language))
            else:
                yield Sentence(segment, language, [(b - begin, e - begin) for b, e in gold if begin <= b and e <= end])


def measure(sentences: list[Sentence], language: str, engines: Sequence[TranslationEngine], suffix: str) -> None:
    """Translate by every engine that has the language, taking turns, and print the figures."""
    usable = [engine for engine in engines if engine.supports(language)]
    if not sentences:
        return
    texts = [sentence.text for sentence in sentences]
    seconds: dict[str, list[float]] = {engine.name: [] for engine in usable}
    translations: dict[str, list[Translation]] = {}
    for engine in usable:
        engine.translate(texts[:1], language)
    for _ in range(ROUNDS):
        for engine in usable:
            begun = time.perf_counter()
            translations[engine.name] = engine.translate(texts, language)
            seconds[engine.name].append(time.perf_counter() - begun)
    for engine in usable:
        config = {"engine": engine.name, "version": engine.version}
        report(sentences, translations[engine.name], f"{engine.name}_{suffix}", config)
        name = f"translation_sentences_per_second_{engine.name}_{suffix}"
        figure(name, len(texts) / median(seconds[engine.name]), "sentences/second", n=len(texts), config=config)


def report(sentences: list[Sentence], translations: list[Translation], suffix: str, config: dict[str, str]) -> None:
    """Print the shares of unknown words and of negations kept; intervals draw sentences."""
    words = [(t.unknown_words, word_count(s.text)) for s, t in zip(sentences, translations, strict=True)]
    cues = [
        (sum(kept(s.text, t, cue) for cue in s.cues), len(s.cues)) for s, t in zip(sentences, translations, strict=True)
    ]
    for name, pairs in (("unknown_words", words), ("negations_kept", cues)):
        if any(whole for _, whole in pairs):
            low, high = interval([pair for pair in pairs if pair[1]], share)
            count = sum(whole for _, whole in pairs)
            figure(f"translation_{name}_{suffix}", share(pairs), "share", low=low, high=high, n=count, config=config)


def share(pairs: Sequence[tuple[int, int]]) -> float:
    """Sum of the parts over sum of the wholes."""
    return sum(part for part, _ in pairs) / max(1, sum(whole for _, whole in pairs))


def word_count(text: str) -> int:
    """Words without digits, counted as the engines count them."""
    return sum(text[b:e].isalpha() for b, e in tokens(text))


def kept(source: str, translation: Translation, cue: tuple[int, int]) -> bool:
    """Whether something is denied in English about where a cue went; anywhere in the sentence without alignment."""
    target = translation.target_text
    if translation.alignment is None:
        return denies(target)
    after = [a.source_end for a in translation.alignment if a.source_begin >= cue[1]][:2]
    reach = (cue[0], max([cue[1], *after]))
    for begin, end in project([reach], translation.alignment) or [(0, len(target))]:
        before, behind = target[:begin].split()[-3:], target[end:].split()[:1]
        if denies(" ".join([*before, target[begin:end], *behind])):
            return True
    return False


if __name__ == "__main__":
    main()
