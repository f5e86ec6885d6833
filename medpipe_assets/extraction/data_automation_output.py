"""What Bedrock Data Automation writes of a document, as pages of words in reading order. Nothing is sent here.

Its standard output is documented at https://docs.aws.amazon.com/bedrock/latest/userguide/bda-output-documents.html.
What AWS's own samples tell of it besides is read where it is there: `locations` as a list, the words' `confidence`, and
a page's `corners`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.extraction import layout
from medpipe_assets.extraction.engine import Page
from medpipe_assets.extraction.layout import Box, Line
from medpipe_assets.extraction.scans import Scan
from medpipe_assets.extraction.text_pages import clean

Told = Mapping[str, Any]

SERVICE: Final = "bedrock-data-automation-runtime"

TOLERANCE: Final = 0.02
"""Share of a page's side by which the page that was straightened may differ from the one that was sent."""

_WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def read(outputs: Sequence[Told], sent: Sequence[Scan]) -> list[Page | DocumentError]:
    """The pages of a job's outputs, one for each page sent, or why there is none.

    Text and words are in the order of their places, as with all other engines. Boxes are fractions of the page as the
    service straightened it; where that is not the page that was sent, but a part of it, or turned, words have no boxes.

    Raises:
        ConfigurationError: where the project is not set up for this: it tells no words, or no boxes, or splits.
        DocumentError: engine_rejected, for an output that is not of the documented form.
    """
    if len(outputs) > 1:
        raise ConfigurationError("Data Automation's project splits documents: switch its splitter off")
    try:
        (output,) = outputs
        pages = {page["page_index"]: page for page in output["pages"]}
        words = _words_by_page(output)
        return [_page(pages.get(i), words[i], scan) for i, scan in enumerate(sent)]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DocumentError(
            Reason.ENGINE_REJECTED, f"{SERVICE}: not a document's output ({type(error).__name__})"
        ) from None


def _words_by_page(output: Told) -> Mapping[int, list[Told]]:
    if "text_words" not in output and (output.get("text_lines") or any(map(_has_text, output["pages"]))):
        raise ConfigurationError(
            "Data Automation's project tells no words: give the standard output of documents the granularity WORD"
        )
    found: dict[int, list[Told]] = defaultdict(list)
    for word in output.get("text_words") or ():
        found[word["page_index"]].append(word)
    return found


def _has_text(page: Told) -> bool:
    return bool(page.get("statistics", {}).get("word_count") or any(page.get("representation", {}).values()))


def _page(told: Told | None, words: Sequence[Told], scan: Scan) -> Page | DocumentError:
    if told is None or (not words and told.get("statistics", {}).get("word_count")):
        return DocumentError(Reason.ENGINE_REJECTED, f"{SERVICE}: no answer for this page", scan.number)
    assets = told.get("asset_metadata") or {}
    width = assets.get("rectified_image_width_pixels") or scan.size[0]
    height = assets.get("rectified_image_height_pixels") or scan.size[1]
    reading = layout.Reading(list(_lines(words, width, height)), width, height, 0)
    page = replace(layout.page_of(reading, scan.number), method="ocr")
    if _is_as_sent(assets, width / height, scan):
        return replace(page, width=scan.size[0], height=scan.size[1], rotation=scan.turn)
    return replace(page, width=0.0, height=0.0, words=replace(page.words, boxes=[None] * len(page.words)))


def _lines(words: Sequence[Told], width: float, height: float) -> Iterator[Line]:
    lines: dict[Any, list[layout.Word]] = defaultdict(list)
    for word in sorted(words, key=lambda word: word.get("reading_order", 0)):
        known = word.get("confidence")
        confidence = None if known is None else min(max(float(known), 0.0), 1.0)
        for text, (x0, y0, x1, y1) in layout.split_word(clean(word["text"]), _box(word)):
            box = (x0 * width, y0 * height, x1 * width, y1 * height)
            lines[word.get("line_id") or word["id"]].append(layout.Word(text, confidence, box))
    for line in lines.values():
        x0s, y0s, x1s, y1s = zip(*(word.box for word in line), strict=True)
        yield Line((min(x0s), min(y0s), max(x1s), max(y1s)), line)


def _box(word: Told) -> Box:
    locations = word.get("locations") or ()
    for location in [locations] if isinstance(locations, Mapping) else locations:
        if box := location.get("bounding_box"):
            left, top = float(box["left"]), float(box["top"])
            return left, top, left + float(box["width"]), top + float(box["height"])
    raise ConfigurationError(
        "Data Automation's project tells no boxes: enable bounding boxes in the standard output of documents"
    )


def _is_as_sent(assets: Told, aspect: float, scan: Scan) -> bool:
    """Whether the page that boxes are told of is the one that was sent, as far as its shape and corners tell."""
    if abs(aspect * scan.size[1] / scan.size[0] - 1) > 2 * TOLERANCE:
        return False
    corners = assets.get("corners")
    return not corners or all(
        abs(told - whole) <= TOLERANCE
        for corner, place in zip(corners, _WHOLE, strict=True)
        for told, whole in zip(corner, place, strict=True)
    )
