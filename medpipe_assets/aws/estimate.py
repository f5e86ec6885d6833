"""What a set of documents would cost, from counts alone: no call, no file. What was really paid is in metering.py."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from medpipe_assets.aws.limits import limit
from medpipe_assets.aws.prices import price, units_of_text

CHARACTERS_A_PAGE = 3_000
"""Characters that a page is taken to have before it is read."""

STAGES = ("extraction", "translation", "recognition", "coding")


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What is known of a document before it is processed.

    Attributes:
        digital_pages: pages with a text layer of their own.
        scanned_pages: pages that need OCR.
        characters: of the text that is known, by language ('en', 'es', ...).
        unread_pages: pages whose text is in no `characters`, since they have to go through OCR first.
        pages: with text, read or not: Comprehend Medical is asked about each by itself.
    """

    digital_pages: int = 0
    scanned_pages: int = 0
    characters: Mapping[str, int] = field(default_factory=dict)
    unread_pages: int = 0
    pages: int = 1


@dataclass(frozen=True, slots=True)
class EstimateSettings:
    """Which stages are on AWS, and what is routed around them.

    Attributes:
        extraction, translation, recognition, coding: whether the stage calls AWS.
        features: Textract's: '' for text alone, 'tables', 'forms', or 'forms+tables'.
        data_automation: 'standard' or 'custom' where pages go to Bedrock Data Automation; '' for Textract.
        skip_digital: pages with a text layer are not sent.
        skip_english: English is not sent to Translate.
        codes_only: DetectEntitiesV2 is not called; entities come from InferICD10CM's answer.
        also: further operations of Comprehend Medical, e.g. ('DetectPHI', 'InferRxNorm').
        unread_language: the language that unread pages are taken to be in; the dearest guess is any but English.
        characters_a_page: how much an unread page is taken to hold.
    """

    extraction: bool = True
    translation: bool = True
    recognition: bool = True
    coding: bool = True
    features: str = ""
    data_automation: str = ""
    skip_digital: bool = True
    skip_english: bool = True
    codes_only: bool = False
    also: tuple[str, ...] = ()
    unread_language: str = "und"
    characters_a_page: int = CHARACTERS_A_PAGE


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an operation would cost in all, or (with a reason) what is saved by not calling it."""

    stage: str
    service: str
    operation: str
    units: float
    unit: str
    dollars: float
    saved_dollars: float = 0.0
    reason_saved: str | None = None


@dataclass(frozen=True, slots=True)
class _Use:
    """Units of an operation for a document; with a reason, units that are saved."""

    stage: str
    service: str
    operation: str
    option: str
    units: float
    reason_saved: str | None = None


def estimate(documents: Iterable[DocumentFacts], settings: EstimateSettings) -> list[Estimate]:
    """Costs and savings of all documents by stage, operation and reason saved, in the order of the stages.

    Nothing is taken off for answers that are stored already, or for pages that occur twice. English translations are
    taken to be as long as what they translate.

    Raises:
        ConfigurationError: for features or operations without a price.
    """
    totals: dict[tuple[str, str, str, str, str | None], float] = defaultdict(float)
    for document in documents:
        for use in _uses(document, settings):
            totals[use.stage, use.service, use.operation, use.option, use.reason_saved] += use.units
    ordered = sorted(totals.items(), key=lambda total: STAGES.index(total[0][0]))
    return [_priced(*key, units=units) for key, units in ordered if units]


def _priced(stage: str, service: str, operation: str, option: str, reason: str | None, *, units: float) -> Estimate:
    found = price(service, operation, option)
    dollars = found.of(units)
    paid, saved = (dollars, 0.0) if reason is None else (0.0, dollars)
    return Estimate(stage, service, operation, units, found.unit, paid, saved, reason)


def _uses(document: DocumentFacts, settings: EstimateSettings) -> Iterator[_Use]:
    characters = dict(document.characters)
    unread = document.unread_pages * settings.characters_a_page
    characters[settings.unread_language] = characters.get(settings.unread_language, 0) + unread
    if settings.extraction:
        yield from _extraction(document, settings)
    if settings.translation:
        yield from _translation(characters, settings)
    yield from _medical(sum(characters.values()), document.pages, settings)


def _extraction(document: DocumentFacts, settings: EstimateSettings) -> Iterator[_Use]:
    call = ("textract", "AnalyzeDocument" if settings.features else "DetectDocumentText", settings.features)
    if settings.data_automation:
        call = ("bedrock-data-automation-runtime", "InvokeDataAutomationAsync", settings.data_automation)
    skipped = "digital" if settings.skip_digital else None
    yield _Use("extraction", *call, document.scanned_pages)
    yield _Use("extraction", *call, document.digital_pages, skipped)


def _translation(characters: Mapping[str, int], settings: EstimateSettings) -> Iterator[_Use]:
    for language, count in characters.items():
        skipped = "english" if language == "en" and settings.skip_english else None
        yield _Use("translation", "translate", "TranslateText", "", count, skipped)


def _medical(characters: int, pages: int, settings: EstimateSettings) -> Iterator[_Use]:
    if not characters:
        return
    operations: list[tuple[str, str, str | None]] = []
    if settings.recognition:
        operations.append(("recognition", "DetectEntitiesV2", "codes_only" if settings.codes_only else None))
    operations += [("recognition", operation, None) for operation in settings.also]
    if settings.coding or (settings.recognition and settings.codes_only):
        operations.append(("coding", "InferICD10CM", None))
    for stage, operation, skipped in operations:
        yield _Use(stage, "comprehendmedical", operation, "", _units(operation, characters, pages), skipped)


def _units(operation: str, characters: int, pages: int) -> int:
    """Units of a document's text: each of its requests may end with a unit that is not full."""
    requests = max(pages, math.ceil(characters / limit("comprehendmedical", operation, "text")))
    return units_of_text(characters) + requests - 1
