"""How fast texts are recognised and coded: `python -m benchmarks.recognition_speed [--quick] [--corpus DIR]`.

Over self-made English notes of 500 words, or the text files of a folder (`--language` says in which). All rates are
megabytes of UTF-8 text per second of CPU time on one core, everything loaded and warm, median of the rounds.

- `lexicon_matching_*`: finding all terms of the lexicon among words that are read already; `lexicon_layer_*`: from the
  text as written to spans in it: words, their normal forms, terms, overlaps and meanings. `_pages` note by note,
  `_whole` over all texts joined to one (words met before are known, as in any long run).
- `recognition`: the whole recogniser, with traits and attributes. `recognition_and_coding`: and the codes.
- `recognition_peak_memory`: of a process that does both over all texts.
- `conditions_and_assertion`: what medspaCy's TargetMatcher and ConText do, finding conditions and judging what is said
  of them. With `medspacy.load()` as its peer over the same texts, given the wordings of the same lexicon as literal
  rules, rounds in turn with ours; `ratio` is ours over theirs. Only where `--medspacy PYTHON` names an interpreter that
  has medspaCy (by default the environment's MEDSPACY_PYTHON, or this one). `--terms` limits the wordings it is given;
  ours are always all of them.

Without `--model FILE` the engines use the lexicon alone.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.data.documents import note
from benchmarks.reporting import arguments, figure
from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.coding.engine import CodableMention, CodableText
from medpipe_assets.lexicon import build, lexicon, terms
from medpipe_assets.recognition import assertion, conditions
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_assets.recognition.engine import NOT_ASSERTED

NOTES, QUICK_NOTES = 300, 60
QUICK_TERMS = 2_000
ROUNDS, PEER_ROUNDS = 5, 3

_MEDSPACY = """
import json, sys, time, medspacy
from medspacy.ner import TargetRule
given = json.loads(sys.stdin.readline())
nlp = medspacy.load()
nlp.get_pipe("medspacy_target_matcher").add([TargetRule(term, "CONDITION") for term in given["terms"]])
print("ready", flush=True)
for line in sys.stdin:
    begun = time.process_time()
    found = sum(len(nlp(text).ents) for text in given["texts"])
    print(json.dumps([time.process_time() - begun, found]), flush=True)
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="a folder of text files")
    parser.add_argument("--language", default="en", help="language of the corpus")
    parser.add_argument("--model", default="", metavar="FILE", help="the model for coding")
    peer = os.environ.get("MEDSPACY_PYTHON", sys.executable)
    parser.add_argument("--medspacy", default=peer, metavar="PYTHON", help="an interpreter with medspaCy")
    parser.add_argument("--terms", type=int, metavar="N", help="terms that medspaCy is given")
    options = parser.parse_args(argv)
    if options.corpus:
        texts = [path.read_text(encoding="utf-8") for path in sorted(options.corpus.glob("*.txt"))]
    else:
        texts = [note(number).decode() for number in range(NOTES)]
    wanted = options.terms
    if options.quick:
        texts, wanted = texts[:QUICK_NOTES], wanted or QUICK_TERMS
    config = {"language": options.language, "texts": options.corpus.name if options.corpus else "self-made notes"}
    measure_lexicon(texts, options.language, config)
    measure_engines(texts, options.language, options.model, config)
    if options.language == "en":
        measure_medspacy(texts, options.medspacy, wanted, config)


def measure_lexicon(texts: Sequence[str], language: str, config: dict[str, str]) -> None:
    """The lexicon by itself."""
    loaded = lexicon.load(language)
    for name, pieces in (("pages", list(texts)), ("whole", ["\n\n".join(texts)])):
        readings = [loaded.read(piece) for piece in pieces]
        _print(f"lexicon_matching_{name}", texts, rounds(partial(_each, loaded.matches, readings)), config)
        _print(
            f"lexicon_layer_{name}",
            texts,
            rounds(partial(_each, lambda piece: list(loaded.find(piece)), pieces)),
            config,
        )


