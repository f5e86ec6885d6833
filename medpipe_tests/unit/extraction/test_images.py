"""Picture files: every way of storing pixels, turned pages, many pages, bad files."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from medpipe_assets.errors import DocumentError, Reason
from medpipe_assets.extraction import images, rapid_ocr
from medpipe_assets.extraction.engine import Page
from medpipe_assets.extraction.layout import Box
from medpipe_tests.unit.extraction.checks import assert_sound
from medpipe_tests.unit.extraction.make import NOTE, picture, saved

GREY = (100, 100, 100)


def pixel(data: bytes, media_type: str) -> tuple[int, ...]:
    [got] = list(images.pictures(data, media_type))
    assert not isinstance(got, DocumentError)
    return tuple(got[2, 2].tolist())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_paper_is_white_and_ink_is_dark_in_every_pixel_format(mode: str) -> None:
    image = Image.new("L", (20, 20), 255)
    image.paste(0, (10, 0, 20, 20))
    deep = Image.fromarray(np.asarray(image, np.uint16) * 257)
    image = deep if mode == "I;16" else image.convert(mode)
    [got] = list(images.pictures(saved(image, "PNG"), "image/png"))
    assert not isinstance(got, DocumentError)
    assert got[5, 2].tolist() == [255, 255, 255]
    assert got[5, 15].tolist() == [0, 0, 0]


def test_cmyk_keeps_its_colours() -> None:
    data = saved(Image.new("RGB", (16, 16), GREY).convert("CMYK"), "TIFF")
    assert pixel(data, "image/tiff") == pytest.approx(GREY, abs=10)


def test_what_is_transparent_is_paper() -> None:
    assert pixel(saved(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG"), "image/png") == (255, 255, 255)


def test_the_camera_says_which_side_is_up() -> None:
    image = Image.new("RGB", (40, 20), "white")
    exif = Image.Exif()
    exif[0x0112] = 6
    [got] = list(images.pictures(saved(image, "JPEG", exif=exif), "image/jpeg"))
    assert not isinstance(got, DocumentError)
    assert got.shape == (40, 20, 3)


def test_a_stack_of_tiff_pages_is_as_many_pages() -> None:
    frames = [Image.new("L", (30, 30), shade) for shade in (255, 200, 100)]
    data = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert [p.number for p in images.extract(data, "image/tiff").pages] == [1, 2, 3]


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_a_picture_that_breaks_off_is_corrupt(kind: str, media_type: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    with pytest.raises(DocumentError) as raised:
        images.extract(saved(noise, kind)[:3000], media_type)
    assert raised.value.reason is Reason.CORRUPT


def test_a_picture_of_too_many_pixels_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 99)
    with pytest.raises(DocumentError) as raised:
        images.extract(saved(Image.new("1", (10, 10)), "PNG"), "image/png")
    assert raised.value.reason is Reason.TOO_LARGE


def test_heic_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DocumentError, match="medpipe") as raised:
        images.extract(b"\0\0\0\x18ftypheic", "image/heic")
    assert raised.value.reason is Reason.UNSUPPORTED_TYPE


def read(image: Image.Image) -> Page:
    extraction = images.extract(saved(image, "PNG"), "image/png")
    assert_sound(extraction)
    return extraction.pages[0]


@pytest.mark.slow
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_page_reads_the_same_however_it_lies_on_the_scanner(turn: int) -> None:
    upright = picture()
    page = read(upright.rotate(-turn, expand=True))
    assert page.text == "\n".join(NOTE)
    assert page.rotation == (360 - turn) % 360
    assert (page.width, page.height) == upright.size
    box = page.words.boxes[page.words.text.index("Discharge")]
    assert box is not None
    assert _overlap(box, (60 / 1240, 50 / 600, 207 / 1240, 90 / 600)) > 0.5


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    shared = max(width, 0) * max(height, 0)
    return shared / (sum(areas) - shared)


@pytest.mark.slow
def test_a_page_in_an_unknown_script_is_named_and_not_read_as_garbage() -> None:
    lines = ["Пациент поступил с жалобами на боль в груди", "Аллергии на препараты нет, одышка при нагрузке"]
    with pytest.raises(DocumentError) as raised:
        images.extract(saved(picture(lines), "PNG"), "image/png")
    assert raised.value.reason is Reason.UNSUPPORTED_LANGUAGE


@pytest.mark.slow
def test_a_blank_scan_is_a_page_without_words_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    page = read(Image.new("RGB", (600, 800), "white"))
    read(picture(NOTE[:2]))
    assert (page.text, page.method, page.mean_confidence) == ("", "ocr", None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_heic_photo_is_read_where_the_extra_is_installed() -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    heif.register_heif_opener()
    extraction = images.extract(saved(picture(NOTE[:2]), "HEIF", quality=90), "image/heic")
    assert extraction.pages[0].text == "\n".join(NOTE[:2])


def test_turning_four_times_is_no_turn() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    turned = image
    for _ in range(4):
        turned = rapid_ocr.turned(turned, 90)
    assert np.array_equal(turned, image)
