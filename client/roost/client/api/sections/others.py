"""The other parts of an environment: Python, Spark, R."""

from __future__ import annotations

import os

from roost.client.api.errors import unsupported
from roost.client.api.sections.conda_dependencies import CondaDependencies


class PythonSection:
    """Who provides Python and its packages.

    ``user_managed_dependencies``: roost installs nothing and takes ``interpreter_path`` as it is. ``interpreter_path``
    (``python`` at first) is for that only. ``conda_dependencies``: the packages otherwise. ``requires``: a PEP 440
    specifier such as ``>=3.10`` that Python must fit.
    """

    __slots__ = ("_file", "conda_dependencies", "interpreter_path", "requires", "user_managed_dependencies")

    def __init__(self) -> None:
        self.user_managed_dependencies = False
        self.interpreter_path = "python"
        self.conda_dependencies: CondaDependencies | None = CondaDependencies()
        self.requires: str | None = None
        self._file: str | None = None

    @property
    def conda_dependencies_file(self) -> str | None:
        """The conda environment file that was read last. Setting it reads the file into ``conda_dependencies`` now;
        raises ``DefinitionError``, ``OSError``."""
        return self._file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, value: str | os.PathLike[str] | None) -> None:
        if value:
            self.conda_dependencies = CondaDependencies(value)
        self._file = os.fspath(value) if value else None


class SparkPackage:
    """A package by its Maven coordinates."""

    __slots__ = ("artifact", "group", "version")

    def __init__(self, group: str | None = None, artifact: str | None = None, version: str | None = None) -> None:
        self.group = group
        self.artifact = artifact
        self.version = version


class SparkSection:
    """Spark packages, and the repositories they come from. ``precache_packages`` is kept, and has no effect: an
    environment that is ready needs nothing fetched."""

    __slots__ = ("packages", "precache_packages", "repositories")

    def __init__(self) -> None:
        self.repositories: list[str] = []
        self.packages: list[SparkPackage] = []
        self.precache_packages = True


class RCranPackage:
    """A package of CRAN; ``repository`` is the URL of another than the usual one."""

    __slots__ = ("name", "repository", "version")

    def __init__(self, name: str | None = None, version: str | None = None, repository: str | None = None) -> None:
        self.name = name
        self.version = version
        self.repository = repository


class RGitHubPackage:
    """``repository`` as ``user/name[/folder][@ref|#pull]``. A token is never kept: ``auth_token`` can't be set."""

    __slots__ = ("repository",)

    def __init__(self, repository: str | None = None) -> None:
        self.repository = repository

    @property
    def auth_token(self) -> None:
        """Always ``None``; setting it raises ``UnsupportedError``."""

    @auth_token.setter
    def auth_token(self, value: str | None) -> None:
        if value is not None:
            raise unsupported("RGitHubPackage.auth_token", "Tokens are never kept; give it to what fetches packages.")


class RSection:
    """R and its packages: kept and counted in the digest; nothing installs them yet. ``snapshot_date`` as
    ``2019-04-17``. ``None``: nothing is said."""

    __slots__ = (
        "bioconductor_packages",
        "cran_packages",
        "custom_url_packages",
        "github_packages",
        "r_version",
        "rscript_path",
        "snapshot_date",
        "user_managed",
    )

    def __init__(self) -> None:
        self.r_version: str | None = None
        self.snapshot_date: str | None = None
        self.cran_packages: list[RCranPackage] | None = None
        self.github_packages: list[RGitHubPackage] | None = None
        self.custom_url_packages: list[str] | None = None
        self.bioconductor_packages: list[str] | None = None
        self.user_managed = False
        self.rscript_path: str | None = None
