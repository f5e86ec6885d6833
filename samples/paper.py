"""Sheets become files: digital PDF, and images as a scanner, a fax or a telephone would leave them.

A sheet's ink is drawn by one function for all images; looks differ only in `Look`. Same arguments, same bytes.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from samples.layout import Run, Sheet, font_path, width_of, words_of
from samples.truth import Box, Word

_POINTS_PER_INCH = 72
Matrix = Any
"""A 3 by 3 homography, from pixels of the flat drawing to pixels of the picture."""


@dataclass(frozen=True, slots=True)
class Look:
    """How paper became pixels.

    Attributes:
        name: the truth's `look`.
        dpi: pixels per inch.
        skew: largest rotation, degrees.
        noise: standard deviation of the sensor's noise, grey levels of 255.
        blur: radius of a Gaussian, pixels.
        ink, ground: grey of ink and of paper.
        quality: of JPEG.
        wobble: how much a hand strays: rotation of a word in degrees, and shift in points.
        desk: whether the sheet lies on a desk, seen at an angle and unevenly lit.
    """

    name: str
    dpi: int
    skew: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    ink: int = 20
    ground: int = 255
    quality: int = 60
    wobble: float = 0.0
    desk: bool = False


CLEAN_SCAN = Look("clean_scan", 200, skew=0.4, noise=3.0, blur=0.4, ground=250, quality=55)
POOR_SCAN = Look("poor_scan", 150, skew=1.2, noise=11.0, blur=0.8, ink=70, ground=232, quality=38)
FAX = Look("poor_scan", 200, skew=0.9, noise=34.0, blur=0.5, ink=60)
PHOTO = Look("photo", 170, noise=5.0, blur=0.7, ink=45, ground=240, quality=50, desk=True)
HANDWRITING = Look("handwriting", 150, skew=0.8, noise=2.0, blur=0.5, ink=45, ground=249, quality=60, wobble=1.1)


def words_on(
    sheet: Sheet, matrix: Matrix | None = None, scale: float = 1.0, size: Sequence[int] = ()
) -> tuple[Word, ...]:
    """The truth of a sheet's words, in reading order.

    Args:
        sheet: what was drawn.
        matrix: what happened to the drawing; None for a digital page.
        scale: pixels of the drawing per point.
        size: width and height of the picture in pixels.
    """
    words = []
    for run in sheet.runs:
        for text, _, (x0, y0, x1, y1) in words_of(run):
            if matrix is None:
                box = (x0 / sheet.width, y0 / sheet.height, x1 / sheet.width, y1 / sheet.height)
            else:
                corners = [_mapped(matrix, x * scale, y * scale) for x in (x0, x1) for y in (y0, y1)]
                xs, ys = [c[0] / size[0] for c in corners], [c[1] / size[1] for c in corners]
                box = (min(xs), min(ys), max(xs), max(ys))
            x0, y0, x1, y1 = (round(min(1.0, max(0.0, v)), 4) for v in box)
            words.append(Word(text, (x0, y0, x1, y1)))
    return tuple(words)


def photograph(sheet: Sheet, look: Look, rng: Random) -> tuple[Image.Image, tuple[Word, ...]]:
    """Draw a sheet and put it through a look; returns a grey picture and the truth of its words."""
    scale = look.dpi / _POINTS_PER_INCH
    flat = _draw(sheet, scale, look, rng)
    matrix, size = _placed(flat.size, look, rng)
    desk = 96 if look.desk else look.ground
    inverse = np.linalg.inv(matrix)
    coefficients = tuple((inverse / inverse[2, 2]).flatten()[:8])
    image = flat.transform(
        size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC, fillcolor=desk
    ).filter(ImageFilter.GaussianBlur(look.blur))
    pixels = np.asarray(image, dtype=np.float32)
    generator = np.random.default_rng(rng.getrandbits(64))
    if look.desk:
        across = np.linspace(rng.uniform(0.72, 0.85), 1.0, size[0], dtype=np.float32)
        down = np.linspace(1.0, rng.uniform(0.8, 0.9), size[1], dtype=np.float32)
        pixels = pixels * across[None, :] * down[:, None]
    if look.noise:
        pixels = pixels + generator.normal(0.0, look.noise, pixels.shape).astype(np.float32)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return picture, words_on(sheet, matrix, scale, size)


def _mapped(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    u, v, w = matrix @ np.array([x, y, 1.0])
    return float(u / w), float(v / w)


def _placed(size: tuple[int, int], look: Look, rng: Random) -> tuple[Matrix, tuple[int, int]]:
    """Where the four corners of the flat drawing end up, as a homography, and the size of the picture."""
    width, height = size
    if look.desk:
        margin = 0.05
        target = [
            (margin + rng.uniform(0, 0.02), margin + rng.uniform(0, 0.02)),
            (1 - margin - rng.uniform(0, 0.02), margin + rng.uniform(0, 0.02)),
            (1 - margin - rng.uniform(0, 0.01), 1 - margin - rng.uniform(0, 0.02)),
            (margin + rng.uniform(0, 0.01), 1 - margin - rng.uniform(0, 0.02)),
        ]
        corners = [(x * width, y * height) for x, y in target]
    else:
        angle = np.radians(rng.uniform(0.5, 1.0) * look.skew * rng.choice((-1, 1)))
        cosine, sine = float(np.cos(angle)), float(np.sin(angle))
        middle = (width / 2, height / 2)
        corners = [
            (middle[0] + (x - middle[0]) * cosine - (y - middle[1]) * sine,
             middle[1] + (x - middle[0]) * sine + (y - middle[1]) * cosine)
            for x, y in ((0, 0), (width, 0), (width, height), (0, height))
        ]  # fmt: skip
    return _homography([(0, 0), (width, 0), (width, height), (0, height)], corners), size


def _homography(source: Sequence[tuple[float, float]], target: Sequence[tuple[float, float]]) -> Matrix:
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float))
    return np.append(solved, 1.0).reshape(3, 3)


def _draw(sheet: Sheet, scale: float, look: Look, rng: Random) -> Image.Image:
    image = Image.new("L", (round(sheet.width * scale), round(sheet.height * scale)), look.ground)
    pen = ImageDraw.Draw(image)
    for x0, y0, x1, y1, weight in sheet.rules:
        grey = 190 if weight < 0.3 else look.ink
        pen.line((x0 * scale, y0 * scale, x1 * scale, y1 * scale), fill=grey, width=max(1, round(weight * scale)))
    for run in sheet.runs:
        font = ImageFont.truetype(font_path(run.font), run.size * scale, layout_engine=ImageFont.Layout.BASIC)
        for text, x, _ in words_of(run):
            if look.wobble and run.font == "Caveat":
                _scribble(image, text, (x * scale, run.y * scale), font, look, rng)
            else:
                _print(pen, text, (x, run.y), run, font, scale, look.ink)
        if run in sheet.signatures:
            _sign(pen, (run.x * scale, (run.y - run.size) * scale), scale, look.ink, rng)
    return image


def _print(
    pen: ImageDraw.ImageDraw, word: str, at: tuple[float, float], run: Run, font: Any, scale: float, ink: int
) -> None:
    """A word letter by letter: Pillow rounds advances to whole pixels, and whole words would run into each other."""
    for n, letter in enumerate(word):
        x = (at[0] + width_of(word[:n], run.font, run.size)) * scale
        pen.text((x, at[1] * scale), letter, fill=ink, font=font, anchor="ls")


def _sign(pen: ImageDraw.ImageDraw, at: tuple[float, float], scale: float, ink: int, rng: Random) -> None:
    """A pen stroke above the signer's name: waves that die away."""
    phase, waves = rng.uniform(0, 3), rng.uniform(5, 9)
    steps = np.linspace(0.0, 1.0, 120)
    heights = 7 * np.sin(waves * 2 * np.pi * steps + phase) * (1 - steps) + 3 * np.sin(9 * steps + phase)
    points = [(at[0] + 80 * t * scale, at[1] - (6 + h) * scale) for t, h in zip(steps, heights, strict=True)]
    pen.line(points, fill=ink, width=round(0.9 * scale), joint="curve")


