"""A day handed over as batch jobs, against the double with a lake on S3: the same tables, the same bill, paid once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from medpipe_assets.aws.batch_jobs import Batches, Kind
from medpipe_assets.defs.resources import make_engines
from medpipe_assets.documents.intake import receive, take_in
from medpipe_assets.documents.line import stages
from medpipe_assets.documents.pool import PoolSettings
from medpipe_assets.documents.stage import run_stage
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.inbox.local import LocalInbox, fetch
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.settings import Settings
from medpipe_tests.aws_double.fixtures import FROM_OUTSIDE, Aws, moto_server, standing_aws
from medpipe_tests.aws_double.moto_server import MotoServer
from medpipe_tests.integration.conftest import DAY

__all__ = ["moto_server"]

ROLE = "arn:aws:iam::123456789012:role/medpipe-batch"
TABLES = ("segments", "entities", "icd10_mappings", "document_codes")
NOTES = {
    "english.txt": "Past medical history: hypertension.\nThe patient has no diabetes.\n",
    "again.txt": "Past medical history: hypertension.\nThe patient has no diabetes.\n\fHypertension.\n",
    "spanish.txt": "Paciente con setebaid desde hace dos años. Niega fiebre y refiere dolor de cabeza.\n",
    "french.txt": "Le patient présente une noisnetrepyh. Pas de fièvre depuis deux semaines à la maison.\n",
}
"""The double's toy translator turns words round."""
RUN = frozenset({"run_id", "processed_at"})


@dataclass
class Day:
    """A lake on S3 with a day's notes, and the account that its engines call."""

    lake: Lake
    aws: Aws

    def run(self, batch: str, run_id: str = "run") -> None:
        """All stages, as a process of its own would run them."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MEDPIPE_BATCH", batch)
            patch.setenv("MEDPIPE_BATCH_ROLE", ROLE)
            engines = make_engines(Settings.load("aws"), self.lake.location)
        for stage in stages(engines, self.lake.raw).values():
            run_stage(self.lake, stage, DAY, run_id=run_id, pool=PoolSettings(workers=0))

    def content(self) -> dict[str, list[str]]:
        return {
            name: sorted(
                repr({k: v for k, v in row.items() if k not in RUN}) for row in self.lake.read(name).to_pylist()
            )
            for name in TABLES
        }

    def paid(self) -> dict[str, tuple[float, float]]:
        """Units and dollars by operation, as the table of costs has them."""
        paid: dict[str, tuple[float, float]] = {}
        for row in self.lake.read("costs").to_pylist():
            if row["reason_saved"] is None:
                units, dollars = paid.get(row["operation"], (0.0, 0.0))
                paid[row["operation"]] = (units + row["units"], dollars + row["dollars"])
        return paid

    def billed(self) -> dict[str, float]:
        return {operation: units for (_, operation, _), units in self.aws.double.bill.units().items()}

    def files(self) -> list[str]:
        listed = self.aws.client("s3").list_objects_v2(Bucket="lake", Prefix="medpipe/raw/batches/")
        return [found["Key"] for found in listed.get("Contents", ())]


@pytest.fixture
def day(moto_server: MotoServer, tmp_path: Path) -> Iterator[Callable[[], Day]]:
    """Makes an account with a lake of its own; the one made last is the one that is called."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / name).write_text(text, encoding="utf-8")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())

        def make() -> Day:
            moto_server.forget()
            aws = stack.enter_context(standing_aws(moto_server, polls=0))
            for name in FROM_OUTSIDE:
                patch.delenv(name, raising=False)
            for name, value in aws.environment.items():
                patch.setenv(name, value)
            aws.client("s3").create_bucket(Bucket="lake")
            lake = Lake(LakeLocation.under("s3://lake/medpipe", tmp_path / "home"))
            receive(lake, LocalInbox((folder,)).arrivals(), DAY)
            take_in(lake, DAY, fetch, run_id="intake")
            return Day(lake, aws)

        yield make
    moto_server.forget()


@pytest.mark.long
def test_batch_jobs_give_the_tables_and_the_bill_of_calls_and_pay_once_though_the_run_is_killed(
    day: Callable[[], Day], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one = day()
    one_by_one.run("never")
    tables, bill, paid = one_by_one.content(), one_by_one.aws.double.bill.dollars(), one_by_one.paid()
    assert all(tables.values()) and bill > 0

    batch = day()
    honest = Batches._stored

    def dying(self: Batches, kind: Kind, own: str) -> int:
        """Killed with the answers about entities in the store."""
        count = honest(self, kind, own)
        if kind.operation == "DetectEntitiesV2":
            raise KeyboardInterrupt
        return count

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "_stored", dying)
        with pytest.raises(KeyboardInterrupt):
            batch.run("always")
    batch.run("always")
    assert batch.content() == tables
    assert batch.aws.double.bill.dollars() == pytest.approx(bill)
    jobs = {"StartTextTranslationJob", "StartEntitiesDetectionV2Job", "StartICD10CMInferenceJob"}
    assert batch.billed().keys() == jobs
    assert {operation: units for operation, (units, _) in batch.paid().items()} == batch.billed()
    assert sum(dollars for _, dollars in batch.paid().values()) == pytest.approx(bill)
    assert sum(units for units, _ in batch.paid().values()) == sum(units for units, _ in paid.values())
    assert batch.files() == []

    charges = batch.aws.double.bill.charges
    batch.run("always", "again")
    assert batch.aws.double.bill.charges == charges


def test_batch_jobs_that_nobody_could_run_are_refused_before_the_run(tmp_path: Path) -> None:
    settings = Settings(batch="always", batch_role=ROLE)
    with pytest.raises(ConfigurationError, match="MEDPIPE_BATCH_ROLE, and a lake on S3"):
        make_engines(settings, LakeLocation.under(tmp_path))
    remote = LakeLocation.under("s3://lake/medpipe", tmp_path)
    with pytest.raises(ConfigurationError, match="MEDPIPE_BATCH_ROLE"):
        make_engines(settings.model_copy(update={"batch_role": ""}), remote)
    assert make_engines(Settings(), remote).batches is None
    assert make_engines(Settings(batch_role=ROLE), remote).batches is not None
