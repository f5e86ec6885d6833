"""The interface of the coding stage: a document's texts and mentions in, ranked codes out.

A coder sees the whole document at once, because a code's probability depends on its neighbours; it sees nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Offsets = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CodableText:
    """A stretch of a document in one language, as the recogniser read it."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class CodableMention:
    """A mention to be coded: where it is (`texts[text_index]`, spans in code points) and what was said of it.

    Attributes:
        asserted: false where negated, of the family, or hypothetical.
        candidates: codes that the recogniser's own service proposed, as (code, score), best first; empty for most.
    """

    text_index: int
    spans: tuple[Offsets, ...]
    category: str
    type: str
    score: float
    traits: tuple[str, ...] = ()
    asserted: bool = True
    candidates: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A code proposed for a mention.

    Attributes:
        code: with its dot, as the code set writes it ('E11.9').
        score: probability that the code is right for the mention, calibrated where `method` says so.
        billable: whether the code is a leaf of `code_set_version`, that is, valid on a claim.
        category: the three-character category ('E11').
        rolled_up_from: the more specific code that stood here before its probability fell below the threshold.
        flags: e.g. 'not_in_code_set', 'not_billable', 'seventh_character_missing', 'unspecified'.
        method: how it was found, e.g. 'lexicon', 'ranker'.
        review: whether a person should look before it is used.
    """

    code: str
    description: str
    score: float
    billable: bool
    category: str
    method: str
    rolled_up_from: str | None = None
    flags: tuple[str, ...] = ()
    review: bool = False
    code_system: str = "ICD-10-CM"


@dataclass(frozen=True, slots=True)
class DocumentCode:
    """A code of the whole document. `mentions` counts those that support it; `asserted` is true if any of them is."""

    code: str
    probability: float
    accepted: bool
    asserted: bool
    mentions: int
    code_system: str = "ICD-10-CM"


@dataclass(frozen=True, slots=True)
class Coding:
    """A document's codes: `candidates[i]` belongs to `mentions[i]` (best first, may be empty); `codes` is ranked."""

    candidates: tuple[tuple[Candidate, ...], ...]
    codes: tuple[DocumentCode, ...]


class CodingEngine(Protocol):
    """Proposes codes. Cheap to make and to pickle; the compiled lexicon and model load on first use."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def reads(self) -> Literal["source", "english"]:
        """Whether this engine reads the document's own language or its English translation."""
        ...

    @property
    def code_set_version(self) -> str:
        """The release every code is judged against, e.g. '2026-04-01'."""
        ...

    def code(self, texts: Sequence[CodableText], mentions: Sequence[CodableMention]) -> Coding:
        """Code one document."""
        ...