def _scribble(
    image: Image.Image, text: str, at: tuple[float, float], font: ImageFont.FreeTypeFont, look: Look, rng: Random
) -> None:
    """A word as by hand: turned a little, off its line, with more or less pressure."""
    pad = round(font.size)
    stencil = Image.new("L", (round(font.getlength(text)) + 2 * pad, 3 * pad), 0)
    ImageDraw.Draw(stencil).text((pad, 2 * pad), text, fill=255, font=font, anchor="ls")
    angle = rng.gauss(0.0, look.wobble)
    stencil = stencil.rotate(angle, Image.Resampling.BICUBIC, center=(pad, 2 * pad))
    shift = rng.gauss(0.0, look.wobble * 0.5) * look.dpi / _POINTS_PER_INCH
    ink = look.ink + rng.randint(-15, 30)
    image.paste(ink, (round(at[0]) - pad, round(at[1] + shift) - 2 * pad), stencil)


# Files


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """JPEG bytes."""
    return _saved(picture, "JPEG", quality=quality)


def png(picture: Image.Image, dpi: int, levels: int = 16) -> bytes:
    """PNG bytes with few grey levels, as office scanners write, which keeps noise from filling the file."""
    step = 256 // levels
    grey = Image.fromarray((np.asarray(picture) // step).astype(np.uint8))
    grey.putpalette([round(level * 255 / (levels - 1)) for level in range(levels) for _ in range(3)])
    return _saved(grey, "PNG", bits=4, optimize=False, compress_level=9, dpi=(dpi, dpi))


def fax(pictures: Sequence[Image.Image], dpi: int) -> bytes:
    """A multi-page TIFF of black and white pages in CCITT group 4."""
    pages = [p.point(lambda grey: 255 if grey > 150 else 0).convert("1", dither=Image.Dither.NONE) for p in pictures]
    return _saved(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="group4", dpi=(dpi, dpi))


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class PdfPage:
    """A page of a PDF: runs and rules as text, unless hidden (render mode 3), over JPEGs at places in points."""

    sheet: Sheet
    pictures: tuple[tuple[bytes, Box], ...] = ()
    text: str = "shown"
    """'shown', 'hidden' or 'none'."""


def pdf(pages: Sequence[PdfPage], password: str | None = None) -> bytes:
    """A PDF without clock or chance in it; encrypted where a password is given."""
    out = io.BytesIO()
    encrypt = StandardEncryption(password, canPrint=0, strength=128) if password else None
    canvas = Canvas(out, pageCompression=1, invariant=1, encrypt=encrypt)
    canvas.setTitle("sample")
    for page in pages:
        sheet = page.sheet
        canvas.setPageSize((sheet.width, sheet.height))
        for data, (x0, y0, x1, y1) in page.pictures:
            canvas.drawImage(ImageReader(io.BytesIO(data)), x0, sheet.height - y1, x1 - x0, y1 - y0)
        if page.text == "shown":
            for x0, y0, x1, y1, weight in sheet.rules:
                canvas.setLineWidth(weight)
                canvas.line(x0, sheet.height - y0, x1, sheet.height - y1)
        if page.text != "none":
            for run in sheet.runs:
                _set(canvas, run, sheet.height, hidden=page.text == "hidden")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _set(canvas: Canvas, run: Run, height: float, hidden: bool) -> None:
    font_path(run.font)
    text = canvas.beginText(run.x, height - run.y)
    text.setTextRenderMode(3 if hidden else 0)
    text.setFont(run.font, run.size)
    text.textOut(run.text)
    canvas.drawText(text)
