"""How well texts are coded: `python -m benchmarks.coding --train DIR [--train DIR]... --test DIR`, in CodiEsp's layout.

A model is built from the training folders and the embedded engines code the test folder; with `--folds 5` and without
`--test`, the training folders themselves, each document by a model that did not see it. Figures, each with a bootstrap
interval over documents:

- `coding_d_f1`, `_precision`, `_recall`: micro, accepted diagnosis codes of a document. `coding_d_map`: mean average
  precision of its ranked codes, over documents that have any. The same for procedures (`p`).
- `coding_x_f1`: diagnoses and procedures with their evidence, as the task scores it: a code counts where one of its
  spans begins and ends at most ten characters outside one of the gold spans.
- `coding_d_sure_precision`, `_coverage`: codes that are accepted without review, and the share of gold codes that are.
- `coding_d_calibration_error`: expected calibration error of all codes told, ten bins; `coding_d_reliability`: the
  share of right codes in each bin.
- `coding_d_error_of_code`: the codes with most errors: how often missed, how often told wrongly, and what mostly was.
- `coding_megabytes_per_second`: recognition and coding together, one core, CPU time, the model warm.

A code is accepted where its probability passes the model's threshold, which is set on training documents alone; it is
sure where the model expects 92 % of such codes to be right.

`--predictions`, `--ranking` and `--evidence` write what the task's own scorer reads: document and code; the same, best
first; document, offsets, kind and code. `--zero-shot` uses no model: the lexicon alone, which has not seen the corpus.
`--language en` codes the corpus's English translations.
"""

import argparse
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.installation import installed
from benchmarks.reporting import arguments, figure, interval, quiet_stdout
from medpipe_assets.coding import icd10cm
from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.coding.engine import CodableMention, CodableText, Coding
from medpipe_assets.coding.stage import is_asserted
from medpipe_assets.model import artefact, calibration, corpus, reader, training
from medpipe_assets.model.corpus import DIAGNOSIS, PROCEDURE, Document
from medpipe_assets.recognition.embedded import EmbeddedRecognition

TOLERANCE: Final = 10
"""Characters by which a span may be wider than the gold one at each end (CodiEsp-X, official scorer)."""

