"""What there is to do until an environment is ready: from a definition, from a lock and what is in the caches. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from roost.daemon.estimates.model import StepWork
from roost.model.caches import CachedFile
from roost.model.definition import Base, Definition
from roost.model.locks.lock import CondaPackage, HostPython, Lock, Wheel, sum_sizes
from roost.store.index.cache_keys import conda_key, wheel_key

_BYTES_PER_FILE = 12_000
"""Bytes on the disk for each file of a package, if only those are known."""
_UNPACKING = 3.5
"""Bytes on the disk for each byte of a package's file, if only that is known."""
_SOURCE_SHARE = 0.6
"""Part of the files of a package for any platform that is Python source."""
_FOLDERS = ("packages/conda/archives", "wheels/fetched", "wheels/built", "wheels/given")
"""Where packages are as files, each in a folder of its sha256, relative to the root."""


class LockWork(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock leaves to do until its prefix is ready."""

    steps: tuple[StepWork, ...]
    download_bytes: int
    """What is in no cache."""
    files: int
    """Files of all packages, as far as they are known or can be judged by sizes."""
    packages: int


class _Contents(msgspec.Struct, frozen=True):
    """What is known to be in the caches."""

    unpacked: Mapping[str, int | None]
    """Key to bytes on the disk."""
    stored: frozenset[str]
    """sha256 of packages that are there as files."""
    compiled: frozenset[str]
    """sha256 of packages whose byte-code is kept for the lock's Python."""


def list_cache_ids(lock: Lock) -> list[str]:
    """Return the ids in the index of the packages of ``lock`` as files."""
    digests = [each.sha256 for each in lock.conda if each.sha256] + [each.sha256 for each in lock.wheels if each.sha256]
    return [f"{folder}/{digest}" for digest in digests for folder in _FOLDERS]


def solve_work(definition: Definition) -> tuple[StepWork, ...]:
    """Return the work of choosing packages. What it takes depends on the channels: their own past counts."""
    conda, requirements = definition.conda, definition.pip.requirements
    work = []
    if conda.dependencies or conda.explicit:
        subject = _digest("\0".join(conda.channels))
        count = len(conda.dependencies or conda.explicit)
        work.append(StepWork(step="solve", amounts={"specs": count}, subject=subject))
    if requirements:
        work.append(StepWork(step="lock-pip", amounts={"specs": len(requirements)}))
    return tuple(work)


def prefix_work(lock: Lock, cached: Iterable[CachedFile]) -> LockWork:
    """Return the work of making a prefix of ``lock``. ``cached``: what is in the caches of its keys and ids."""
    contents = _read_contents(lock, cached)
    conda = [(each, _conda_key(each) in contents.unpacked) for each in lock.conda]
    fetched = [each for each, is_unpacked in conda if not is_unpacked and each.sha256 not in contents.stored]
    wheels = [each for each in lock.wheels if each.kind != "editable"]
    missing = [each for each in wheels if _needs_download(each, contents)]
    built = [each for each in wheels if not each.sha256 and each.source is not None]
    steps = []
    conda_files = sum(_count_files(_conda_key(each), each.size, contents) for each in lock.conda)
    wheel_files = sum(_count_files(_wheel_key(each), each.size, contents) for each in wheels)
    if lock.conda:
        amounts = {"packages": len(lock.conda), "files": conda_files, "fetched": len(fetched), "channel": _sum(fetched)}
        steps.append(StepWork(step="link", amounts=amounts))
    if built:
        steps.append(StepWork(step="build-wheels", amounts={"sources": len(built)}))
    if lock.wheels:
        amounts = {"packages": len(lock.wheels), "files": wheel_files, "fetched": len(missing), "index": _sum(missing)}
        steps.append(StepWork(step="pip", amounts=amounts))
    noarch = [each for each in lock.conda if each.record.get("noarch") == "python"]
    compiled, linked = _count_sources(noarch, wheels, contents)
    steps.append(StepWork(step="bytecode", amounts={"compiled": compiled, "linked": linked}))
    count = len(lock.conda) + len(lock.wheels)
    steps.append(StepWork(step="publish", amounts={"packages": count, "files": conda_files + wheel_files}))
    return LockWork(
        steps=tuple(steps),
        download_bytes=_sum(fetched) + _sum(missing),
        files=conda_files + wheel_files,
        packages=count,
    )


def base_work(base: Base | None, has_steps: bool) -> tuple[StepWork, ...]:
    """Return the work of getting a base image and running docker steps on it: the past of the very steps counts."""
    steps = [StepWork(step="base", subject=_digest(base.image or "" if base else ""))]
    if has_steps:
        steps.append(StepWork(step="docker-steps", subject=_digest(msgspec.json.encode(base).decode())))
    return tuple(steps)


def image_work(lock: Lock, found: LockWork | None) -> tuple[StepWork, ...]:
    """Return the work of writing the layers of ``lock`` and loading them. ``found``: that of its prefix; ``None`` if no
    packages are added to the base."""
    if found is None:
        return (StepWork(step="load"),)
    filled = [step for step in found.steps if step.step in ("link", "pip")]
    size = sum_sizes(lock)
    layers = StepWork(step="layers", amounts={"packages": found.packages, "bytes": size})
    return (*filled, layers, StepWork(step="load", amounts={"bytes": size}))


def pull_work(size: int | None) -> StepWork:
    """Return the work of pulling an image of ``size`` bytes from a registry."""
    return StepWork(step="pull", amounts={"bytes": size or 0})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_contents(lock: Lock, cached: Iterable[CachedFile]) -> _Contents:
    unpacked: dict[str, int | None] = {}
    stored, compiled = set(), set()
    tag = _find_python_tag(lock)
    for each in cached:
        name = each.id.rpartition("/")[2]
        if each.kind == "bytecode":
            if tag in name:
                compiled.add(name[:64])
        elif re.fullmatch(r"[0-9a-f]{64}", name):
            stored.add(name)
        else:
            unpacked[each.key] = each.bytes
    return _Contents(unpacked, frozenset(stored), frozenset(compiled))


def _find_python_tag(lock: Lock) -> str:
    """Return the part of names of byte-code that says for which Python it is; empty if that is not known."""
    provider = lock.provider
    if isinstance(provider, HostPython):
        version = provider.version if provider.implementation == "cpython" else ""
    else:
        version = next((each.version for each in lock.conda if each.name == "python"), "")
    parts = version.split(".")
    return f"-cpython-{parts[0]}{parts[1]}-" if len(parts) > 1 else ""


def _needs_download(wheel: Wheel, contents: _Contents) -> bool:
    """Return whether a wheel has to be transferred: those that were built or given are here, unpacked or as a file."""
    if wheel.kind not in ("index", "url"):
        return False
    return _wheel_key(wheel) not in contents.unpacked and wheel.sha256 not in contents.stored


def _count_files(key: str, size: int, contents: _Contents) -> int:
    bytes_on_disk = contents.unpacked.get(key)
    return 1 + round((bytes_on_disk if bytes_on_disk is not None else size * _UNPACKING) / _BYTES_PER_FILE)


def _count_sources(noarch: Sequence[CondaPackage], wheels: Sequence[Wheel], contents: _Contents) -> tuple[int, int]:
    """Return how many sources have to be compiled, and of how many the byte-code is linked."""
    counts = [(each.sha256, _count_files(_conda_key(each), each.size, contents)) for each in noarch]
    counts += [
        (each.sha256, _count_files(_wheel_key(each), each.size, contents))
        for each in wheels
        if each.file_name.endswith("-none-any.whl") or not each.file_name
    ]
    compiled = linked = 0.0
    for sha256, files in counts:
        if sha256 in contents.compiled:
            linked += files * _SOURCE_SHARE
        else:
            compiled += files * _SOURCE_SHARE
    return round(compiled), round(linked)


def _conda_key(package: CondaPackage) -> str:
    return conda_key(f"{package.name}-{package.version}-{package.build}")


def _wheel_key(wheel: Wheel) -> str:
    return wheel_key(wheel.name, wheel.version)


def _sum(packages: Iterable[CondaPackage | Wheel]) -> int:
    return sum(each.size for each in packages)
