"""Noting which environment files are used: a plan that is answered must not wait for it.

A request costs one look into a table; what is new is passed on in batches, a while after the answer.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence

import msgspec

from roost.daemon.caller.current import caller_variables
from roost.daemon.caller.variables import without_secrets
from roost.daemon.definitions.choices import get_choices, list_chosen
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.watch.reading import WatchSubject
from roost.model.errors import InvalidDefinitionError
from roost.store.sources.discover import SEARCHED_NAMES
from roost.store.sources.files import resolve_file_path
from roost.wire.plans import EnvironmentSelector

DELAY_SECONDS = 1.0
"""From a use until it is passed on. A client that asked for a plan has its answer by then."""
FRESH_SECONDS = 600.0
"""How long the same use is not noted again."""
MAX_NOTED = 10_000
_SCRIPT = "pep723"


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """The last use of an environment file."""

    subject: WatchSubject
    digest: str | None
    """``None`` if the file could not be read."""
    ready: bool | None
    """Whether the environment was ready; ``None`` if that is not known yet."""


class UseNotes:
    """Uses of environment files that have not been passed on."""

    def __init__(self, on_uses: Callable[[Sequence[Use]], None], is_enabled: Callable[[], bool]) -> None:
        self._on_uses = on_uses
        self._is_enabled = is_enabled
        self._noted: dict[str, tuple[str, str, bool | None, float]] = {}
        """Path to the last use: digest, target, readiness and time."""
        self._pending: dict[str, Use] = {}
        self._timer: asyncio.TimerHandle | None = None

    def note(
        self, selector: EnvironmentSelector, resolved: ResolvedDefinition, target: str, *, ready: bool | None
    ) -> None:
        """Note that a request used the file that ``resolved`` was read from, if there is one."""
        path = resolved.source.path
        if path is None:
            return
        if selector.generation is not None or selector.lock is not None:
            ready = None  # an older generation says nothing of the current one
        now, noted = time.monotonic(), self._noted.get(path)
        if noted is not None and noted[:3] == (resolved.digest, target, ready) and now - noted[3] < FRESH_SECONDS:
            return
        if not _names_a_file(selector) or not self._is_enabled():
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted[path] = resolved.digest, target, ready, now
        is_search = selector.file is None and resolved.source.format != _SCRIPT
        self._add(selector, path, target, is_search=is_search, digest=resolved.digest, ready=ready)

    def note_failure(self, selector: EnvironmentSelector, target: str, error: InvalidDefinitionError) -> None:
        """Note that a request used a file that could not be read: when it is mended, its environment is made ready."""
        if not _names_a_file(selector) or list_chosen(selector) or not self._is_enabled():
            return  # what was chosen may be what is wrong: the file need not be mended
        if selector.file is not None:
            path = resolve_file_path(os.path.join(selector.cwd, selector.file))
        elif error.location is not None and os.path.basename(error.location.path) in SEARCHED_NAMES:
            path = error.location.path  # else the error is in a file that another one includes
        else:
            return
        if os.path.isabs(path) and len(self._pending) < MAX_NOTED:
            self._add(selector, path, target, is_search=selector.file is None, digest=None, ready=False)

    def _add(
        self,
        selector: EnvironmentSelector,
        path: str,
        target: str,
        *,
        is_search: bool,
        digest: str | None,
        ready: bool | None,
    ) -> None:
        subject = WatchSubject(
            path=path,
            cwd=selector.cwd if is_search else None,
            target=target,
            ignore_image=selector.ignore_image,
            choices=get_choices(selector),
            no_project=selector.no_project,
            locked=selector.locked,
            caller=without_secrets(caller_variables()),
        )
        self._pending[path] = Use(subject=subject, digest=digest, ready=ready)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        uses, self._pending = list(self._pending.values()), {}
        self._on_uses(uses)

    def stop(self) -> None:
        """Pass on nothing more."""
        if self._timer is not None:
            self._timer.cancel()


def _names_a_file(selector: EnvironmentSelector) -> bool:
    """Whether the selector names a file as it is: what was added for one request is not what the next one uses."""
    if selector.additions:
        return False
    others = (selector.text, selector.environment, selector.image, selector.run, selector.document)
    return all(other is None for other in others)
