"""Blocks of a note become sheets of placed text: one layout for every look, so that the truth of boxes is one too.

All lengths are points, the origin is the top left corner. Nothing is drawn here: see paper.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import font_caladea
import fontpkg
import reportlab
from PIL import ImageFont
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from samples.notes import Block, Note
from samples.truth import Box

A4 = (595.0, 842.0)
LETTER = (612.0, 792.0)
A5 = (420.0, 595.0)

_MEASURE = 100
"""Pixels at which a glyph's ink is measured: large enough that hinting does not matter."""


@dataclass(frozen=True, slots=True)
class Face:
    """Body and bold fonts (names for `font_path`), body size and line pitch in points, ruled paper or not."""

    body: str
    bold: str
    size: float
    pitch: float
    ruled: bool = False


SERIF = Face("Caladea", "Caladea-Bold", 11.0, 15.0)
SANS = Face("Vera", "VeraBd", 9.0, 13.0)
HAND = Face("Caveat", "Caveat", 17.0, 22.0, ruled=True)


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text set in one go; `y` is its baseline. Runs that follow each other at one `y` are one line."""

    text: str
    x: float
    y: float
    font: str
    size: float


@dataclass(slots=True)
class Sheet:
    """A page: its runs in reading order, those that a pen signs above, its rules (x0, y0, x1, y1, thickness)."""

    width: float
    height: float
    runs: list[Run] = field(default_factory=list)
    signatures: list[Run] = field(default_factory=list)
    rules: list[tuple[float, float, float, float, float]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The sheet's text: a line a baseline."""
        lines: list[list[Run]] = []
        for run in self.runs:
            if lines and lines[-1][-1].y == run.y:
                lines[-1].append(run)
            else:
                lines.append([run])
        return "\n".join(" ".join(run.text for run in line) for line in lines)


@cache
def font_path(name: str) -> str:
    """The file of a font, registered with reportlab under its name on first use."""
    if name.startswith("Caladea"):
        path = Path(font_caladea.font_directory) / (f"{name}.ttf" if "-" in name else f"{name}-Regular.ttf")
    elif name == "Caveat":
        path = Path(str(fontpkg.path("Caveat")))
    else:
        path = Path(reportlab.__file__).parent / "fonts" / f"{name}.ttf"
    pdfmetrics.registerFont(TTFont(name, str(path)))
    return str(path)


def width_of(text: str, font: str, size: float) -> float:
    """Advance width in points."""
    font_path(font)
    return float(pdfmetrics.stringWidth(text, font, size))


@cache
def _ink(word: str, font: str) -> Box:
    face = ImageFont.truetype(font_path(font), _MEASURE, layout_engine=ImageFont.Layout.BASIC)
    x0, y0, x1, y1 = face.getbbox(word, anchor="ls")
    return x0 / _MEASURE, y0 / _MEASURE, x1 / _MEASURE, y1 / _MEASURE


def words_of(run: Run) -> Iterator[tuple[str, float, Box]]:
    """Each word of a run, the x where its pen starts, and the box of its ink."""
    at = 0
    for word in run.text.split(" "):
        x = run.x + width_of(run.text[:at], run.font, run.size)
        x0, y0, x1, y1 = _ink(word, run.font)
        yield word, x, (x + x0 * run.size, run.y + y0 * run.size, x + x1 * run.size, run.y + y1 * run.size)
        at += len(word) + 1


def lay_out(note: Note, face: Face, size: tuple[float, float], furniture: bool) -> list[Sheet]:
    """Set a note on as many sheets as it needs; a block is never parted by a page end.

    Args:
        note: what to set.
        face: fonts and pitch.
        size: width and height of a sheet.
        furniture: whether each sheet has a running header, and a footer with page numbers.
    """
    setting = _Setting(face, size, furniture, note.header)
    for block in note.blocks:
        setting.block(block)
    if furniture:
        for number, sheet in enumerate(setting.sheets, start=1):
            label = note.page_label.format(n=number, total=len(setting.sheets))
            y, small = sheet.height - 30, face.size * 0.75
            sheet.rules.append((setting.left, y - 12, setting.right, y - 12, 0.5))
            sheet.runs.append(Run(note.footer, setting.left, y, face.body, small))
            x = setting.right - width_of(label, face.body, small)
            sheet.runs.append(Run(label, x, y, face.body, small))
    return setting.sheets


