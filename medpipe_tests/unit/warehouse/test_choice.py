"""Which SQL engine is asked: as it is set, or as profile and place of the lake have it."""

from dataclasses import replace

import pytest

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.settings import Settings
from medpipe_assets.warehouse import choice
from medpipe_assets.warehouse.athena import AthenaWarehouse
from medpipe_assets.warehouse.choice import engine_of, warehouse_over

HERE = LakeLocation.under("/lake")
ON_S3 = LakeLocation.under("s3://clinic/lake", "/home")


@pytest.mark.parametrize(
    ("profile", "engine", "location", "chosen"),
    [
        ("local", "", HERE, "duckdb"),
        ("local", "", ON_S3, "duckdb"),
        ("aws", "", ON_S3, "athena"),
        ("aws", "", HERE, "duckdb"),
        ("aws", "duckdb", ON_S3, "duckdb"),
        ("local", "athena", ON_S3, "athena"),
    ],
)
def test_the_engine_is_the_one_that_is_set_or_the_profiles(
    profile: str, engine: str, location: LakeLocation, chosen: str
) -> None:
    assert engine_of(Settings(profile=profile, sql_engine=engine), location) == chosen


@pytest.mark.parametrize(
    ("engine", "told"), [("athena", "cannot see a lake in a folder"), ("spork", "duckdb or athena")]
)
def test_an_engine_that_cannot_answer_is_refused_with_the_next_step(engine: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        engine_of(Settings(sql_engine=engine), HERE)


def test_athena_is_asked_by_the_lake_and_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made: list[AthenaWarehouse] = []
    monkeypatch.setattr(choice, "athena_over", made.append)
    warehouse_over(Settings(profile="aws"), replace(ON_S3, kms_key="alias/lake", database="clinic"), unload=True)
    warehouse_over(Settings(profile="aws", athena_output="s3://other/", athena_workgroup="w"), ON_S3)
    told = [(a.database, a.workgroup, a.output_location, a.kms_key, a.unload) for a in made]
    assert told == [
        ("clinic", "primary", "s3://clinic/lake/staging/athena/", "alias/lake", True),
        ("medpipe", "w", "s3://other/", "", False),
    ]
