"""``Workspace``: the environments, runs and experiments that one root keeps."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from roost.client import paths
from roost.client.api.errors import translated, usage
from roost.client.transport.session import Session

if TYPE_CHECKING:
    from roost.client.api.environments import Environments
    from roost.client.api.experiment import Experiment
    from roost.client.api.run import Run

Json = dict[str, Any]
logger = logging.getLogger("roost")
NAME = "default"


class Workspace:
    """The workspace of this machine and user: the one whose root ``ROOST_HOME`` names, or the usual one.

    Nothing is asked of the daemon until it is needed; it is started then if it does not run, which raises
    ``DaemonUnreachableError`` if it can't be.
    """

    def __init__(self) -> None:
        self._session = Session(lambda line: logger.info("%s", line))
        self._root = paths.root()

    @staticmethod
    def from_config(path: str | os.PathLike[str] | None = None, auth: object = None) -> Workspace:
        """The workspace of this machine. ``path``: a JSON file, which may be one of Azure's; a ``root`` in it must be
        this workspace's. ``auth`` has no effect: only its owner can reach the daemon. Raises ``UsageError``,
        ``OSError``."""
        workspace = Workspace()
        if path is not None:
            _check_config(os.fspath(path), workspace.root)
        return workspace

    @staticmethod
    def get(
        name: str = NAME,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
    ) -> Workspace:
        """The workspace ``default``, the only one of this machine; where Azure keeps one has no effect. Raises
        ``UsageError`` for another name."""
        if name != NAME:
            raise usage(f"This machine has no workspace {name!r}, but only {NAME!r}", "Use Workspace.from_config().")
        return Workspace()

    @staticmethod
    def list(
        subscription_id: str | None = None, auth: object = None, resource_group: str | None = None
    ) -> dict[str, list[Workspace]]:
        """The workspaces of this machine by name: one."""
        return {NAME: [Workspace()]}

    @property
    def name(self) -> str:
        """``default``."""
        return NAME

    @property
    def root(self) -> str:
        """Absolute folder in which roost keeps everything of this workspace."""
        return self._root

    @property
    def environments(self) -> Environments:
        """The registered environments by name, each in its latest version; fetched when they are looked at."""
        from roost.client.api.environments import Environments

        return Environments(self)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiments that runs belong to, by name."""
        from roost.client.api.experiment import Experiment

        return {experiment.name: experiment for experiment in Experiment.list(self)}

    def get_run(self, run_id: str) -> Run:
        """The run with this id. Raises ``NotFoundError``."""
        from roost.client.api.run import Run

        return Run.get(self, run_id)

    def get_details(self) -> Json:
        """``name`` and ``root``, and what the daemon says of itself: ``version``, ``protocol``, ``store_format``, …"""
        return {"name": self.name, **self._request("GET", "/v1/version"), "root": self.root}

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, root={self.root!r})"

    def _request(self, method: str, target: str, body: Json | None = None) -> Json:
        with translated():
            return self._session.request(method, target, body)

    def _lines(self, method: str, target: str, body: Json | None = None) -> Generator[Json, None, None]:
        with translated(), closing(self._session.lines(method, target, body)) as lines:
            yield from lines

    def _chunks(self, target: str) -> Generator[bytes, None, None]:
        with translated(), closing(self._session.chunks(target)) as chunks:
            yield from chunks

    def _pages(self, target: str, key: str, cursor: str, **said: object) -> Iterator[Json]:
        """Rows of a list that is told in pages: the next one is asked for by ``cursor``."""
        after: object = None
        while True:
            query = {"limit": 1000, **said, **({cursor: after} if after is not None else {})}
            answer = self._request("GET", f"{target}?{urlencode(query)}")
            rows = answer[key]
            yield from rows
            after = answer.get("next") if "next" in answer else (rows[-1]["id"] if len(rows) == 1000 else None)
            if after is None:
                return


def path_to(*parts: str, **query: object) -> str:
    """``/v1/…`` of ``parts``, quoted, and of the query's values that are given."""
    given = {key: value for key, value in query.items() if value is not None}
    return "/v1/" + "/".join(quote(part, safe="") for part in parts) + (f"?{urlencode(given)}" if given else "")


def _check_config(path: str, root: str) -> None:
    with open(path, encoding="utf-8") as file:
        try:
            said = json.load(file)
        except ValueError as error:
            raise usage(f"{path} is no JSON: {error}", "Leave the path out: this machine has one workspace.") from None
    named = said.get("root") if isinstance(said, dict) else None
    if named is not None and os.path.abspath(named) != root:
        raise usage(f"{path} names the root {named}, but this process uses {root}", f"Set ROOST_HOME to {named}.")
