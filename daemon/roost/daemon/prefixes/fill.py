"""Filling a prefix from a lock, in its final place. The store publishes it; nothing here marks it ready."""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Mapping

from roost.daemon.definitions.stamps import stamp_in_prefix
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import HostPython, Lock
from roost.model.records import FileStamp
from roost.store.artifacts.publish import FillResult


async def fill_prefix(
    engines: Engines,
    lock: Lock,
    prefix: str,
    progress: Progress,
    credentials: Mapping[str, str],
    places: Mapping[str, str] | None = None,
) -> tuple[FillResult, list[str]]:
    """Link, install and compile everything in ``lock`` under ``prefix``; what activation does is worked out last.

    ``places`` are what ``map_masked_urls`` says of the lock. Also returns the names of packages that had been changed
    in the caches, and so in every prefix that shares them.
    """
    changed: list[str] = []
    secrets = {**credentials, **(places or {})}
    if isinstance(lock.provider, HostPython):
        await (await engines.pip()).create_venv(prefix, lock.provider)
    else:
        conda = await engines.conda()
        await conda.check_machine(lock.system)
        changed += await conda.link(lock.conda, prefix, progress=progress, credentials=secrets)
    python = os.path.join(prefix, "bin", "python")
    if lock.wheels:
        changed += await (await engines.pip()).install(
            lock.wheels, prefix=prefix, python_path=python, progress=progress, credentials=secrets
        )
    await _compile(engines, lock, prefix, python, progress)
    from roost.daemon.engines.conda.activation import compute_activation

    changes = await compute_activation(prefix)
    return FillResult(activation=changes, stamps=await asyncio.to_thread(guards_of, prefix, lock)), changed


async def _compile(engines: Engines, lock: Lock, prefix: str, python: str, progress: Progress) -> None:
    if not await asyncio.to_thread(os.path.exists, python):
        return
    from roost.daemon.prefixes.bytecode import compile_prefix

    await compile_prefix(prefix, python, lock, engines.bytecode, progress)


def guards_of(prefix: str, lock: Lock) -> tuple[FileStamp, ...]:
    """What a hit looks at: the interpreter, and what installing or removing a package by hand would touch."""
    paths = [
        os.path.join(prefix, "bin", "python"),
        *glob.glob(os.path.join(prefix, "lib", "python3*", "site-packages")),
    ]
    if isinstance(lock.provider, HostPython):
        paths += [lock.provider.executable, os.path.join(prefix, "pyvenv.cfg")]
    else:
        paths += [os.path.join(prefix, "conda-meta"), os.path.join(prefix, "conda-meta", "history")]
    return tuple(stamp_in_prefix(path) for path in paths)
