"""A lock in other tools' formats: conda-lock YAML (1), pixi.lock (6), conda's ``@EXPLICIT`` with ``# pip`` lines.

``roost.model.readers`` reads the same packages back. These formats cannot name wheels that only this machine has (built
here, given as a file, editable). A wheel is named by name and digest, so that any mirror will do. If the lock was made
with ``indexes`` (pip's options, ``--index-url …``), other machines would not find it by name: the format then states
the indexes, or names the wheel by its URL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import yaml

from roost.model.canonical.form import expand_channels
from roost.model.definition import PipItem
from roost.model.errors import CodedError, InvalidRequestError
from roost.model.locks.lock import CondaPackage, Lock, Wheel, digest_lock
from roost.model.syntax.pip_lines import split_line_index

_INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--no-index", "--find-links")
_CHANNEL_ALIAS = "https://conda.anaconda.org/"


class LockNotPortableError(CodedError):
    """The lock holds packages that another tool's format cannot name."""

    code = "lock-not-portable"
    exit_status = 1
    http_status = 409


def write_lock(lock: Lock, format: str, *, channels: Sequence[str] = (), indexes: Sequence[str] = ()) -> str:
    """Return ``lock`` as text in ``format``, one of ``LOCK_FILE_FORMATS``.

    Raises: InvalidRequestError if there is no such format; LockNotPortableError if the lock holds packages that only
    this machine has.
    """
    if format not in _WRITERS:
        raise InvalidRequestError(
            f"There is no lock format {format!r}", hint=f"Name one of {', '.join(LOCK_FILE_FORMATS)}."
        )
    check_portable(lock)
    return _WRITERS[format](lock, channels, indexes)


def write_conda_lock(lock: Lock, channels: Sequence[str], indexes: Sequence[str] = ()) -> str:
    """Return the lock in conda-lock's unified format 1."""
    subdir = _platform_subdir(lock)
    packages = [_build_conda_lock_package(package, subdir) for package in lock.conda]
    packages += [_build_conda_lock_wheel(wheel, subdir, by_url=bool(indexes)) for wheel in lock.wheels]
    metadata = {
        "content_hash": {subdir: digest_lock(lock).removeprefix("sha256:")},
        "channels": [{"url": channel, "used_env_vars": []} for channel in channels],
        "platforms": [subdir],
        "sources": [],
    }
    return _dump_yaml({"version": 1, "metadata": metadata, "package": packages})


def write_pixi_lock(lock: Lock, channels: Sequence[str], indexes: Sequence[str] = ()) -> str:
    """Return the lock in pixi.lock format 6, with one environment ``default``."""
    members: list[dict[str, str]] = [{"conda": package.url} for package in lock.conda]
    members += [{"pypi": wheel.url or ""} for wheel in lock.wheels]
    urls = find_index_urls(indexes)
    default = {
        "channels": [{"url": _find_channel_url(channel)} for channel in expand_channels(channels)],
        **({"indexes": urls} if urls else {}),
        "packages": {_platform_subdir(lock): members},
    }
    packages = [_build_pixi_package(package) for package in lock.conda] + [
        _build_pixi_wheel(wheel) for wheel in lock.wheels
    ]
    return _dump_yaml({"version": 6, "environments": {"default": default}, "packages": packages})


def write_explicit(lock: Lock, channels: Sequence[str] = (), indexes: Sequence[str] = ()) -> str:
    """Return conda's explicit list, with pip packages in comments, as conda-lock writes them."""
    lines = [f"# platform: {_platform_subdir(lock)}", "@EXPLICIT"]
    lines += [package.url + _digest_fragment(package) for package in lock.conda]
    lines += [f"# pip {option}" for option in indexes]
    lines += [f"# pip {format_wheel_requirement(wheel, digest=True)}" for wheel in lock.wheels]
    return "\n".join(lines) + "\n"


def find_index_urls(indexes: Sequence[str]) -> list[str]:
    """Return the URLs of indexes in pip's options."""
    options = (option.partition(" ") for option in indexes)
    return [url for name, _, url in options if name in ("--index-url", "--extra-index-url")]


def find_index_options(items: Iterable[PipItem]) -> list[str]:
    """Return pip's index options in ``items`` and nested files, each once, without local folders.

    Indexes that only some packages come from are extra ones: a lock has the digest of each file.
    """
    options: dict[str, None] = {}
    for item in items:
        option, _, value = item.text.partition(" ")
        if index := value if item.kind == "option" and option == "--index" else split_line_index(item.text)[1]:
            options[f"--extra-index-url {index}"] = None
        if item.kind == "option" and item.digest is None and item.text.partition(" ")[0] in _INDEX_OPTIONS:
            options[item.text] = None
        options.update(dict.fromkeys(find_index_options(item.items)))
    return list(options)


