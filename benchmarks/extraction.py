"""How well the embedded engine reads: `python -m benchmarks.extraction [--quick] [--seed N] [--sets K]`.

Over the generator's documents (K sets from seed N on), per look of the page (as `samples.truth.Page` names them) and,
for pages that only OCR can read, per language; `_ocr` is all those pages together:

- `extraction_cer_*`: character error rate. Both texts are put in Unicode's composed form (NFC), each run of white
  space becomes one space, and the ends are stripped; nothing else is folded. The rate is the sum of Levenshtein
  distances over the sum of the truth's lengths, so it can exceed 1. Order counts: the truth is in reading order, a
  table row by row. A page that was not read counts as empty.
- `extraction_words_matched_*`: share of the truth's words for which a read word with the same characters overlaps their
  box; one to one, best overlap first.
- `extraction_word_iou_*`: mean intersection over union of the matched words' boxes. The truth's box is the word's ink.
- `extraction_cpu_seconds_per_page_*`: CPU time of all threads, after a first document has loaded the models; documents
  whose pages differ in look are left out.
- `extraction_method_right`, `extraction_rotation_right`: shares of pages.

With `--pages DIR --truth-layout funsd` over a folder of page images instead: DIR/images/*.png and, under the same
name, DIR/annotations/*.json with form[].words[] of text and box (x0, y0, x1, y1 in pixels). That layout has no reading
order, so for the character error rate both sides' words are put in order by one rule: lines by overlap in height, then
left to right. `extraction_pages_word_f1` needs no order at all: words as a bag, NFC, case kept.

`--quick` reads one single-page document each of the looks clean_scan, poor_scan and handwriting, and all those that
need no OCR.
"""

import io
import json
import tempfile
import time
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from rapidfuzz.distance import Levenshtein

from benchmarks.reporting import arguments, figure, interval, quiet_stdout
from medpipe_assets.errors import DocumentError
from medpipe_assets.extraction import engine
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from samples import truth
from samples.generate import generate
from samples.truth import Box, Word

PIXELS = frozenset({"clean_scan", "poor_scan", "photo", "handwriting"})
"""Looks of pages that only OCR can read."""

TEXT = frozenset({"digital", "searchable", "plain"})
"""Looks of pages that need none."""

COMMITTED = Path(truth.__file__).parent
"""The documents of seed 0."""


@dataclass(frozen=True, slots=True)
class Score:
    """One page: what `Levenshtein` counted, how its words were found, what it cost, and whether it was seen rightly."""

    look: str
    language: str
    distance: int
    length: int
    words: int
    overlaps: tuple[float, ...]
    shared: int
    read: int
    seconds: float | None
    method_right: bool
    rotation_right: bool


