"""Amazon Comprehend Medical: DetectEntitiesV2, DetectPHI, InferICD10CM, InferRxNorm and InferSNOMEDCT.

Mentions and codes come from engines; here they take the service's shape: one range a mention, the traits and
attributes each operation knows, ids in order.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medpipe_assets.recognition.engine import Attribute, Mention, Trait
from medpipe_tests.aws_double.double import Call, Charge
from medpipe_tests.aws_double.engines import Engines
from medpipe_tests.aws_double.medical_batches import MedicalBatches, units
from medpipe_tests.aws_double.model import operation_model
from medpipe_tests.aws_double.objects import Objects
from medpipe_tests.aws_double.translate import check_bytes

MODEL_VERSION = "2.4.0"
_TRAITS = {"FAMILY_HISTORY": "PERTAINS_TO_FAMILY"}
"""Our traits whose name is another one there."""

_CODED = {
    "InferICD10CM": ("MEDICAL_CONDITION", "ICD10CMConcepts"),
    "InferRxNorm": ("MEDICATION", "RxNormConcepts"),
    "InferSNOMEDCT": ("MEDICAL_CONDITION", "SNOMEDCTConcepts"),
}
"""What each operation codes, and where the codes stand. Only ICD-10-CM is known here: the others propose none."""

_MOST_CONCEPTS = 5


class ComprehendMedical:
    """The service: English text only.

    Args:
        engines: what is found in a text.
        charge: takes what a call costs.
        objects: S3, for batch jobs.
        polls: how often a job is not done yet.
    """

    name = "comprehendmedical"

    def __init__(self, engines: Engines, charge: Callable[[Charge], None], objects: Objects, polls: int = 1) -> None:
        self._engines = engines
        self._charge = charge
        self.operations: Mapping[str, Callable[[Call], dict[str, Any]]] = {
            "DetectEntitiesV2": self._checked,
            "DetectPHI": self._checked,
            **dict.fromkeys(_CODED, self._checked),
            **MedicalBatches(self.answer, charge, objects, polls).operations,
        }

    def _checked(self, call: Call) -> dict[str, Any]:
        check_bytes(self.name, call)
        answer = self.answer(call.operation, call.request["Text"])
        self._charge(Charge(self.name, call.operation, units(call.request["Text"]), "100 characters"))
        return answer

    def answer(self, operation: str, text: str) -> dict[str, Any]:
        """What an operation finds in a text, whatever its length and for free."""
        if operation == "DetectPHI":
            found = _entities(text, self._engines.protected(text), operation)
            return {"Entities": found, "ModelVersion": MODEL_VERSION}
        mentions = list(self._engines.recognise(text))
        if operation == "DetectEntitiesV2":
            found = _entities(text, mentions, operation)
            return {"Entities": found, "UnmappedAttributes": [], "ModelVersion": MODEL_VERSION}
        return self._coded(operation, text, mentions)

    def _coded(self, operation: str, text: str, mentions: Sequence[Mention]) -> dict[str, Any]:
        category, member = _CODED[operation]
        coded = [mention for mention in mentions if mention.category == category]
        found = _entities(text, coded, operation)
        codes = self._engines.code(text, coded) if operation == "InferICD10CM" else [()] * len(coded)
        for entity, candidates in zip(found, codes, strict=True):
            entity.setdefault("Attributes", [])
            entity[member] = [
                {"Description": c.description or c.code, "Code": c.code, "Score": c.score}
                for c in candidates[:_MOST_CONCEPTS]
            ]
        return {"Entities": found, "ModelVersion": MODEL_VERSION}


def _entities(text: str, mentions: Sequence[Mention], operation: str) -> list[dict[str, Any]]:
    """Mentions as the operation's entities; ids count entities and attributes together."""
    shape = operation_model("comprehendmedical", operation).output_shape.members["Entities"].member
    allowed = _vocabulary(shape)
    found = []
    next_id = 0
    for mention in mentions:
        if not _fits(allowed, "", mention.type, mention.category):
            continue
        entity = {
            "Id": next_id,
            **_place(text, mention.spans),
            "Score": mention.score,
            "Category": mention.category,
            "Type": mention.type,
            "Traits": _traits(mention.traits, allowed["trait"]),
        }
        attributes = [a for a in mention.attributes if _fits(allowed, "attribute ", a.type, a.category)]
        if attributes:
            entity["Attributes"] = [
                _attribute(text, a, allowed, next_id + i) for i, a in enumerate(attributes, start=1)
            ]
        next_id += 1 + len(attributes)
        found.append(entity)
    return found


def _vocabulary(entity: Any) -> dict[str, frozenset[str]]:
    """The enums of an entity's shape; an empty one allows everything."""
    attribute = entity.members["Attributes"].member if "Attributes" in entity.members else None

    def enum(shape: Any, name: str) -> frozenset[str]:
        return frozenset(shape.members[name].metadata.get("enum", ()) if shape and name in shape.members else ())

    return {
        "type": enum(entity, "Type"),
        "category": enum(entity, "Category"),
        "trait": enum(entity.members["Traits"].member, "Name"),
        "attribute type": enum(attribute, "Type"),
        "attribute category": enum(attribute, "Category"),
        "relationship": enum(attribute, "RelationshipType"),
    }


def _fits(allowed: Mapping[str, frozenset[str]], prefix: str, kind: str, category: str) -> bool:
    types = allowed[f"{prefix}type"]
    categories = allowed[f"{prefix}category"]
    # InferICD10CM names an attribute's category by the type that it qualifies (see _attribute).
    return kind in types and (category in categories or bool(prefix))


def _place(text: str, spans: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """One range around all spans: the service knows no mention in pieces."""
    begin, end = min(b for b, _ in spans), max(e for _, e in spans)
    return {"BeginOffset": begin, "EndOffset": end, "Text": text[begin:end]}


def _traits(traits: Sequence[Trait], allowed: frozenset[str]) -> list[dict[str, Any]]:
    named = [(_TRAITS.get(trait.name, trait.name), trait.score) for trait in traits]
    return [{"Name": name, "Score": score} for name, score in named if name in allowed]


def _attribute(text: str, attribute: Attribute, allowed: Mapping[str, frozenset[str]], number: int) -> dict[str, Any]:
    known = attribute.category in allowed["attribute category"]
    optional = {
        "Category": (attribute.category if known else "DX_NAME", "attribute category"),
        "RelationshipType": (attribute.relationship_type, "relationship"),
    }
    return {
        "Type": attribute.type,
        "Score": attribute.score,
        "RelationshipScore": attribute.relationship_score,
        **{name: value for name, (value, enum) in optional.items() if value in allowed[enum]},
        "Id": number,
        **_place(text, attribute.spans),
        "Traits": _traits(attribute.traits, allowed["trait"]),
    }
