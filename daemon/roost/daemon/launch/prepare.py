"""What a client needs to start a command in an environment that is ready, and the plan file for the next time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.launch.folder import LaunchFolder
from roost.model.records import Artifact, Generation
from roost.store.cancellation import finish_despite_cancel, finish_thread_despite_cancel
from roost.wire.environments import ChangeView
from roost.wire.runs import Launch


def prefix_launch(resolved: ResolvedDefinition, prefix: Artifact, generation: Generation | None) -> Launch:
    """How to start something in ``prefix``."""
    return Launch(
        prefix=prefix.path,
        lease=prefix.lease_path,
        changes=[msgspec.convert(msgspec.to_builtins(change), ChangeView) for change in prefix.activation],
        variables=resolved.settings.variables,
        definition_digest=resolved.digest,
        lock_digest=prefix.key,
        generation=generation.number if generation else None,
        artifact=prefix.id,
        python=os.path.join(prefix.path, "bin", "python"),
    )


def interpreter_launch(resolved: ResolvedDefinition, interpreter: str) -> Launch:
    """How to start something with a user-managed interpreter: its folder comes first in PATH, and that is all."""
    return Launch(
        prefix=os.path.dirname(os.path.dirname(interpreter)),
        lease=None,
        changes=[ChangeView(name="PATH", action="prepend", value=os.path.dirname(interpreter))],
        variables=resolved.settings.variables,
        definition_digest=resolved.digest,
        lock_digest=None,
        generation=None,
        artifact=None,
        python=interpreter,
    )


@asynccontextmanager
async def invalidate_launch_plans(folder: LaunchFolder) -> AsyncIterator[None]:
    """``LaunchFolder.moving`` for the event loop: its file operations happen in a thread."""
    inside = folder.moving()
    entering = asyncio.create_task(asyncio.to_thread(inside.__enter__))
    try:
        await finish_despite_cancel(entering)  # a thread can't be cancelled: who is cancelled here must still leave
        yield
    finally:
        if not entering.exception():
            await finish_thread_despite_cancel(inside.__exit__, None, None, None)
