"""The R section of an environment."""

from __future__ import annotations

from roost.client.api.errors import unsupported_error


class RCranPackage:
    """A package of CRAN; ``repository`` is the URL of a repository other than the default one."""

    __slots__ = ("name", "repository", "version")

    def __init__(self, name: str | None = None, version: str | None = None, repository: str | None = None) -> None:
        self.name = name
        self.version = version
        self.repository = repository


class RGitHubPackage:
    """A package on GitHub: ``repository`` as ``user/name[/folder][@ref|#pull]``. roost stores no tokens:
    ``auth_token`` can't be set."""

    __slots__ = ("repository",)

    def __init__(self, repository: str | None = None) -> None:
        self.repository = repository

    @property
    def auth_token(self) -> None:
        """Always ``None``; setting it raises ``UnsupportedError``."""

    @auth_token.setter
    def auth_token(self, value: str | None) -> None:
        if value is not None:
            raise unsupported_error(
                "RGitHubPackage.auth_token", "Tokens are never stored; pass it to the program that fetches packages."
            )


class RSection:
    """R and its packages: stored and part of the digest; not installed yet. ``snapshot_date`` as ``2019-04-17``.
    ``None``: not set."""

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