class _Setting:
    """Sheets being filled: the cursor `y` is where the next line's top is."""

    def __init__(self, face: Face, size: tuple[float, float], furniture: bool, header: str) -> None:
        self.face, self.size, self.furniture, self.header = face, size, furniture, header
        self.left, self.right = size[0] * 0.1, size[0] * 0.9
        self.bottom = size[1] - (64 if furniture else 36)
        self.sheets: list[Sheet] = []
        self._new_sheet()

    def _new_sheet(self) -> None:
        sheet = Sheet(*self.size)
        self.sheets.append(sheet)
        self.y = 44.0
        if self.furniture:
            small = self.face.size * 0.75
            sheet.runs.append(Run(self.header, self.left, 34, self.face.body, small))
            sheet.rules.append((self.left, 40, self.right, 40, 0.5))
            self.y = 56.0
        if self.face.ruled:
            lines = int((self.bottom - self.y) / self.face.pitch)
            rows = (self.y + 4 + self.face.pitch * (n + 1) for n in range(2, lines))
            sheet.rules += [(self.left * 0.6, y, self.size[0] - self.left * 0.6, y, 0.25) for y in rows]

    def block(self, block: Block) -> None:
        if block.kind == "break":
            self._new_sheet()
            return
        lines = self._lines(block)
        pitch = self.face.pitch * (1.15 if block.kind == "table" else 1.0)
        keep = 3 * self.face.pitch if block.kind == "heading" else 0.0
        if self.y + pitch * len(lines) + keep > self.bottom:
            self._new_sheet()
        if block.kind in ("heading", "title", "signature"):
            above = {"heading": 0.5, "title": 0.8, "signature": 1.6}[block.kind]
            self.y += self.face.pitch * (block.kind == "signature" if self.face.ruled else above)
        self.y += 4.0 if block.kind == "table" else 0.0
        top = self.y
        for runs in lines:
            baseline = self.y + pitch * 0.75
            self.sheets[-1].runs += [Run(r.text, r.x, round(baseline, 2), r.font, r.size) for r in runs]
            self.y += pitch
        self._decorate(block, top, pitch)
        if block.kind == "signature":
            self.sheets[-1].signatures.append(self.sheets[-1].runs[-1])
        self.y += self.face.pitch * 0.35 * (block.kind not in ("heading",)) * (not self.face.ruled)

    def _decorate(self, block: Block, top: float, pitch: float) -> None:
        rules = self.sheets[-1].rules
        if block.kind == "table":
            edges = [top + n * pitch for n in range(len(block.lines) + 1)]
            rules += [(self.left, y, self.right, y, 0.6) for y in edges]
            rules += [(x, top, x, edges[-1], 0.6) for x in (self.left, self.right)]
        elif block.kind == "letterhead":
            rules.append((self.left, self.y + 3, self.right, self.y + 3, 1.2))
            self.y += 8.0 * (not self.face.ruled)
        elif block.kind == "fields":
            rules.append((self.left, self.y + 2, self.right, self.y + 2, 0.4))
            self.y += 4.0

    def _lines(self, block: Block) -> list[list[Run]]:
        """The block's lines as runs; their y is set by the caller."""
        face, left = self.face, self.left
        if block.kind == "letterhead":
            # The pad of a handwritten note is printed.
            name = Run(block.lines[0][0], left, 0, *(("VeraBd", 11.0) if face.ruled else (face.bold, face.size * 1.4)))
            rest = Run(block.lines[1][0], left, 0, *(("Vera", 7.5) if face.ruled else (face.body, face.size * 0.9)))
            return [[name], [rest]]
        if block.kind == "title":
            return [[Run(block.lines[0][0], left, 0, face.bold, face.size * 1.25)]]
        if block.kind == "heading":
            return [[Run(block.lines[0][0], left, 0, face.bold, face.size * 1.05)]]
        if block.kind == "signature":
            text = block.lines[0][0]
            return [[Run(text, self.right - width_of(text, face.body, face.size), 0, face.body, face.size)]]
        if block.kind in ("fields", "table"):
            return self._cells(block)
        indent = 12.0 if block.kind == "items" else 0.0
        wrapped = (line for (text,) in block.lines for line in self._wrap(text, self.right - left - indent))
        return [[Run(line, left + indent, 0, face.body, face.size)] for line in wrapped]

    def _cells(self, block: Block) -> list[list[Run]]:
        columns = max(len(row) for row in block.lines)
        room, size = self.right - self.left - 8, self.face.size * 0.95

        def need(column: int) -> float:
            return max(width_of(row[column], self.face.bold, size) for row in block.lines if column < len(row))

        gaps = 6.0 * (columns - 1)
        size *= min(1.0, (room - gaps) / sum(map(need, range(columns))))
        needs = [need(column) for column in range(columns)]
        spare = (room - sum(needs)) / columns
        starts = [self.left + 4 + sum(needs[:c]) + spare * c for c in range(columns)]
        return [
            [
                Run(cell, x, 0, self.face.bold if block.kind == "table" and n == 0 else self.face.body, size)
                for cell, x in zip(row, starts, strict=False)
            ]
            for n, row in enumerate(block.lines)
        ]

    def _wrap(self, text: str, width: float) -> Iterator[str]:
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if line and width_of(longer, self.face.body, self.face.size) > width:
                yield line
                line = word
            else:
                line = longer
        yield line
