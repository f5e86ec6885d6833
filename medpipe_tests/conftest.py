"""What all tests share: hypothesis without deadlines (machines differ), and no setting of the developer's own shell."""

import os

import pytest
from hypothesis import settings

settings.register_profile("quick", deadline=None, print_blob=True, max_examples=30)
settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A MEDPIPE_ variable, a bucket or a DAGSTER_HOME of the shell must not change what is tested."""
    for name in list(os.environ):
        if name.startswith("MEDPIPE_") and name != "MEDPIPE_CORPORA":
            monkeypatch.delenv(name)
    for name in ("RAW_BUCKET", "PREPROCESSED_BUCKET", "PARQUET_BUCKET", "STAGING_BUCKET", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", os.devnull)  # no coding model of the developer's own
