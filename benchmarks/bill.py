"""What AWS would charge for a mixed corpus: the naive bill, ours, and each saving apart.

    python -m benchmarks.bill [--quick] [--seed N]

The naive pipeline sends every page to Textract, every page's text to Translate whatever its language, and every page's
English to DetectEntitiesV2 and to InferICD10CM. Ours is the aws profile's engines, as they run. Both ask the tests'
double, in process, and its bill is compared; the naive one's pages and characters are counted at the same prices, and
it is given our translations, so that results can be compared entity by entity.

The double's Textract knows the text of each scan (a bill hangs on how much text there is, not on how it is read);
translator, recogniser and coder are the embedded ones. Pages are the samples generator's: half digital, 40 % English,
15 % seen before, one in 20 blank, a consent text on each third. `saving_*` is the share of the naive bill that a
saving alone takes off, as the engines meter it; `boilerplate` is not in our bill, because it is off by default.
"""

import hashlib
import io
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.reporting import arguments, figure, quiet_stdout
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.metering import Cost, collecting
from medpipe_assets.aws.prices import price
from medpipe_assets.aws.responses import ResponseStore
from medpipe_assets.coding.engine import CodableMention, CodableText
from medpipe_assets.coding.infer_icd10cm import InferICD10CMCoding
from medpipe_assets.coding.stage import CODED_CATEGORIES, is_asserted
from medpipe_assets.extraction.engine import Extraction, Page, Words
from medpipe_assets.extraction.textract import TextractExtraction
from medpipe_assets.language import identify
from medpipe_assets.recognition.comprehend_medical import ComprehendMedicalRecognition
from medpipe_assets.recognition.texts import english_texts
from medpipe_assets.text_chunks import shared_lines
from medpipe_assets.translation.amazon_translate import TranslateTranslation
from medpipe_assets.translation.stage import translate_document
from medpipe_tests.aws_double.attach import attach
from medpipe_tests.aws_double.double import AwsDouble
from medpipe_tests.aws_double.engines import embedded_engines
from medpipe_tests.aws_double.model import session
from medpipe_tests.aws_double.standing import CREDENTIALS, REGION, stand_up
from samples import paper
from samples.layout import A4, SANS, lay_out
from samples.notes import Block, write

PAGES, QUICK_PAGES = 400, 60
DIGITAL, ENGLISH, SEEN_BEFORE, BLANK = 0.5, 0.4, 0.15, 0.05
"""Shares of pages. Source: the corpus that the targets are set for; blank ones are our guess."""

KINDS = ("discharge", "referral", "emergency", "progress", "laboratory", "visit")
OTHERS = ("es", "fr", "pt", "it")
CONSENT = (
    "I consent to the use of my records for treatment, payment and quality review. I may withdraw this consent in "
    "writing at any time. This document is confidential and meant for the person named above."
)
SIDE = 64
"""Pixels of a scan's sides: what the double reads is the page's number in its first row."""


@dataclass(frozen=True)
class Input:
    """A document of one page: its bytes and media type; `text` is what is on it."""

    data: bytes
    media_type: str
    text: str


@dataclass(frozen=True)
class Result:
    """What came of a page: its text, its English, mentions and codes in comparable form."""

    text: str
    english: str
    mentions: str
    codes: str


