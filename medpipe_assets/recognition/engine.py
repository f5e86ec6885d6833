"""The interface of the recognition stage: text in one language in, mentions with traits and attributes out.

Categories, types and traits follow Amazon Comprehend Medical's vocabulary (DetectEntitiesV2 API reference), with
FAMILY_HISTORY added as a trait of medpipe's own.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

Offsets = tuple[int, int]
"""Begin and end (exclusive) in Unicode code points."""

CATEGORIES = (
    "MEDICAL_CONDITION",
    "MEDICATION",
    "ANATOMY",
    "TEST_TREATMENT_PROCEDURE",
    "PROTECTED_HEALTH_INFORMATION",
    "TIME_EXPRESSION",
    "BEHAVIORAL_ENVIRONMENTAL_SOCIAL",
)
TRAITS = (
    "NEGATION",
    "SIGN",
    "SYMPTOM",
    "DIAGNOSIS",
    "PAST_HISTORY",
    "HYPOTHETICAL",
    "LOW_CONFIDENCE",
    "FAMILY_HISTORY",
)
NOT_ASSERTED = frozenset({"NEGATION", "FAMILY_HISTORY", "HYPOTHETICAL"})
"""A mention with any of these traits is not something the patient has: `asserted` is false for its codes."""


@dataclass(frozen=True, slots=True)
class Trait:
    """What the text says of a mention (see TRAITS), with a score from 0 to 1."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Attribute:
    """A part of text that qualifies a mention: a dose of a medication, a value of a test, a site of a condition."""

    type: str
    category: str
    text: str
    spans: tuple[Offsets, ...]
    score: float
    relationship_score: float
    relationship_type: str
    traits: tuple[Trait, ...] = ()


@dataclass(frozen=True, slots=True)
class Mention:
    """A clinical entity named in the text.

    Attributes:
        category, type: Comprehend Medical's, e.g. MEDICAL_CONDITION / DX_NAME, MEDICATION / GENERIC_NAME.
        spans: where it is named, ascending, one or more (a mention may be discontinuous).
        score: 0 to 1.
    """

    category: str
    type: str
    spans: tuple[Offsets, ...]
    score: float
    traits: tuple[Trait, ...] = ()
    attributes: tuple[Attribute, ...] = ()


class RecognitionEngine(Protocol):
    """Finds mentions in a text. Cheap to make and to pickle; lexicons load on first use."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Versions of code and lexicons, and every setting that can change a result."""
        ...

    @property
    def reads(self) -> Literal["source", "english"]:
        """Whether this engine reads the document's own language or its English translation."""
        ...

    def supports(self, language: str) -> bool:
        """Whether text in this language (ISO 639-1) can be read."""
        ...

    def recognise(self, text: str, language: str) -> list[Mention]:
        """Find the mentions in a text, ordered by their first span."""
        ...
