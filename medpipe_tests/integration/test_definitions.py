"""What Dagster loads: the graph as a reviewer should see it change, and that it loads anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medpipe_assets.definitions import build_defs

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
