"""What the coding stage makes of an engine's proposals."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pytest

from medpipe_assets.coding.embedded import candidate
from medpipe_assets.coding.engine import CodableMention, CodableText, Coding, DocumentCode
from medpipe_assets.coding.stage import code_document

RECEIVED = dt.date(2026, 11, 1)


@dataclass(frozen=True)
class Proposing:
    """Proposes the same codes for every mention, and accepts the first."""

    codes: tuple[str, ...]
    name = "proposing"
    version = "1"
    reads: Literal["source"] = "source"
    code_set_version = "2026-04-01"

    def code(self, texts: Sequence[CodableText], mentions: Sequence[CodableMention]) -> Coding:
        ranked = [DocumentCode(code, 0.9, True, True, 1) for code in self.codes]
        return Coding(tuple((candidate(code, 0.9, "test"),) for code in self.codes), tuple(ranked))


def coded(codes: Sequence[str], text: str) -> list[dict[str, object]]:
    mentions = [CodableMention(0, ((0, 1),), "MEDICAL_CONDITION", "DX_NAME", 0.9) for _ in codes]
    entities = [{"entity_id": str(i)} for i, _ in enumerate(codes)]
    engine = Proposing(tuple(codes))
    columns = code_document(engine, [CodableText(text, "en")], entities, mentions, RECEIVED)["icd10_mappings"]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_codes_that_exclude_one_another_are_both_kept_and_flagged() -> None:
    rows = coded(["E11.9", "E10.9", "I10"], "some text")
    assert [(row["code"], row["flags"]) for row in rows] == [
        ("E11.9", ["excludes1_conflict"]),
        ("E10.9", ["excludes1_conflict"]),
        ("I10", []),
    ]


@pytest.mark.parametrize(
    ("text", "release", "flags", "title"),
    [
        ("Date: 09/30/2026", "2026-04-01", [], "Type 2 diabetes mellitus without complications"),
        ("Date: 10/01/2026", "2026-10-01", ["not_billable"], "Of old"),
        ("no date", "2026-10-01", ["not_billable"], "Of old"),
    ],
)
def test_a_row_is_judged_against_the_release_in_force_on_its_day_of_service(
    next_year: str, text: str, release: str, flags: list[str], title: str
) -> None:
    (row,) = coded(["E11.9"], text)
    assert (row["code_set_version"], row["flags"], row["billable"], row["description"]) == (
        release, flags, not flags, title,
    )  # fmt: skip
