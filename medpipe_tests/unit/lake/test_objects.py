"""Bytes under keys: written once, listed below their prefix, the same in a folder and on S3."""

import datetime as dt
import pickle
from pathlib import Path

import pytest

from medpipe_assets.lake.objects import LocalObjects, ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return LocalObjects(tmp_path / "store")


def test_an_object_is_written_once(store: ObjectStore) -> None:
    assert not store.exists("a/b")
    assert store.put("a/b", b"first")
    assert not store.put("a/b", b"second")
    assert store.exists("a/b")
    assert store.get("a/b") == b"first"


def test_empty_objects_are_objects(store: ObjectStore) -> None:
    store.put("a", b"")
    assert store.get("a") == b""
    assert [o.size for o in store.list()] == [0]


def test_objects_are_listed_below_their_prefix_alone_with_size_and_time(store: ObjectStore) -> None:
    for key in ("b/2", "b/1", "bc/3"):
        store.put(key, b"four")
    found = list(store.list("b/"))
    assert [(o.key, o.size) for o in found] == [("b/1", 4), ("b/2", 4)]
    assert all(abs(o.modified - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5) for o in found)
    assert [o.key for o in store.list()] == ["b/1", "b/2", "bc/3"]


def test_nothing_is_listed_where_nothing_is(store: ObjectStore) -> None:
    assert list(store.list()) == list(store.list("a/")) == []


def test_a_removed_object_is_gone_and_removing_it_again_is_nothing(store: ObjectStore) -> None:
    store.put("a", b"x")
    for _ in range(2):
        store.delete("a")
    assert not store.exists("a")
    with pytest.raises(FileNotFoundError):
        store.get("a")


def test_a_removed_object_can_be_written_again(store: ObjectStore) -> None:
    store.put("a", b"x")
    store.delete("a")
    assert store.put("a", b"y")
    assert store.get("a") == b"y"


def test_a_pickled_store_reads_the_same_bytes(store: ObjectStore) -> None:
    store.put("a", b"bytes")
    assert pickle.loads(pickle.dumps(store)).get("a") == b"bytes"
