"""Generates the sample documents and their truth: `python -m samples.generate --seed N --out DIR`.

The plan of which documents there are is here (`RECIPES`, `BAD`); what they say and how they look is in the other
modules. Same seed and same versions of the drawing libraries, same bytes: nothing reads a clock.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random

from PIL import Image

from samples import formats, paper
from samples.bank import phrasing
from samples.layout import A4, A5, HAND, LETTER, SANS, SERIF, Face, Sheet, lay_out
from samples.notes import Block, Note, write
from samples.truth import Fact, File, Medication, Page, Quarantine, Truth, Word, save

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

Made = tuple[bytes, tuple[Page, ...]]
Size = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A good document: its name (members as `zip!/member`), what it says, and how it is made."""

    name: str
    media_type: str
    kind: str
    language: str
    make: Callable[[Note, Random], Made]


# Ways to make a document of a note


def _page(
    note: Note, number: int, look: str, methods: Sequence[str], text: str, words: tuple[Word, ...], turn: int = 0
) -> Page:
    return Page(number, note.language, look, tuple(methods), turn, text, words)


def _digital(face: Face, size: Size, note: Note, rng: Random) -> Made:
    sheets = lay_out(_two_pages(note, "diagnoses"), face, size, furniture=True)
    pages = [_page(note, n, "digital", ["text_layer"], s.text, paper.words_on(s)) for n, s in enumerate(sheets, 1)]
    return paper.pdf([paper.PdfPage(s) for s in sheets]), tuple(pages)


def _scanned(look: paper.Look, face: Face, size: Size, note: Note, rng: Random) -> Made:
    sheet = _one_sheet(note, face, size)
    picture, words = paper.photograph(sheet, look, rng)
    image = paper.jpeg(picture, look.quality)
    return paper.pdf([_image_page(sheet, image)]), (_page(note, 1, look.name, ["ocr"], sheet.text, words),)


def _half_scanned(face: Face, size: Size, note: Note, rng: Random) -> Made:
    """A digital page, then one that was printed, signed and scanned."""
    first, second = lay_out(_two_pages(note, "exam"), face, size, furniture=True)
    picture, words = paper.photograph(second, paper.CLEAN_SCAN, rng)
    scan = _image_page(second, paper.jpeg(picture, paper.CLEAN_SCAN.quality))
    return paper.pdf([paper.PdfPage(first), scan]), (
        _page(note, 1, "digital", ["text_layer"], first.text, paper.words_on(first)),
        _page(note, 2, "clean_scan", ["ocr"], second.text, words),
    )


def _searchable(look: paper.Look, face: Face, size: Size, note: Note, rng: Random) -> Made:
    """Scans with the hidden text layer that office scanners add; the layer is right, so either method is."""
    sheets = lay_out(note, face, size, furniture=True)
    straight = replace(look, skew=0.0)
    pages, truth = [], []
    for number, sheet in enumerate(sheets, 1):
        picture, words = paper.photograph(sheet, straight, rng)
        pages.append(replace(_image_page(sheet, paper.jpeg(picture, look.quality)), text="hidden"))
        truth.append(_page(note, number, "searchable", ["text_layer", "ocr"], sheet.text, words))
    return paper.pdf(pages), tuple(truth)


def _with_clipping(face: Face, size: Size, note: Note, rng: Random) -> Made:
    """A digital page whose lower part is a picture of text, as when a report is pasted into a letter."""
    sheet = _one_sheet(note, face, size)
    heading = phrasing()[note.language]["headings"]["tests"]
    start = next(run for run in sheet.runs if run.text == heading)
    top, bottom = start.y - face.pitch, max(run.y for run in sheet.signatures) + face.pitch
    straight = replace(paper.CLEAN_SCAN, skew=0.0)
    picture, _ = paper.photograph(sheet, straight, rng)
    scale = straight.dpi / 72
    box = (sheet.width * 0.06, top, sheet.width * 0.94, bottom)
    clipping = picture.crop(
        (round(box[0] * scale), round(box[1] * scale), round(box[2] * scale), round(box[3] * scale))
    )
    shown = _kept(sheet, lambda y: not top < y < bottom)
    page = paper.PdfPage(shown, ((paper.jpeg(clipping, straight.quality), box),))
    truth = _page(note, 1, "mixed", ["ocr", "text_layer"], sheet.text, paper.words_on(sheet))
    return paper.pdf([page]), (truth,)


def _image(look: paper.Look, face: Face, size: Size, suffix: str, note: Note, rng: Random, turn: int = 0) -> Made:
    """One page as PNG or JPEG, turned counter-clockwise by `turn` degrees in its pixels."""
    sheet = _one_sheet(note, face, size)
    picture, words = paper.photograph(sheet, look, rng)
    picture = picture.rotate(turn, expand=True)
    data = paper.png(picture, look.dpi) if suffix == "png" else paper.jpeg(picture, look.quality)
    return data, (_page(note, 1, look.name, ["ocr"], sheet.text, words, turn),)


