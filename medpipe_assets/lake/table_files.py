"""The files of Iceberg tables on S3: read by Arrow, written by medpipe's own client, which can name a KMS key.

Arrow's S3 file system cannot say how an object is to be encrypted, so that without this a table's files would be under
the bucket's default key, whatever MEDPIPE_KMS_KEY says. What tables hold is not the matter of this module.
"""

import io
from types import TracebackType

from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from medpipe_assets.lake.objects import S3Objects, fault

OBJECTS = "medpipe.objects"
"""The property of the catalog that holds the S3Objects of any bucket: its client and key are used."""


class TableFiles(PyArrowFileIO):  # type: ignore[misc]  # pyiceberg is not followed
    """What `py-io-impl` of the catalog names."""

    def new_output(self, location: str) -> PyArrowFile:
        """A file to be written through `OBJECTS`."""
        made = super().new_output(location)
        return _OutputFile(made, self.properties[OBJECTS])


class _OutputFile(PyArrowFile):  # type: ignore[misc]  # likewise
    def __init__(self, file: PyArrowFile, objects: S3Objects) -> None:
        super().__init__(file.location, file._path, file._filesystem)
        self._objects = objects

    def create(self, overwrite: bool = False) -> "_Upload":
        if not overwrite and self.exists():
            raise FileExistsError(f"Cannot create file, already exists: {self.location}")
        return _Upload(self.location, self._objects)


class _Upload(io.BytesIO):
    """Collects a file in memory (Parquet files of chunks and of compactions are far below S3's 5 GB for one request)
    and puts it on closing; where an exception comes first, nothing is put.
    """

    def __init__(self, location: str, objects: S3Objects) -> None:
        super().__init__()
        self._location = location
        self._objects = objects

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            super().close()
        self.close()

    def close(self) -> None:
        if self.closed:
            return
        bucket, _, key = self._location.removeprefix("s3://").partition("/")
        client = self._objects.clients.client("s3")
        try:
            client.put_object(Bucket=bucket, Key=key, Body=self.getvalue(), **self._objects.encryption)
        except (ClientError, BotoCoreError) as failure:
            raise fault(failure, "PutObject") from None
        finally:
            super().close()
