"""Garbage goes in together: each file costs itself alone, with the right reason, and nothing is lost or told twice."""

import os
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest

from medpipe_assets.documents.intake import receive, take_in
from medpipe_assets.documents.line import Engines, stages
from medpipe_assets.documents.pool import PoolSettings
from medpipe_assets.documents.stage import run_stage
from medpipe_assets.extraction.embedded import EmbeddedExtraction
from medpipe_assets.inbox.local import LocalInbox, fetch
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.ledger import conservation, read_vouched
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.lake.quarantine import open_failures
from medpipe_tests.bad_inputs import DONE, WORDS, Input, inputs, pictures
from medpipe_tests.integration.conftest import DAY

STAGES = ("raw_documents", "extracted_text")
POOL = PoolSettings(workers=2, task_seconds=120, memory_bytes=512 << 20)
OCR_POOL = PoolSettings(workers=2, task_seconds=120, memory_bytes=2 << 30)
UNUSED: Any = SimpleNamespace(name="unused", version="1")
CORPORA = Path(os.environ.get("MEDPIPE_CORPORA", "corpora"))


def extracted(lake: Lake, folder: Path, pool: PoolSettings = OCR_POOL) -> None:
    """Take a folder in, and read its documents in worker processes; nothing may be lost on the way."""
    receive(lake, LocalInbox((folder,)).arrivals(), DAY)
    take_in(lake, DAY, fetch, run_id="run")
    line = stages(Engines(EmbeddedExtraction(), UNUSED, UNUSED, UNUSED), lake.raw)
    for stage in STAGES:
        run_stage(lake, line[stage], DAY, run_id="run", pool=pool)
        balance = conservation(lake, stage, DAY)
        assert balance["inputs"] == balance["done"] + balance["quarantined"] and not balance["pending"]
        assert not balance["miscounted"]


def outcomes(lake: Lake) -> dict[str, tuple[str, str]]:
    """By the name of each file and member: the reason that it is in quarantine for or DONE, and its text."""
    texts: dict[str, str] = {}
    for page in read_vouched(lake, "pages").to_pylist():
        texts[page["document_id"]] = texts.get(page["document_id"], "") + page["text"]
    reasons = {row["source_id"]: row["reason"] for row in open_failures(lake)}
    found = {}
    for row in lake.read("document_sources").to_pylist():
        state = reasons.get(row["source_id"], DONE if row["document_id"] in texts else "nothing")
        found[unquote(row["uri"].rpartition("/in/")[2])] = state, texts.get(row["document_id"], "")
    return found


def check(given: Iterable[Input], tmp_path: Path, pool: PoolSettings) -> None:
    (tmp_path / "in").mkdir()
    wanted = {}
    for each in given:
        (tmp_path / "in" / each.name).write_bytes(each.data)
        for member, outcome in each.outcomes.items():
            wanted[each.name + ("!/" if member else "") + member] = outcome, each.words
    lake = Lake(LakeLocation.under(tmp_path / "lake"))
    extracted(lake, tmp_path / "in", pool)
    found = outcomes(lake)
    assert {name: found[name][0] for name in wanted} == {name: outcome for name, (outcome, _) in wanted.items()}
    unread = [name for name, (_, words) in wanted.items() if words and WORDS.split()[2] not in found[name][1]]
    assert not unread


@pytest.mark.slow
def test_every_bad_input_has_its_own_outcome(tmp_path: Path) -> None:
    check(inputs(), tmp_path, POOL)


@pytest.mark.long
def test_every_picture_is_read_or_refused(tmp_path: Path) -> None:
    check(pictures(), tmp_path, OCR_POOL)


@pytest.mark.long
@pytest.mark.corpora
@pytest.mark.parametrize("name", ["odd_documents", "scans", "notes_es_pdf"])
def test_real_odd_documents_are_read_or_have_a_reason(tmp_path: Path, name: str) -> None:
    if not (CORPORA / name).is_dir():
        pytest.skip("set MEDPIPE_CORPORA to the folder of the development corpora")
    lake = Lake(LakeLocation.under(tmp_path / "lake"))
    extracted(lake, (CORPORA / name).resolve())
    reasons = {row["reason"] for row in open_failures(lake)}
    assert not reasons & {"engine_crashed", "timeout", "inconsistent"}
    assert len(outcomes(lake)) == sum(path.is_file() for path in (CORPORA / name).iterdir())