BINS: Final = 10
QUICK_DOCUMENTS: Final = 50
WARM: Final = 30
"""Texts read before the clock runs."""
ERRORS: Final = 20

Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engines say of a document, by kind of code.

    Attributes:
        ranked: codes with probabilities, best first. accepted, sure: those that pass these thresholds.
        evidence: spans of accepted codes.
    """

    ranked: Mapping[str, Sequence[tuple[str, float]]]
    accepted: Mapping[str, frozenset[str]]
    sure: Mapping[str, frozenset[str]]
    evidence: Mapping[str, Mapping[str, Spans]]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--train", type=Path, action="append", default=[], metavar="DIR", help="a corpus to learn from")
    parser.add_argument("--test", type=Path, metavar="DIR", help="the corpus to code")
    parser.add_argument("--titles", action="append", default=[], metavar="LANGUAGE=FILE", help="titles of codes")
    parser.add_argument("--index", type=Path, metavar="FILE", help="the Alphabetic Index of ICD-10-CM")
    parser.add_argument("--zero-shot", action="store_true", help="no model: the lexicon alone")
    parser.add_argument("--language", default=corpus.LANGUAGE, help="which of the corpus's texts")
    for name in ("predictions", "ranking", "evidence"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help="write it for the task's scorer")
    parser.add_argument("--folds", type=int, metavar="N", help="cross-validation over the training corpora")
    options = parser.parse_args(argv)
    if not (options.test or options.folds) or not (options.train or options.zero_shot):
        parser.error("give --test DIR, and --train DIR or --zero-shot; or --train DIR and --folds N")
    if options.folds:
        documents, answers, seconds = cross_validated(options)
    else:
        documents = corpus.read([options.test], options.language)
        documents = documents[:QUICK_DOCUMENTS] if options.quick else documents
        answers, seconds = tested(options, documents)
    config = _config(options)
    report(documents, answers, config)
    size = sum(len(d.text.encode()) for d in documents)
    figure("coding_megabytes_per_second", size / 1e6 / seconds, "MB/s", n=len(documents), config=config)
    both = list(zip(documents, answers, strict=True))
    if options.predictions:
        rows = ((d.name, c) for d, a in both for c, _ in a.ranked[DIAGNOSIS] if c in a.accepted[DIAGNOSIS])
        write(options.predictions, rows)
    if options.ranking:
        write(options.ranking, ((d.name, c) for d, a in both for c, _ in a.ranked[DIAGNOSIS]))
    if options.evidence:
        write(options.evidence, evidence_rows(documents, answers))


def _config(options: argparse.Namespace) -> dict[str, str]:
    config = {"language": options.language, "train": " ".join(d.name for d in options.train) or "nothing"}
    return config | ({"folds": str(options.folds)} if options.folds else {})


def tested(
    options: argparse.Namespace, documents: Sequence[Document], left_out: frozenset[str] = frozenset()
) -> tuple[list[Answer], float]:
    """What the engines say of documents, with a model of the training corpora, and the CPU seconds it took them.

    Args:
        left_out: names of documents of the training corpora that the model must not see.
    """
    with tempfile.TemporaryDirectory() as folder:
        if options.zero_shot:
            with installed(options.index):
                return coded(documents, options.language, "")
        titles = training.titles_by_language(options.titles)
        sources = training.Sources(options.train, titles, options.index, left_out)
        path = Path(folder, "coding.model")
        begun = time.perf_counter()
        with quiet_stdout():
            artefact.write(path, *training.build(sources, [options.language]))
        figure("coding_build_seconds", time.perf_counter() - begun, "seconds", config=_config(options))
        return coded(documents, options.language, str(path))


def cross_validated(options: argparse.Namespace) -> tuple[list[Document], list[Answer], float]:
    """The training corpora's documents, each coded by a model that was built without it."""
    every = corpus.read(options.train, options.language)
    random.Random(0).shuffle(every)
    documents: list[Document] = []
    answers: list[Answer] = []
    seconds = 0.0
    for fold in range(options.folds):
        unseen = every[fold :: options.folds]
        unseen = unseen[:QUICK_DOCUMENTS] if options.quick else unseen
        said, spent = tested(options, unseen, frozenset(document.name for document in unseen))
        documents += unseen
        answers += said
        seconds += spent
    return documents, answers, seconds


def write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a tab-separated file."""
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def evidence_rows(documents: Sequence[Document], answers: Sequence[Answer]) -> Iterator[Sequence[str]]:
    """Document, 'begin end', kind and code of each span, as the X task's scorer reads it."""
    for document, answer in zip(documents, answers, strict=True):
        for kind, codes in answer.evidence.items():
            for code, spans in codes.items():
                for begin, end in sorted(set(spans)):
                    yield document.name, f"{begin} {end}", kind, code


def coded(documents: Sequence[Document], language: str, model: str) -> tuple[list[Answer], float]:
    """What the engines say of each document, and the CPU seconds it took them."""
    recogniser, coder = EmbeddedRecognition(model), EmbeddedCoding(model)
    for document in documents[:WARM]:
        _said(recogniser, coder, document.text, language)
    begun = time.process_time()
    said = [_said(recogniser, coder, document.text, language) for document in documents]
    seconds = time.process_time() - begun
    opened = reader.load(model) if model else None
    answers = [_answer(opened, d.text, language, *each) for d, each in zip(documents, said, strict=True)]
    return answers, seconds


def _said(
    recogniser: EmbeddedRecognition, coder: EmbeddedCoding, text: str, language: str
) -> tuple[list[CodableMention], Coding]:
    mentions = []
    for m in recogniser.recognise(text, language):
        traits = tuple(trait.name for trait in m.traits)
        mentions.append(CodableMention(0, m.spans, m.category, m.type, m.score, traits, is_asserted(traits)))
    return mentions, coder.code([CodableText(text, language)], mentions)


