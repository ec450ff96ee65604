"""The jobs of conda workers: what they get and return. Their functions are in ``native``, which the daemon never
imports."""

from __future__ import annotations

from datetime import datetime

import msgspec

from roost.daemon.engines.conda.channels import ALIAS
from roost.daemon.engines.conda.explicit import ExplicitUrl
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.model.locks.lock import CondaPackage
from roost.model.locks.preferences import PreferredPackage

_NATIVE = "roost.daemon.engines.conda.native"
_QUICK_SECONDS = 60.0
"""For jobs of milliseconds: a machine that swaps may need a thousand times as long."""
_NAMES_SECONDS = 10.0
"""For what only makes hints."""

CONDA_WORKERS = WorkerKind(name="conda", modules=("rattler",))


class ChannelAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How channels are reached."""

    mirrors: dict[str, list[str]]
    alias: str = ALIAS
    auth_file: str | None = None
    credentials: dict[str, str] = {}
    """By origin."""
    retries: int = 2
    timeout: float | None = None
    """Seconds for one HTTP exchange; ``None`` for large files."""


class SpecRequest(msgspec.Struct, frozen=True, kw_only=True):
    specs: tuple[str, ...]


class MatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which of ``specs`` the ``packages`` of a lock satisfy; ``variables`` are for channels in specs."""

    specs: tuple[str, ...]
    packages: tuple[CondaPackage, ...]
    variables: dict[str, str]


class VersionPairs(msgspec.Struct, frozen=True, kw_only=True):
    pairs: list[tuple[str, str]]


class VersionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which of ``versions`` (with their builds) ``name constraint`` matches."""

    name: str
    constraint: str
    versions: list[tuple[str, str]]


class MachineRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing: a worker is on the same machine."""


class SolveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A solve; ``channels`` are canonical URLs in order, ``virtual`` all virtual packages by name."""

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    subdir: str
    virtual: dict[str, str]
    as_of: datetime | None
    index_dir: str
    access: ChannelAccess
    preferred: tuple[PreferredPackage, ...] = ()
    """What is chosen if the specs leave the choice."""


class ExplicitRequest(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[ExplicitUrl, ...]
    index_dir: str
    access: ChannelAccess


class NamesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the ``channels`` have of ``names``. ``cached_only``: as far as their indexes are in the cache."""

    channels: tuple[str, ...]
    names: tuple[str, ...]
    subdir: str
    index_dir: str
    access: ChannelAccess
    cached_only: bool = False


class NameFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What channels have of a name."""

    versions: list[str] = []
    """The oldest first."""
    near: list[str] = []
    """Names that it may be a misspelling of, if there is none."""
    platforms: list[str] = []
    """Other platforms that it is there for, if there is neither."""


class DistributionRequest(msgspec.Struct, frozen=True, kw_only=True):
    packages: tuple[CondaPackage, ...]
    cache_dir: str
    access: ChannelAccess


class LinkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Link ``packages`` into ``prefix``; ``sizes`` are those of the packages that have to be fetched, by URL, and
    ``sources`` the URLs of those whose files are on this machine."""

    packages: tuple[CondaPackage, ...]
    prefix: str
    final: str | None
    """The path that files name as their prefix, if it is not ``prefix``."""
    cache_dir: str
    sizes: dict[str, int]
    sources: dict[str, str]
    idle_timeout: float
    """Seconds that a channel may send nothing."""
    access: ChannelAccess


class FetchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Write the files of ``packages`` to ``paths``, which are by sha256."""

    packages: tuple[CondaPackage, ...]
    paths: dict[str, str]
    idle_timeout: float
    """Seconds that a channel may send nothing."""
    access: ChannelAccess


CHECK_SPECS = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.specs:check_specs", payload=SpecRequest, result=type(None),
    doing="reading match specs", timeout=_QUICK_SECONDS, quick=True,
)  # fmt: skip
"""Raises MatchSpecError, whose field ``spec`` is the spec."""
FIND_MATCHES = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.specs:find_matches", payload=MatchRequest, result=list[tuple[str, str]],
    doing="matching specs", timeout=_QUICK_SECONDS, quick=True,
)  # fmt: skip
COMPARE_VERSIONS = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.versions:compare_pairs", payload=VersionPairs, result=list[int],
    doing="comparing versions", timeout=_QUICK_SECONDS, quick=True,
)  # fmt: skip
MATCH_VERSIONS = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.versions:match_versions", payload=VersionRequest,
    result=list[bool] | None,  # type: ignore[arg-type]
    doing="matching versions", timeout=_QUICK_SECONDS, quick=True,
)  # fmt: skip
DETECT_MACHINE = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.machine:detect_virtual_packages", payload=MachineRequest,
    result=dict[str, str], doing="asking what this machine has", timeout=_QUICK_SECONDS, quick=True,
)  # fmt: skip
SOLVE = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.solving:solve", payload=SolveRequest, result=list[CondaPackage],
    doing="solving",
)  # fmt: skip
RESOLVE_EXPLICIT = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.solving:resolve_explicit", payload=ExplicitRequest,
    result=list[CondaPackage], doing="looking up packages",
)  # fmt: skip
FIND_NAMES = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.names:find_names", payload=NamesRequest, result=dict[str, NameFacts],
    doing="looking for names", timeout=_NAMES_SECONDS,
)  # fmt: skip
FIND_DISTRIBUTIONS = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.distributions:find_distributions", payload=DistributionRequest,
    result=dict[str, str], doing="listing what packages contain",
)  # fmt: skip
LINK = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.linking:link", payload=LinkRequest, result=list[str],
    doing="linking packages", retires_on_error=True,
)  # fmt: skip
"""Returns the names of the packages, dependencies first. Threads of rattler go on after a failure."""
FETCH = WorkerJob(
    kind=CONDA_WORKERS, target=f"{_NATIVE}.fetching:fetch", payload=FetchRequest, result=type(None),
    doing="fetching packages",
)  # fmt: skip