def normal(text: str) -> str:
    """NFC, white space runs as one space, ends stripped."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def matched(expected: Sequence[Word], read: Sequence[Word]) -> tuple[float, ...]:
    """Overlaps of the words found: same characters (NFC), boxes that overlap, one to one, best overlap first."""
    by_text: dict[str, list[int]] = defaultdict(list)
    for index, word in enumerate(read):
        by_text[unicodedata.normalize("NFC", word.text)].append(index)
    pairs = []
    for index, word in enumerate(expected):
        for other in by_text[unicodedata.normalize("NFC", word.text)]:
            box = read[other].box
            value = overlap(word.box, box) if word.box and box else 0.0
            if value:
                pairs.append((value, index, other))
    taken: set[int] = set()
    given: set[int] = set()
    overlaps = []
    for value, index, other in sorted(pairs, reverse=True):
        if index not in given and other not in taken:
            given.add(index)
            taken.add(other)
            overlaps.append(value)
    return tuple(overlaps)


def in_lines(words: Iterable[Word]) -> list[Word]:
    """Words in lines from top to bottom, each from left to right; a word joins a line whose height its middle is in."""
    lines: list[list[tuple[Box, Word]]] = []
    boxed = sorted(((w.box, w) for w in words if w.box), key=lambda item: item[0][1] + item[0][3])
    for box, word in boxed:
        middle = (box[1] + box[3]) / 2
        line = next((held for held in reversed(lines) if held[0][0][1] <= middle <= held[0][0][3]), None)
        if line is None:
            lines.append([(box, word)])
        else:
            line.append((box, word))
    return [word for line in lines for _, word in sorted(line, key=lambda item: item[0][0])]


def score(expected: truth.Page, page: engine.Page | None, seconds: float | None) -> Score:
    """Compare a page with its truth; None for a page that was not read."""
    read = _words(page) if page else []
    goal, got = normal(expected.text), normal(page.text) if page else ""
    bags = [Counter(normal(w.text) for w in words) for words in (expected.words, read)]
    return Score(
        expected.look,
        expected.language,
        Levenshtein.distance(goal, got),
        len(goal),
        len(expected.words),
        matched(expected.words, read),
        sum((bags[0] & bags[1]).values()),
        len(read),
        seconds,
        page is not None and page.method in expected.methods,
        page is not None and page.rotation == expected.rotation,
    )


def _words(page: engine.Page) -> list[Word]:
    return [Word(text, box) for text, box in zip(page.words.text, page.words.boxes, strict=True)]


def measure(reader: engine.ExtractionEngine, data: bytes, media_type: str, pages: Sequence[truth.Page]) -> list[Score]:
    """Read a document and score its pages; CPU time is spread over pages of one look, and unknown for others."""
    began = time.process_time()
    try:
        with quiet_stdout():
            read = {page.number: page for page in reader.extract(data, media_type).pages}
    except DocumentError:
        read = {}
    seconds = (time.process_time() - began) / len(pages)
    alike = len({page.look for page in pages}) == 1
    return [score(page, read.get(page.number), seconds if alike else None) for page in pages]


# What to measure


def samples_in(folder: Path) -> Iterator[tuple[bytes, truth.File]]:
    """The good documents of a generated set, with their truth; ZIP members as documents of their own."""
    for file in truth.load(folder / "truth.json").files:
        if file.quarantine is None:
            container, _, member = file.name.partition("!/")
            path = folder / "documents" / container
            yield (zipfile.ZipFile(path).read(member) if member else path.read_bytes()), file


def quick_choice(documents: Iterable[tuple[bytes, truth.File]]) -> Iterator[tuple[bytes, truth.File]]:
    """The first single-page scan of each look but photo, and all documents that need no OCR."""
    seen = {"photo"}
    for data, file in documents:
        looks = {page.look for page in file.pages}
        if looks <= TEXT:
            yield data, file
        elif len(file.pages) == 1 and looks <= PIXELS and not looks & seen:
            seen |= looks
            yield data, file


def generated(seed: int, sets: int) -> Iterator[tuple[bytes, truth.File]]:
    """The documents of `sets` seeds from `seed` on; seed 0 is committed, the others are made in a temporary folder."""
    for number in range(seed, seed + sets):
        if number == 0:
            yield from samples_in(COMMITTED)
            continue
        with tempfile.TemporaryDirectory() as folder:
            generate(number, Path(folder))
            yield from samples_in(Path(folder))


def funsd(folder: Path, limit: int | None) -> Iterator[tuple[bytes, truth.Page]]:
    """Page images with truth in FUNSD's layout; empty words are left out."""
    named = {path.stem for path in (folder / "annotations").glob("*.json")}
    for path in sorted(p for p in (folder / "images").glob("*.png") if p.stem in named)[:limit]:
        data = path.read_bytes()
        width, height = Image.open(io.BytesIO(data)).size
        form = json.loads((folder / "annotations" / f"{path.stem}.json").read_text(encoding="utf-8"))["form"]
        rows = [word for field in form for word in field["words"] if word["text"].strip()]
        words = in_lines(Word(w["text"], _fractions(w["box"], width, height)) for w in rows)
        text = " ".join(word.text for word in words)
        yield data, truth.Page(1, "und", "pages", ("ocr",), 0, text, tuple(words))


def _fractions(box: Sequence[float], width: int, height: int) -> Box:
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def measure_page(reader: engine.ExtractionEngine, data: bytes, page: truth.Page) -> Score:
    """As `measure`, with the read words put in the order that `funsd` puts the truth's in."""
    began = time.process_time()
    try:
        with quiet_stdout():
            read = reader.extract(data, "image/png").pages[0]
    except DocumentError:
        return score(page, None, time.process_time() - began)
    seconds = time.process_time() - began
    text = " ".join(word.text for word in in_lines(_words(read)))
    ordered = engine.Page(1, read.width, read.height, read.rotation, read.method, text, read.words)
    return score(page, ordered, seconds)