class Attached(Clients):
    """Clients whose requests the double answers in this process."""

    def __init__(self, double: AwsDouble) -> None:
        super().__init__(REGION)
        self._double = double

    def _make(self, service: str) -> Any:
        keys = {name.lower(): CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        return attach(session().create_client(service, region_name=REGION, **keys), self._double)


def corpus(count: int, rng: Random) -> list[Input]:
    """Pages in a mixed order; those seen before are new documents with the same page."""
    fresh = round(count * (1 - SEEN_BEFORE - BLANK))
    made = [_page(n, n < fresh * DIGITAL, rng) for n in range(fresh)]
    blank = [Input(scan(None), "image/png", "")] * round(count * BLANK)
    again = rng.choices(made, k=count - fresh - len(blank))
    pages = [*made, *blank, *again]
    rng.shuffle(pages)
    return pages


def _page(number: int, digital: bool, rng: Random) -> Input:
    language = "en" if rng.random() < ENGLISH else rng.choice(OTHERS)
    note = write(rng.choice(KINDS), language, rng)
    if number % 3 == 0:
        note = replace(note, blocks=(*note.blocks, Block("paragraph", ((CONSENT,),))))
    sheet = lay_out(note, SANS, A4, furniture=True)[0]
    if digital:
        return Input(paper.pdf([paper.PdfPage(sheet)]), "application/pdf", sheet.text)
    return Input(scan(number), "image/png", sheet.text)


def scan(number: int | None) -> bytes:
    """A small picture: white, or noise with a number."""
    pixels = np.full((SIDE, SIDE), 255, np.uint8)
    if number is not None:
        pixels[1:] = np.random.default_rng(number).integers(0, 255, (SIDE - 1, SIDE), np.uint8)
        pixels[0, :2] = divmod(number, 256)
    out = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(out, format="PNG")
    return out.getvalue()


def number_of(data: bytes) -> int:
    high, low = np.asarray(Image.open(io.BytesIO(data)).convert("L"))[0, :2].tolist()
    return int(high) * 256 + int(low)


def page_of(text: str) -> Extraction:
    """A text as a page whose words stand where its lines have them."""
    words, position = Words(), 0
    lines = text.split("\n")
    for row, line in enumerate(lines):
        for word in line.split():
            begin = text.index(word, position)
            position = begin + len(word)
            left = (begin - text.rfind("\n", 0, begin) - 1) / 250
            words.text.append(word)
            words.confidence.append(0.99)
            words.begin.append(begin)
            words.end.append(position)
            words.boxes.append((left, row / len(lines), left + len(word) / 250, (row + 0.6) / len(lines)))
    return Extraction((Page(1, 1000, 1400, 0, "ocr", text, words, 0.99),), ())


@dataclass(frozen=True)
class Pipeline:
    """The aws profile's engines over one account."""

    calls: PaidCalls
    codes_only: bool = False
    shared: frozenset[str] = frozenset()

    def page(self, page: Input) -> Result:
        extraction = TextractExtraction(self.calls).extract(page.data, page.media_type)
        text = "\f".join(found.text for found in extraction.pages)
        rows = [{"page": 1, "language": identify(text), "text": text}] if text else []
        columns = translate_document(TranslateTranslation(self.calls), rows)
        names = ("page", "segment_index", "target_text")
        segments = [dict(zip(names, values, strict=True)) for values in zip(*(columns[n] for n in names), strict=True)]
        english = "".join(joined.text for joined in english_texts(segments))
        return self.medical(text, english)

    def medical(self, text: str, english: str) -> Result:
        """What is found in an English text."""
        recognition = ComprehendMedicalRecognition(self.calls, codes_only=self.codes_only, shared=self.shared)
        mentions = recognition.recognise(english, "en") if english else []
        codable = [
            CodableMention(0, m.spans, m.category, m.type, m.score, traits, is_asserted(traits))
            for m in mentions
            if m.category in CODED_CATEGORIES
            for traits in [tuple(trait.name for trait in m.traits)]
        ]
        coded = InferICD10CMCoding(self.calls, shared=self.shared).code([CodableText(english, "en")], codable)
        return Result(text, english, repr(mentions), repr((coded.candidates, coded.codes)))


def naive_dollars(pages: Sequence[Input], results: Sequence[Result]) -> float:
    """Textract and Translate for every page, as if there were nothing to know about it."""
    characters = sum(len(result.text) for result in results)
    return price("textract", "DetectDocumentText").of(len(pages)) + price("translate", "TranslateText").of(characters)


def run(texts: dict[int, str], pages: Sequence[Input], **settings: Any) -> tuple[list[Result], float, list[Cost]]:
    """Our results, what the double charged for them, and what the engines metered."""
    double = stand_up(engines=replace(embedded_engines(), read=lambda data, _: page_of(texts[number_of(data)])))
    with tempfile.TemporaryDirectory() as folder, collecting() as costs:
        pipeline = Pipeline(PaidCalls(Attached(double), ResponseStore(folder)), **settings)
        results = [pipeline.page(page) for page in pages]
    return results, double.bill.dollars(), list(costs)


def run_naive(pages: Sequence[Input], ours: Sequence[Result]) -> tuple[list[Result], float]:
    """The naive pipeline's results and bill; each page's text and English are those that ours had."""
    double = stand_up(engines=embedded_engines())
    pipeline = Pipeline(PaidCalls(Attached(double)))
    results = [pipeline.medical(each.text, each.english) for each in ours]
    return results, double.bill.dollars() + naive_dollars(pages, ours)


def _numbered(pages: Sequence[Input]) -> Iterator[tuple[int, str]]:
    for page in pages:
        if page.media_type == "image/png" and page.text:
            yield number_of(page.data), page.text


def _same(name: str, ours: Sequence[Result], theirs: Sequence[Result]) -> float:
    same = [bool(getattr(a, name) == getattr(b, name)) for a, b in zip(ours, theirs, strict=True)]
    return float(sum(same)) / len(same)


def measure(count: int, seed: int) -> None:
    """Print the figures."""
    pages = corpus(count, Random(seed))
    texts = dict(_numbered(pages))
    with quiet_stdout():
        full, full_dollars, costs = run(texts, pages)
        naive, naive_bill = run_naive(pages, full)
        codes, codes_dollars, _ = run(texts, pages, codes_only=True)
        shared = shared_lines(result.english for result in full)
        boiled, boiled_dollars, _ = run(texts, pages, shared=shared)
    metered = sum(cost.dollars for cost in costs)
    saved: dict[str, float] = defaultdict(float)
    for cost in costs:
        saved[cost.reason_saved or ""] += cost.saved_dollars
    config = {
        "engines": "embedded; the double's Textract knows each scan's text",
        "seed": seed,
        "corpus": hashlib.sha256("".join(page.text for page in pages).encode()).hexdigest()[:12],
    }

    def tell(name: str, value: float, unit: str = "share") -> None:
        figure(f"bill_{name}", value, unit, n=count, config=config)

    tell("naive", naive_bill, "dollars")
    tell("full", full_dollars, "dollars")
    tell("full_share", full_dollars / naive_bill)
    tell("full_same_entities", _same("mentions", full, naive))
    tell("full_same_codes", _same("codes", full, naive))
    tell("codes_only", codes_dollars, "dollars")
    tell("codes_only_share", codes_dollars / naive_bill)
    tell("codes_only_same_codes", _same("codes", codes, naive))
    tell("metered_over_charged", metered / full_dollars)
    for reason in ("digital", "blank", "english", "stored"):
        tell(f"saving_{reason}", saved[reason] / naive_bill)
    tell("saving_codes_only", (full_dollars - codes_dollars) / naive_bill)
    tell("saving_boilerplate", (full_dollars - boiled_dollars) / naive_bill)
    tell("boilerplate_same_entities", _same("mentions", boiled, naive))
    tell("boilerplate_same_codes", _same("codes", boiled, naive))


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    measure(QUICK_PAGES if options.quick else PAGES, options.seed)


if __name__ == "__main__":
    main()
