"""How well denied mentions are told from others: `python -m benchmarks.assertion [--quick] [--input PATH]...`.

Without `--input`, over self-made English sentences: those of data/negation_en.tsv were at hand when the cues were
written; those of data/negation_en_later.tsv were written afterwards, and on first reading F1 was 0.971. What they
showed has been mended since, so of unseen text neither says more than that. And over NUBes' sample (Lima Lopez 2020)
where it is below `MEDPIPE_CORPORA`: the Spanish cues were written with it at hand; on the half of its files that had
not been looked at until then, F1 of the annotated mentions was 0.954. An input is one of:

- a table as the NegEx test file has it: report, concept, sentence, Affirmed or Negated, separated by tabs, with or
  without a header, fields quoted or not; more columns may follow. The concept is looked up in its sentence, upper and
  lower case alike, the first occurrence as whole words, or else the first as a part of words; one that is not in its
  sentence counts as not negated, and `negation_concepts_missing_*` tells how many there are.
- a folder of BRAT files in NUBes' layout. Mentions are the annotated entities; one is negated where it lies in the
  scope of a negation marker. And, as `_found`, the conditions our recogniser finds in these texts. As `uncertainty_*`:
  an entity in the scope of an uncertainty marker, against the traits HYPOTHETICAL and LOW_CONFIDENCE.

Per input, for `--language` (default: en for tables, es for folders): `negation_f1_*`, `negation_precision_*`,
`negation_recall_*` and `negation_accuracy_*`, where trait NEGATION is what is judged; intervals draw sentences.
`--errors FILE` writes the mentions judged wrongly, with their sentences: for text that may be shown.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from benchmarks.reporting import arguments, figure, interval
from medpipe_assets.recognition import conditions
from medpipe_assets.recognition.assertion import assertion
from medpipe_assets.recognition.engine import Offsets

NUBES = Path(os.environ.get("MEDPIPE_CORPORA", "corpora")) / "negation_es"
SENTENCES = [Path(__file__).parent / "data" / name for name in ("negation_en.tsv", "negation_en_later.tsv")]
QUICK_MENTIONS = 1_000
AROUND = 120
"""Code points of context on each side of a mention that is shown."""
VERDICTS = ("affirmed", "negated")

Verdict = tuple[bool, bool]
"""Whether gold says something of a mention (that it is denied, or uncertain), and whether we do."""
KINDS = {"negation": frozenset({"NEGATION"}), "uncertainty": frozenset({"HYPOTHETICAL", "LOW_CONFIDENCE"})}
"""What can be said of a mention, and the traits of ours that say it."""

_ENTITIES = frozenset({"DISO", "PROC", "SUBS", "BODY", "OTHER"})
_NEGATIONS = frozenset({"NegSynMarker", "NegLexMarker"})
_DOUBTS = frozenset({"UncertLexMarker", "UncertSynMarker"})
"""Morphological markers ('afebril') have no scope but themselves."""
_SPAN = re.compile(r"^(T\d+)\t(\w+) (\d+) (?:\d+;\d+ )*(\d+)\t", re.MULTILINE)
_SCOPE = re.compile(r"^R\d+\tScope Arg1:(T\d+) Arg2:(T\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Judged:
    """A mention: its text, where it stands there (None: nowhere), what gold says of it, and where it is from."""

    text: str
    span: Offsets | None
    gold: bool
    source: str


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--input", type=Path, action="append", help="a table or a folder of BRAT files")
    parser.add_argument("--language", help="language of the inputs")
    parser.add_argument("--errors", type=Path, help="where to write what is judged wrongly")
    options = parser.parse_args(argv)
    errors: list[str] = []
    for path in options.input or [*SENTENCES, *([NUBES] if NUBES.is_dir() else [])]:
        language = options.language or ("es" if path.is_dir() else "en")
        if path.is_dir():
            annotated, found, uncertain = brat(path, language)
            errors += measure("negation", annotated, language, path.name, options.quick)
            errors += measure("negation", found, language, f"{path.name}_found", options.quick)
            errors += measure("uncertainty", uncertain, language, path.name, options.quick)
        else:
            mentions = table(path)
            errors += measure("negation", mentions, language, path.stem, options.quick)
            config = {"language": language}
            missing = sum(mention.span is None for mention in mentions)
            figure(f"negation_concepts_missing_{path.stem}", missing, "concepts", n=len(mentions), config=config)
    if options.errors:
        options.errors.write_text("".join(f"{line}\n" for line in errors), encoding="utf-8")


def table(path: Path) -> list[Judged]:
    """The rows of a table; a line without a verdict (a header) is passed over.

    The verdict is the first field from the fourth on that is one, so that a sentence may hold tabs.
    """
    judged = []
    lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    for number, line in enumerate(lines, 1):
        fields = [field.strip() for field in line.split("\t")]
        verdicts = [unquoted(field).lower() for field in fields]
        at = next((at for at in range(3, len(fields)) if verdicts[at] in VERDICTS), None)
        if at is not None:
            concept, sentence = unquoted(fields[1]), unquoted("\t".join(fields[2:at]))
            judged.append(Judged(sentence, locate(concept, sentence), verdicts[at] == "negated", f"line {number}"))
    return judged


def unquoted(field: str) -> str:
    """A field without the quotes around it; quotes inside these are doubled."""
    return field[1:-1].replace('""', '"').strip() if len(field) > 1 and field[0] == field[-1] == '"' else field


def locate(concept: str, sentence: str) -> Offsets | None:
    """Where a concept first stands in its sentence: as whole words, or else as a part of words."""
    pattern = r"\s+".join(map(re.escape, concept.split()))
    for form in (rf"(?<!\w){pattern}(?!\w)", pattern):
        if pattern and (found := re.search(form, sentence, re.IGNORECASE)):
            return found.span()
    return None


def brat(folder: Path, language: str) -> tuple[list[Judged], list[Judged], list[Judged]]:
    """From all annotated texts below a folder: the annotated mentions by whether they are denied, the conditions our
    recogniser finds by the same, and the annotated mentions by whether they are uncertain."""
    annotated, found, uncertain = [], [], []
    for path in sorted(folder.rglob("*.ann")):
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        annotations = path.read_text(encoding="utf-8")
        spans = {name: (kind, (int(begin), int(end))) for name, kind, begin, end in _SPAN.findall(annotations)}
        scopes = [(spans[marker][0], spans[of][1]) for marker, of in _SCOPE.findall(annotations)]
        denied = [span for marker, span in scopes if marker in _NEGATIONS]
        doubted = [span for marker, span in scopes if marker in _DOUBTS]
        mentions = [span for kind, span in spans.values() if kind in _ENTITIES]
        recognised = [mention.spans[0] for mention in conditions.find(text, language)]
        annotated += [Judged(text, span, _inside(span, denied), path.stem) for span in mentions]
        found += [Judged(text, span, _inside(span, denied), path.stem) for span in recognised]
        uncertain += [Judged(text, span, _inside(span, doubted), path.stem) for span in mentions]
    return annotated, found, uncertain


def _inside(span: Offsets, scopes: Iterable[Offsets]) -> bool:
    return any(begin <= span[0] and span[1] <= end for begin, end in scopes)


def measure(kind: str, mentions: list[Judged], language: str, suffix: str, quick: bool) -> list[str]:
    """Judge mentions and print the figures of one of KINDS; gives those judged wrongly, with what gold says."""
    if quick:
        mentions = mentions[:QUICK_MENTIONS]
    verdicts, errors = [], []
    for (text, _), group in groupby(mentions, key=lambda mention: (mention.text, mention.source)):
        together = list(group)
        spans = [[mention.span] if mention.span else [] for mention in together]
        for mention, traits in zip(together, assertion(text, language, spans), strict=True):
            told = any(trait.name in KINDS[kind] for trait in traits)
            verdicts.append((mention.gold, told))
            if mention.gold != told:
                wrong = "missed" if mention.gold else "told wrongly"
                errors.append(f"{suffix}\t{mention.source}\t{kind} {wrong}\t{_context(mention)}")
    for name, statistic in STATISTICS.items():
        low, high = interval(verdicts, statistic)
        figure(
            f"{kind}_{name}_{suffix}",
            statistic(verdicts),
            "f1" if name == "f1" else "share",
            low=low,
            high=high,
            n=len(verdicts),
            config={"language": language, "in_gold": sum(gold for gold, _ in verdicts)},
        )
    return errors


def _context(mention: Judged) -> str:
    """A mention in brackets within what stands around it, on one line."""
    begin, end = mention.span or (0, 0)
    before, after = mention.text[max(0, begin - AROUND) : begin], mention.text[end : end + AROUND]
    return " ".join(f"{before}[{mention.text[begin:end]}]{after}".split())


def f1(verdicts: Sequence[Verdict]) -> float:
    """F1 of the mentions of which gold says it."""
    hits = sum(gold and told for gold, told in verdicts)
    return 2 * hits / max(1, sum(gold + told for gold, told in verdicts))


def precision(verdicts: Sequence[Verdict]) -> float:
    """Of the mentions of which we say it, the share of which gold does."""
    return sum(gold and told for gold, told in verdicts) / max(1, sum(told for _, told in verdicts))


def recall(verdicts: Sequence[Verdict]) -> float:
    """Of the mentions of which gold says it, the share of which we do."""
    return sum(gold and told for gold, told in verdicts) / max(1, sum(gold for gold, _ in verdicts))


def accuracy(verdicts: Sequence[Verdict]) -> float:
    """Share of mentions judged rightly."""
    return sum(gold == told for gold, told in verdicts) / max(1, len(verdicts))


STATISTICS = {"f1": f1, "precision": precision, "recall": recall, "accuracy": accuracy}

if __name__ == "__main__":
    main()
