"""The embedded coder: a mention's words looked up in the compiled lexicon, candidates weighed, the document ranked.

Where there is a model for the text's language, it proposes and weighs the codes, and the lexicon answers for the
mentions that the model knows nothing of. No service and no network. Which code is valid is the code set's affair
(`icd10cm`, `validity`), which mention exists the recogniser's.

Without a model, probabilities come from `calibration.tsv`: the share of right codes, as (right + 1) / (mentions + 2),
among `mentions` mentions, denied ones too (a code counted once a document and kind), on CodiEsp's training part,
Spanish and English together; those of the Alphabetic Index with the one of 2025. Right is a code of the document's gold
standard, or a subdivision, new since its 2018 release, of one. Rows are the lexicon's kinds of terms, 'ambiguous' for
an ambiguous abbreviation, 'category' for a code that the set divides further with no unspecified leaf, and 'later' for
how often the second of several codes is right, as a share of how often the first is.
"""

import csv
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from medpipe_assets.coding import icd10cm, validity
from medpipe_assets.coding.engine import Candidate, CodableMention, CodableText, Coding, DocumentCode
from medpipe_assets.fingerprints import fingerprint
from medpipe_assets.lexicon import build, lexicon
from medpipe_assets.model import corpus, reader
from medpipe_assets.model.reader import Proposal, Reader, Reading

_UNKNOWN_TO_MODEL: Final = 0.25
"""Highest score of the lexicon's codes where a model has read the text and thinks of none: 8 of 35 such codes that the
lexicon alone would have accepted were right, on CodiEsp's development part."""
_HIGHEST: Final = 0.99
"""No sum of probabilities is certain."""
_CALIBRATION: Final = Path(__file__).with_name("calibration.tsv")

CODE_VERSION: Final = "7"
"""Raise it when the same lexicon and model would give other codes or scores."""
ACCEPTED: Final = 0.35
"""A document's code is accepted from this probability on: any kind of term will do, but no vague term, no category and
no later candidate. On CodiEsp's training part every threshold from 0.2 to 0.6 accepts the same codes. A model brings
its own threshold."""
SURE: Final = 0.7
"""From this score on a candidate needs no second look; between ACCEPTED and this a person should review it. A model
brings its own threshold."""
CANDIDATES: Final = 5
LEAST: Final = 0.01
"""Codes of a document that are less probable are not told."""


