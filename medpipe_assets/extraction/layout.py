"""Lines with a place on the page become a page's text: rows from top to bottom, columns of prose one after the other.

Only geometry is known here; where the lines came from is not. Boxes are (x0, y0, x1, y1), origin top left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

from medpipe_assets.extraction.engine import Page, Words

Box = tuple[float, float, float, float]

CELL_GAP = 1.5
"""A gap in a row wider than this many line heights parts cells; a space is a quarter of a line height wide."""

_ROWS_IN_REACH = 3
"""Rows above that a box may still belong to, when it is lower or higher than its neighbours."""

_MIN_COLUMN_LINES = 5
_MIN_COLUMN_FILL = 0.6
"""Prose fills its column; the cells of a table or a form do not, and are read along their row."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word; its confidence, 0 to 1, or None from a text layer; its box in the units of its reading."""

    text: str
    confidence: float | None
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    """Words that belong together, from left to right, and the box that tells their place (skew undone)."""

    box: Box
    words: list[Word]


@dataclass(frozen=True, slots=True)
class Reading:
    """The lines of a page in any order, the size of the upright page, and how far it was turned clockwise."""

    lines: list[Line]
    width: float
    height: float
    rotation: int


def split_word(text: str, box: Box) -> Iterator[tuple[str, Box]]:
    """The words of what a service took for one: they share its box by their letters."""
    words = text.split()
    x0, y0, x1, y1 = box
    width = (x1 - x0) / max(1, sum(map(len, words)))
    ends = [0, *accumulate(map(len, words))]
    for word, begin, end in zip(words, ends[:-1], ends[1:], strict=True):
        yield word, (x0 + begin * width, y0, x0 + end * width, y1)


def page_of(reading: Reading, number: int) -> Page:
    """The page: lines in reading order, a newline between rows, a tab between the cells of a row."""
    texts: list[str] = []
    words = Words()
    position = 0
    for gap, word in _in_order(reading.lines):
        texts.append(gap + word.text)
        position += len(gap)
        words.text.append(word.text)
        words.confidence.append(word.confidence)
        words.boxes.append(_fraction_of(word.box, reading))
        words.begin.append(position)
        position += len(word.text)
        words.end.append(position)
    known = [c for c in words.confidence if c is not None]
    method = "ocr" if 2 * len(known) >= len(words) else "text_layer"
    mean = sum(known) / len(known) if known else None
    return Page(number, reading.width, reading.height, reading.rotation, method, "".join(texts), words, mean)


def _in_order(lines: list[Line]) -> list[tuple[str, Word]]:
    """The words in reading order, each with what stands before it."""
    boxes = [line.box for line in lines]
    ordered: list[tuple[str, Word]] = []
    for row in rows_of(boxes):
        for gap, i in zip(["\n", *separators(boxes, row)], row, strict=True):
            ordered.extend((gap if j == 0 else " ", word) for j, word in enumerate(lines[i].words))
    return [("", ordered[0][1]), *ordered[1:]] if ordered else []


def _fraction_of(box: Box, reading: Reading) -> Box:
    x0, y0, x1, y1 = box
    w, h = reading.width, reading.height
    return _unit(x0 / w), _unit(y0 / h), _unit(x1 / w), _unit(y1 / h)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def rows_of(boxes: Sequence[Box]) -> list[list[int]]:
    """The indices of the boxes in reading order, one list a line of text, each from left to right."""
    rows = side_by_side(boxes)
    ordered: list[list[int]] = []
    start = 0
    while start < len(rows):
        stop, gutter = _column_run(boxes, rows, start)
        if gutter is None:
            ordered.append(rows[start])
        else:
            cells = [i for row in rows[start:stop] for i in row]
            for side in (
                [i for i in cells if _centre(boxes[i]) < gutter],
                [i for i in cells if _centre(boxes[i]) >= gutter],
            ):
                ordered.extend([side[j] for j in row] for row in rows_of([boxes[i] for i in side]))
        start = stop
    return ordered


