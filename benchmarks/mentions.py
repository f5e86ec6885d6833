"""How well diseases are found in abstracts: `python -m benchmarks.mentions [--quick] [--corpus FILE] [--train FILE]`.

The mention tagger that the model for coding uses is trained on one file in PubTator's format, with the matches of the
English lexicon as marks, and read over another. By default these are the training and development sets of the NCBI
disease corpus (Dogan 2014) below `MEDPIPE_CORPORA`.

- `mentions_exact_f1`, `_precision`, `_recall`: begin and end must be those of gold, as that corpus is scored.
- `mentions_overlap_f1`, ...: a span counts that shares a character with one of the other side.
- `mentions_training_seconds` and `mentions_megabytes_per_second`, CPU time, the tagger warm, lexicon included.

Intervals draw abstracts. Nothing of the tested file is seen in training; features and parameters of the tagger were
chosen on the development set.
"""

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reporting import arguments, figure, interval
from medpipe_assets.model.tagger import Mark, Tagger, best
from medpipe_assets.recognition import conditions
from medpipe_assets.recognition.engine import Offsets

CORPUS = Path(os.environ.get("MEDPIPE_CORPORA", "corpora")) / "ncbi_disease"
TRAIN, DEVELOPMENT = CORPUS / "NCBItrainset_corpus.txt", CORPUS / "NCBIdevelopset_corpus.txt"
LANGUAGE = "en"
QUICK_ABSTRACTS = 60
PARAMETERS = {"c1": 0.05, "c2": 0.2, "max_iterations": 80}
"""Of the tagger's training: with so few abstracts, what was seen once counts too (F1 0.840; without it 0.832)."""

_TEXT = re.compile(r"\d+\|([ta])\|(.*)")


@dataclass(frozen=True, slots=True)
class Abstract:
    """Title and abstract with one space between, and the spans of its mentions."""

    text: str
    spans: frozenset[Offsets]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one abstract: spans found and in gold, and how many of each agree with the other side."""

    found: int
    gold: int
    right: int
    met: int


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--corpus", type=Path, default=DEVELOPMENT, help="the file to test on")
    parser.add_argument("--train", type=Path, default=TRAIN, help="the file to train on")
    options = parser.parse_args(argv)
    for path in (options.train, options.corpus):
        if not path.is_file():
            parser.error(
                f"{path} is not there: give a file in PubTator's format, or the corpora's folder in MEDPIPE_CORPORA"
            )
    training, tested = list(pubtator(options.train)), list(pubtator(options.corpus))
    if options.quick:
        training, tested = training[:QUICK_ABSTRACTS], tested[:QUICK_ABSTRACTS]
    measure(
        training,
        tested,
        {"trained_on": f"{options.train.name}, {len(training)} abstracts", "tested_on": options.corpus.name},
    )


def pubtator(path: Path) -> Iterator[Abstract]:
    """The abstracts of a file: blocks of '|t|' and '|a|' lines and tab-separated annotations, an empty line between."""
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        lines = block.strip().splitlines()
        parts = dict(found.groups() for line in lines if (found := _TEXT.match(line)))
        rows = [line.split("\t") for line in lines]
        spans = frozenset((int(row[1]), int(row[2])) for row in rows if len(row) > 4 and row[1].isdigit())
        if parts:
            yield Abstract(f"{parts.get('t', '')} {parts.get('a', '')}", spans)


def measure(training: Sequence[Abstract], tested: Sequence[Abstract], config: dict[str, str]) -> None:
    """Train on the one, read the other, and print the figures."""
    begun = time.process_time()
    known = [marks(abstract.text) for abstract in training]
    tagger = Tagger.train([a.text for a in training], [a.spans for a in training], known, PARAMETERS)
    figure("mentions_training_seconds", time.process_time() - begun, "seconds", n=len(training), config=config)
    for abstract in tested:
        tagger.find(abstract.text, marks(abstract.text))
    begun = time.process_time()
    found = [{(s.begin, s.end) for s in best(tagger.find(a.text, marks(a.text)))} for a in tested]
    size = sum(len(abstract.text.encode()) for abstract in tested)
    speed = size / (time.process_time() - begun) / 1e6
    figure("mentions_megabytes_per_second", speed, "megabytes/second", n=len(tested), config=config)
    for name, agree in (("exact", exact), ("overlap", overlap)):
        counts = [agree(spans, abstract.spans) for spans, abstract in zip(found, tested, strict=True)]
        for part, statistic in STATISTICS.items():
            low, high = interval(counts, statistic)
            unit = "f1" if part == "f1" else "share"
            value = statistic(counts)
            figure(
                f"mentions_{name}_{part}", value, unit, low=low, high=high, n=sum(c.gold for c in counts), config=config
            )


def marks(text: str) -> list[Mark]:
    """What the lexicon finds in a text."""
    return [(*mention.spans[0], "lexicon") for mention in conditions.find(text, LANGUAGE)]


def exact(found: set[Offsets], gold: frozenset[Offsets]) -> Counts:
    """Agreement of spans that are the same."""
    same = len(found & gold)
    return Counts(len(found), len(gold), same, same)


def overlap(found: set[Offsets], gold: frozenset[Offsets]) -> Counts:
    """Agreement of spans that share a character."""
    return Counts(len(found), len(gold), _touching(found, gold), _touching(gold, found))


def _touching(spans: set[Offsets] | frozenset[Offsets], others: set[Offsets] | frozenset[Offsets]) -> int:
    return sum(any(begin < end_ and begin_ < end for begin_, end_ in others) for begin, end in spans)


def precision(counts: Sequence[Counts]) -> float:
    """Share of what is found that agrees with gold."""
    return sum(c.right for c in counts) / max(1, sum(c.found for c in counts))


def recall(counts: Sequence[Counts]) -> float:
    """Share of gold that is found."""
    return sum(c.met for c in counts) / max(1, sum(c.gold for c in counts))


def f1(counts: Sequence[Counts]) -> float:
    """Harmonic mean of precision and recall."""
    p, r = precision(counts), recall(counts)
    return 2 * p * r / (p + r) if p + r else 0.0


STATISTICS = {"f1": f1, "precision": precision, "recall": recall}

if __name__ == "__main__":
    main()