def _faxed(face: Face, size: Size, note: Note, rng: Random) -> Made:
    pictures: list[Image.Image] = []
    pages: list[Page] = []
    for number, sheet in enumerate(lay_out(note, face, size, furniture=True), 1):
        picture, words = paper.photograph(sheet, paper.FAX, rng)
        pictures.append(picture)
        pages.append(_page(note, number, paper.FAX.name, ["ocr"], sheet.text, words))
    return paper.fax(pictures, paper.FAX.dpi), tuple(pages)


def _flowing(encode: Callable[[Note], tuple[bytes, str]], note: Note, rng: Random) -> Made:
    data, text = encode(note)
    words = tuple(Word(word, None) for word in text.split())
    return data, (_page(note, 1, "plain", ["text_layer"], text, words),)


def _text(encoding: str, newline: str = "\n") -> Callable[[Note, Random], Made]:
    return partial(_flowing, partial(formats.plain, encoding=encoding, newline=newline))


def _image_page(sheet: Sheet, data: bytes) -> paper.PdfPage:
    return paper.PdfPage(sheet, ((data, (0.0, 0.0, sheet.width, sheet.height)),), "none")


def _kept(sheet: Sheet, keep: Callable[[float], bool]) -> Sheet:
    """The sheet with only the runs and rules whose y is kept."""
    runs, rules = [r for r in sheet.runs if keep(r.y)], [r for r in sheet.rules if keep(r[1])]
    return Sheet(sheet.width, sheet.height, runs, [], rules)


def _one_sheet(note: Note, face: Face, size: Size) -> Sheet:
    """Set on one sheet, closer and smaller where it must be."""
    note = replace(note, blocks=tuple(b for b in note.blocks if b.kind != "break"))
    while len(sheets := lay_out(note, face, size, furniture=not face.ruled)) > 1:
        face = replace(face, size=face.size * 0.96, pitch=face.pitch * 0.96)
    return sheets[0]


def _two_pages(note: Note, heading: str) -> Note:
    """The note with a page break before a heading."""
    title = phrasing()[note.language]["headings"][heading]
    at = next(n for n, b in enumerate(note.blocks) if b.kind == "heading" and b.lines[0][0] == title)
    return replace(note, blocks=(*note.blocks[:at], Block("break"), *note.blocks[at:]))


RECIPES: tuple[Recipe, ...] = (
    Recipe("discharge_summary_es.pdf", PDF, "discharge", "es", partial(_digital, SERIF, A4)),
    Recipe("referral_letter_fr.pdf", PDF, "referral", "fr", partial(_scanned, paper.CLEAN_SCAN, SERIF, A4)),
    Recipe("emergency_report_es.pdf", PDF, "emergency", "es", partial(_scanned, paper.POOR_SCAN, SANS, A4)),
    Recipe("progress_note_pt.pdf", PDF, "progress", "pt", partial(_half_scanned, SANS, A4)),
    Recipe("laboratory_report_en.pdf", PDF, "laboratory", "en", partial(_searchable, paper.CLEAN_SCAN, SANS, LETTER)),
    Recipe("emergency_note_en.pdf", PDF, "emergency", "en", partial(_with_clipping, SERIF, LETTER)),
    Recipe(
        "discharge_summary_en.png",
        "image/png",
        "discharge",
        "en",
        partial(_image, paper.CLEAN_SCAN, SANS, LETTER, "png"),
    ),
    Recipe(
        "discharge_photo_pt.jpg",
        "image/jpeg",
        "discharge",
        "pt",
        partial(_image, paper.PHOTO, SERIF, A4, "jpg", turn=90),
    ),
    Recipe("laboratory_fax_es.tiff", "image/tiff", "laboratory", "es", partial(_faxed, SANS, A4)),
    Recipe("clinic_note_en.png", "image/png", "visit", "en", partial(_image, paper.HANDWRITING, HAND, A5, "png")),
    Recipe("clinic_note_fr.jpg", "image/jpeg", "visit", "fr", partial(_image, paper.HANDWRITING, HAND, A5, "jpg")),
    Recipe("referral_letter_it.docx", DOCX, "referral", "it", partial(_flowing, formats.docx)),
    Recipe("discharge_summary_pt.docx", DOCX, "discharge", "pt", partial(_flowing, formats.docx)),
    Recipe("progress_note_es.rtf", "application/rtf", "progress", "es", partial(_flowing, formats.rich)),
    Recipe("discharge_summary_fr.html", "text/html", "discharge", "fr", partial(_flowing, formats.web)),
    Recipe("progress_note_en.txt", "text/plain", "progress", "en", _text("utf-8")),
    Recipe("emergency_note_pt.txt", "text/plain", "emergency", "pt", _text("cp1252", "\r\n")),
    Recipe("referral_letter_de.txt", "text/plain", "referral", "de", _text("utf-16")),
    Recipe("emergency_note_fr.pdf", "image/png", "emergency", "fr", partial(_image, paper.CLEAN_SCAN, SANS, A4, "png")),
    Recipe("archive.zip!/progress_note_it.txt", "text/plain", "progress", "it", _text("utf-8")),
    Recipe("archive.zip!/discharge_summary_de.pdf", PDF, "discharge", "de", partial(_digital, SANS, A4)),
)
"""emergency_note_fr.pdf is a PNG under a wrong name, and must go through."""


