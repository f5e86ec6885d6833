"""Where a lake is: four zones, each a folder or an `s3://` prefix, and the folder of the small local databases.

Pure path arithmetic, plus the one function that makes a local lake's folders private to their owner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medpipe_assets.errors import ConfigurationError

ZONES = ("raw", "preprocessed", "parquet", "staging")
DEFAULT_LAKE = "lake"


@dataclass(frozen=True)
class LakeLocation:
    """The zones' roots (no trailing slash) and `home`, the local folder of catalog, leases and Dagster's own files."""

    raw: str
    preprocessed: str
    parquet: str
    staging: str
    home: Path

    def zone(self, name: str) -> str:
        """The root of a zone.

        Raises:
            KeyError: for a name that is not one of ZONES.
        """
        if name not in ZONES:
            raise KeyError(name)
        return str(getattr(self, name))

    @property
    def scratch(self) -> Path:
        """A folder for what engines put aside while they work: it may hold patient data, so it is inside the lake."""
        return self.home / "scratch"

    @property
    def raw_path(self) -> Path:
        """The raw zone's folder."""
        return Path(self.raw)

    @classmethod
    def under(cls, root: str | Path) -> "LakeLocation":
        """A lake with all four zones under one local folder."""
        home = Path(root).expanduser().absolute()
        raw, preprocessed, parquet, staging = (str(home / zone) for zone in ZONES)
        return cls(raw, preprocessed, parquet, staging, home)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "LakeLocation":
        """The lake that the environment names: MEDPIPE_LAKE for all zones, RAW_BUCKET and its like for one each.

        Without any of them it is the folder `lake` below the current one.
        """
        base = cls.under(environment.get("MEDPIPE_LAKE") or DEFAULT_LAKE)
        roots = {zone: environment.get(f"{zone.upper()}_BUCKET") or base.zone(zone) for zone in ZONES}
        remote = [zone for zone, root in roots.items() if "://" in root]
        if remote:
            raise ConfigurationError(
                f"the {remote[0]} zone is remote, and the local profile keeps its lake in folders: "
                f"unset {remote[0].upper()}_BUCKET, or give a folder"
            )
        return cls(**{zone: str(Path(root).expanduser().absolute()) for zone, root in roots.items()}, home=base.home)

    def create(self) -> None:
        """Make the folders, readable by their owner alone.

        Raises:
            ConfigurationError: where the file system refuses.
        """
        for folder in (self.home, self.scratch, *(Path(self.zone(zone)) for zone in ZONES)):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(
                    f"cannot make the lake at {self.home} ({error.strerror}): give another with --lake or MEDPIPE_LAKE"
                ) from None
