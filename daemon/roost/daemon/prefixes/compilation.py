"""Compile the byte-code that a ready prefix lacks, store it, and link it into the prefix.

Nothing here may ever leave a part of a file under a name that Python reads: a cut ``.pyc`` with a valid header makes
imports fail. So everything is compiled into a folder of its own, synced, renamed into the store, and linked from there
into ``__pycache__`` folders that exist, in one step in place of a file that Python has written there meanwhile, which
nothing vouches for: a power loss may have cut it. Sources are compiled only if they have the digest that the manifest
of the prefix states: byte-code of an edited source would reach other prefixes. What was linked is recorded beside the
manifest (``linked_bytecode``).

Work goes in batches, so that a daemon that is killed loses one of them. What is done already is found by looking.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from uuid import uuid4

import msgspec

from roost.daemon.engines.conda.cache import delete_leftovers
from roost.daemon.engines.conda.scripts import run_captured, sanitize_environment
from roost.daemon.prefixes.bytecode import (
    PackageSources,
    choose_part,
    list_sources,
    load_skipped,
    name_bytecode,
    pyc_path,
    python_tag,
    read_source_stamp,
    read_stamp,
)
from roost.daemon.prefixes.bytecode_digests import (
    STORING,
    StoredFile,
    load_digests,
    measure_bytecode,
    read_stored_stamp,
    save_digests,
)
from roost.daemon.prefixes.linked_bytecode import LinkedFiles, load_linked, record_linked
from roost.model.locks.lock import Lock
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.disk.file_ops import sync_file, sync_filesystem
from roost.store.disk.lease_files import try_lock_shared
from roost.store.failpoints import failpoint

# Runs in the prefix's own Python, isolated: reads "source NUL sha256 NUL target NUL" triples. What does not compile
# (templates, code for other versions) gets an empty file beside the target, and no byte-code, as with pip and conda.
_COMPILE_SCRIPT = """
import hashlib, importlib._bootstrap_external as external, os, sys
with open(sys.argv[1], "rb") as stream:
    names = os.fsdecode(stream.read()).split("\\0")[:-1]
for source, digest, target in zip(names[::3], names[1::3], names[2::3]):
    try:
        with open(source, "rb") as stream:
            text = stream.read()
            status = os.fstat(stream.fileno())
        if hashlib.sha256(text).hexdigest() != digest:
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            code = compile(text, source, "exec", dont_inherit=True, optimize=0)
            data = external._code_to_timestamp_pyc(code, int(status.st_mtime), status.st_size)
        except (MemoryError, OSError):
            continue
        except Exception:
            open(target + ".failed", "wb").close()
            continue
        with open(target + ".new", "wb") as stream:
            stream.write(data)
        os.replace(target + ".new", target)
    except OSError:
        continue
"""
_STAGE = "late-"
"""Start of the names of folders in which byte-code is compiled, in the store of byte-code."""
_FILES_PER_PROCESS = 40  # another process does not pay for fewer files
_FILES_PER_BATCH = 400


class PrefixInUseError(Exception):
    """The prefix is being deleted."""


class BytecodeTask(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix whose byte-code is to be completed."""

    prefix: str
    lease_path: str
    lock: Lock
    digests: Mapping[str, str]
    """sha256 (hex) of the sources and the byte-code that it was published with, by path relative to it."""
    store: str
    """Folder of stored byte-code, on the prefix's file system."""


def delete_unfinished(store: str) -> None:
    """Delete what a killed daemon was compiling. Blocks. Call it only while nothing is compiled."""
    delete_leftovers(store, _STAGE)
    for path in glob.glob(os.path.join(glob.escape(store), f"{_STAGE}*")):  # copies
        with contextlib.suppress(OSError):
            os.unlink(path)


async def complete_bytecode(task: BytecodeTask) -> int:
    """Compile, store and link the byte-code that the prefix of ``task`` lacks; return how many files were compiled.

    A source that does not compile gets none.

    Raises:
        PrefixInUseError: the prefix is being deleted.
        OSError: the disk is full, or can't be written.
    """
    python = os.path.join(task.prefix, "bin", "python")
    tag = await python_tag(python)
    if not tag:
        return 0
    linked: dict[str, tuple[int, str]] = {}
    site, missing = await finish_thread_despite_cancel(_link_stored, task, tag, linked)
    compiled = 0
    for batch in list_batches(missing, _FILES_PER_BATCH):
        compiled += await _compile_batch(task, linked, site, batch, python, tag)
    await finish_thread_despite_cancel(_record_linked, task, linked)
    return compiled


