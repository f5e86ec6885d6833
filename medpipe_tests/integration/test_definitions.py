"""What Dagster loads: the graph as a reviewer should see it change, and that it loads anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medpipe_assets.definitions import build_defs, document_defs
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_assets.running import run_inputs

ROOT = Path(__file__).parents[2]
GRAPH = ROOT / "medpipe_tests" / "integration" / "graph.txt"


def drawn() -> str:
    """The graph as text: assets with what they depend on, group, partitions, checks; then jobs, sensors, schedules."""
    repository = build_defs().get_repository_def()
    graph = repository.asset_graph
    lines = []
    for key in sorted(graph.materializable_asset_keys, key=lambda k: k.to_user_string()):
        node = graph.get(key)
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys)) or "-"
        days = "daily" if node.partitions_def else "unpartitioned"
        lines.append(f"{key.to_user_string()} [{node.group_name}, {days}] <- {parents}")
        for check in sorted(node.check_keys, key=lambda k: k.name):
            blocking = "blocking" if graph.get(check).blocking else "warning"
            lines.append(f"    check {check.name} ({blocking})")
    names = [job.name for job in repository.get_all_jobs() if not job.name.startswith("__")]
    lines += [f"job {name}" for name in sorted(names)]
    lines += [f"sensor {sensor.name}" for sensor in repository.sensor_defs]
    lines += [f"schedule {schedule.name} {schedule.cron_schedule}" for schedule in repository.schedule_defs]
    return "\n".join(lines) + "\n"


def test_the_graph_is_the_one_that_was_reviewed() -> None:
    assert drawn() == GRAPH.read_text(), "the graph has changed: if so intended, write `drawn()` to graph.txt"


def test_the_command_line_runs_the_same_job_of_documents_as_the_daemon() -> None:
    whole, own = (defs().resolve_job_def("documents") for defs in (build_defs, document_defs))
    assert {node.name for node in whole.nodes} == {node.name for node in own.nodes}
    assert whole.asset_layer.asset_graph.executable_asset_keys == own.asset_layer.asset_graph.executable_asset_keys


def test_every_asset_is_described_owned_and_has_its_columns() -> None:
    graph = build_defs().get_repository_def().asset_graph
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.description and node.owners and node.kinds
        if node.group_name == "documents":
            assert node.metadata["dagster/column_schema"].columns


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["dg", "check", "defs"], ["dagster", "definitions", "validate", "-w", "workspace.yaml"]]
)
def test_it_loads_with_an_empty_environment(command: list[str], tmp_path: Path) -> None:
    folder = Path(sys.executable).parent
    environment = {"PATH": f"{folder}{os.pathsep}/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(folder / command[0]), *command[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_it_loads_under_the_profile_aws_with_a_lake_on_s3_and_neither_region_nor_credentials(tmp_path: Path) -> None:
    given = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    code = "from medpipe_assets.definitions import build_defs; build_defs().get_repository_def()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**given, "MEDPIPE_PROFILE": "aws", "MEDPIPE_LAKE": "s3://nobody/has/it"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_without_a_region_says_what_to_set(tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    lake = Lake(LakeLocation.under(tmp_path / "lake"))
    (failure,) = run_inputs(lake, [str(notes)], profile="aws", workers=0).failures
    assert "NoRegionError: set AWS_REGION" in failure
