"""Text in, entities with codes out: recognition and coding of a single text, with no lake and no document.

What `medpipe annotate` prints. The embedded engines are used, since this is for trying things out at a desk.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from medpipe_assets.coding.embedded import EmbeddedCoding
from medpipe_assets.coding.engine import Candidate, CodableMention, CodableText
from medpipe_assets.language import UNDETERMINED, identify
from medpipe_assets.recognition.embedded import EmbeddedRecognition
from medpipe_assets.recognition.engine import NOT_ASSERTED, Mention


def annotate(text: str, language: str | None, model: str = "") -> Iterator[dict[str, Any]]:
    """The entities of a text, in order, as plain dicts that JSON can hold.

    Args:
        language: ISO 639-1; None to have it found from the text, which is taken for English where it is too short to
            tell. A text in a language without terms has no entities.
        model: path of the coding model; the lexicon alone is used where there is none.

    Yields:
        category, type, text, begin, end (of the first and last span), spans, score, traits, attributes, and codes (best
        first; each with code, description, score, billable, flags, method, review and asserted).
    """
    language = language or identify(text).replace(UNDETERMINED, "en")
    recogniser, coder = EmbeddedRecognition(model), EmbeddedCoding(model)
    if not recogniser.supports(language):
        return
    mentions = recogniser.recognise(text, language)
    codables = [_codable(mention) for mention in mentions]
    coding = coder.code([CodableText(text, language)], codables)
    for mention, codable, candidates in zip(mentions, codables, coding.candidates, strict=True):
        yield _entity(text, mention) | {"codes": [_code(c, codable.asserted) for c in candidates]}


def _codable(mention: Mention) -> CodableMention:
    traits = tuple(trait.name for trait in mention.traits)
    asserted = NOT_ASSERTED.isdisjoint(traits)
    return CodableMention(0, mention.spans, mention.category, mention.type, mention.score, traits, asserted)


def _entity(text: str, mention: Mention) -> dict[str, Any]:
    return {
        "category": mention.category,
        "type": mention.type,
        "text": " ".join(text[begin:end] for begin, end in mention.spans),
        "begin": mention.spans[0][0],
        "end": mention.spans[-1][1],
        "spans": mention.spans,
        "score": mention.score,
        "traits": [asdict(trait) for trait in mention.traits],
        "attributes": [asdict(attribute) for attribute in mention.attributes],
    }


def _code(candidate: Candidate, asserted: bool) -> dict[str, Any]:
    told = asdict(candidate)
    return {name: told[name] for name in _TOLD} | {"asserted": asserted}


_TOLD = ("code", "description", "score", "billable", "flags", "method", "review")