def _record_linked(task: BytecodeTask, linked: LinkedFiles) -> None:
    if linked:
        with _leased(task):
            record_linked(task.prefix, linked)


def list_batches(parts: Sequence[PackageSources], most: int) -> Iterator[list[PackageSources]]:
    """Yield ``parts`` in batches of at most ``most`` sources; a package may be divided among several. Pure."""
    batch: list[PackageSources] = []
    room = most
    for part in parts:
        left = part.sources
        while left:
            taken, left = left[:room], left[room:]
            batch.append(PackageSources(part.key, taken))
            room -= len(taken)
            if not room:
                yield batch
                batch, room = [], most
    if batch:
        yield batch


@contextlib.contextmanager
def _leased(task: BytecodeTask) -> Iterator[None]:
    """Keep the prefix from being deleted. Raises PrefixInUseError if it is being deleted."""
    descriptor = try_lock_shared(task.lease_path)
    if descriptor is None:
        raise PrefixInUseError(task.prefix)
    try:
        yield
    finally:
        os.close(descriptor)


def _link_stored(task: BytecodeTask, tag: str, linked: dict[str, tuple[int, str]]) -> tuple[str, list[PackageSources]]:
    """Link what is stored; return ``site-packages`` and what has to be compiled."""
    missing = []
    with _leased(task):
        vouched = {*task.digests, *load_linked(task.prefix)}
        site, parts = list_sources(task.prefix, task.lock)
        for part in parts:
            stored = os.path.join(task.store, f"{part.key}-{tag}")
            # What Python has compiled meanwhile is in no record, so it is replaced.
            below = os.path.relpath(site, task.prefix)
            names = name_bytecode(part.sources, tag)
            present = {
                source
                for source, name in names.items()
                if f"{below}/{name}" in vouched and os.path.exists(os.path.join(site, name))
            }
            choice = choose_part(site, names, stored, present)
            if choice.linked:
                chosen = [names[source] for source in choice.linked]
                linked |= _link_all(task, site, stored, chosen, load_digests(stored))
            if choice.compiled:
                missing.append(PackageSources(part.key, choice.compiled))
    return site, missing


def _link_all(
    task: BytecodeTask, site: str, stored: str, names: Sequence[str], known: Mapping[str, StoredFile]
) -> dict[str, tuple[int, str]]:
    """Link the byte-code ``names`` of the folder ``stored``; return what the prefix has of it now, by relative path."""
    below = os.path.relpath(site, task.prefix)
    linked = {}
    for name in names:
        file = known.get(name)  # None if a repair has just dropped it
        if file and _link_complete(os.path.join(stored, name), os.path.join(site, name), task.store):
            linked[f"{below}/{name}"] = file.size, file.digest
        failpoint("bytecode.linked")
    return linked


async def _compile_batch(
    task: BytecodeTask,
    linked: dict[str, tuple[int, str]],
    site: str,
    batch: Sequence[PackageSources],
    python: str,
    tag: str,
) -> int:
    """Compile into a folder beside the stored ones, store the results, and link them."""
    await asyncio.to_thread(os.makedirs, task.store, exist_ok=True)
    stage = await asyncio.to_thread(tempfile.mkdtemp, prefix=_STAGE, dir=task.store)
    try:
        jobs = list(_list_jobs(task, site, batch, stage, tag))
        # Half of the processors: whoever waits for the command that has just started needs the others.
        count = max(1, min((os.cpu_count() or 1) // 2, len(jobs) // _FILES_PER_PROCESS))
        await asyncio.gather(*(_run_compiler(python, jobs[n::count], stage, n) for n in range(count)))
        failpoint("bytecode.compiled")
        return await finish_thread_despite_cancel(_keep_compiled, task, linked, site, batch, stage, tag)
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, stage, ignore_errors=True))