def _answer(
    opened: reader.Model | None, text: str, language: str, mentions: Sequence[CodableMention], coding: Coding
) -> Answer:
    sure = {c.code for each in coding.candidates for c in each if not c.review}
    codes = [(c.code.lower(), c.probability) for c in coding.codes]
    accepted = {c.code.lower() for c in coding.codes if c.accepted}
    ranked = {DIAGNOSIS: codes}
    taken = {DIAGNOSIS: frozenset(accepted)}
    spans: dict[str, dict[str, list[tuple[int, int]]]] = {DIAGNOSIS: {}, PROCEDURE: {}}
    for mention, candidates in zip(mentions, coding.candidates, strict=True):
        for c in candidates:
            if c.code.lower() in accepted:
                spans[DIAGNOSIS].setdefault(c.code.lower(), []).append((mention.spans[0][0], mention.spans[-1][1]))
    for kind in corpus.KINDS:
        found = opened.reader(language, kind) if opened else None
        if found is None:
            continue
        reading = found.read(text)
        if kind == PROCEDURE:
            ranked[kind] = list(reading.codes)
            taken[kind] = frozenset(code for code, p in reading.codes if p >= found.accepted)
        for p in reading.proposals:
            if p.code in taken[kind] and p.probability >= found.accepted:
                spans[kind].setdefault(p.code, []).append((p.begin, p.end))
    return Answer(ranked, taken, {DIAGNOSIS: frozenset(c.lower() for c in sure) & accepted}, spans)


def report(documents: Sequence[Document], answers: Sequence[Answer], config: Mapping[str, str]) -> None:
    """Print the figures of documents that have a gold standard."""
    for kind, letter in corpus.KINDS.items():
        both = [
            (document.codes.get(kind, frozenset()), answer)
            for document, answer in zip(documents, answers, strict=True)
            if kind in answer.ranked and document.codes
        ]
        if not any(gold for gold, _ in both):
            continue
        name = f"coding_{letter.lower()}"
        counts = [(len(gold & a.accepted[kind]), len(a.accepted[kind]), len(gold)) for gold, a in both]
        _figure(f"{name}_f1", counts, f1, "f1", config)
        _figure(f"{name}_precision", counts, precision, "share", config)
        _figure(f"{name}_recall", counts, recall, "share", config)
        averages = [average_precision([c for c, _ in a.ranked[kind]], gold) for gold, a in both if gold]
        _figure(f"{name}_map", averages, mean, "map", config)
    _report_sure(documents, answers, config)
    told = [(d, a) for d, a in zip(documents, answers, strict=True) if d.evidence]
    if told:
        _figure("coding_x_f1", [evidence_counts(d, a) for d, a in told], f1, "f1", config)


def _report_sure(documents: Sequence[Document], answers: Sequence[Answer], config: Mapping[str, str]) -> None:
    told = [(d.codes[DIAGNOSIS], a) for d, a in zip(documents, answers, strict=True) if DIAGNOSIS in d.codes]
    if not told:
        return
    counts = [(len(gold & a.sure[DIAGNOSIS]), len(a.sure[DIAGNOSIS]), len(gold)) for gold, a in told]
    _figure("coding_d_sure_precision", counts, precision, "share", config)
    _figure("coding_d_sure_coverage", counts, recall, "share", config)
    pairs = [[(p, c in gold) for c, p in a.ranked[DIAGNOSIS]] for gold, a in told]
    _figure("coding_d_calibration_error", pairs, calibration_error, "share", config)
    _report_reliability([pair for document in pairs for pair in document])
    _report_errors(told)


