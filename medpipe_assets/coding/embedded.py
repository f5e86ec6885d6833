"""The embedded coder: a mention's words looked up in the compiled lexicon, candidates weighed, the document ranked.

No service and no network. Which code is valid is the code set's affair (`icd10cm`, `validity`), which mention exists
the recogniser's.

Probabilities come from `calibration.tsv`: the share of right codes, as (right + 1) / (mentions + 2), among `mentions`
asserted mentions (a code counted once a document and kind) on CodiEsp's training part, Spanish and English together.
Right is a code of the document's gold standard, or a subdivision, new since its 2018 release, of one. Rows are the
lexicon's kinds of terms, 'ambiguous' for an ambiguous abbreviation, 'category' for a code that the set divides further
with no unspecified leaf, and 'later' for how often the second of several codes is right, as a share of how often the
first is.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from medpipe_assets.coding import icd10cm, validity
from medpipe_assets.coding.engine import Candidate, CodableMention, CodableText, Coding, DocumentCode
from medpipe_assets.fingerprints import fingerprint
from medpipe_assets.lexicon import build, lexicon

_CALIBRATION: Final = Path(__file__).with_name("calibration.tsv")

CODE_VERSION: Final = "4"
"""Raise it when the same lexicon would give other codes or scores."""
ACCEPTED: Final = 0.35
"""A document's code is accepted from this probability on: any kind of term will do, but no vague term, no category and
no later candidate. On CodiEsp's training part every threshold from 0.2 to 0.6 accepts the same codes."""
SURE: Final = 0.7
"""From this score on a candidate needs no second look; between ACCEPTED and this a person should review it."""
CANDIDATES: Final = 5
_NOT_ASSERTED: Final = 0.1
"""Share of a code's probability left where all its mentions are negated, of the family, or hypothetical."""


@dataclass(frozen=True, slots=True)
class EmbeddedCoding:
    """Codes conditions by the lexicon. Mentions of other categories get no candidates."""

    @property
    def name(self) -> str:
        return "lexicon"

    @property
    def version(self) -> str:
        return f"{CODE_VERSION}.{build.fingerprint()}.{fingerprint([_CALIBRATION])}"

    @property
    def reads(self) -> Literal["source", "english"]:
        return "source"

    @property
    def code_set_version(self) -> str:
        return icd10cm.code_set_version()

    def code(self, texts: Sequence[CodableText], mentions: Sequence[CodableMention]) -> Coding:
        """Code one document."""
        candidates = tuple(tuple(_candidates(texts, mention)) for mention in mentions)
        return Coding(candidates, tuple(_ranked(mentions, candidates)))


def _candidates(texts: Sequence[CodableText], mention: CodableMention) -> Iterator[Candidate]:
    if mention.category != "MEDICAL_CONDITION":
        return
    source = texts[mention.text_index]
    named = " ".join(source.text[begin:end] for begin, end in mention.spans)
    sense = lexicon.load(source.language).sense(named)
    if sense is None:
        return
    score = _precision("ambiguous" if sense.ambiguous else sense.kind)
    for code in sense.codes[:CANDIDATES]:
        entry = icd10cm.lookup(code)
        divided = entry is not None and not entry.billable and not entry.seventh
        yield candidate(code, min(score, _precision("category")) if divided else score, "lexicon")
        score *= _precision("later")


def candidate(code: str, score: float, method: str) -> Candidate:
    """A code as a candidate, with its title, flags and review mark."""
    entry = icd10cm.lookup(code)
    return Candidate(
        code=entry.code if entry else icd10cm.canonical(code),
        description=entry.title if entry else "",
        score=score,
        billable=entry is not None and entry.billable,
        category=icd10cm.canonical(code)[:3],
        method=method,
        flags=validity.flags(code),
        review=score < SURE,
    )


def _ranked(mentions: Sequence[CodableMention], candidates: Sequence[Sequence[Candidate]]) -> list[DocumentCode]:
    """The document's codes, most probable first: a code is as probable as its best mention makes it."""
    support: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for mention, proposed in zip(mentions, candidates, strict=True):
        for c in proposed:
            support[c.code].append((c.score if mention.asserted else c.score * _NOT_ASSERTED, mention.asserted))
    codes = [
        DocumentCode(code, p := max(s for s, _ in found), p >= ACCEPTED, any(a for _, a in found), len(found))
        for code, found in support.items()
    ]
    return sorted(codes, key=lambda c: (-c.probability, c.code))


@cache
def _precisions() -> dict[str, float]:
    with _CALIBRATION.open(encoding="utf-8", newline="") as lines:
        return {row["kind"]: float(row["precision"]) for row in csv.DictReader(lines, delimiter="\t")}


def _precision(kind: str) -> float:
    return _precisions()[kind]
