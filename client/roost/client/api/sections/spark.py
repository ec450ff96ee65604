"""The Spark and Databricks sections of an environment. roost stores the Databricks libraries and exports them again;
nothing here acts on them."""

from __future__ import annotations

from dataclasses import dataclass, field


class SparkPackage:
    """A package by its Maven coordinates."""

    __slots__ = ("artifact", "group", "version")

    def __init__(self, group: str | None = None, artifact: str | None = None, version: str | None = None) -> None:
        self.group = group
        self.artifact = artifact
        self.version = version


class SparkSection:
    """Spark packages, and the repositories that they come from. ``precache_packages`` is stored and has no effect: an
    environment that is ready needs nothing fetched."""

    __slots__ = ("packages", "precache_packages", "repositories")

    def __init__(self) -> None:
        self.repositories: list[str] = []
        self.packages: list[SparkPackage] = []
        self.precache_packages = True


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
    """Databricks libraries by kind."""

    maven_libraries: list[MavenLibrary] = field(default_factory=list)
    pypi_libraries: list[PyPiLibrary] = field(default_factory=list)
    rcran_libraries: list[RCranLibrary] = field(default_factory=list)
    jar_libraries: list[JarLibrary] = field(default_factory=list)
    egg_libraries: list[EggLibrary] = field(default_factory=list)
