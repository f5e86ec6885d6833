"""Amazon Comprehend Medical as a recogniser: its entities as mentions, attributes, traits and scores, without loss.

How a text is cut and asked about belongs to aws/medical_text.py, which the coder uses too.

Two modes. In full, DetectEntitiesV2 names all categories. With `codes_only` mentions are what InferICD10CM names
(conditions, with their sites and acuity): the coder reads the same stored answer, and DetectEntitiesV2, which costs
twenty times as much, is not called.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal

from medpipe_assets.aws import medical_text
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.limits import LANGUAGES
from medpipe_assets.aws.metering import Cost, record
from medpipe_assets.aws.prices import price, units_of_text
from medpipe_assets.recognition.engine import Attribute, Mention, Trait

CODE_VERSION: Final = "1"
"""Raise it when the same answers would give other mentions."""

FULL: Final = "DetectEntitiesV2"
CODES: Final = "InferICD10CM"
CODES_ONLY: Final = "codes_only"
"""reason_saved of a call to DetectEntitiesV2 that was not made."""

_TRAITS: Final = {"PERTAINS_TO_FAMILY": "FAMILY_HISTORY"}
"""The service's names for what has another name here."""

_CATEGORIES: Final = {"DX_NAME": "MEDICAL_CONDITION"}
"""InferICD10CM gives its attributes' category by the type that they qualify."""

_CONCEPTS: Final = {"RxNormConcepts": "RXNORM_CODE", "SNOMEDCTConcepts": "SNOMEDCT_CODE"}
CODED_AS: Final = "CODED_AS"
"""relationship_type of an attribute that is a concept of another code system, its text being code and description."""


@dataclass(frozen=True)
class ComprehendMedicalRecognition:
    """RecognitionEngine. Reads English.

    Attributes:
        codes_only: mentions from InferICD10CM; DetectEntitiesV2 is not called.
        detect_phi: also DetectPHI, for protected health information that the other call does not name.
        rxnorm, snomed: also InferRxNorm, InferSNOMEDCT. Their concepts become attributes (relationship CODED_AS) of the
            mention that they overlap, or of a mention of their own.
        shared: digests of lines to be sent once, see text_chunks.passages; give the coder the same.
    """

    io_bound: ClassVar[bool] = True
    calls: PaidCalls
    codes_only: bool = False
    detect_phi: bool = False
    rxnorm: bool = False
    snomed: bool = False
    shared: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return "comprehend_medical"

    @property
    def version(self) -> str:
        """Code version, the operations called, and a hash of the shared lines."""
        shared = hashlib.sha256(" ".join(sorted(self.shared)).encode()).hexdigest()[:8] if self.shared else "none"
        return f"{CODE_VERSION} {'+'.join(self.operations)} shared={shared}"

    @property
    def operations(self) -> tuple[str, ...]:
        """What is called for each text, the one that mentions come from first."""
        more = (("DetectPHI", self.detect_phi), ("InferRxNorm", self.rxnorm), ("InferSNOMEDCT", self.snomed))
        first = CODES if self.codes_only else FULL
        return (first, *(operation for operation, wanted in more if wanted))

    @property
    def reads(self) -> Literal["source", "english"]:
        return "english"

    def supports(self, language: str) -> bool:
        """English only."""
        return language in LANGUAGES[medical_text.SERVICE]

    def recognise(self, text: str, language: str) -> list[Mention]:
        """Find the mentions in a text, ordered by their first span.

        Raises:
            DocumentError, ConfigurationError, BudgetReachedError: as PaidCalls.call.
        """
        if self.codes_only and text.strip():
            self._record_saved(text)
        first, *more = (_mentions(*medical_text.ask(self.calls, o, text, self.shared)) for o in self.operations)
        for others in more:
            first = _merged(first, others)
        return sorted(first, key=lambda mention: mention.spans)

    def _record_saved(self, text: str) -> None:
        """What DetectEntitiesV2 would have cost, less what its stand-in costs here and the coder then need not pay."""
        units = sum(units_of_text(len(part)) for _, part in medical_text.requests(FULL, text, self.shared))
        instead = sum(units_of_text(len(part)) for _, part in medical_text.requests(CODES, text, self.shared))
        dollars = price(medical_text.SERVICE, FULL).of(units) - price(medical_text.SERVICE, CODES).of(instead)
        record(Cost(medical_text.SERVICE, FULL, units, medical_text.UNIT, 0.0, dollars, CODES_ONLY))


def _mentions(entities: list[medical_text.Item], unmapped: list[medical_text.Item]) -> list[Mention]:
    """All entities; an attribute that belongs to none is a mention of its own, of its type and category."""
    return [_mention(item) for item in entities] + [
        _mention({**item["Attribute"], "Category": item["Type"]}) for item in unmapped
    ]


def _mention(item: medical_text.Item) -> Mention:
    category = item["Category"]
    attributes = [found for attribute in item.get("Attributes", ()) for found in _attributes(attribute, category)]
    return Mention(
        category=category,
        type=item["Type"],
        spans=(medical_text.offsets(item),),
        score=item["Score"],
        traits=_traits(item),
        attributes=(*attributes, *_concepts(item, category)),
    )


def _attributes(item: medical_text.Item, category: str) -> Iterator[Attribute]:
    own: str = item.get("Category") or category
    own = _CATEGORIES.get(own, own)
    yield Attribute(
        type=item["Type"],
        category=own,
        text=item["Text"],
        spans=(medical_text.offsets(item),),
        score=item["Score"],
        relationship_score=item.get("RelationshipScore", 0.0),
        relationship_type=item.get("RelationshipType", ""),
        traits=_traits(item),
    )
    yield from _concepts(item, own)


def _concepts(item: medical_text.Item, category: str) -> Iterator[Attribute]:
    for name, type_ in _CONCEPTS.items():
        for concept in item.get(name, ()):
            yield Attribute(
                type=type_,
                category=category,
                text=f"{concept['Code']} {concept['Description']}",
                spans=(medical_text.offsets(item),),
                score=concept["Score"],
                relationship_score=1.0,
                relationship_type=CODED_AS,
            )


def _traits(item: dict[str, Any]) -> tuple[Trait, ...]:
    return tuple(Trait(_TRAITS.get(t["Name"], t["Name"]), t["Score"]) for t in item.get("Traits", ()))


def _merged(mentions: list[Mention], others: list[Mention]) -> list[Mention]:
    """Mentions, with the concepts that another operation has for them, and those that only the other has."""
    merged = list(mentions)
    for other in others:
        same = [i for i, m in enumerate(mentions) if m.category == other.category]
        best = max(same, key=lambda i: medical_text.overlap(mentions[i].spans, other.spans), default=None)
        if best is None or not medical_text.overlap(mentions[best].spans, other.spans):
            merged.append(other)
            continue
        concepts = tuple(a for a in other.attributes if a.relationship_type == CODED_AS)
        merged[best] = replace(merged[best], attributes=merged[best].attributes + concepts)
    return merged
