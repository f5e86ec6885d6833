"""RapidOCR: an upright or turned picture of a page becomes words with boxes and confidences.

The two models (line detection, line recognition) come inside the rapidocr package and need no network. Where pictures
come from (images.py, pdfium.py) and what becomes of a bad page is not known here.
"""

import logging
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import layout
from medpipe_assets.extraction.text_pages import WORD, clean

Picture = NDArray[np.uint8]
"""Height x width x 3, RGB."""

Recognised = tuple[str, float, Any]
"""Of a line: text, mean confidence of its letters, and RapidOCR's word information."""

DETECTION_SIDE = 1600
"""Pixels of the long side at which lines are looked for; 2,000 costs half as much again and finds the same lines."""

_LONGEST_STRIP = 3
"""Times as long as wide that a picture may be for the detector, which takes sides of 736 pixels at least."""

MIN_SCORE = 0.5
"""Mean character confidence under which a line is noise."""

SETTINGS = f"side={DETECTION_SIDE},score={MIN_SCORE}"

_MARGIN = 0.25
"""Share of its height by which a tight box is widened: the recogniser learnt on loose ones."""

_TALL = 2.5
"""A line box this much higher than wide holds sideways text; a lone digit stays below."""

_SEAM = 0.25
"""Pieces of a line nearer than this share of their height are one; a space is wider in the detector's loose boxes."""

_PROBES = 6
_PROBE_LENGTH = 12
"""Lines this many times as long as high are long enough to judge by: some 25 letters."""

_CLEARLY_UPRIGHT = 0.93
_NOT_BY_CHANCE = 0.78
"""Confidence in the letters of the right way up and of upside down: 0.86 to 1 and 0.5 to 0.74 on 88 turned pages."""

_MIN_LETTERS_PER_HEIGHT = 0.8
"""Letters in a stretch of line as long as the line is high: 1.6 to 2.5 where read, under 0.2 in unknown scripts."""

_ENOUGH_TO_JUDGE = 8
"""Line heights of text, some 16 letters, from which on a page's script is judged."""

_WIDE_STEP = 5
"""Steps of the recogniser (8 pixels of a line 48 high) between two letters beyond which words are parted."""


def read(picture: Picture) -> layout.Reading:
    """Read a picture, turned upright first.

    Raises:
        DocumentError: unsupported_language where lines are seen but no known script explains them.
    """
    quads = _detect(picture)
    rotation, read_already = _rotation(picture, quads)
    if rotation:
        picture = turned(picture, rotation)
        quads = _detect(picture)
    height, width = picture.shape[:2]
    return layout.Reading(_recognise(picture, quads, read_already), width, height, rotation)


def read_lines(picture: Picture, boxes: list[layout.Box]) -> list[str]:
    """What stands in boxes (pixels) that are known to be lines; no looking for lines, and no order."""
    crops = []
    for x0, y0, x1, y1 in boxes:
        margin = _MARGIN * (y1 - y0)
        corners = [[x0 - margin, y0 - margin], [x1 + margin, y0 - margin], [x1 + margin, y1 + margin]]
        crops.append(_crop(picture, np.array([*corners, [x0 - margin, y1 + margin]], np.float32)))
    return [text for text, _, _ in _recognised(crops)]


