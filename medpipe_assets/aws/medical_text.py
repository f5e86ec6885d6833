"""Asking Comprehend Medical about a text of any length: passages, chunks, calls, and offsets that fit the text again.

Recognition and coding ask here with the same words, so that one stored answer serves both. What an answer means for
mentions or codes belongs to them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from medpipe_assets.aws.calls import PaidCalls
from medpipe_assets.aws.limits import limit
from medpipe_assets.aws.prices import units_of_text
from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.text_chunks import chunks, inked, passages

SERVICE = "comprehendmedical"
UNIT = "100 characters"
Item = dict[str, Any]

_SHORTEST = 200
"""Bytes below which a part whose answer was cut short is not cut again."""


def ask(
    calls: PaidCalls, operation: str, text: str, shared: frozenset[str] = frozenset()
) -> tuple[list[Item], list[Item]]:
    """What an operation finds in a text.

    Args:
        operation: 'DetectEntitiesV2', 'DetectPHI', 'InferICD10CM', 'InferRxNorm' or 'InferSNOMEDCT'.
        text: English.
        shared: digests of lines that other documents have too, see text_chunks.passages.

    Returns:
        The answer's Entities and UnmappedAttributes, their offsets (and those of attributes) counted in code points
        of `text`, in order of the text.

    Raises:
        DocumentError: inconsistent where offsets do not name what the answer says they name; else as PaidCalls.call.
    """
    entities: list[Item] = []
    unmapped: list[Item] = []
    for begin, part in requests(operation, text, shared):
        for at, answered, response in _answers(calls, operation, part, begin):
            place = _places(operation, answered, response)
            entities += [_moved(item, at, place) for item in response.get("Entities", ())]
            unmapped += [_moved(item, at, place) for item in response.get("UnmappedAttributes", ())]
    return entities, unmapped


def requests(operation: str, text: str, shared: frozenset[str] = frozenset()) -> Iterator[tuple[int, str]]:
    """What `ask` sends for a text: each part, and where it begins in the text."""
    most = limit(SERVICE, operation, "text")
    for begin, end in passages(text, shared):
        yield from _parts(text[begin:end], begin, most)


def _parts(text: str, at: int, most: int) -> Iterator[tuple[int, str]]:
    for chunk in chunks(text, most):
        begin, end = inked(text, *chunk)
        if begin < end:
            yield at + begin, text[begin:end]


def _answers(calls: PaidCalls, operation: str, text: str, at: int) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """The answer for a part: where the part begins, itself, and what was answered.

    These operations take no pagination token; an answer that brings one was cut short, and its part is asked in halves.
    """
    response = _answer(calls, operation, text)
    size = len(text.encode())
    if response.get("PaginationToken") and size > _SHORTEST:
        for begin, part in _parts(text, at, size // 2 + 1):
            yield from _answers(calls, operation, part, begin)
    else:
        yield at, text, response


def _answer(calls: PaidCalls, operation: str, text: str) -> Mapping[str, Any]:
    return calls.call(
        SERVICE,
        operation,
        {"Text": text},
        content=text.encode(),
        settings={},
        units=units_of_text(len(text)),
        unit=UNIT,
    )


# --- offsets ----------------------------------------------------------------------------------------------------------


def _places(operation: str, text: str, response: Mapping[str, Any]) -> Callable[[int], int]:
    """How an answer's offsets become code points of the text that was sent.

    The API reference says "UTF-8 code point", and real answers agree: an offset is a code point. Should an endpoint
    count UTF-16 units or bytes instead, every text outside ASCII would be off without a sign; so what an offset names
    is compared with the Text that the answer gives with it, and the unit under which all agree is taken.
    """
    named = [
        (item["BeginOffset"], item["EndOffset"], item["Text"]) for item in _all_items(response) if item.get("Text")
    ]
    if all(_same(text[begin:end], said) for begin, end, said in named):
        return int
    for width in (_utf16_units, _utf8_bytes):
        starts = {unit: index for index, unit in enumerate([0, *accumulate(map(width, text))])}
        if all(b in starts and e in starts and _same(text[starts[b] : starts[e]], said) for b, e, said in named):
            return starts.__getitem__
    raise DocumentError(Reason.INCONSISTENT, f"{operation}: offsets do not name the words they should")


def _same(one: str, other: str) -> bool:
    return one.split() == other.split()


def _utf16_units(character: str) -> int:
    return 2 if ord(character) > 0xFFFF else 1


def _utf8_bytes(character: str) -> int:
    return len(character.encode())


def _all_items(response: Mapping[str, Any]) -> Iterator[Item]:
    for entity in response.get("Entities", ()):
        yield entity
        yield from entity.get("Attributes", ())
    for unmapped in response.get("UnmappedAttributes", ()):
        yield unmapped["Attribute"]


def _moved(item: Item, at: int, place: Callable[[int], int]) -> Item:
    """An entity, attribute or unmapped attribute with its offsets moved to the whole text."""
    moved = dict(item)
    for name in ("BeginOffset", "EndOffset"):
        if name in item:
            moved[name] = at + place(item[name])
    if "Attributes" in item:
        moved["Attributes"] = [_moved(attribute, at, place) for attribute in item["Attributes"]]
    if "Attribute" in item:
        moved["Attribute"] = _moved(item["Attribute"], at, place)
    return moved


def offsets(item: Item) -> tuple[int, int]:
    """Where an entity or attribute stands."""
    return item["BeginOffset"], item["EndOffset"]


def overlap(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> int:
    """How many code points two lists of spans have in common; spans of a list do not overlap each other."""
    return sum(max(0, min(e, f) - max(b, c)) for b, e in one for c, f in other)
