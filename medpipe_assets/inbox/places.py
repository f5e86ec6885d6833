"""Which kind of inbox a URI belongs to: the one place that knows both folders and buckets."""

from collections.abc import Callable, Iterable

from medpipe_assets.aws.clients import Clients
from medpipe_assets.errors import ConfigurationError, DocumentError, Reason
from medpipe_assets.inbox import local
from medpipe_assets.inbox.s3 import S3Inbox, place_of

S3 = "s3://"
FILE = "file://"


def s3_inbox(root: str, clients: Clients, not_below: Iterable[str] = ()) -> S3Inbox:
    """The inbox at `s3://bucket/prefix`. A prefix is the beginning of keys: `s3://bucket/in` holds `inbox/a.pdf`, too.

    Args:
        root: with the key as it is, not percent-encoded.
        not_below: roots that are no input, such as a lake's zones; those in other places do not matter.

    Raises:
        ConfigurationError: where no bucket is named, or the inbox lies below one of those roots.
    """
    bucket, prefix = _parted(root)
    if not root.startswith(S3) or not bucket:
        raise ConfigurationError("an inbox on S3 is named s3://bucket or s3://bucket/prefix")
    others = [_parted(other) for other in not_below if other.startswith(S3)]
    exclude = tuple(f"{key.rstrip('/')}/" if key else "" for other, key in others if other == bucket)
    if prefix.startswith(exclude):
        raise ConfigurationError("the inbox lies inside the lake, which would take itself in: give another prefix")
    return S3Inbox(bucket, prefix, clients.client("s3"), exclude)


def _parted(root: str) -> tuple[str, str]:
    bucket, _, key = root.removeprefix(S3).partition("/")
    return bucket, key


def fetcher(region: str = "") -> Callable[[str], bytes]:
    """A function that gives the bytes of a URI, wherever it is; it raises what the inbox of that place raises.

    Nothing is asked of AWS, nor any of its settings read, before the first `s3://` URI.
    """
    clients = Clients(region)

    def fetch(uri: str) -> bytes:
        if uri.startswith(FILE):
            return local.fetch(uri)
        if uri.startswith(S3):
            return S3Inbox(place_of(uri)[0], "", clients.client("s3")).fetch(uri)
        raise DocumentError(Reason.UNREADABLE, "neither a file nor an object on S3")

    return fetch
