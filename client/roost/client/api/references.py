"""A reference in the place of an ``Environment``. Separate, since it is built on ``Environment`` and configurations are
built on both."""

from __future__ import annotations

from roost.client.api.connection import WorkspaceConnection
from roost.client.api.description import check_name
from roost.client.api.environment import Environment


class EnvironmentReference:
    """A registered environment by name, for a ``ScriptRunConfig``: fetched when it is used. ``version``: ``None`` is
    the latest."""

    def __init__(self, name: str, version: str | int | None = None) -> None:
        self.name = check_name(name)
        self.version = None if version is None else str(version)

    def get_environment(self, workspace: WorkspaceConnection) -> Environment:
        """Fetch the version that is referred to. Raises ``EnvironmentNotFoundError``."""
        return Environment.get(workspace, self.name, self.version)

    def __repr__(self) -> str:
        return f"EnvironmentReference(name={self.name!r}, version={self.version!r})"


EnvironmentOrReference = Environment | EnvironmentReference