def turned(picture: Picture, degrees: int) -> Picture:
    """The picture turned clockwise by a multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(picture, -degrees // 90))


@lru_cache(maxsize=1)
def _models() -> tuple[Any, Any]:
    """The detector and the recogniser, loaded once a process: 1.2 CPU-s and some 300 MB, one thread each."""
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(1)
    logging.getLogger("RapidOCR").disabled = True
    engine: Any = RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "critical",
            "Rec.rec_batch_num": 1,  # padding lines to one width costs a fifth more, and lets neighbours change a line
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    return engine._load_det_model(), engine._load_rec_model()


def _detect(picture: Picture) -> NDArray[np.float32]:
    """Corners of the lines, n x 4 x 2, clockwise from where the text begins."""
    import cv2

    detector, _ = _models()
    scale = min(1.0, DETECTION_SIDE / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    found = detector(_at_least_as_wide(np.asarray(small, np.uint8))[:, :, ::-1]).boxes  # the models were trained on BGR
    if found is None or not len(found):
        return np.zeros((0, 4, 2), np.float32)
    quads = np.asarray(found, np.float32) / np.float32(scale)
    sideways = _ratio(quads) >= _TALL
    quads[sideways] = np.roll(quads[sideways], -1, axis=1)  # begins at the top right: text that runs downwards
    return _separated(_joined(quads))


def _at_least_as_wide(picture: Picture) -> Picture:
    """The picture, with white beside it where it is a strip: the detector would enlarge it by its short side."""
    import cv2

    height, width = picture.shape[:2]
    least = max(height, width) // _LONGEST_STRIP
    below, beside = max(0, least - height), max(0, least - width)
    if not (below or beside):
        return picture
    white = (255, 255, 255)
    return np.asarray(cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=white), np.uint8)


def _joined(quads: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pieces of a line that touch become one: read apart, the letter at the seam comes twice or not at all."""
    boxes = _upright_boxes(quads)
    kept: list[NDArray[np.float32]] = []
    for row in layout.side_by_side([(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes]):
        last = -1
        for i in row:
            if last >= 0 and _touches(boxes[last], boxes[i]) and _lies(quads[last]) and _lies(quads[i]):
                first = kept[-1]
                kept[-1] = np.stack([first[0], quads[i][1], quads[i][2], first[3]])
            else:
                kept.append(quads[i])
            last = i
    return np.stack(kept)


def _touches(left: layout.Box, right: layout.Box) -> bool:
    one, other = left[3] - left[1], right[3] - right[1]
    return right[0] - left[2] < _SEAM * min(one, other) and max(one, other) < 1.35 * min(one, other)


def _lies(quad: NDArray[np.float32]) -> bool:
    return bool(abs(quad[1, 0] - quad[0, 0]) > 2 * abs(quad[1, 1] - quad[0, 1]))


def _separated(quads: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lines so close that their boxes overlap are parted halfway: a neighbour's ink costs letters."""
    boxes = np.asarray(_upright_boxes(quads))
    x0, y0, x1, y1 = boxes.T
    height = y1 - y0
    beside = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0) > 0.3 * np.minimum(x1 - x0, (x1 - x0)[:, None])
    below = (y0[None] - y0[:, None] > 0.4 * height[:, None]) & (y1[None] > y1[:, None]) & beside
    overlap = np.where(below, y1[:, None] - y0[None], 0).clip(0)  # row: the upper line; column: the lower
    from_bottom = np.minimum(overlap.max(axis=1) / 2 / height, 0.3)[:, None]
    from_top = np.minimum(overlap.max(axis=0) / 2 / height, 0.3)[:, None]
    down_left, down_right = quads[:, 3] - quads[:, 0], quads[:, 2] - quads[:, 1]
    corners = [
        quads[:, 0] + from_top * down_left,
        quads[:, 1] + from_top * down_right,
        quads[:, 2] - from_bottom * down_right,
        quads[:, 3] - from_bottom * down_left,
    ]
    return np.asarray(np.stack(corners, axis=1), np.float32)


def _ratio(quads: NDArray[np.float32]) -> NDArray[np.float32]:
    width, height = _size(quads)
    return np.asarray(height / np.maximum(width, 1), np.float32)


def _size(quads: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    edges = np.linalg.norm(quads - np.roll(quads, -1, axis=1), axis=2)
    return np.maximum(edges[:, 0], edges[:, 2]), np.maximum(edges[:, 1], edges[:, 3])


def _crop(picture: Picture, quad: NDArray[np.float32]) -> Picture:
    """The line, straightened."""
    import cv2

    width, height = (max(int(s[0]), 1) for s in _size(quad[None]))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(np.ascontiguousarray(quad, np.float32), target)
    flags = cv2.INTER_CUBIC
    crop = cv2.warpPerspective(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE, flags=flags)
    return np.asarray(crop, np.uint8)


def _recognised(crops: list[Picture]) -> list[Recognised]:
    """What the recogniser reads in straightened lines."""
    from rapidocr.ch_ppocr_rec import TextRecInput

    if not crops:
        return []
    _, recogniser = _models()
    out = recogniser(TextRecInput(img=[crop[:, :, ::-1] for crop in crops], return_word_box=True))
    return list(zip(out.txts, out.scores, out.word_results, strict=True))


def _rotation(picture: Picture, quads: NDArray[np.float32]) -> tuple[int, dict[int, Recognised]]:
    """Degrees clockwise to turn the picture by, told from a few long lines; and those lines, if it is 0.

    The boxes tell lying text from standing; whether it stands on its head the recogniser tells, which is surer of
    letters than of letters upside down. Nearly every page is upright, and the first look settles it.
    """
    width, height = _size(quads)
    edges = quads[:, 1] - quads[:, 0]
    sideways = np.abs(edges[:, 1]) > np.abs(edges[:, 0])
    lies = bool(width[sideways].sum() > width[~sideways].sum())
    chosen = np.flatnonzero(sideways == lies)
    chosen = chosen[np.argsort(-np.minimum(width[chosen] / np.maximum(height[chosen], 1), _PROBE_LENGTH))][:_PROBES]
    crops = [_crop(picture, quads[i]) for i in chosen]
    lines = _recognised(crops)
    upright = dict(zip(chosen.tolist(), lines, strict=True))
    score = _plausibility(lines)
    if not lies and score >= _CLEARLY_UPRIGHT:
        return 0, upright
    flipped = _plausibility(_recognised([turned(crop, 180) for crop in crops]))
    upside_down = flipped > max(score, _NOT_BY_CHANCE)
    if lies:
        return (90 if upside_down else 270), {}
    return (180, {}) if upside_down else (0, upright)


def _plausibility(lines: list[Recognised]) -> float:
    """Mean confidence, weighted by the letters that the six languages use."""
    return sum(score * _latin_share(text) for text, score, _ in lines) / max(len(lines), 1)


def _latin_share(text: str) -> float:
    return sum(ord(c) < 0x250 for c in text) / max(len(text), 1)


def _recognise(picture: Picture, quads: NDArray[np.float32], read_already: dict[int, Recognised]) -> list[layout.Line]:
    if not len(quads):
        return []
    unread = [i for i in range(len(quads)) if i not in read_already]
    new = _recognised([_crop(picture, quads[i]) for i in unread])
    known = read_already | dict(zip(unread, new, strict=True))
    _refuse_unknown_script(quads, [known[i][0] for i in range(len(quads))])
    lines = []
    for i, box in enumerate(_upright_boxes(quads)):
        text, score, info = known[i]
        words = _words(quads[i], text, info) if score >= MIN_SCORE else []
        if words:
            lines.append(layout.Line(box, words))
    return lines


def _refuse_unknown_script(quads: NDArray[np.float32], texts: list[str]) -> None:
    """Scripts outside the model come back as spaces, or as its few Greek letters, and with high confidence.

    Raises:
        DocumentError: unsupported_language where most of the page's lines are such.
    """
    width, height = _size(quads)
    lengths = (width / np.maximum(height, 1)).tolist()
    total = sum(lengths)
    unexplained = sum(length for length, text in zip(lengths, texts, strict=True) if _is_unexplained(text, length))
    if total >= _ENOUGH_TO_JUDGE and unexplained > 0.5 * total:
        raise DocumentError(Reason.UNSUPPORTED_LANGUAGE, "lines in a script that the OCR model does not know")


def _is_unexplained(text: str, length: float) -> bool:
    letters = "".join(text.split())
    unknown_script = sum("\u0370" <= c <= "\u1cff" for c in letters)  # Greek, Cyrillic, ... up to Georgian and Indic
    return length > 2 and (len(letters) < _MIN_LETTERS_PER_HEIGHT * length or unknown_script > 0.3 * len(letters))


def _words(quad: NDArray[np.float32], text: str, info: Any) -> list[layout.Word]:
    """The words of a line; `info` gives for each letter that is no space the recogniser's step that read it."""
    steps = [step for group in info.word_cols for step in group]
    letters: list[tuple[str, float, float]] = []
    spaced: list[str] = []
    for i, char in enumerate(text):
        if char.isspace():
            spaced.append(" ")
            continue
        step = steps[len(letters)]
        if letters and step - letters[-1][2] > _WIDE_STEP and spaced[-1] != " ":
            spaced.append(" ")
        letters.append((char, info.confs[i], step))
        spaced.append(char)
    line = "".join(spaced)
    spans = [m.span() for m in WORD.finditer(line)]
    words = []
    seen = 0
    for begin, end in spans:
        part = letters[seen : seen + end - begin]
        seen += end - begin
        cleaned = clean(line[begin:end])
        if cleaned and WORD.fullmatch(cleaned):
            x0, x1 = _extent(part, info.line_txt_len)
            words.append(layout.Word(cleaned, sum(p[1] for p in part) / len(part), _box(quad, x0, x1)))
    return words


def _extent(letters: list[tuple[str, float, float]], line_steps: float) -> tuple[float, float]:
    """Where a word begins and ends, as fractions of its line: half a letter beyond the middles of its outer letters."""
    first, last = letters[0][2], letters[-1][2]
    half = (last - first) / (len(letters) - 1) / 2 if len(letters) > 1 else 1.0
    return max((first + 0.5 - half) / line_steps, 0.0), min((last + 0.5 + half) / line_steps, 1.0)


def _box(quad: NDArray[np.float32], x0: float, x1: float) -> layout.Box:
    """The upright box around the part of a line from x0 to x1 (fractions)."""
    top, bottom = quad[1] - quad[0], quad[2] - quad[3]
    corners = np.array([quad[0] + x0 * top, quad[0] + x1 * top, quad[3] + x0 * bottom, quad[3] + x1 * bottom])
    (left, upper), (right, lower) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(upper), float(right), float(lower)


def _upright_boxes(quads: NDArray[np.float32]) -> list[layout.Box]:
    """The boxes of the lines after the skew of the page is undone, for judging which stand side by side."""
    edges = quads[:, 1] - quads[:, 0]
    lying = np.abs(edges[:, 0]) > np.abs(edges[:, 1])
    slope = float(np.median(edges[lying, 1] / edges[lying, 0])) if lying.any() else 0.0
    centres = quads.mean(axis=1)
    width, height = _size(quads)
    x, y = centres[:, 0] + slope * centres[:, 1], centres[:, 1] - slope * centres[:, 0]
    w, h = np.where(lying, width, height) / 2, np.where(lying, height, width) / 2
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in zip(x - w, y - h, x + w, y + h, strict=True)]
