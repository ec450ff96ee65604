"""The registered environments as a mapping: names are cheap, and each environment is fetched when it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from roost.client.api.environment import Environment
from roost.client.api.errors import EnvironmentNotFoundError

if TYPE_CHECKING:
    from roost.client.api.workspace import Workspace


class Environments(Mapping[str, Environment]):
    """Name to the latest version, by name, curated ones (``Roost-…``) too; archived ones are left out. The names are
    those of the first look."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._names: dict[str, None] | None = None
        self._fetched: dict[str, Environment] = {}

    def _known(self) -> dict[str, None]:
        if self._names is None:
            rows = self._workspace._pages("/v1/environments", "environments", "after", curated="with")
            self._names = dict.fromkeys(str(row["name"]) for row in rows)
        return self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __contains__(self, name: object) -> bool:
        return name in self._known()

    def __getitem__(self, name: str) -> Environment:
        """Raises ``KeyError``."""
        if name not in self._fetched:
            if name not in self._known():
                raise KeyError(name)
            try:
                self._fetched[name] = Environment.get(self._workspace, name)
            except EnvironmentNotFoundError as error:
                raise KeyError(name) from error
        return self._fetched[name]

    def __repr__(self) -> str:
        return f"<{len(self)} environments of {self._workspace!r}>"
