"""Where a lake is: four zones, all folders or all `s3://` prefixes, and a local folder of medpipe's own.

Pure path arithmetic, plus the one function that makes the local folders private to their owner.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medpipe_assets.errors import ConfigurationError
from medpipe_assets.privacy import make_folder, tighten

_log = logging.getLogger(__name__)

ZONES = ("raw", "preprocessed", "parquet", "staging")
DEFAULT_LAKE = "lake"
DEFAULT_HOME = "~/.local/share/medpipe"
"""The home of a lake on S3."""
DEFAULT_DATABASE = "medpipe"
REMOTE = "s3://"
WRITING = ".writing"
"""The folder below a local root where files are while they are written."""
_BUCKET_AND_PREFIX = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()=-]+)*")
_DATABASE = re.compile(r"[a-z0-9_]{1,255}")


@dataclass(frozen=True)
class LakeLocation:
    """A lake's place.

    Attributes:
        raw, preprocessed, parquet, staging: the zones' roots (no trailing slash).
        home: the local folder of scratch and Dagster's own files; of a local lake also that of catalog and leases.
        kms_key: what encrypts objects on S3; empty for the buckets' own default.
        database: the Glue database of a lake on S3: one a lake, since an account has one catalog.
    """

    raw: str
    preprocessed: str
    parquet: str
    staging: str
    home: Path
    kms_key: str = ""
    database: str = DEFAULT_DATABASE

    def zone(self, name: str) -> str:
        """The root of a zone.

        Raises:
            KeyError: for a name that is not one of ZONES.
        """
        if name not in ZONES:
            raise KeyError(name)
        return str(getattr(self, name))

    @property
    def is_remote(self) -> bool:
        """Whether the lake is on S3."""
        return self.parquet.startswith(REMOTE)

    @property
    def root(self) -> str:
        """What all zones are under, as `under` and --lake take it; empty where each zone has a place of its own."""
        root = self.parquet.removesuffix("/parquet")
        return root if all(self.zone(zone) == f"{root}/{zone}" for zone in ZONES) else ""

    @property
    def scratch(self) -> Path:
        """A folder for what engines put aside while they work: it may hold patient data, so it is inside the home."""
        return self.home / "scratch"

    @property
    def drafts(self) -> tuple[Path, ...]:
        """Folders in which things are while they are made; see `processes.sweep`."""
        local = () if self.is_remote else (self.raw, f"{self.raw}/responses", self.staging)
        return (self.scratch, *(Path(root, WRITING) for root in local))

    @classmethod
    def under(cls, root: str | Path, home: str | Path | None = None) -> "LakeLocation":
        """A lake with all four zones under one local folder or one `s3://bucket/prefix`.

        Args:
            home: of a lake on S3, DEFAULT_HOME when None; a local lake is its own.
        """
        if str(root).startswith(REMOTE):
            zones = {zone: _remote(f"{str(root).rstrip('/')}/{zone}", "the lake") for zone in ZONES}
            return cls(**zones, home=_absolute(home or DEFAULT_HOME))
        folder = _absolute(root)
        return cls(**{zone: str(folder / zone) for zone in ZONES}, home=folder)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "LakeLocation":
        """The lake that the environment names: MEDPIPE_LAKE for all zones, RAW_BUCKET and its like for one each.

        Without any of them it is the folder `lake` below the current one. MEDPIPE_HOME, MEDPIPE_KMS_KEY and
        MEDPIPE_GLUE_DATABASE count for a lake on S3.

        Raises:
            ConfigurationError: for a lake that is half on S3, or names that S3 or Glue would not take.
        """
        base = cls.under(environment.get("MEDPIPE_LAKE") or DEFAULT_LAKE, environment.get("MEDPIPE_HOME") or None)
        roots = {zone: environment.get(f"{zone.upper()}_BUCKET") or base.zone(zone) for zone in ZONES}
        remote = [zone for zone, root in roots.items() if "://" in root]
        if not remote:
            return cls(**{zone: str(_absolute(root)) for zone, root in roots.items()}, home=base.home)
        if len(remote) < len(ZONES):
            raise ConfigurationError(
                f"the {remote[0]} zone is remote and others are folders: unset {remote[0].upper()}_BUCKET, or give "
                "MEDPIPE_LAKE=s3://bucket/prefix, or an s3:// bucket for each zone"
            )
        database = environment.get("MEDPIPE_GLUE_DATABASE") or DEFAULT_DATABASE
        if not _DATABASE.fullmatch(database):
            raise ConfigurationError("MEDPIPE_GLUE_DATABASE: lower-case letters, digits and underscores only")
        return cls(
            **{zone: _remote(root.rstrip("/"), f"{zone.upper()}_BUCKET") for zone, root in roots.items()},
            home=base.home if base.is_remote else _absolute(environment.get("MEDPIPE_HOME") or DEFAULT_HOME),
            kms_key=environment.get("MEDPIPE_KMS_KEY", ""),
            database=database,
        )

    def create(self) -> None:
        """Make the local folders, readable by their owner alone; those that are there already are made so.

        The home itself is left as it is: it may be a folder of somebody's own.

        Raises:
            ConfigurationError: where the file system refuses.
        """
        zones = () if self.is_remote else tuple(Path(self.zone(zone)) for zone in ZONES)
        for folder in (self.home, self.scratch, *zones):
            try:
                make_folder(folder)
                if folder != self.home and not tighten(folder):
                    _log.warning("others can look into %s, where patient data is, and it is not ours to close", folder)
            except OSError as error:
                what, how = ("its home", "MEDPIPE_HOME") if self.is_remote else ("the lake", "--lake or MEDPIPE_LAKE")
                raise ConfigurationError(
                    f"cannot make {what} at {self.home} ({error.strerror}): give another with {how}"
                ) from None


def _absolute(folder: str | Path) -> Path:
    return Path(folder).expanduser().absolute()


def _remote(root: str, name: str) -> str:
    """A root on S3, of characters that need no quoting anywhere (catalogs, URIs, policies)."""
    if not _BUCKET_AND_PREFIX.fullmatch(root):
        raise ConfigurationError(
            f"{name}: give s3://bucket or s3://bucket/prefix, of letters, digits, '-', '_' and '.'"
        )
    return root
