"""What Amazon Textract answers, as pages of words in reading order, with tables, forms, boxes to tick and the rest.

A pure reading of its JSON: nothing is sent here, and nothing that a block says is dropped. Coordinates become
fractions of the upright page, whatever way the page lay.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import median
from typing import Any

from medpipe_assets.extraction import layout
from medpipe_assets.extraction.engine import Page, Words
from medpipe_assets.extraction.layout import Box
from medpipe_assets.extraction.text_pages import clean

Block = Mapping[str, Any]
Point = tuple[float, float]

TICKS = {"SELECTED": "☒", "NOT_SELECTED": "☐"}
"""How a box to tick stands in the text: there it says what the words beside it cannot."""

_WORDS = frozenset({"WORD", "SELECTION_ELEMENT"})
_STRUCTURE = frozenset(
    {"PAGE", "LINE", "TABLE", "CELL", "MERGED_CELL", "KEY_VALUE_SET", "QUERY", "QUERY_RESULT"} | _WORDS
)
"""Types with a place of their own here; all others (layout, titles, signatures, what is yet to come) are regions."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the page by its kind (LAYOUT_HEADER, SIGNATURE, TABLE_TITLE, ...), with the words in it."""

    kind: str
    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell; rows and columns count from 1. `kinds` are EntityTypes, e.g. COLUMN_HEADER."""

    row: int
    column: int
    row_span: int
    column_span: int
    text: str
    confidence: float
    box: Box
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its cells by row and column, and the larger cells that some of them make up."""

    cells: tuple[Cell, ...]
    merged: tuple[Cell, ...]
    confidence: float
    box: Box
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A filled-in field of a form: what was asked and what was put there; a value without a key has an empty one."""

    key: str
    value: str
    key_confidence: float | None
    value_confidence: float | None
    key_box: Box | None
    value_box: Box | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A box to tick."""

    selected: bool
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Answer:
    """A question that was asked of the page, and an answer to it; None where there is none."""

    question: str
    alias: str
    text: str | None
    confidence: float | None
    box: Box | None


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page, and what Textract knows of it beyond its words. `handwritten[i]` tells of `page.words`'s i-th word."""

    page: Page
    handwritten: tuple[bool, ...] = ()
    tables: tuple[Table, ...] = ()
    entries: tuple[Entry, ...] = ()
    ticks: tuple[Tick, ...] = ()
    regions: tuple[Region, ...] = ()
    answers: tuple[Answer, ...] = ()


def read(blocks: Iterable[Block], sizes: Mapping[int, tuple[float, float]]) -> list[ReadPage]:
    """The pages of an answer (or of all answers of a job), by number.

    Args:
        blocks: Textract's Blocks; those of a one-page call name no page and are page 1.
        sizes: width and height of each page as it was sent, in any unit; pages are given in the same.
    """
    by_page: dict[int, list[Block]] = defaultdict(list)
    for block in blocks:
        by_page[block.get("Page") or 1].append(block)
    return [_Sheet(by_page[number], *sizes[number]).read(number) for number in sorted(by_page)]


@dataclass
class _Unit:
    """What is put in order as one: a line, or a table; where it is (skew undone), and its words by row and cell."""

    box: Box
    rows: list[list[list[Block]]]


@dataclass
class _Text:
    """The text as it grows."""

    parts: list[str] = field(default_factory=list)
    words: Words = field(default_factory=Words)
    handwritten: list[bool] = field(default_factory=list)
    position: int = 0

    def add(self, gap: str, word: str, confidence: float, box: Box, handwritten: bool) -> None:
        gap = gap if self.parts else ""
        self.parts.append(gap + word)
        self.words.text.append(word)
        self.words.confidence.append(confidence)
        self.words.boxes.append(box)
        self.words.begin.append(self.position + len(gap))
        self.position += len(gap) + len(word)
        self.words.end.append(self.position)
        self.handwritten.append(handwritten)


