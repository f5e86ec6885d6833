"""Whole files of any size in and out of a zone of the lake: written once, all or nothing, private to their owner.

What the files are is the callers' matter. They are written into a folder of their own first, of which a run that is
killed leaves the rest for the next to remove.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.objects import S3Objects, fault, store_at

_DRAFTS = ".drafts"


@contextmanager
def drafts(lake: Lake, zone: str, owner: str) -> Iterator[Path]:
    """An empty folder that only its owner can read, gone afterwards; on the same disk as a zone in a folder.

    Args:
        owner: whose older folders are removed first: hold a lease of that name. Letters, digits and underscores.
    """
    parent = (lake.location.scratch if lake.location.is_remote else Path(lake.location.zone(zone))) / _DRAFTS
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in parent.glob(f"{owner}-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f"{owner}-") as folder:
        yield Path(folder)


def keep(lake: Lake, zone: str, key: str, draft: Path) -> None:
    """Move a file of `drafts` under a key. A file that is there already stays: what keys name never changes.

    Raises:
        OSError: as the lake's objects.
    """
    root = lake.location.zone(zone)
    store = store_at(root, lake.location.kms_key, lake.raw.clients if isinstance(lake.raw, S3Objects) else None)
    if store.exists(key):
        draft.unlink()
    elif isinstance(store, S3Objects):
        _upload(store, key, draft)
    else:
        _move(draft, Path(root) / key)


def _move(draft: Path, target: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.chmod(0o600)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft.replace(target)


def _upload(store: S3Objects, key: str, draft: Path) -> None:
    address = store.address(key)
    try:
        store.clients.client("s3").upload_file(
            str(draft), address["Bucket"], address["Key"], ExtraArgs=store.encryption or None
        )
    except (ClientError, BotoCoreError) as error:
        raise fault(error, "PutObject") from None
    except Boto3Error as error:
        raise ConnectionError(f"s3 PutObject: {type(error).__name__}") from None
    draft.unlink()


@contextmanager
def opened(lake: Lake, key: str, folder: Path) -> Iterator[Path]:
    """A file of the raw zone on this machine: itself, or a copy in `folder` as long as it is needed.

    Raises:
        OSError: as the lake's objects.
    """
    if not isinstance(lake.raw, S3Objects):
        yield Path(lake.location.raw) / key
        return
    copy = folder / "raw"
    address = lake.raw.address(key)
    try:
        lake.raw.clients.client("s3").download_file(address["Bucket"], address["Key"], str(copy))
    except (ClientError, BotoCoreError) as error:
        raise fault(error, "GetObject") from None
    try:
        yield copy
    finally:
        copy.unlink(missing_ok=True)
