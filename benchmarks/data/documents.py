"""Documents of any number for measuring the document line: no two alike, none of a person.

    python -m benchmarks.data.documents 10000 FOLDER [--kind small|note|digital|scan] [--seed 1]

`small` is a note of about 35 words, `note` one of 500, both plain text in English; `digital` is a PDF of five pages
with their text, `scan` a page as a scanner's JPEG. What they say is drawn from the samples' bank.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

from samples import paper
from samples.bank import conditions, drugs
from samples.formats import plain
from samples.layout import A4, SANS, lay_out
from samples.notes import Note, write

NOTE_WORDS = 500
PDF_PAGES = 5
KINDS_OF_NOTE = ("discharge", "referral", "emergency", "progress", "visit")
_SCAN = replace(paper.CLEAN_SCAN, skew=0.4)


def small(number: int, seed: int = 0) -> bytes:
    """A short note that names its number."""
    rng = Random(seed * 1_000_003 + number)
    has, had, denies = (c.terms["en"][0] for c in rng.sample(conditions(), 3))
    drug = rng.choice(drugs())
    return (
        f"Visit {seed}-{number}. {rng.randint(30, 90)}-year-old patient seen in the clinic.\n"
        f"Past medical history: {had}.\n"
        f"Today the patient has {has}. Denies {denies}.\n"
        f"Takes {drug.names['en']} {rng.choice(drug.doses)} {drug.unit}. Review in {rng.randint(2, 12)} weeks.\n"
    ).encode()


def note(number: int, seed: int = 0) -> bytes:
    """Visits one after another, NOTE_WORDS words in all."""
    rng = Random(seed * 1_000_003 + number)
    text = f"Record {seed}-{number}."
    while len(text.split()) < NOTE_WORDS:
        text += "\n\n" + plain(_told(rng), "utf-8")[1]
    return re.match(rf"(?:\S+\s+){{{NOTE_WORDS - 1}}}\S+", text)[0].encode()  # type: ignore[index]  # it is long enough


def digital(number: int, seed: int = 0, pages: int = PDF_PAGES) -> bytes:
    """A PDF of so many pages."""
    rng = Random(seed * 1_000_003 + number)
    sheets = [sheet for _ in range(pages) for sheet in lay_out(_told(rng), SANS, A4, furniture=True)[:1]]
    return paper.pdf([paper.PdfPage(sheet) for sheet in sheets])


def scan(number: int, seed: int = 0) -> bytes:
    """A page as a JPEG of 200 dots an inch."""
    rng = Random(seed * 1_000_003 + number)
    picture, _ = paper.photograph(lay_out(_told(rng), SANS, A4, furniture=True)[0], _SCAN, rng)
    return paper.jpeg(picture, _SCAN.quality)


def _told(rng: Random) -> Note:
    return write(rng.choice(KINDS_OF_NOTE), "en", rng)


KINDS: Mapping[str, tuple[Callable[[int, int], bytes], str]] = {
    "small": (small, "txt"),
    "note": (note, "txt"),
    "digital": (digital, "pdf"),
    "scan": (scan, "jpg"),
}
"""What makes a document of a kind from its number and the seed, and the ending of its name."""


def fill(folder: Path, kind: str, count: int, *, first: int = 0, seed: int = 0) -> list[Path]:
    """Write so many documents; their paths."""
    make, ending = KINDS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06}.{ending}" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        path.write_bytes(make(number, seed))
    return paths


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="small")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    paths = fill(given.folder, given.kind, given.count, seed=given.seed)
    print(f"{given.folder}: {len(paths)} documents, {sum(path.stat().st_size for path in paths)} bytes")


if __name__ == "__main__":
    main()