@dataclass(frozen=True, slots=True)
class EmbeddedCoding:
    """Codes conditions by the model and the lexicon. Mentions of other categories get no candidates.

    Attributes:
        model: path of the model file; the lexicon alone is used where there is no file.
    """

    model: str = ""

    @property
    def name(self) -> str:
        return "lexicon"

    @property
    def version(self) -> str:
        return f"{CODE_VERSION}.{build.fingerprint()}.{fingerprint([_CALIBRATION])}{reader.version(self.model)}"

    @property
    def reads(self) -> Literal["source", "english"]:
        return "source"

    @property
    def code_set_version(self) -> str:
        return icd10cm.code_set_version()

    def code(self, texts: Sequence[CodableText], mentions: Sequence[CodableMention]) -> Coding:
        """Code one document."""
        opened = reader.load(self.model) if self.model else None
        readers = {i: opened.reader(text.language, corpus.DIAGNOSIS) for i, text in enumerate(texts)} if opened else {}
        learnt = {i: _Learnt(found, found.read(texts[i].text)) for i, found in readers.items() if found}
        candidates = tuple(tuple(_candidates(texts, mention, learnt)) for mention in mentions)
        return Coding(candidates, tuple(_ranked(mentions, candidates, learnt)))


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What the model reads in a text."""

    reader: Reader
    reading: Reading

    def of(self, mention: CodableMention) -> list[Proposal]:
        """The proposals for a mention, each code once, best first: those of a span that lies inside it."""
        begin, end = mention.spans[0][0], mention.spans[-1][1]
        best: dict[str, Proposal] = {}
        first, behind = (bisect_left(self.reading.proposals, place, key=_begin) for place in (begin, end))
        for p in self.reading.proposals[first:behind]:
            if p.end <= end and p.probability >= LEAST:
                best[p.code] = max(p, best.get(p.code, p), key=lambda each: each.probability)
        return sorted(best.values(), key=lambda p: -p.probability)


def _begin(proposal: Proposal) -> int:
    return proposal.begin


def _candidates(
    texts: Sequence[CodableText], mention: CodableMention, learnt: Mapping[int, _Learnt]
) -> Iterator[Candidate]:
    if mention.category != "MEDICAL_CONDITION":
        return
    known = learnt.get(mention.text_index)
    proposed = known.of(mention) if known else []
    if known and proposed:
        yield from _rolled_up(proposed, known.reader)
        for p in proposed[:CANDIDATES]:
            yield candidate(p.code, p.probability, "model", known.reader.sure)
    else:
        highest = _UNKNOWN_TO_MODEL if known else 1.0
        for found in _by_lexicon(texts[mention.text_index], mention):
            yield replace(found, score=min(found.score, highest), review=found.review or known is not None)


def _rolled_up(proposed: Sequence[Proposal], reader: Reader) -> Iterator[Candidate]:
    """What several codes have in common where none of them is probable enough but one of them probably is right.

    A span's codes exclude one another, so their probabilities add up. It is never accepted unseen.
    """
    best = proposed[0]
    family = [p for p in proposed if p.code[:3] == best.code[:3]]
    total = sum(p.probability for p in family)
    if len(family) < 2 or not best.probability < reader.accepted <= total:
        return
    common = validity.rolled_up(tuple(p.code for p in family))
    if common is not None and common.lower() != best.code:
        score = min(total, _HIGHEST)
        yield replace(candidate(common, score, "model"), rolled_up_from=icd10cm.canonical(best.code), review=True)


def _by_lexicon(source: CodableText, mention: CodableMention) -> Iterator[Candidate]:
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


def candidate(code: str, score: float, method: str, sure: float = SURE) -> Candidate:
    """A code as a candidate, with its title, flags and review mark.

    Args:
        sure: the score from which on nobody need look at it.
    """
    told = _described(code, build.fingerprint())
    return Candidate(
        code=told.code,
        description=told.title,
        score=score,
        billable=told.billable,
        category=told.category,
        method=method,
        flags=told.flags,
        review=score < sure,
    )


class _Described(NamedTuple):
    """What the code set says of a code."""

    code: str
    title: str
    billable: bool
    category: str
    flags: tuple[str, ...]


@lru_cache(maxsize=20_000)
def _described(code: str, _fingerprint: str) -> _Described:
    """A code by the code set; the fingerprint tells files that were replaced from those before."""
    entry = icd10cm.lookup(code)
    written = icd10cm.canonical(code)
    flags = validity.flags(code)
    if entry is None:
        return _Described(written, "", False, written[:3], flags)
    return _Described(entry.code, entry.title, entry.billable, written[:3], flags)


def _ranked(
    mentions: Sequence[CodableMention], candidates: Sequence[Sequence[Candidate]], learnt: Mapping[int, _Learnt]
) -> list[DocumentCode]:
    """The document's codes, most probable first: a code is as probable as its best mention makes it.

    Codes are what the text names, negated or not; `asserted` tells those that the patient has.
    """
    support: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    rolled_up = set()
    for mention, proposed in zip(mentions, candidates, strict=True):
        for c in proposed:
            support[c.code].append((c.score, mention.asserted))
            if c.rolled_up_from:
                rolled_up.add(c.code)
    read: dict[str, float] = defaultdict(float)
    for known in learnt.values():
        for code, probability in known.reading.codes:
            if probability >= LEAST:
                written = icd10cm.canonical(code)
                read[written] = max(read[written], probability)
    threshold = min((known.reader.accepted for known in learnt.values()), default=ACCEPTED)
    codes = []
    for code in {*support, *read}:
        found = support.get(code, [])
        p = read[code] if code in read else max(score for score, _ in found)
        accepted = p >= threshold and (code in read or code not in rolled_up)
        codes.append(DocumentCode(code, p, accepted, any(a for _, a in found), len(found)))
    return sorted(codes, key=lambda c: (-c.probability, c.code))


@cache
def _precisions() -> dict[str, float]:
    with _CALIBRATION.open(encoding="utf-8", newline="") as lines:
        return {row["kind"]: float(row["precision"]) for row in csv.DictReader(lines, delimiter="\t")}


def _precision(kind: str) -> float:
    return _precisions()[kind]
