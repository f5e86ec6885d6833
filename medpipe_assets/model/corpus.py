"""Reads a corpus in CodiEsp's layout: clinical texts, the codes of each, and the words that are their evidence.

    DIR/text_files/NAME.txt      the text, UTF-8 (text_files_LANGUAGE for a translation)
    DIR/*D.tsv, DIR/*P.tsv       NAME, code: diagnoses (ICD-10-CM) and procedures (ICD-10-PCS)
    DIR/*X.tsv                   NAME, kind, code, words, offsets ('10 15', '10 15;20 24' where the words stand apart)

Layout and meaning: CodiEsp track, CLEF eHealth 2020 (Miranda-Escalada et al.), doi:10.5281/zenodo.3837305.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medpipe_assets.errors import ConfigurationError

Offsets = tuple[int, int]

DIAGNOSIS: Final = "DIAGNOSTICO"
PROCEDURE: Final = "PROCEDIMIENTO"
KINDS: Final[Mapping[str, str]] = {DIAGNOSIS: "D", PROCEDURE: "P"}
"""Kinds of code, as the X file names them, and the letter of their own file."""
LANGUAGE: Final = "es"
"""Language of `text_files`, to which offsets refer."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Words that show a code: spans in code points of the text, ascending."""

    kind: str
    code: str
    spans: tuple[Offsets, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its gold standard. `codes` by kind, lower case; empty where the corpus tells none."""

    name: str
    text: str
    evidence: tuple[Evidence, ...] = ()
    codes: Mapping[str, frozenset[str]] = field(default_factory=dict)


def read(folders: Iterable[Path], language: str = LANGUAGE) -> list[Document]:
    """The documents of one or more folders, each folder's in the order of their names.

    Args:
        language: which texts; those of a translation have codes but no evidence, since its offsets are not theirs.

    Raises:
        ConfigurationError: if a folder has no such texts, or a line is not as the layout has it.
    """
    return [document for folder in folders for document in _read(folder, language)]


def _read(folder: Path, language: str) -> Iterator[Document]:
    texts = folder / ("text_files" if language == LANGUAGE else f"text_files_{language}")
    names = sorted(texts.glob("*.txt")) if texts.is_dir() else []
    if not names:
        raise ConfigurationError(f"{folder}: no {texts.name}/*.txt: this is not a corpus in CodiEsp's layout")
    codes = {kind: _codes(folder.glob(f"*{letter}.tsv")) for kind, letter in KINDS.items()}
    evidence = _evidence(folder.glob("*X.tsv")) if language == LANGUAGE else {}
    for path in names:
        own = {kind: frozenset(found[path.stem]) for kind, found in codes.items() if path.stem in found}
        text = path.read_bytes().decode("utf-8")
        yield Document(path.stem, text, tuple(evidence.get(path.stem, ())), own)


def _rows(files: Iterable[Path], columns: int) -> Iterator[Sequence[str]]:
    for path in sorted(files):
        with path.open(encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
                if len(row) < columns:
                    raise ConfigurationError(f"{path}, line {number}: {len(row)} columns where {columns} are expected")
                yield row


def _codes(files: Iterable[Path]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, code, *_ in _rows(files, 2):
        found[name].add(code.strip().lower())
    return found


def _evidence(files: Iterable[Path]) -> Mapping[str, list[Evidence]]:
    found: dict[str, list[Evidence]] = defaultdict(list)
    for name, kind, code, _, places, *_ in _rows(files, 5):
        try:
            spans = tuple(sorted((int(begin), int(end)) for begin, end in map(str.split, places.split(";"))))
        except ValueError:
            raise ConfigurationError(f"{name}: offsets must read 'begin end', several parted by ';'") from None
        found[name].append(Evidence(kind, code.strip().lower(), spans))
    return found
