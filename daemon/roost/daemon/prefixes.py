"""Filling a prefix from a lock, in its final place. The store publishes it; nothing here marks it ready."""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Mapping

from roost.daemon.engine_set import Engines
from roost.daemon.launch import identity
from roost.daemon.progress import Progress
from roost.store.lock import HostPython, Lock
from roost.store.publish import Filled
from roost.store.records import Guard


async def fill_prefix(
    engines: Engines, lock: Lock, prefix: str, progress: Progress, credentials: Mapping[str, str]
) -> Filled:
    """Link, install and compile everything in ``lock`` under ``prefix``; what activation does is worked out last."""
    if isinstance(lock.provider, HostPython):
        await (await engines.pip()).create_venv(prefix, lock.provider)
    else:
        conda = await engines.conda()
        await conda.check_machine(lock.system)
        await conda.link(lock.conda, prefix, progress=progress, credentials=credentials)
    python = os.path.join(prefix, "bin", "python")
    if lock.wheels:
        await (await engines.pip()).install(
            lock.wheels, prefix=prefix, python_path=python, progress=progress, credentials=credentials
        )
    await _compile(engines, lock, prefix, python, progress)
    from roost.daemon.engines.activation import activation

    changes = await activation(prefix)
    return Filled(activation=changes, guards=await asyncio.to_thread(guards_of, prefix, lock))


async def _compile(engines: Engines, lock: Lock, prefix: str, python: str, progress: Progress) -> None:
    if not await asyncio.to_thread(os.path.exists, python):
        return
    from roost.daemon.engines.bytecode import compile_prefix

    await compile_prefix(prefix, python, lock, engines.bytecode, progress)


def guards_of(prefix: str, lock: Lock) -> tuple[Guard, ...]:
    """What a hit looks at: the interpreter, and what installing or removing a package by hand would touch."""
    paths = [
        os.path.join(prefix, "bin", "python"),
        *glob.glob(os.path.join(prefix, "lib", "python3*", "site-packages")),
    ]
    if isinstance(lock.provider, HostPython):
        paths += [lock.provider.executable, os.path.join(prefix, "pyvenv.cfg")]
    else:
        paths += [os.path.join(prefix, "conda-meta"), os.path.join(prefix, "conda-meta", "history")]
    return tuple(Guard(path=path, identity=_own_identity(path)) for path in paths)


def _own_identity(path: str) -> str:
    """A file that is hard-linked from the cache changes its ctime whenever a sibling is linked: left out there."""
    whole = identity(path)
    return whole.rpartition(":")[0] if os.path.isfile(path) and os.stat(path).st_nlink > 1 else whole