def measure_engines(texts: Sequence[str], language: str, model: str, config: dict[str, str]) -> None:
    """The recogniser, the recogniser with the coder, and the memory that both take."""
    config = config | {"model": Path(model).name or "none"}
    recogniser = EmbeddedRecognition(model)
    _print("recognition", texts, rounds(lambda: [recogniser.recognise(text, language) for text in texts]), config)
    _print("recognition_and_coding", texts, rounds(lambda: recognise_and_code(texts, language, model)), config)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        peak = pool.submit(peak_memory, list(texts), language, model).result()
    figure("recognition_peak_memory", peak, "MB", n=len(texts), config=config)


def recognise_and_code(texts: Sequence[str], language: str, model: str) -> None:
    """Both stages over each text, as a worker does them."""
    recogniser, coder = EmbeddedRecognition(model), EmbeddedCoding(model)
    for text in texts:
        mentions = []
        for m in recogniser.recognise(text, language):
            traits = tuple(trait.name for trait in m.traits)
            asserted = NOT_ASSERTED.isdisjoint(traits)
            mentions.append(CodableMention(0, m.spans, m.category, m.type, m.score, traits, asserted))
        coder.code([CodableText(text, language)], mentions)


def peak_memory(texts: Sequence[str], language: str, model: str) -> float:
    """Most memory that this process held, in MB, after recognising and coding."""
    recognise_and_code(texts, language, model)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def conditions_and_assertion(text: str) -> None:
    """Find the conditions of an English text and judge what it says of them."""
    assertion.assertion(text, "en", [mention.spans for mention in conditions.find(text, "en")])


def measure_medspacy(texts: Sequence[str], python: str, wanted: int | None, config: dict[str, str]) -> None:
    """medspaCy and our finders in turn; ours alone, and a word on stderr, where medspaCy is not installed."""
    ours = rounds(partial(_each, conditions_and_assertion, texts))
    if subprocess.run([python, "-c", "import medspacy"], capture_output=True, check=False).returncode:
        print(f"medspaCy is not installed for {python}; name an interpreter that has it: --medspacy", file=sys.stderr)
        _print("conditions_and_assertion", texts, ours, config)
        return
    given = {"terms": wordings()[:wanted], "texts": list(texts)}
    mine, theirs = [], []
    with _peer(python) as peer:
        peer.stdin.write(json.dumps(given) + "\n")
        peer.stdin.flush()
        if peer.stdout.readline() != "ready\n":
            raise SystemExit(f"medspaCy did not start: {python}")
        for _ in range(PEER_ROUNDS):
            peer.stdin.write("\n")
            peer.stdin.flush()
            theirs.append(json.loads(peer.stdout.readline())[0])
            mine.append(_seconds(partial(_each, conditions_and_assertion, texts)))
        peer.stdin.close()
    rates = {name: _megabytes(texts) / median(seconds) for name, seconds in (("ours", mine), ("medspacy", theirs))}
    figure(
        "conditions_and_assertion",
        rates["ours"],
        "MB/s",
        peer={"medspacy": rates["medspacy"]},
        ratio=rates["ours"] / rates["medspacy"],
        n=len(texts),
        config=config | {"medspacy_terms": len(given["terms"])},
    )


def _peer(python: str) -> "subprocess.Popen[str]":
    """medspaCy in a process of its own. Its sentence splitter prints what it reads to stderr: nobody wants it."""
    command = [python, "-W", "ignore", "-c", _MEDSPACY]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=one_thread, stdin=pipe, stdout=pipe, stderr=null, text=True)


def wordings() -> list[str]:
    """The English wordings of the lexicon, our own ones first."""
    own = [term for term in terms.own() if term.language == "en"]
    return list(dict.fromkeys(term.text for term in [*own, *terms.of_tabular(build.newest_rows())]))


def _each(work: Callable[[Any], object], items: Iterable[Any]) -> None:
    for item in items:
        work(item)


def rounds(work: Callable[[], object]) -> float:
    """Median CPU seconds of a piece of work, after a first time."""
    work()
    return median(_seconds(work) for _ in range(ROUNDS))


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def _print(name: str, texts: Sequence[str], seconds: float, config: dict[str, str]) -> None:
    figure(name, _megabytes(texts) / seconds, "MB/s", n=len(texts), config=config)


if __name__ == "__main__":
    main()