def _report_reliability(pairs: Sequence[tuple[float, bool]]) -> None:
    """The share of right codes in each bin of probability."""
    for low in range(0, 100, 100 // BINS):
        high = low + 100 // BINS
        within = [(p, right) for p, right in pairs if low <= p * 100 < high]
        if within:
            told = {"bin": f"{low / 100:.1f}-{high / 100:.1f}", "told": round(mean([p for p, _ in within]), 4)}
            share = mean([float(right) for _, right in within])
            figure("coding_d_reliability", share, "share", n=len(within), config=told)


def _report_errors(told: Sequence[tuple[frozenset[str], Answer]]) -> None:
    """The codes with most errors; for each, the commonest of what was told in place of it, or of what it was told for.

    Of a missed code that is the best accepted code of its category that is wrong; of a wrongly told one the gold code
    of its category that was missed.
    """
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    mostly: dict[str, Counter[str]] = defaultdict(Counter)
    for gold, answer in told:
        accepted, known = answer.accepted[DIAGNOSIS], {code for code, _ in answer.ranked[DIAGNOSIS]}
        lost, extra = gold - accepted, accepted - gold
        for code in sorted(lost):
            missed[code] += 1
            instead = sorted(other for other in extra if other[:3] == code[:3])
            mostly[code][
                f"{instead[0]} told" if instead else "not probable enough" if code in known else "not found"
            ] += 1
        for code in sorted(extra):
            wrong[code] += 1
            meant = sorted(other for other in lost if other[:3] == code[:3])
            mostly[code][f"{meant[0]} meant" if meant else "not coded"] += 1
    for code, count in (missed + wrong).most_common(ERRORS):
        entry = icd10cm.lookup(code)
        (reason, times), *_ = mostly[code].most_common(1)
        config = {
            "code": code, "title": entry.title if entry else "", "missed": missed[code], "wrong": wrong[code],
            "mostly": f"{reason} ({times})",
        }  # fmt: skip
        figure("coding_d_error_of_code", count, "documents", n=len(told), config=config)


def _figure(
    name: str, items: Sequence[Any], statistic: Callable[[Any], float], unit: str, config: Mapping[str, str]
) -> None:
    low, high = interval(items, statistic)
    figure(name, statistic(items), unit, low=low, high=high, n=len(items), config=config)


def precision(counts: Sequence[tuple[int, int, int]]) -> float:
    """Of what was told, the share that is right; counts are (right, told, gold) of each document."""
    return sum(c[0] for c in counts) / max(1, sum(c[1] for c in counts))


def recall(counts: Sequence[tuple[int, int, int]]) -> float:
    """Of the gold codes, the share that was told."""
    return sum(c[0] for c in counts) / max(1, sum(c[2] for c in counts))


def f1(counts: Sequence[tuple[int, int, int]]) -> float:
    """Harmonic mean of both."""
    return 2 * sum(c[0] for c in counts) / max(1, sum(c[1] + c[2] for c in counts))


def mean(values: Sequence[float]) -> float:
    """Mean."""
    return sum(values) / max(1, len(values))


def average_precision(ranked: Sequence[str], gold: frozenset[str]) -> float:
    """Mean of the precisions at the ranks of the gold codes; one that is not ranked counts as 0."""
    hits, total = 0, 0.0
    for rank, code in enumerate(ranked, start=1):
        if code in gold:
            hits += 1
            total += hits / rank
    return total / len(gold)


def calibration_error(pairs: Sequence[Sequence[tuple[float, bool]]]) -> float:
    """Expected calibration error of documents' codes: (probability, whether right)."""
    flat = [pair for document in pairs for pair in document]
    return calibration.expected_error(np.array([p for p, _ in flat]), np.array([r for _, r in flat], dtype=bool))


def evidence_counts(document: Document, answer: Answer) -> tuple[int, int, int]:
    """(right, told, gold) codes with evidence, as the task counts them."""
    gold: dict[str, list[tuple[int, int]]] = {}
    for piece in document.evidence:
        gold.setdefault(piece.code, []).append((piece.spans[0][0], piece.spans[-1][1]))
    told: dict[str, list[tuple[int, int]]] = {}
    for codes in answer.evidence.values():
        for code, spans in codes.items():
            told.setdefault(code, []).extend(spans)
    right = sum(any(near(g, t) for g in gold.get(code, ()) for t in spans) for code, spans in told.items())
    return right, len(told), len(gold)


def near(gold: tuple[int, int], told: tuple[int, int]) -> bool:
    """Whether a span holds the gold one and is at most TOLERANCE wider at each end."""
    return 0 <= gold[0] - told[0] <= TOLERANCE and 0 <= told[1] - gold[1] <= TOLERANCE


if __name__ == "__main__":
    main()