class _Sheet:
    """The blocks of one page, and how the page lies."""

    def __init__(self, blocks: Sequence[Block], width: float, height: float) -> None:
        self.blocks = blocks
        self.by_id = {block["Id"]: block for block in blocks}
        self.sent = (width, height)
        angles = [_angle(block, width, height) for block in blocks if block["BlockType"] == "LINE"]
        self.turn = _turn(angles)
        self.width, self.height = (width, height) if self.turn in (0, 180) else (height, width)
        self.skew = median(math.remainder(angle, 90) for angle in angles) if angles else 0.0

    def read(self, number: int) -> ReadPage:
        text = self._text()
        known = [c for c in text.words.confidence if c is not None]
        mean = sum(known) / len(known) if known else None
        page = Page(
            number, self.width, self.height, self.turn, "ocr", "".join(text.parts), text.words, mean
        )  # fmt: skip
        return ReadPage(
            page=page,
            handwritten=tuple(text.handwritten),
            tables=tuple(self._table(block) for block in self._of("TABLE")),
            entries=tuple(self._entries()),
            ticks=tuple(Tick(b["SelectionStatus"] == "SELECTED", _score(b), self.box(b)) for b in self._ticks()),
            regions=tuple(self._region(block) for block in self.blocks if block["BlockType"] not in _STRUCTURE),
            answers=tuple(self._answers()),
        )

    # --- text in reading order

    def _text(self) -> _Text:
        units = [*self._table_units(), *self._line_units()]
        boxes = [unit.box for unit in units]
        text = _Text()
        for row in layout.rows_of(boxes):
            for gap, i in zip(["\n", *layout.separators(boxes, row)], row, strict=True):
                self._add(text, units[i], gap)
        return text

    def _add(self, text: _Text, unit: _Unit, gap: str) -> None:
        """Add a unit's words: `gap` before the first, a newline between rows, a tab between cells that hold any."""
        for row in unit.rows:
            for cell in row:
                for block in cell:
                    for word, box in self._split(block):
                        text.add(gap, word, _score(block), box, block.get("TextType") == "HANDWRITING")
                        gap = " "
                gap = "\t" if gap == " " else gap
            gap = "\n" if gap == "\t" else gap

    def _split(self, block: Block) -> Iterator[tuple[str, Box]]:
        """A block's words: Textract's may hold white space."""
        for word, (x0, y0, x1, y1) in layout.split_word(clean(_said(block)), self.box(block)):
            yield word, (x0, y0, _unit(x1), y1)

    def _table_units(self) -> Iterator[_Unit]:
        for table in self._of("TABLE"):
            cells = sorted(self._children(table, {"CELL"}), key=lambda c: (c["RowIndex"], c["ColumnIndex"]))
            rows = [[self._content(cell) for cell in row] for _, row in groupby(cells, lambda c: c["RowIndex"])]
            if any(cell for row in rows for cell in row):
                yield _Unit(self._place([table]), rows)

    def _content(self, cell: Block) -> list[Block]:
        """A cell's words as Textract orders them; boxes to tick, which it names first, go where they stand."""
        found = self._children(cell, _WORDS)
        if all(block["BlockType"] == "WORD" for block in found):
            return found
        rows = layout.rows_of([self._place([block]) for block in found])
        return [found[i] for row in rows for i in row]

    def _line_units(self) -> Iterator[_Unit]:
        """Lines, less the words that tables have; then words and boxes to tick that are in neither."""
        placed = {
            block["Id"]
            for table in self._of("TABLE")
            for cell in self._children(table, {"CELL"})
            for block in self._children(cell, _WORDS)
        }
        lines = [self._children(line, _WORDS) for line in self._of("LINE")]
        lined = {block["Id"] for line in lines for block in line}
        lines += [[b] for b in self.blocks if b["BlockType"] in _WORDS and b["Id"] not in lined]
        for line in lines:
            for is_placed, run in groupby(line, lambda block: block["Id"] in placed):
                if not is_placed:
                    words = list(run)
                    yield _Unit(self._place(words), [[words]])

    # --- what else there is

    def _table(self, block: Block) -> Table:
        cells = [self._cell(cell) for cell in self._children(block, {"CELL"})]
        merged = [self._cell(cell) for cell in self._children(block, {"MERGED_CELL"})]
        in_order = tuple(sorted(cells, key=lambda cell: (cell.row, cell.column)))
        return Table(in_order, tuple(merged), _score(block), self.box(block), tuple(block.get("EntityTypes") or ()))

    def _cell(self, block: Block) -> Cell:
        return Cell(
            row=block["RowIndex"],
            column=block["ColumnIndex"],
            row_span=block.get("RowSpan", 1),
            column_span=block.get("ColumnSpan", 1),
            text=self._words_of(block),
            confidence=_score(block),
            box=self.box(block),
            kinds=tuple(block.get("EntityTypes") or ()),
        )

    def _entries(self) -> Iterator[Entry]:
        sets = self._of("KEY_VALUE_SET")
        taken: set[str] = set()
        for key in (block for block in sets if "KEY" in block.get("EntityTypes", ())):
            values = self._children(key, {"KEY_VALUE_SET"}, "VALUE")
            taken |= {value["Id"] for value in values}
            if not values:
                yield self._entry(key, None)
            for value in values:
                yield self._entry(key, value)
        for value in (b for b in sets if "KEY" not in b.get("EntityTypes", ()) and b["Id"] not in taken):
            yield self._entry(None, value)

    def _entry(self, key: Block | None, value: Block | None) -> Entry:
        return Entry(
            key=self._words_of(key) if key else "",
            value=self._words_of(value) if value else "",
            key_confidence=_score(key) if key else None,
            value_confidence=_score(value) if value else None,
            key_box=self.box(key) if key else None,
            value_box=self.box(value) if value else None,
        )

    def _answers(self) -> Iterator[Answer]:
        for query in self._of("QUERY"):
            asked = query.get("Query") or {}
            question, alias = asked.get("Text", ""), asked.get("Alias", "")
            results = self._children(query, {"QUERY_RESULT"}, "ANSWER")
            if not results:
                yield Answer(question, alias, None, None, None)
            for found in results:
                box = self.box(found) if "Geometry" in found else None
                yield Answer(question, alias, found.get("Text"), _score(found), box)

    def _region(self, block: Block) -> Region:
        return Region(block["BlockType"], self._words_of(block), _score(block), self.box(block))

    def _words_of(self, block: Block) -> str:
        """The words below a block, by way of lines or cells where it has those."""
        if block["BlockType"] in _WORDS:
            return clean(_said(block))
        children = self._children(block, None)
        if not children:
            return clean(block.get("Text") or "")
        return " ".join(filter(None, (self._words_of(child) for child in children)))

    # --- blocks and their places

    def _of(self, kind: str) -> list[Block]:
        return [block for block in self.blocks if block["BlockType"] == kind]

    def _ticks(self) -> list[Block]:
        return self._of("SELECTION_ELEMENT")

    def _children(self, block: Block, kinds: Iterable[str] | None, relation: str = "CHILD") -> list[Block]:
        """The blocks of these kinds (None means all) that a block names; merged cells are named apart by a table."""
        relations = {relation, "MERGED_CELL"} if kinds and "MERGED_CELL" in kinds else {relation}
        named = [i for r in block.get("Relationships") or () if r["Type"] in relations for i in r["Ids"]]
        found = [self.by_id[i] for i in dict.fromkeys(named) if i in self.by_id]
        return [child for child in found if kinds is None or child["BlockType"] in kinds]

    def box(self, block: Block) -> Box:
        """Where a block is on the upright page."""
        corners = [_turned(point, self.turn) for point in _corners(block)]
        xs, ys = zip(*corners, strict=True)
        return _unit(min(xs)), _unit(min(ys)), _unit(max(xs)), _unit(max(ys))

    def _place(self, blocks: Sequence[Block]) -> Box:
        """Where blocks would be, in the page's units, if the page lay straight."""
        slope = math.radians(-self.skew)
        cos, sin = math.cos(slope), math.sin(slope)
        middle_x, middle_y = self.width / 2, self.height / 2
        xs: list[float] = []
        ys: list[float] = []
        for x, y in (_turned(point, self.turn) for block in blocks for point in _polygon(block)):
            dx, dy = x * self.width - middle_x, y * self.height - middle_y
            xs.append(middle_x + dx * cos - dy * sin)
            ys.append(middle_y + dx * sin + dy * cos)
        return min(xs), min(ys), max(xs), max(ys)