def separators(boxes: Sequence[Box], row: Sequence[int]) -> list[str]:
    """What stands between the neighbours of a row: a tab where a cell ends, else a space."""
    return [
        "\t" if boxes[right][0] - boxes[left][2] > CELL_GAP * min(_height(boxes[left]), _height(boxes[right])) else " "
        for left, right in pairwise(row)
    ]


def _height(box: Box) -> float:
    return box[3] - box[1]


def _centre(box: Box) -> float:
    return (box[0] + box[2]) / 2


def side_by_side(boxes: Sequence[Box]) -> list[list[int]]:
    """Boxes that stand side by side: their middles overlap in height, and none is above another."""
    rows: list[list[int]] = []
    for i in sorted(range(len(boxes)), key=lambda i: boxes[i][1] + boxes[i][3]):
        near = [row for row in rows[-_ROWS_IN_REACH:] if _fits(boxes, row, i)]
        if near:
            max(near, key=lambda row: _overlap(_middle(boxes, row), (boxes[i][1], boxes[i][3]))).append(i)
        else:
            rows.append([i])
    return [sorted(row, key=lambda i: boxes[i][0]) for row in rows]


def _fits(boxes: Sequence[Box], row: list[int], i: int) -> bool:
    x0, top, x1, bottom = boxes[i]
    row_top, row_bottom = _middle(boxes, row)
    if _overlap((top, bottom), (row_top, row_bottom)) <= 0.5 * min(bottom - top, row_bottom - row_top):
        return False
    return all(
        _overlap((x0, x1), (boxes[j][0], boxes[j][2])) <= 0.3 * min(x1 - x0, boxes[j][2] - boxes[j][0]) for j in row
    )


def _middle(boxes: Sequence[Box], row: list[int]) -> tuple[float, float]:
    """The height of a row: the mean of its boxes'."""
    return sum(boxes[i][1] for i in row) / len(row), sum(boxes[i][3] for i in row) / len(row)


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return min(one[1], other[1]) - max(one[0], other[0])


def _column_run(boxes: Sequence[Box], rows: list[list[int]], start: int) -> tuple[int, float | None]:
    """The rows from `start` that share a gutter between two columns of prose: where they stop, and the gutter.

    Without such columns the run is the one row, and the gutter None.
    """
    gaps = _gaps(boxes, rows[start])
    stop = start + 1
    while stop < len(rows):
        narrowed = [g for gap in gaps for g in _free(boxes, rows[stop], gap)]
        if not narrowed:
            break
        gaps, stop = narrowed, stop + 1
    for left, right in sorted(gaps, key=lambda gap: gap[0] - gap[1]):
        gutter = (left + right) / 2
        cells = [boxes[i] for row in rows[start:stop] for i in row]
        sides = [b for b in cells if _centre(b) < gutter], [b for b in cells if _centre(b) >= gutter]
        if all(_is_prose(side) for side in sides):
            return stop, gutter
    return start + 1, None


def _gaps(boxes: Sequence[Box], row: list[int]) -> list[tuple[float, float]]:
    height = median(_height(boxes[i]) for i in row)
    return [(boxes[a][2], boxes[b][0]) for a, b in pairwise(row) if boxes[b][0] - boxes[a][2] > 0.5 * height]


def _free(boxes: Sequence[Box], row: list[int], gap: tuple[float, float]) -> list[tuple[float, float]]:
    """What a row leaves of a gap."""
    left, right = gap
    height = median(_height(boxes[i]) for i in row)
    for i in row:
        x0, _, x1, _ = boxes[i]
        if x1 <= left or x0 >= right:
            continue
        if _centre(boxes[i]) < (left + right) / 2:
            left = max(left, x1)
        else:
            right = min(right, x0)
    return [(left, right)] if right - left > 0.5 * height else []


def _is_prose(side: list[Box]) -> bool:
    if len(side) < _MIN_COLUMN_LINES:
        return False
    width = max(b[2] for b in side) - min(b[0] for b in side)
    height = median(_height(b) for b in side)
    return width > 10 * height and median(b[2] - b[0] for b in side) > _MIN_COLUMN_FILL * width
