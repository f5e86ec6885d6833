"""A lake, an ephemeral Dagster instance and small documents of our own: what the whole-graph tests run on."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from medpipe_assets.definitions import build_defs
from medpipe_assets.defs.documents.jobs import documents_job
from medpipe_assets.defs.resources import LakeResource, RunnerResource
from medpipe_assets.documents.intake import receive
from medpipe_assets.inbox.local import LocalInbox
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a module runs again of another's tests (a local lake's on S3) is left to `make test-all`."""
    for item in items:
        function = getattr(item, "function", None)
        if function is not None and function.__module__ != item.module.__name__:  # type: ignore[attr-defined]
            item.add_marker(pytest.mark.long)


DAY = dt.date(2026, 11, 20)
NOTES = {
    "english.txt": "Past medical history: hypertension.\nThe patient has asthma and denies chest pain.\n",
    "spanish.txt": "Paciente con diabetes mellitus tipo 2. Niega fiebre. Refiere disnea desde hace dos semanas.\n",
    "french.txt": "Le patient présente une pneumonie. Pas de fièvre. Antécédents de fibrillation auriculaire.\n",
}


@dataclass
class Graph:
    """The document line over one lake, materialised as the daemon would, without a process of its own."""

    lake: Lake
    instance: dg.DagsterInstance

    def definitions(self, **overrides: Any) -> dg.Definitions:
        given = {"lake": LakeResource(root=str(self.lake.location.home)), "runner": RunnerResource(workers=0)}
        return build_defs({**given, **overrides})

    def run(
        self,
        day: dt.date = DAY,
        *,
        reprocess: dict[str, Any] | None = None,
        selection: list[str] | None = None,
        **overrides: Any,
    ) -> dg.ExecuteInProcessResult:
        job = self.definitions(**overrides).resolve_job_def(documents_job.name)
        return job.execute_in_process(
            instance=self.instance,
            partition_key=day.isoformat(),
            raise_on_error=False,
            asset_selection=[dg.AssetKey(name) for name in selection] if selection else None,
            run_config={
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                "resources": {"reprocess": {"config": reprocess or {}}},
            },
        )

    def receive(self, folder: Path, day: dt.date = DAY) -> None:
        receive(self.lake, LocalInbox((folder,)).arrivals(), day)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return list(self.lake.read(table).to_pylist())

    def content(self) -> dict[str, list[str]]:
        """All tables' rows less what differs from run to run, in a comparable order."""
        volatile = {"run_id", "processed_at", "fence", "received_at", "first_failed_at", "last_failed_at", "sequence"}
        names = ("document_sources", "raw_documents", "pages", "words", "segments", "entities", "icd10_mappings",
                 "document_codes", "quarantine", "diagnoses", "document_summary")  # fmt: skip
        return {
            name: sorted(repr({k: v for k, v in row.items() if k not in volatile}) for row in self.rows(name))
            for name in names
        }


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(Lake(LakeLocation.under(tmp_path / "lake")), instance)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder with a note in each of three languages."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