def _said(block: Block) -> str:
    if block["BlockType"] == "SELECTION_ELEMENT":
        return TICKS[block["SelectionStatus"]]
    return block.get("Text") or ""


def _score(block: Block) -> float:
    """A confidence from 0 to 1; Textract's goes to 100."""
    return _unit(block.get("Confidence", 0.0) / 100)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _corners(block: Block) -> list[Point]:
    box = block["Geometry"]["BoundingBox"]
    left, top = box["Left"], box["Top"]
    return [(left, top), (left + box["Width"], top + box["Height"])]


def _polygon(block: Block) -> list[Point]:
    """The corners of a block from the top left of its text on, clockwise; those of its box where it has no polygon."""
    points = [(point["X"], point["Y"]) for point in block["Geometry"].get("Polygon") or ()]
    if len(points) >= 4:
        return points
    (left, top), (right, bottom) = _corners(block)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _angle(line: Block, width: float, height: float) -> float:
    """Degrees clockwise by which a line's text is turned."""
    (x0, y0), (x1, y1) = _polygon(line)[:2]
    return math.degrees(math.atan2((y1 - y0) * height, (x1 - x0) * width))


def _turn(angles: Iterable[float]) -> int:
    """Degrees clockwise that turn a page upright, as most of its lines would have it."""
    turns = Counter(-round(angle / 90) * 90 % 360 for angle in angles)
    return turns.most_common(1)[0][0] if turns else 0


def _turned(point: Point, turn: int) -> Point:
    """A point of a page that is turned clockwise, in fractions."""
    x, y = point
    for _ in range(turn // 90):
        x, y = 1 - y, x
    return x, y