def _encrypted(rng: Random) -> bytes:
    sheets = lay_out(write("progress", "en", rng), SANS, LETTER, furniture=True)
    return paper.pdf([paper.PdfPage(s) for s in sheets], password="sample")


def _cut_off(rng: Random) -> bytes:
    """The first third of a PDF, as an upload that broke off: neither cross-reference table nor page tree is there."""
    sheets = lay_out(write("progress", "es", rng), SANS, A4, furniture=True)
    whole = paper.pdf([paper.PdfPage(s) for s in sheets])
    return whole[: len(whole) // 3]


def _unknown(rng: Random) -> bytes:
    return b"\x00\x01DEVICE\x00" + rng.randbytes(2048)


BAD: tuple[tuple[str, str, Quarantine, Callable[[Random], bytes]], ...] = (
    ("empty.pdf", "application/octet-stream", Quarantine("raw_documents", "empty"), lambda _: b""),
    ("encrypted.pdf", PDF, Quarantine("extracted_text", "encrypted"), _encrypted),
    ("cut_off.pdf", PDF, Quarantine("extracted_text", "corrupt"), _cut_off),
    ("device.bin", "application/octet-stream", Quarantine("raw_documents", "unsupported_type"), _unknown),
)
"""Name, media type, expected end and content of each document that must be quarantined."""


def generate(seed: int, out: Path) -> Truth:
    """Write `out`/documents and `out`/truth.json; files of an earlier run with other names stay."""
    (out / "documents").mkdir(parents=True, exist_ok=True)
    files: list[File] = []
    members: dict[str, dict[str, bytes]] = {}
    for recipe in RECIPES:
        rng = Random(f"{seed}/{recipe.name}")
        note = write(recipe.kind, recipe.language, rng)
        data, pages = recipe.make(note, rng)
        container, _, member = recipe.name.partition("!/")
        if member:
            members.setdefault(container, {})[member] = data
        else:
            (out / "documents" / container).write_bytes(data)
        files.append(File(recipe.name, recipe.media_type, pages, _facts(note, pages), _medications(note, pages)))
    for container, content in members.items():
        (out / "documents" / container).write_bytes(formats.archive(content))
    for name, media_type, end, make in BAD:
        (out / "documents" / name).write_bytes(make(Random(f"{seed}/{name}")))
        files.append(File(name, media_type, quarantine=end))
    truth = Truth(seed, tuple(files))
    save(truth, out / "truth.json")
    return truth


def _facts(note: Note, pages: Sequence[Page]) -> tuple[Fact, ...]:
    page, facts = 1, []
    for mention in note.mentions:
        page = _page_of(mention.evidence, pages, page)
        condition = mention.condition
        kind = "symptom" if "s" in condition.roles else "condition"
        facts.append(Fact(condition.key, kind, mention.assertion, condition.codes, mention.evidence, page))
    return tuple(facts)


def _medications(note: Note, pages: Sequence[Page]) -> tuple[Medication, ...]:
    return tuple(
        Medication(p.drug.key, p.name, p.dose, p.route, p.frequency, _page_of(p.name, pages, 1))
        for p in note.prescriptions
    )


def _page_of(evidence: str, pages: Sequence[Page], first: int) -> int:
    """The first page from `first` on that says it; mentions are told in the order of reading."""
    words = re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, evidence.split())) + r"(?!\w)")
    return next(p.number for p in (*pages[first - 1 :], *pages) if words.search(p.text))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for documents/ and truth.json")
    options = parser.parse_args(arguments)
    truth = generate(options.seed, options.out)
    size = sum(f.stat().st_size for f in (options.out / "documents").iterdir())
    print(f"{len(truth.files)} documents, {size / 1e6:.2f} MB, in {options.out}")


if __name__ == "__main__":
    main()
