"""Spark on this machine for tests: one session a process, small and without compiling what runs once."""

import importlib.util
import os
import shutil
from typing import Any

import pytest

SETTINGS = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.ui.showConsoleProgress": "false",
}
"""Rows are few here: what compiled code saves in running, it costs many times over in compiling."""


def needs_spark() -> None:
    """Skip the test where Spark cannot run."""
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: pip install 'medpipe[spark]'")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("there is no Java 17")


def start() -> Any:
    """The session; whoever asks for one in this process gets the same."""
    needs_spark()
    from medpipe_assets.warehouse.spark_job import session

    return session(SETTINGS)
