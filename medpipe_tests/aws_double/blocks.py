"""Textract's blocks: a read page as PAGE, LINE and WORD, in the shape and order of the service's responses."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from medpipe_assets.extraction.engine import Page

Block = dict[str, Any]
Box = tuple[float, float, float, float]
Point = tuple[float, float]

_CONFIDENCE_OF_A_TEXT_LAYER = 99.9
_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
_NAMESPACE = uuid.UUID(int=0)

_AS_SENT: dict[int, Callable[[float, float], Point]] = {
    0: lambda x, y: (x, y),
    90: lambda x, y: (y, 1 - x),
    180: lambda x, y: (1 - x, 1 - y),
    270: lambda x, y: (1 - y, x),
}
"""Where a point of the upright page lies on the page as it was sent, by the turn (clockwise) that made it upright."""


def blocks_of(page: Page, document: str, as_sent: bool, numbered: bool) -> list[Block]:
    """A page's blocks: the PAGE, its LINEs, then their WORDs.

    Args:
        document: anything that tells documents apart; ids of blocks are drawn from it.
        as_sent: whether boxes are to lie on the page as it was sent, not as a reader turns it.
        numbered: whether blocks say their page (asynchronous operations) or not (synchronous ones).
    """
    rotation = page.rotation if as_sent else 0

    def block(kind: str, index: int, box: Box, **more: Any) -> Block:
        return {
            "BlockType": kind,
            **more,
            "Geometry": _geometry(box, rotation if kind != "PAGE" else 0),
            "Id": str(uuid.uuid5(_NAMESPACE, f"{document} {page.number} {kind} {index}")),
            **({"Page": page.number} if numbered else {}),
        }

    words: list[Block] = []
    lines: list[Block] = []
    for indexes in _lines(page):
        of_line = [
            block(
                "WORD",
                i,
                page.words.boxes[i] or _WHOLE,
                Confidence=_percent(page.words.confidence[i]),
                Text=page.words.text[i],
                TextType="PRINTED",
            )
            for i in indexes
        ]
        text = " ".join(word["Text"] for word in of_line)
        confidence = sum(word["Confidence"] for word in of_line) / len(of_line)
        around = _around([page.words.boxes[i] or _WHOLE for i in indexes])
        line = block("LINE", len(lines), around, Confidence=confidence, Text=text)
        lines.append({**line, "Relationships": _children(of_line)})
        words += of_line
    whole = block("PAGE", 0, _WHOLE)
    return [{**whole, "Relationships": _children(lines)} if lines else whole, *lines, *words]


def _lines(page: Page) -> Iterator[list[int]]:
    """Indexes of the words of each line; cells of a row (parted by a tab) are lines of their own, as Textract's are."""
    breaks = [i for i, character in enumerate(page.text) if character in "\n\t"]
    places = list(_ranks(page.words.begin, breaks))
    for _, group in groupby(range(len(places)), key=places.__getitem__):
        yield list(group)


def _ranks(begins: Sequence[int], breaks: Sequence[int]) -> Iterator[int]:
    """How many breaks lie before each of the ascending places."""
    passed = 0
    for begin in begins:
        while passed < len(breaks) and breaks[passed] < begin:
            passed += 1
        yield passed


def _percent(confidence: float | None) -> float:
    return _CONFIDENCE_OF_A_TEXT_LAYER if confidence is None else 100 * confidence


def _children(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    return [{"Type": "CHILD", "Ids": [block["Id"] for block in blocks]}]


def _around(boxes: Sequence[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _geometry(box: Box, rotation: int) -> dict[str, Any]:
    """Corners from the top left of the text, clockwise as it is read, and the upright box around them."""
    x0, y0, x1, y1 = box
    corners = [_AS_SENT[rotation](x, y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    right, bottom = max(x for x, _ in corners), max(y for _, y in corners)
    return {
        "BoundingBox": {"Width": right - left, "Height": bottom - top, "Left": left, "Top": top},
        "Polygon": [{"X": x, "Y": y} for x, y in corners],
    }
