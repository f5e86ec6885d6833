"""Amazon Comprehend Medical's InferICD10CM as a coder: its concepts as candidates of the mentions that they overlap.

How a text is cut and asked about belongs to aws/medical_text.py, which the recogniser uses too; what a code is worth
on a claim to `validity`.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal

from medpipe_assets.aws import medical_text
from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.limits import LANGUAGES
from medpipe_assets.coding import icd10cm
from medpipe_assets.coding.embedded import candidate
from medpipe_assets.coding.engine import Candidate, CodableMention, CodableText, Coding, DocumentCode
from medpipe_assets.lexicon.releases import releases

CODE_VERSION: Final = "1"
"""Raise it when the same answers would give other codes or scores."""

METHOD: Final = "infer_icd10cm"

ACCEPTED: Final = 0.35
"""A document's code is accepted where it is an asserted mention's best candidate with this score at least. A guess:
scores are the service's likelihoods, uncalibrated; right first candidates often have little more than 0.4."""

_NOT_ASSERTED: Final = 0.1
"""Share of a code's score left where all its mentions are negated, of the family, or hypothetical."""

_DENYING: Final = frozenset({"NEGATION", "PERTAINS_TO_FAMILY", "HYPOTHETICAL"})
"""Traits, by the service's names, with which an entity is nothing that the patient has."""


@dataclass(frozen=True)
class InferICD10CMCoding:
    """CodingEngine. Reads English; texts in other languages get no codes.

    Attributes:
        shared: digests of lines to be sent once, see text_chunks.passages; the recogniser's, so that one answer
            serves both.
    """

    io_bound: ClassVar[bool] = True
    calls: PaidCalls
    shared: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return "infer_icd10cm"

    @property
    def version(self) -> str:
        """Code version, a hash of the shared lines, and the releases that candidates are judged against."""
        shared = hashlib.sha256(" ".join(sorted(self.shared)).encode()).hexdigest()[:8] if self.shared else "none"
        return f"{CODE_VERSION} shared={shared} codes={'+'.join(release.effective for release in releases())}"

    @property
    def reads(self) -> Literal["source", "english"]:
        return "english"

    @property
    def code_set_version(self) -> str:
        return icd10cm.code_set_version()

    def code(self, texts: Sequence[CodableText], mentions: Sequence[CodableMention]) -> Coding:
        """Code one document. A text without mentions is not sent: its codes would have no evidence.

        Raises:
            DocumentError, ConfigurationError, BudgetReachedError: as PaidCalls.call.
        """
        asked = {mention.text_index for mention in mentions}
        entities = {i: self._entities(text) if i in asked else [] for i, text in enumerate(texts)}
        found = [_entity_of(mention, entities[mention.text_index]) for mention in mentions]
        candidates = tuple(() if entity is None else _candidates(entity) for entity in found)
        asserted = [m.asserted and not _is_denied(entity) for m, entity in zip(mentions, found, strict=True)]
        return Coding(candidates, tuple(_ranked(candidates, asserted)))

    def _entities(self, text: CodableText) -> list[medical_text.Item]:
        if text.language not in LANGUAGES[medical_text.SERVICE]:
            return []
        entities, _ = medical_text.ask(self.calls, "InferICD10CM", text.text, self.shared)
        return [entity for entity in entities if entity.get("ICD10CMConcepts")]


def _entity_of(mention: CodableMention, entities: Sequence[medical_text.Item]) -> medical_text.Item | None:
    """The entity that shares most with a mention; None where none overlaps."""

    def common(entity: medical_text.Item) -> int:
        return medical_text.overlap(mention.spans, [medical_text.offsets(entity)])

    best = max(entities, key=common, default=None)
    return best if best is not None and common(best) else None


def _is_denied(entity: medical_text.Item | None) -> bool:
    return entity is not None and any(trait["Name"] in _DENYING for trait in entity.get("Traits", ()))


def _candidates(entity: medical_text.Item) -> tuple[Candidate, ...]:
    """An entity's concepts, best first, each code once; one that the code set lacks keeps the service's description."""
    found: dict[str, Candidate] = {}
    for concept in sorted(entity["ICD10CMConcepts"], key=lambda concept: -concept["Score"]):
        proposed = candidate(concept["Code"], concept["Score"], METHOD)
        found.setdefault(
            proposed.code, proposed if proposed.description else replace(proposed, description=concept["Description"])
        )
    return tuple(found.values())


def _ranked(candidates: Sequence[Sequence[Candidate]], asserted: Sequence[bool]) -> list[DocumentCode]:
    """The document's codes, best first: a code is worth what its best mention makes it."""
    support: dict[str, list[tuple[float, bool, bool]]] = defaultdict(list)
    for proposed, is_asserted in zip(candidates, asserted, strict=True):
        for rank, c in enumerate(proposed):
            score = c.score if is_asserted else c.score * _NOT_ASSERTED
            support[c.code].append((score, is_asserted, rank == 0 and is_asserted and score >= ACCEPTED))
    codes = [
        DocumentCode(
            code=code,
            probability=max(score for score, _, _ in found),
            accepted=any(accepted for _, _, accepted in found),
            asserted=any(is_asserted for _, is_asserted, _ in found),
            mentions=len(found),
        )
        for code, found in support.items()
    ]
    return sorted(codes, key=lambda c: (-c.probability, c.code))
