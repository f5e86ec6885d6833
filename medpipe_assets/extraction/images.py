"""Picture files become RGB pictures, one a page, and OCR makes pages of words of them.

Every way a file stores its pixels (palette, CMYK, 16 bits, alpha, EXIF turns, many frames) ends here; reading words
belongs to rapid_ocr.py.
"""

import importlib.util
import io
import struct
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import layout, rapid_ocr
from medpipe_assets.extraction.engine import Extraction, Page
from medpipe_assets.extraction.media_type import HEIF
from medpipe_assets.extraction.rapid_ocr import Picture
from medpipe_assets.pulse import beat

MAX_PIXELS = 100_000_000
"""Largest picture taken: A3 at 600 dpi has 70 million pixels; above this a small file can fill the memory."""

MAX_SIDE = 4400
"""Pixels of the long side that OCR gets: A4 at 370 dpi. More costs time and reads no better."""

MAX_FRAMES = 2000

_STACKS = frozenset({"image/tiff", "image/gif", "image/webp"})
"""Types whose frames are pages: programs for faxes save them so. Those of a JPEG are previews."""


_BROKEN = (
    OSError, EOFError, ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    ZeroDivisionError, AssertionError, RuntimeError, struct.error,
)  # fmt: skip
"""What Pillow raises for files that are not what their header says."""


def extract(data: bytes, media_type: str) -> Extraction:
    """The pages of a picture file, read by OCR.

    Raises:
        DocumentError: when no page can be read.
    """
    pages: list[Page] = []
    failures: list[DocumentError] = []
    for number, picture in enumerate(pictures(data, media_type), start=1):
        if isinstance(picture, DocumentError):
            failures.append(picture)
            continue
        try:
            pages.append(layout.page_of(rapid_ocr.read(picture), number))
        except DocumentError as error:
            failures.append(DocumentError(error.reason, error.detail, number))
        beat()
    if not pages:
        raise DocumentError(failures[0].reason, failures[0].detail)
    return Extraction(tuple(pages), tuple(failures))


def pictures(data: bytes, media_type: str) -> Iterator[Picture | DocumentError]:
    """The pages of a picture file, upright as far as EXIF tells; an error in the place of a page that is broken.

    Raises:
        DocumentError: corrupt, too_large, or unsupported_type (HEIC without the extra).
    """
    image = _opened(data, media_type)
    frames = _frames(image) if media_type in _STACKS else 1
    if frames > MAX_FRAMES:
        raise DocumentError(Reason.TOO_LARGE, f"{frames} pages, at most {MAX_FRAMES} are read")
    for number in range(1, frames + 1):
        try:
            image.seek(number - 1)
            yield _picture(image)
        except DocumentError as error:
            yield DocumentError(error.reason, error.detail, number)
        except Image.DecompressionBombError:
            yield DocumentError(Reason.TOO_LARGE, f"more than {MAX_PIXELS} pixels", number)
        except _BROKEN as error:
            yield DocumentError(Reason.CORRUPT, f"{media_type}: {type(error).__name__}", number)


def _frames(image: Image.Image) -> int:
    """How many frames a picture has, as far as its file goes.

    Raises:
        DocumentError: corrupt.
    """
    try:
        return int(getattr(image, "n_frames", 1))
    except Image.DecompressionBombError:
        raise DocumentError(Reason.TOO_LARGE, f"more than {MAX_PIXELS} pixels") from None
    except _BROKEN as error:
        raise DocumentError(Reason.CORRUPT, f"{image.format}: {type(error).__name__}") from None


def _opened(data: bytes, media_type: str) -> Image.Image:
    if media_type in HEIF:
        if importlib.util.find_spec("pillow_heif") is None:
            raise DocumentError(Reason.UNSUPPORTED_TYPE, "HEIC needs the extra heif: pip install medpipe[heif]")
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's bomb warning; the bound here is ours
            return Image.open(io.BytesIO(data))
    except Image.DecompressionBombError:
        raise DocumentError(Reason.TOO_LARGE, f"more than {MAX_PIXELS} pixels") from None
    except (UnidentifiedImageError, *_BROKEN) as error:
        raise DocumentError(Reason.CORRUPT, f"{media_type}: {type(error).__name__}") from None


def _picture(image: Image.Image) -> Picture:
    if image.width * image.height > MAX_PIXELS:
        raise DocumentError(Reason.TOO_LARGE, f"{image.width} x {image.height} pixels, at most {MAX_PIXELS} are read")
    if not image.width or not image.height:
        raise DocumentError(Reason.CORRUPT, "a picture without pixels")
    if image.format == "JPEG":
        image.draft("RGB", (MAX_SIDE, MAX_SIDE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.load()
        upright = ImageOps.exif_transpose(image)
    if max(upright.size) > MAX_SIDE:
        upright.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(_rgb(upright), np.uint8)


def _rgb(image: Image.Image) -> Image.Image:
    """Eight bits of red, green and blue; what is transparent is white paper."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.nan_to_num(np.asarray(image, np.float32), posinf=255.0)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray(np.clip(values / top * 255, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image).convert("RGB")
    return image.convert("RGB")
