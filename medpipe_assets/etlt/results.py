"""Result tables as JSON and CSV files in the staging zone, for those who want files: each there whole or not at all.

`results/<table>/<table>.json` is one object: `metadata` (what it was made of, when, by whom) and `rows`. Values are
written as in warehouse/format.py, rows in the order of their columns, so that engines do not differ.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from medpipe_assets.etlt.duck import connected, name, text
from medpipe_assets.lake.lake import Lake
from medpipe_assets.lake.location import WRITING
from medpipe_assets.lake.objects import S3Objects, fault
from medpipe_assets.lake.processes import owned_prefix

FOLDER = "results"


def key_of(table: str, form: str) -> str:
    """Where a result is, in the staging zone."""
    return f"{FOLDER}/{table}/{table}.{form}"


def write_results(
    lake: Lake,
    table: str,
    forms: Sequence[str],
    files: Sequence[Path],
    metadata: Mapping[str, Any],
    scratch: Path,
) -> list[str]:
    """Write a table's rows in each form, over what was there.

    Args:
        files: the table's, on this machine.
        metadata: in JSON's types.

    Returns:
        The keys of the results, in the staging zone.
    """
    schema = lake.tables[table].schema
    keys = []
    for form in forms:
        made = scratch / f"result.{form}"
        _WRITERS[form](schema, files, metadata, made, scratch)
        keys.append(key_of(table, form))
        _place(lake, keys[-1], made)
    return keys


def is_there(lake: Lake, table: str, form: str) -> bool:
    """Whether a result was written at all."""
    store = _staging(lake)
    return store.exists(key_of(table, form)) if store else Path(lake.location.staging, key_of(table, form)).exists()


def _json(schema: pa.Schema, files: Sequence[Path], metadata: Mapping[str, Any], made: Path, scratch: Path) -> None:
    rows = scratch / "rows.json"
    _copy(schema, files, rows, "FORMAT json, ARRAY true", {}, scratch)
    head = json.dumps({"metadata": metadata}, ensure_ascii=False, indent=1)
    with made.open("wb") as out, rows.open("rb") as body:
        out.write(head.removesuffix("\n}").encode() + b',\n "rows": ')
        shutil.copyfileobj(body, out)
        out.write(b"}\n")


def _csv(schema: pa.Schema, files: Sequence[Path], metadata: Mapping[str, Any], made: Path, scratch: Path) -> None:
    nested = {field.name: "CAST(to_json({0}) AS VARCHAR)" for field in schema if pa.types.is_nested(field.type)}
    _copy(schema, files, made, "FORMAT csv, HEADER true", nested, scratch)


_WRITERS = {"json": _json, "csv": _csv}
_INSTANT = "strftime({0} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"


def _copy(
    schema: pa.Schema, files: Sequence[Path], target: Path, options: str, forms: Mapping[str, str], scratch: Path
) -> None:
    """Rows into a file, some columns in a form of their own."""
    shown_as = {field.name: _INSTANT for field in schema if pa.types.is_timestamp(field.type)} | dict(forms)
    shown = [f"{shown_as.get(column, '{0}').format(name(column))} AS {name(column)}" for column in schema.names]
    with connected(scratch) as connection:
        connection.register("empty", schema.empty_table())
        rows = "SELECT * FROM empty"
        if files:
            paths = ", ".join(text(str(file)) for file in files)
            rows += f" UNION ALL BY NAME SELECT * FROM read_parquet([{paths}], hive_partitioning = false)"
        connection.execute(
            f"COPY (SELECT {', '.join(shown)} FROM ({rows}) ORDER BY ALL) TO {text(str(target))} ({options})"
        )


def _staging(lake: Lake) -> S3Objects | None:
    """The staging zone of a lake on S3."""
    return replace(lake.raw, root=lake.location.staging) if isinstance(lake.raw, S3Objects) else None


def _place(lake: Lake, key: str, made: Path) -> None:
    """Put a file where a result belongs, at once, for its owner only."""
    store = _staging(lake)
    if store is None:
        _move(made, Path(lake.location.staging, key), Path(lake.location.staging, WRITING))
        return
    try:
        address = store.address(key)
        client = store.clients.client("s3")
        client.upload_file(str(made), address["Bucket"], address["Key"], ExtraArgs=store.encryption)
    except (ClientError, BotoCoreError) as error:
        raise fault(error, "PutObject") from None
    except S3UploadFailedError:
        raise ConnectionError("s3 PutObject: a result could not be uploaded") from None


def _move(made: Path, target: Path, drafts: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=drafts, prefix=owned_prefix())
    try:
        with os.fdopen(descriptor, "wb") as out, made.open("rb") as rows:
            shutil.copyfileobj(rows, out)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
