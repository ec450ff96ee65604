"""What there is to do until an environment is ready: from a definition, from a lock and what is in the caches. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from roost.daemon.estimates.model import StepWork
from roost.daemon.estimates.priors import DOWNLOADS, TOTAL
from roost.model.caches import CachedFile
from roost.model.definition import Base, Definition
from roost.model.locks.lock import CondaPackage, HostPython, Lock, Wheel
from roost.store.index.cache_keys import conda_key, wheel_key

_BYTES_PER_FILE = 12_000
"""Bytes on the disk for each file of a package, if only those are known: an older version measured it."""
_FOLDERS = ("packages/conda/archives", "wheels/fetched", "wheels/built", "wheels/given")
"""Where packages are as files, each in a folder of its sha256, relative to the root."""


class LockWork(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock leaves to do until its prefix is ready."""

    steps: tuple[StepWork, ...]
    download_bytes: int
    """What is in no cache."""
    files: int
    """Files of the packages that were unpacked here before."""
    packages: int


class MissingLayers(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done for the layers of an image."""

    layers: int = 0
    """How many have to be written."""
    packages: frozenset[tuple[str, str]] = frozenset()
    """Kinds (``conda``, ``wheel``) and names of the packages in them."""
    loaded: int = 0
    """How many the engine lacks."""
    loaded_bytes: int = 0
    """Of these: of a base's layers packed, of others those of their packages."""
    registry_bytes: int = 0
    """Of layers of the base that are fetched for that."""


class _Contents(msgspec.Struct, frozen=True):
    """What is known to be in the caches."""

    unpacked: Mapping[str, CachedFile]
    """By key."""
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


def check_work(lock: Lock) -> StepWork:
    """Return the work of asking channels and indexes for what ``lock`` has."""
    return StepWork(step="check-lock", amounts={"packages": len(lock.conda) + len(lock.wheels)})


def prefix_work(lock: Lock, cached: Iterable[CachedFile]) -> LockWork:
    """Return the work of making a prefix of ``lock``. ``cached``: what is in the caches of its keys and ids."""
    contents = _read_contents(lock, cached)
    conda = [(each, _conda_key(each) in contents.unpacked) for each in lock.conda]
    fetched = [each for each, is_unpacked in conda if not is_unpacked and each.sha256 not in contents.stored]
    wheels = [each for each in lock.wheels if each.kind != "editable"]
    missing = [each for each in wheels if _needs_download(each, contents)]
    built = [each for each in wheels if not each.sha256 and each.source is not None]
    steps = []
    conda_files, conda_unseen = _count_files([(_conda_key(each), each.size) for each in lock.conda], contents)
    wheel_files, wheel_unseen = _count_files([(_wheel_key(each), each.size) for each in wheels], contents)
    if lock.conda:
        amounts = {"packages": len(lock.conda), "files": conda_files, "unseen": conda_unseen}
        amounts |= {"fetched": len(fetched), "channel": _sum(fetched)}
        steps.append(StepWork(step="link", amounts=amounts))
    if built:
        steps.append(StepWork(step="build-wheels", amounts={"sources": len(built)}))
    if wheels or (lock.wheels and lock.layer is None):
        amounts = {"packages": len(lock.wheels), "files": wheel_files, "unseen": wheel_unseen}
        amounts |= {"fetched": len(missing), "index": _sum(missing)}
        steps.append(StepWork(step="pip", amounts=amounts))
    if lock.layer is not None:
        steps.append(_project_work(lock))
    steps.append(StepWork(step="bytecode", amounts={"linked": _count_kept_sources(lock, wheels, contents)}))
    count = len(lock.conda) + len(lock.wheels)
    amounts = {"packages": count, "files": conda_files + wheel_files, "unseen": conda_unseen + wheel_unseen}
    steps.append(StepWork(step="publish", amounts=amounts))
    return LockWork(
        steps=tuple(steps),
        download_bytes=_sum(fetched) + _sum(missing),
        files=conda_files + wheel_files,
        packages=count,
    )


def layer_work(found: LockWork, layer: Lock) -> tuple[StepWork, ...]:
    """Return the work of making a prefix of the project layer ``layer`` once that of its dependencies is made, when
    everything is in the caches. ``found``: the work of that one."""
    steps = []
    for step in found.steps:
        amounts = {name: value for name, value in step.amounts.items() if name not in ("fetched", *DOWNLOADS)}
        if step.step != "build-wheels":
            steps.append(StepWork(step=step.step, amounts=amounts))
    return (*steps, _project_work(layer))


def _project_work(layer: Lock) -> StepWork:
    """Return the work of installing a project: what it is shows only by its own past."""
    assert layer.layer is not None
    project = next(each for each in layer.wheels if each.name == layer.layer.name and each.kind == "editable")
    return StepWork(step="project", subject=_digest(project.path or ""))


def base_work(base: Base | None, has_steps: bool) -> tuple[StepWork, ...]:
    """Return the work of getting a base image and running docker steps on it: the past of the very steps counts."""
    steps = [StepWork(step="base", subject=_digest(base.image or "" if base else ""))]
    if has_steps:
        steps.append(StepWork(step="docker-steps", subject=_digest(msgspec.json.encode(base).decode())))
    return tuple(steps)


def image_work(lock: Lock, cached: Iterable[CachedFile], missing: MissingLayers) -> LockWork:
    """Return the work of writing the layers of ``lock`` and loading the image. ``cached``: as for ``prefix_work``.

    Packages of conda can only be linked together, and nothing is linked if all layers are written already.
    """
    found = prefix_work(lock, cached := list(cached))
    contents = _read_contents(lock, cached)
    link = [step for step in found.steps if step.step == "link" and missing.layers]
    wheels = [each for each in lock.wheels if ("wheel", each.name) in missing.packages]
    fetched = [each for each in wheels if _needs_download(each, contents)]
    sizes = [(_conda_key(each), each.size) for each in lock.conda if ("conda", each.name) in missing.packages]
    sizes += [(_wheel_key(each), each.size) for each in wheels]
    sources = [known.sources or 0 for key, _ in sizes if (known := contents.unpacked.get(key)) is not None]
    files, unseen = _count_files(sizes, contents)
    amounts = {"layers": missing.layers, "bytes": sum(size for _, size in sizes), "files": files}
    amounts |= {"sources": sum(sources), "unseen": unseen, "index": _sum(fetched)}
    layers = [StepWork(step="layers", amounts=amounts)] if missing.layers else []
    loading = {"layers": missing.loaded, "bytes": missing.loaded_bytes, "registry": missing.registry_bytes}
    channel = sum(step.amounts.get("channel", 0) for step in link)
    return LockWork(
        steps=(*link, *layers, StepWork(step="load", amounts=loading)),
        download_bytes=round(channel) + _sum(fetched) + missing.registry_bytes,
        files=files,
        packages=len(sizes),
    )


def whole_work(*, shares_lock: bool) -> StepWork:
    """Return the work beside all steps. ``shares_lock``: a registry is waited for, in which the lock is published."""
    return StepWork(step=TOTAL, amounts={"shared": float(shares_lock)})


def push_work(layers: int, size: int) -> StepWork:
    """Return the work of pushing ``layers`` of ``size`` bytes that a registry lacks."""
    return StepWork(step="push", amounts={"layers": layers, "bytes": size})


def pull_work(layers: int, size: int) -> StepWork:
    """Return the work of pulling ``layers`` of ``size`` bytes that the engine lacks."""
    return StepWork(step="pull", amounts={"layers": layers, "bytes": size})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_contents(lock: Lock, cached: Iterable[CachedFile]) -> _Contents:
    unpacked: dict[str, CachedFile] = {}
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
            unpacked[each.key] = each
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


def _count_files(packages: Iterable[tuple[str, int]], contents: _Contents) -> tuple[int, int]:
    """Return how many files ``packages`` (key, bytes packed) have, and the bytes of those that were never counted."""
    files = unseen = 0
    for key, size in packages:
        known = contents.unpacked.get(key)
        if known is not None and known.files is not None:
            files += known.files
        elif known is not None and known.bytes is not None:
            files += 1 + known.bytes // _BYTES_PER_FILE
        else:
            unseen += size
    return files, unseen


def _count_kept_sources(lock: Lock, wheels: Sequence[Wheel], contents: _Contents) -> int:
    """Return how many sources have byte-code that is kept, which is linked. What is missing is compiled later."""
    packages = [(each.sha256, _conda_key(each)) for each in lock.conda if each.record.get("noarch") == "python"]
    packages += [(wheel.sha256, _wheel_key(wheel)) for wheel in wheels]
    kept = [contents.unpacked.get(key) for sha256, key in packages if sha256 in contents.compiled]
    return sum((known.sources if known is not None else None) or 1 for known in kept)


def _conda_key(package: CondaPackage) -> str:
    return conda_key(f"{package.name}-{package.version}-{package.build}")


def _wheel_key(wheel: Wheel) -> str:
    return wheel_key(wheel.name, wheel.version)


def _sum(packages: Iterable[CondaPackage | Wheel]) -> int:
    return sum(each.size for each in packages)
