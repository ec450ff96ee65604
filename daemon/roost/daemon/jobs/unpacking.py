"""A bound on what one package unpacks to: a small archive may hold petabytes of zeros.

uv and rattler unpack by themselves and know no bound. Each package is unpacked in a temporary folder that becomes an
entry of a cache when it is complete, so those folders are measured while the engine works. The engine measures what was
complete between two looks.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from roost.model.errors import BuildError

T = TypeVar("T")
UNPACKED_BYTES = 20_000_000_000
"""The default of ``[builds] unpacked_bytes``: the largest packages (of CUDA) unpack to about 5 GB."""
LOOK_SECONDS = 1.0
_MAX_FILES = 2_000_000
"""Files and folders of one package: even empty ones take space and time."""


class UnpackedTooLargeError(BuildError):
    """A package or an archive holds more than may be unpacked."""

    code = "package-too-large"


async def run_with_bound(action: Coroutine[Any, Any, T], list_unfinished: Callable[[], Iterable[str]], limit: int) -> T:
    """Run ``action``, and cancel it if one of the folders that it unpacks into has more than ``limit`` bytes.

    ``list_unfinished`` returns these folders; it is called in a thread. The folder is deleted when ``action`` has
    ended.

    Raises: UnpackedTooLargeError.
    """
    task = asyncio.ensure_future(action)
    try:
        while True:
            done, _ = await asyncio.wait([task], timeout=LOOK_SECONDS)
            if done:
                return task.result()
            found = await asyncio.to_thread(_find_too_large, list_unfinished, limit)
            if found is not None:
                contents = await asyncio.to_thread(_describe_contents, found)
                await end_task(task)
                await asyncio.to_thread(shutil.rmtree, found, ignore_errors=True)
                raise too_large_error(f"A package with {contents}", limit)
    finally:
        await end_task(task)


async def end_task(task: asyncio.Future[T]) -> None:
    """Cancel a task that is not done, and wait for its end."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # an error of its end, which the one that follows explains


def too_large_error(subject: str, limit: int) -> UnpackedTooLargeError:
    """Return the error for ``subject`` (the beginning of a sentence) that holds more than ``limit`` bytes."""
    return UnpackedTooLargeError(
        f"{subject} has more than {limit:,} bytes when it is unpacked. It was not used, and was deleted again",
        hint="If you trust it, raise `[builds] unpacked_bytes` in the config; else choose another version.",
        fields={"limit": limit},
    )


def _find_too_large(list_unfinished: Callable[[], Iterable[str]], limit: int) -> str | None:
    return next((folder for folder in list_unfinished() if exceeds(folder, limit)), None)


def exceeds(folder: str, limit: int) -> bool:
    """Return whether the files below ``folder`` have more than ``limit`` bytes, by size or on the disk, or are too
    many. Blocks."""
    total = count = 0
    pending = [folder]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:  # it may be complete and moved meanwhile
            for entry in entries:
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                with suppress(OSError):
                    state = entry.stat(follow_symlinks=False)
                    total += max(state.st_size, state.st_blocks * 512)
                if total > limit or count > _MAX_FILES:
                    return True
    return False


def _describe_contents(folder: str) -> str:
    """Return the names at the top of a folder that is being unpacked, by which people know the package."""
    try:
        names = sorted(os.listdir(folder), key=lambda name: (not name.endswith(".dist-info"), name))
    except OSError:
        names = []
    return ", ".join(map(repr, names[:3])) + (" …" if len(names) > 3 else "") if names else "unknown content"
