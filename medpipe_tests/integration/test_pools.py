"""Pools: runs that call the same service take turns where its pool has a limit, and do not otherwise."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity

from medpipe_assets.definitions import build_defs
from medpipe_assets.defs.execution import dagster_home
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import LakeLocation
from medpipe_tests.integration.conftest import Graph


def pools() -> dict[str, set[str]]:
    graph = build_defs().get_repository_def().asset_graph
    return {key.to_user_string(): set(graph.get(key).pools) for key in graph.materializable_asset_keys}


def test_assets_that_call_a_service_are_in_its_pool_under_every_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    local = pools()
    assert {asset: pool for asset, pool in local.items() if pool} == {
        "extracted_text": {"textract"},
        "translated_text": {"translate"},
        "entities": {"comprehend_medical"},
        "icd10_mappings": {"comprehend_medical"},
        "diagnoses": {"athena"},
        "document_summary": {"athena"},
    }
    monkeypatch.setenv("MEDPIPE_PROFILE", "aws")
    assert pools() == local


def test_a_step_waits_until_another_run_is_done_with_its_service(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(LakeLocation.under(tmp_path / "lake"))
    with dg.DagsterInstance.from_config(str(dagster_home(lake.location))) as instance:
        storage = instance.event_log_storage
        assert storage.get_pool_config().pool_granularity is PoolGranularity.OP
        storage.set_concurrency_slots("textract", 1)
        assert storage.claim_concurrency_slot("textract", "another run", "extracted_text").is_claimed
        waited: list[str] = []
        claim = storage.claim_concurrency_slot

        def claim_once_in_vain(pool: str, run_id: str, step: str, *more: Any) -> Any:
            status = claim(pool, run_id, step, *more)
            if not status.is_claimed:
                waited.append(step)
                storage.free_concurrency_slots_for_run("another run")
            return status

        monkeypatch.setattr(storage, "claim_concurrency_slot", claim_once_in_vain)
        graph = Graph(lake, instance)
        graph.receive(notes)
        assert graph.run(selection=["raw_documents", "extracted_text"]).success
        assert waited == ["extracted_text"]
        assert not storage.get_concurrency_info("textract").claimed_slots
