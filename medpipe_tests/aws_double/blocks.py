"""Textract's blocks: a read page as PAGE, LINE and WORD, in the shape and order of the service's responses."""

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from medpipe_assets.extraction.engine import Page

Block = dict[str, Any]
Box = tuple[float, float, float, float]
Point = tuple[float, float]
Row = list[list[int]]
"""Cells of a row, each the indexes of its words."""

_CONFIDENCE_OF_A_TEXT_LAYER = 99.9
_SURE = {"Confidence": 99.0}
_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
_NAMESPACE = uuid.UUID(int=0)

_AS_SENT: dict[int, Callable[[float, float], Point]] = {
    0: lambda x, y: (x, y),
    90: lambda x, y: (y, 1 - x),
    180: lambda x, y: (1 - x, 1 - y),
    270: lambda x, y: (1 - y, x),
}
"""Where a point of the upright page lies on the page as it was sent, by the turn (clockwise) that made it upright."""


def blocks_of(page: Page, document: str, as_sent: bool, numbered: bool, features: Collection[str] = ()) -> list[Block]:
    """A page's blocks: the PAGE, its LINEs, their WORDs, then what the features of an analysis add.

    TABLES are made of rows with as many cells each, FORMS of cells that end in a colon and their neighbours; other
    features add nothing.

    Args:
        document: anything that tells documents apart; ids of blocks are drawn from it.
        as_sent: whether boxes are to lie on the page as it was sent, not as a reader turns it.
        numbered: whether blocks say their page (asynchronous operations) or not (synchronous ones).
        features: FeatureTypes of the analysis.
    """
    made: Counter[str] = Counter()

    def block(kind: str, indexes: Sequence[int], children: Sequence[Block], **more: Any) -> Block:
        made[kind] += 1
        box = _around([page.words.boxes[i] or _WHOLE for i in indexes])
        return {
            "BlockType": kind,
            **more,
            "Geometry": _geometry(box, page.rotation if as_sent and indexes else 0),
            "Id": str(uuid.uuid5(_NAMESPACE, f"{document} {page.number} {kind} {made[kind]}")),
            **({"Page": page.number} if numbered else {}),
            **({"Relationships": [_related("CHILD", children)]} if children else {}),
        }

    def word(i: int) -> Block:
        confidence = _percent(page.words.confidence[i])
        return block("WORD", [i], (), Confidence=confidence, Text=page.words.text[i], TextType="PRINTED")

    words = [word(i) for i in range(len(page.words))]

    def of(cell: Sequence[int]) -> list[Block]:
        return [words[i] for i in cell]

    def line(cell: Sequence[int]) -> Block:
        text = " ".join(words[i]["Text"] for i in cell)
        return block("LINE", cell, of(cell), Confidence=_mean(of(cell)), Text=text)

    rows = _rows(page)
    lines = [line(cell) for row in rows for cell in row]
    added: list[Block] = []
    if "TABLES" in features:
        added += [part for grid in _grids(rows) for part in _table(grid, of, block)]
    if "FORMS" in features:
        pairs = ((key, value) for row in rows for key, value in pairwise(row) if words[key[-1]]["Text"].endswith(":"))
        added += [part for key, value in pairs for part in _pair(key, value, of, block)]
    on_top = [*lines, *(part for part in added if part["BlockType"] != "CELL")]
    return [block("PAGE", (), on_top), *lines, *words, *added]


def _table(grid: Sequence[Row], of: Callable[[Sequence[int]], list[Block]], block: Callable[..., Block]) -> list[Block]:
    """A TABLE and its CELLs."""
    cells = [
        block("CELL", cell, of(cell), **_SURE, RowIndex=r, ColumnIndex=c, RowSpan=1, ColumnSpan=1)
        for r, row in enumerate(grid, start=1)
        for c, cell in enumerate(row, start=1)
    ]
    return [block("TABLE", [i for row in grid for cell in row for i in cell], cells, **_SURE), *cells]


def _pair(
    key: Sequence[int], value: Sequence[int], of: Callable[[Sequence[int]], list[Block]], block: Callable[..., Block]
) -> list[Block]:
    """The two KEY_VALUE_SETs of a label and what it labels."""
    of_value = block("KEY_VALUE_SET", value, of(value), **_SURE, EntityTypes=["VALUE"])
    of_key = block("KEY_VALUE_SET", key, of(key), **_SURE, EntityTypes=["KEY"])
    of_key["Relationships"].insert(0, _related("VALUE", [of_value]))
    return [of_key, of_value]


def _rows(page: Page) -> list[Row]:
    """Words by row and cell: cells of a row (parted by a tab) are lines of their own, as Textract's are."""
    breaks = [i for i, character in enumerate(page.text) if character in "\n\t"]
    newlines = [i for i in breaks if page.text[i] == "\n"]
    places = list(zip(_ranks(page.words.begin, newlines), _ranks(page.words.begin, breaks), strict=True))
    rows = groupby(range(len(places)), key=lambda i: places[i][0])
    return [[list(cell) for _, cell in groupby(row, key=lambda i: places[i][1])] for _, row in rows]


def _grids(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Runs of two rows or more that have as many cells each, and more than one."""
    for cells, run in groupby(rows, key=len):
        grid = list(run)
        if cells > 1 and len(grid) > 1:
            yield grid


def _ranks(begins: Sequence[int], breaks: Sequence[int]) -> Iterator[int]:
    """How many breaks lie before each of the ascending places."""
    passed = 0
    for begin in begins:
        while passed < len(breaks) and breaks[passed] < begin:
            passed += 1
        yield passed


def _percent(confidence: float | None) -> float:
    return _CONFIDENCE_OF_A_TEXT_LAYER if confidence is None else 100 * confidence


def _mean(blocks: Sequence[Block]) -> float:
    return float(sum(block["Confidence"] for block in blocks)) / len(blocks)


def _related(kind: str, blocks: Sequence[Block]) -> dict[str, Any]:
    return {"Type": kind, "Ids": [block["Id"] for block in blocks]}


def _around(boxes: Sequence[Box]) -> Box:
    """The box around others; around none, the whole page."""
    if not boxes:
        return _WHOLE
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
