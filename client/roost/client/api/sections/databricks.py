"""The Databricks part of an environment: libraries that roost keeps and hands on, and nothing here acts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class MavenLibrary:
    """A library by its Maven coordinates."""

    coordinates: str | None = None
    repo: str | None = None
    exclusions: list[str] | None = None


@dataclass(slots=True)
class PyPiLibrary:
    """A Python package, and the index that it comes from."""

    package: str | None = None
    repo: str | None = None


@dataclass(slots=True)
class RCranLibrary:
    """A package of CRAN, and the repository that it comes from."""

    package: str | None = None
    repo: str | None = None


@dataclass(slots=True)
class JarLibrary:
    """A jar by its URI."""

    library: str | None = None


@dataclass(slots=True)
class EggLibrary:
    """An egg by its URI."""

    library: str | None = None


@dataclass(slots=True)
class DatabricksSection:
    """Libraries by kind."""

    maven_libraries: list[MavenLibrary] = field(default_factory=list)
    pypi_libraries: list[PyPiLibrary] = field(default_factory=list)
    rcran_libraries: list[RCranLibrary] = field(default_factory=list)
    jar_libraries: list[JarLibrary] = field(default_factory=list)
    egg_libraries: list[EggLibrary] = field(default_factory=list)


_KINDS: dict[str, type] = {
    "maven": MavenLibrary,
    "pypi": PyPiLibrary,
    "rcran": RCranLibrary,
    "jar": JarLibrary,
    "egg": EggLibrary,
}


def to_kept(section: DatabricksSection) -> Json:
    """As Azure's files have it, without what is not said."""
    lists = {f"{kind}Libraries": [_said(one) for one in getattr(section, f"{kind}_libraries")] for kind in _KINDS}
    return {key: libraries for key, libraries in lists.items() if libraries}


def _said(library: Any) -> Json:  # noqa: ANN401 - one of the five
    return {key: value for key, value in asdict(library).items() if value is not None}


def of_kept(kept: Mapping[str, Any]) -> DatabricksSection:
    """The opposite of ``to_kept``."""
    section = DatabricksSection()
    for kind, library in _KINDS.items():
        setattr(section, f"{kind}_libraries", [library(**said) for said in kept.get(f"{kind}Libraries", ())])
    return section