def _list_jobs(
    task: BytecodeTask, site: str, batch: Sequence[PackageSources], stage: str, tag: str
) -> Iterator[tuple[str, str, str]]:
    for part in batch:
        for source in part.sources:
            path = os.path.join(site, source)
            if digest := task.digests.get(os.path.relpath(path, task.prefix)):
                yield path, digest, os.path.join(stage, part.key, pyc_path(source, tag))


async def _run_compiler(python: str, jobs: Sequence[tuple[str, str, str]], stage: str, number: int) -> None:
    names = os.path.join(stage, f"jobs-{number}")
    content = os.fsencode("".join("\0".join(job) + "\0" for job in jobs))
    await asyncio.to_thread(_write_file, names, content)
    # -S: without site, no .pth file of a package runs. Warnings about the code of packages are not shown.
    await run_captured(
        [python, "-I", "-S", "-W", "ignore", "-c", _COMPILE_SCRIPT, names], "/", sanitize_environment(os.environ)
    )


def _write_file(path: str, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)


def _keep_compiled(
    task: BytecodeTask,
    linked: dict[str, tuple[int, str]],
    site: str,
    batch: Sequence[PackageSources],
    stage: str,
    tag: str,
) -> int:
    """Move what was compiled into the store, synced, and link it into the prefix."""
    sync_filesystem(stage)
    failpoint("bytecode.synced")
    with _leased(task), STORING:
        return sum(_keep_part(task, linked, site, part, stage, tag) for part in batch)


def _keep_part(
    task: BytecodeTask, linked: dict[str, tuple[int, str]], site: str, part: PackageSources, stage: str, tag: str
) -> int:
    stored, staged = os.path.join(task.store, f"{part.key}-{tag}"), os.path.join(stage, part.key)
    stamps = {source: stamp for source in part.sources if (stamp := _find_stamp(os.path.join(site, source)))}
    names = {source: pyc_path(source, tag) for source in stamps}
    complete = [source for source in stamps if read_stamp(os.path.join(staged, names[source])) == stamps[source]]
    known = load_digests(stored)
    new = [
        source
        for source in complete
        if read_stored_stamp(os.path.join(stored, names[source]), known.get(names[source])) != stamps[source]
    ]
    if new:
        # Digests first: byte-code without one is not linked; a digest without byte-code does no harm.
        known |= {names[source]: measure_bytecode(os.path.join(staged, names[source])) for source in new}
        os.makedirs(stored, exist_ok=True)
        save_digests(stored, known)
        failpoint("bytecode.digests-saved")
    for source in new:
        target = os.path.join(stored, names[source])
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(os.path.join(staged, names[source]), target)
        failpoint("bytecode.stored")
    linked |= _link_all(task, site, stored, [names[source] for source in complete], known)
    failed = [source for source in stamps if os.path.exists(os.path.join(staged, names[source] + ".failed"))]
    if failed:
        _save_skipped(stored, [(source, stamps[source]) for source in failed])
    return len(complete)


def _find_stamp(path: str) -> bytes:
    with contextlib.suppress(OSError):
        return read_source_stamp(path)
    return b""


def _link_complete(source: str, target: str, store: str) -> bool:
    """Give ``source``, which is complete and synced, the name ``target`` too, in place of what has it. If it can't have
    one more name, a copy gets it, which is synced first. Return ``False`` if there is no such folder."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except FileExistsError:
        return os.path.samefile(source, target) or _replace(source, target, store)
    except OSError:  # too many links, or none are possible
        return _replace(source, target, store)
    return True


def _replace(source: str, target: str, store: str) -> bool:
    beside = os.path.join(store, f"{_STAGE}{uuid4().hex}")
    try:
        _link_or_copy_synced(source, beside)
        os.replace(beside, target)
    except (FileNotFoundError, IsADirectoryError):
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
    return True


def _link_or_copy_synced(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)
        sync_file(target)


def _save_skipped(stored: str, failed: Sequence[tuple[str, bytes]]) -> None:
    os.makedirs(stored, exist_ok=True)
    path = os.path.join(stored, "skipped.json")
    _write_file(path + ".new", msgspec.json.encode(sorted(load_skipped(stored) | set(failed))))
    os.replace(path + ".new", path)