# Figures


def error_rate(scores: Sequence[Score]) -> float:
    """Sum of distances over sum of lengths."""
    return sum(s.distance for s in scores) / max(1, sum(s.length for s in scores))


def matched_share(scores: Sequence[Score]) -> float:
    """Words matched over words there."""
    return sum(len(s.overlaps) for s in scores) / max(1, sum(s.words for s in scores))


def mean_overlap(scores: Sequence[Score]) -> float:
    """Mean over all matched words."""
    values = [value for s in scores for value in s.overlaps]
    return sum(values) / max(1, len(values))


def word_f1(scores: Sequence[Score]) -> float:
    """F1 of the bags of words."""
    shared = sum(s.shared for s in scores)
    return 2 * shared / max(1, sum(s.words for s in scores) + sum(s.read for s in scores))


def cpu_seconds(scores: Sequence[Score]) -> float:
    """Mean over the pages for which it is known."""
    known = [s.seconds for s in scores if s.seconds is not None]
    return sum(known) / max(1, len(known))


_STATISTICS: Mapping[str, tuple[str, Callable[[Sequence[Score]], float]]] = {
    "cer": ("share", error_rate),
    "words_matched": ("share", matched_share),
    "word_iou": ("share", mean_overlap),
    "word_f1": ("f1", word_f1),
    "cpu_seconds_per_page": ("seconds", cpu_seconds),
}
_BOXED = {"words_matched", "word_iou"}


def report(group: str, scores: Sequence[Score], names: Iterable[str], config: Mapping[str, object]) -> None:
    """Print a group's figures, each with the interval of resampled pages; box figures only where there are boxes."""
    for name in names:
        unit, statistic = _STATISTICS[name]
        if name not in _BOXED or any(s.look != "plain" for s in scores):
            low, high = interval(scores, statistic)
            figure(
                f"extraction_{name}_{group}", statistic(scores), unit, low=low, high=high, n=len(scores), config=config
            )


def report_samples(scores: Sequence[Score], config: Mapping[str, object]) -> None:
    """All figures over generated documents."""
    named = ("cer", "words_matched", "word_iou", "cpu_seconds_per_page")
    for look in dict.fromkeys(s.look for s in scores):
        report(look, [s for s in scores if s.look == look], named, config)
    pixels = [s for s in scores if s.look in PIXELS]
    report("ocr", pixels, named, config)
    for language in sorted({s.language for s in pixels}):
        report(f"ocr_{language}", [s for s in pixels if s.language == language], ("cer",), config)
    right = {"method": [s.method_right for s in scores], "rotation": [s.rotation_right for s in scores]}
    for name, values in right.items():
        figure(f"extraction_{name}_right", sum(values) / len(values), "share", n=len(values), config=config)


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first set of generated documents")
    parser.add_argument("--sets", type=int, default=1, help="how many sets, one a seed")
    parser.add_argument("--pages", type=Path, help="folder of page images with truth, instead of generated documents")
    parser.add_argument("--truth-layout", choices=["funsd"], default="funsd")
    options = parser.parse_args()
    reader = EmbeddedExtraction()
    config: dict[str, object] = {"engine": f"{reader.name} {reader.version}", "quick": options.quick}
    with quiet_stdout():  # the models are loaded now, so that no page pays for it
        reader.extract((COMMITTED / "documents" / "clinic_note_en.png").read_bytes(), "image/png")
    if options.pages:
        pages = funsd(options.pages, 4 if options.quick else None)
        scores = [measure_page(reader, data, page) for data, page in pages]
        if not scores:
            parser.error(f"no images/*.png with annotations/*.json in {options.pages}")
        report("pages", scores, _STATISTICS, config | {"truth_layout": options.truth_layout})
        return
    documents = generated(options.seed, 1 if options.quick else options.sets)
    chosen = quick_choice(documents) if options.quick else documents
    scores = [s for data, file in chosen for s in measure(reader, data, file.media_type, file.pages)]
    report_samples(scores, config | {"seed": options.seed, "sets": 1 if options.quick else options.sets})


if __name__ == "__main__":
    main()
