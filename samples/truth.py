"""What is known of each generated document, and how `truth.json` stores it.

Only the shape and its reading and writing are here; what the documents say is decided in notes.py.

`truth.json` is one object: `seed`, and `files`, a list of objects with the fields of `File`. Lists stand for tuples,
absent layout is null, and a page's words are rows `[text, x0, y0, x1, y1]` (the four numbers null without layout).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Box = tuple[float, float, float, float]

CODED = frozenset({"asserted", "past"})
"""Assertions that make a condition part of the patient's own picture; all others must not become diagnoses."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its place: the smallest upright rectangle holding its ink, as fractions of the upright page."""

    text: str
    box: Box | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page as a reader sees it.

    Attributes:
        number: from 1.
        language: ISO 639-1.
        look: 'digital', 'clean_scan', 'poor_scan', 'photo', 'handwriting', 'searchable' (a scan with a hidden text
            layer), 'mixed' (text and a picture of text on one page), or 'plain' for formats without layout.
        methods: acceptable values of `pages.method`; more than one where text layer and image share a page.
        rotation: degrees clockwise that the page must be turned to be upright.
        text: all of it, in reading order; table rows are one line, cells parted by a space.
        words: in the order of `text`.
    """

    number: int
    language: str
    look: str
    methods: tuple[str, ...]
    rotation: int
    text: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One mention of a condition or a symptom.

    Attributes:
        key: row of conditions.tsv.
        kind: 'condition' or 'symptom'.
        assertion: 'asserted', 'past' (the patient's own known condition), 'negated', 'family' or 'hypothetical'.
        codes: acceptable billable ICD-10-CM codes; any one of them is right.
        evidence: the words, as written; may be broken over two lines of the page.
        page: from 1.
    """

    key: str
    kind: str
    assertion: str
    codes: tuple[str, ...]
    evidence: str
    page: int


@dataclass(frozen=True, slots=True)
class Medication:
    """A prescribed drug; `name`, `dose`, `route` and `frequency` as written, `generic` is its US name."""

    generic: str
    name: str
    dose: str
    route: str
    frequency: str
    page: int


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Where a bad document must stop, and why (values of `medpipe_assets.errors.Reason`)."""

    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class File:
    """A document: a file of `documents/`, or a member of a ZIP there, named `archive.zip!/member`.

    `media_type` is what the bytes are, whatever the name says; a quarantined file has no pages.
    """

    name: str
    media_type: str
    pages: tuple[Page, ...] = ()
    facts: tuple[Fact, ...] = ()
    medications: tuple[Medication, ...] = ()
    quarantine: Quarantine | None = None

    @property
    def asserted(self) -> tuple[frozenset[str], ...]:
        """For each condition the patient has, the acceptable codes: one of each set must be found. No symptoms."""
        own = {f.key: frozenset(f.codes) for f in self.facts if f.kind == "condition" and f.assertion in CODED}
        return tuple(own.values())

    @property
    def not_asserted(self) -> frozenset[str]:
        """Codes of conditions and symptoms denied, feared or a relative's: none may become a diagnosis."""
        own = {c for f in self.facts if f.assertion in CODED for c in f.codes}
        return frozenset(c for f in self.facts if f.assertion not in CODED for c in f.codes) - own


@dataclass(frozen=True, slots=True)
class Truth:
    """All documents of one seed."""

    seed: int
    files: tuple[File, ...]


def save(truth: Truth, path: Path) -> None:
    """Write as JSON, one file of `documents/` a line."""
    lines = ",\n".join(json.dumps(_file_row(f), ensure_ascii=False, separators=(",", ":")) for f in truth.files)
    path.write_text(f'{{"seed":{truth.seed},"files":[\n{lines}\n]}}\n', encoding="utf-8")


def load(path: Path) -> Truth:
    """Read what `save` wrote."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Truth(stored["seed"], tuple(_file(row) for row in stored["files"]))


def _file_row(file: File) -> dict[str, Any]:
    return {
        "name": file.name,
        "media_type": file.media_type,
        "quarantine": _fields(file.quarantine) if file.quarantine else None,
        "facts": [_fields(f) for f in file.facts],
        "medications": [_fields(m) for m in file.medications],
        "pages": [_fields(p) | {"words": [[w.text, *(w.box or (None,) * 4)] for w in p.words]} for p in file.pages],
    }


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _file(row: Mapping[str, Any]) -> File:
    return File(
        row["name"],
        row["media_type"],
        tuple(_page(p) for p in row["pages"]),
        tuple(Fact(**f | {"codes": tuple(f["codes"])}) for f in row["facts"]),
        tuple(Medication(**m) for m in row["medications"]),
        Quarantine(**row["quarantine"]) if row["quarantine"] else None,
    )


def _page(row: Mapping[str, Any]) -> Page:
    words = tuple(Word(text, None if x0 is None else (x0, y0, x1, y1)) for text, x0, y0, x1, y1 in row["words"])
    return Page(**dict(row) | {"methods": tuple(row["methods"]), "words": words})
