"""References to registered versions: the one that an object came from, and one in the place of an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roost.client.api.documents import check_name
from roost.client.api.workspace import Workspace

if TYPE_CHECKING:
    from roost.client.api.environment import Environment

Json = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """The registered version that an object was made from, and what it said then."""

    name: str
    version: int
    document: Json
    definition_digest: str
    kind: str
    labels: tuple[str, ...]
    run: str | None
    """Id of the run that it is from, whose generation counts."""

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.version}"


class EnvironmentReference:
    """A registered environment by name, for a ``ScriptRunConfig``: fetched when it is used. ``None``: the latest."""

    def __init__(self, name: str, version: str | int | None = None) -> None:
        self.name = check_name(name)
        self.version = None if version is None else str(version)

    def get_environment(self, workspace: Workspace) -> Environment:
        """The version that it names. Raises ``EnvironmentNotFoundError``."""
        from roost.client.api.environment import Environment

        return Environment.get(workspace, self.name, self.version)

    def __repr__(self) -> str:
        return f"EnvironmentReference(name={self.name!r}, version={self.version!r})"