def find_remote_lists(items: Iterable[PipItem]) -> list[str]:
    """Return the ``-r`` and ``-c`` URLs in ``items``. They may name indexes too, but readers do not fetch them."""
    here = [item.text for item in items if item.kind in ("requirements", "constraints") and item.path is None]
    return here + [text for item in items for text in find_remote_lists(item.items)]


def check_portable(lock: Lock) -> None:
    """Raises: LockNotPortableError if ``lock`` holds packages that only this machine has, or that are neither conda's
    nor pip's."""
    others = [f"{jar.group}:{jar.name}" for jar in lock.jars] + [package.name for package in lock.r]
    if others:
        raise LockNotPortableError(
            f"No other tool's lock has a place for jars and R packages: {', '.join(others)}",
            hint="Share the environment as a bundle.",
            fields={"packages": others},
        )
    local = [wheel for wheel in lock.wheels if wheel.url is None]
    if local:
        names = ", ".join(f"{wheel.name} {wheel.version} ({wheel.kind})" for wheel in local)
        raise LockNotPortableError(
            f"These packages are on this machine only, and no other tool's lock can name them: {names}",
            hint="Take them from an index or a URL, or share the environment as a bundle.",
            fields={"packages": [wheel.name for wheel in local]},
        )


def _platform_subdir(lock: Lock) -> str:
    return lock.platform.partition("+")[0]


def _build_conda_lock_package(package: CondaPackage, subdir: str) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "manager": "conda",
        "platform": subdir,
        "dependencies": _split_depends(package),
        "url": package.url,
        "hash": _find_digests(package),
        "category": "main",
        "optional": False,
    }


def _build_conda_lock_wheel(wheel: Wheel, subdir: str, *, by_url: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": wheel.name,
        "version": wheel.version,
        "manager": "pip",
        "platform": subdir,
        "dependencies": dict.fromkeys(wheel.requires, "*"),
        "url": wheel.url,
        "hash": {"sha256": wheel.sha256} if wheel.sha256 else {},
        "category": "main",
        "optional": False,
    }
    return {**content, "source": {"type": "url", "url": wheel.url}} if by_url or wheel.kind != "index" else content


def _build_pixi_package(package: CondaPackage) -> dict[str, Any]:
    record = package.record
    fields = {key: record[key] for key in ("depends", "constrains", "license", "license_family") if record.get(key)}
    size = {"size": package.size} if package.size else {}
    return {"conda": package.url, **_find_digests(package), **fields, **size}


def _build_pixi_wheel(wheel: Wheel) -> dict[str, Any]:
    content: dict[str, Any] = {"pypi": wheel.url, "name": wheel.name, "version": wheel.version}
    if wheel.sha256:
        content["sha256"] = wheel.sha256
    return {**content, "requires_dist": list(wheel.requires)} if wheel.requires else content


def format_wheel_requirement(wheel: Wheel, *, digest: bool = False) -> str:
    """Return ``name==version`` as pip accepts it, or a URL if no index has the wheel."""
    place = f"=={wheel.version}" if wheel.kind == "index" else f" @ {wheel.url}"
    return f"{wheel.name}{place}" + (f" --hash=sha256:{wheel.sha256}" if digest and wheel.sha256 else "")


def _split_depends(package: CondaPackage) -> dict[str, str]:
    """Return the dependencies of a package: name to version and build."""
    depends = package.record.get("depends")
    texts = [str(text) for text in depends] if isinstance(depends, (list, tuple)) else []
    return {name: rest.strip() for name, _, rest in (text.partition(" ") for text in texts)}


def _find_digests(package: CondaPackage) -> dict[str, str]:
    md5 = package.record.get("md5")
    digests = {"md5": md5 if isinstance(md5, str) else "", "sha256": package.sha256}
    return {key: value for key, value in digests.items() if value}


def _digest_fragment(package: CondaPackage) -> str:
    digests = _find_digests(package)
    if "sha256" in digests:
        return f"#sha256:{digests['sha256']}"
    return f"#{digests['md5']}" if digests else ""


def _find_channel_url(channel: str) -> str:
    return (channel if "://" in channel else _CHANNEL_ALIAS + channel).rstrip("/") + "/"


def _dump_yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)


_WRITERS: dict[str, Callable[[Lock, Sequence[str], Sequence[str]], str]] = {
    "conda-lock": write_conda_lock,
    "pixi": write_pixi_lock,
    "explicit": write_explicit,
}
LOCK_FILE_FORMATS = tuple(_WRITERS)
