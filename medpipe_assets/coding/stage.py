"""The coding stage for one document: texts and entities in, columns of `icd10_mappings`, `document_codes` out.

Engines propose codes; here they are judged, against the release of the code set that is in force on the day of service.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from medpipe_assets.coding import icd10cm, validity
from medpipe_assets.coding.engine import Candidate, CodableMention, CodableText, Coding, CodingEngine
from medpipe_assets.coding.service_date import service_date

Columns = dict[str, list[Any]]
Row = Mapping[str, Any]

CODED_CATEGORIES = frozenset({"MEDICAL_CONDITION"})
"""ICD-10-CM codes conditions, signs and symptoms; other categories have code systems of their own."""
NOT_ASSERTED = frozenset({"NEGATION", "FAMILY_HISTORY", "HYPOTHETICAL"})


def code_document(
    engine: CodingEngine,
    texts: Sequence[CodableText],
    entities: Sequence[Row],
    mentions: Sequence[CodableMention],
    received: dt.date,
) -> dict[str, Columns]:
    """Code one document; `mentions[i]` is `entities[i]` as the coder sees it.

    Args:
        entities: rows of `entities`, those to be coded.
        received: the day on which the document was received: its day of service where its texts state none.
    """
    coding = engine.code(texts, mentions)
    release = icd10cm.release_on(service_date(((text.text, text.language) for text in texts), received))
    return {
        "icd10_mappings": mapping_columns(judged(coding, release), entities, mentions, release),
        "document_codes": code_columns(coding),
    }


def judged(coding: Coding, release: str) -> Coding:
    """A coding with each candidate's title, billable and flags as the release has them."""
    conflicts = validity.together([c.code for c in coding.codes if c.accepted and c.asserted], release)

    def judge(candidate: Candidate) -> Candidate:
        entry = icd10cm.lookup(candidate.code, release)
        return replace(
            candidate,
            description=entry.title if entry else candidate.description,
            billable=entry is not None and entry.billable,
            flags=(*validity.flags(candidate.code, release), *conflicts.get(candidate.code, ())),
        )

    return replace(coding, candidates=tuple(tuple(map(judge, proposed)) for proposed in coding.candidates))


def is_asserted(traits: Sequence[str]) -> bool:
    """Whether a mention with these traits is something the patient has."""
    return not NOT_ASSERTED.intersection(traits)


def mapping_columns(
    coding: Coding, entities: Sequence[Row], mentions: Sequence[CodableMention], code_set_version: str
) -> Columns:
    """`icd10_mappings` rows: each mention's candidates, ranked from 1."""
    columns: Columns = defaultdict(list)
    for entity, mention, candidates in zip(entities, mentions, coding.candidates, strict=True):
        for rank, candidate in enumerate(candidates, start=1):
            row = {
                "entity_id": entity["entity_id"],
                "rank": rank,
                "code_system": candidate.code_system,
                "code": candidate.code,
                "description": candidate.description,
                "score": candidate.score,
                "billable": candidate.billable,
                "category": candidate.category,
                "rolled_up_from": candidate.rolled_up_from,
                "flags": list(candidate.flags),
                "method": candidate.method,
                "code_set_version": code_set_version,
                "asserted": mention.asserted,
                "review": candidate.review,
            }
            for name, value in row.items():
                columns[name].append(value)
    return dict(columns)


def code_columns(coding: Coding) -> Columns:
    """`document_codes` rows, ranked from 1."""
    return {
        "code_system": [c.code_system for c in coding.codes],
        "code": [c.code for c in coding.codes],
        "rank": list(range(1, len(coding.codes) + 1)),
        "probability": [c.probability for c in coding.codes],
        "accepted": [c.accepted for c in coding.codes],
        "asserted": [c.asserted for c in coding.codes],
        "mentions": [c.mentions for c in coding.codes],
    }
