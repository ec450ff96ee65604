"""Code of packages and projects: background work runs only what has run on this machine before.

Whatever is about to run code names its content: a package by its sha256, a source by its digest or commit. Background
work is refused before anything is executed, unless all of that is known; work that somebody waits for runs it, and
records it once it has succeeded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Literal, Protocol

import msgspec

from roost.daemon.background.work import current_work
from roost.model.errors import BuildError

CodeKind = Literal[
    "build-backend", "git-checkout", "link-script", "activation-script", "interpreter-file", "docker-step"
]

_ACTIONS: dict[CodeKind, str] = {
    "build-backend": "building it runs its code",
    "git-checkout": "fetching and building it runs its code",
    "link-script": "it has a script that runs when it is linked",
    "activation-script": "it has a script that runs when its environment is activated",
    "interpreter-file": "it has a file that the Python of its environment runs when it starts",
    "docker-step": "it runs commands in a container",
}


class PackageCode(msgspec.Struct, frozen=True, kw_only=True):
    """Code that is about to run, or has run."""

    kind: CodeKind
    package: str
    """What a person calls it: a package, a line or a step."""
    content: str
    """Names the very content: ``sha256:…``, or ``git+URL@COMMIT``. Empty if it is not known, and so never recorded."""


class CodeNotAllowedError(BuildError):
    """Code would run in background work that has never run on this machine: it waits until somebody asks for it."""

    code = "waits-for-code"
    http_status = 409


class CodeTable(Protocol):
    """Where contents are recorded: a table of the index."""

    async def find(self, contents: Sequence[str]) -> Set[str]:
        """Return those of ``contents`` that are recorded."""

    async def add(self, kind: str, contents: Sequence[str]) -> None:
        """Record ``contents``."""


class KnownCode:
    """What has run on this machine. Without a ``table`` nothing is known, and nothing is recorded."""

    def __init__(self, table: CodeTable | None = None) -> None:
        self._table = table

    async def require(self, code: Iterable[PackageCode]) -> None:
        """Raise CodeNotAllowedError if this is background work and some of ``code`` has not run here before."""
        work = current_work()
        if work is None or work.allows_code:
            return
        wanted = list(code)
        contents = sorted({each.content for each in wanted if each.content})
        known = await self._table.find(contents) if self._table is not None and contents else frozenset()
        for each in wanted:
            if each.content not in known:
                raise refuse_code(each.kind, each.package)

    async def record(self, code: Iterable[PackageCode]) -> None:
        """Record that ``code`` has run, and succeeded. What background work runs is known already, unless it may run
        all."""
        work = current_work()
        if self._table is None or (work is not None and not work.allows_code):
            return
        kinds: dict[str, set[str]] = {}
        for each in code:
            if each.content:
                kinds.setdefault(each.kind, set()).add(each.content)
        for kind, contents in kinds.items():
            await self._table.add(kind, sorted(contents))


def refuse_code(kind: CodeKind, package: str) -> CodeNotAllowedError:
    """Return the error for code of ``package``."""
    return CodeNotAllowedError(
        f"{package} is not built in the background: {_ACTIONS[kind]}, and that has not run on this machine before",
        hint='`roost build` runs it, and so does `roost run`. `code = "always"` under [watch] lets prebuilding run it.',
        fields={"package": package, "kind": kind},
    )
