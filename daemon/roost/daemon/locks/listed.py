"""Whether the wheels of a lock are those that indexes and conda's packages give for the definition's lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from roost.daemon.locks.artifact import untrusted_error
from roost.model.locks.lock import Lock, Wheel, is_source


def check_provided(requirements: Iterable[Requirement], provided: Mapping[str, str]) -> None:
    """Raise LockUntrustedError if conda's packages (``provided``: name to version) do not satisfy a requirement."""
    for requirement in requirements:
        version = provided.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            raise untrusted_error(f"{requirement} is satisfied by none of its packages")


def check_wheels_listed(lock: Lock, listed: Mapping[str, Mapping[str, str]]) -> None:
    """Raise LockUntrustedError if an index does not list a wheel of the lock.

    ``listed``: what the definition's own lines give with the lock's versions, as name to ``version``, ``url`` and
    ``sha256s`` (of all files that the index lists, separated by spaces).
    """
    names = {wheel.name for wheel in lock.wheels}
    if names != set(listed):
        strange, missing = sorted(names - set(listed)), sorted(set(listed) - names)
        what = f"{strange[0]}, which nothing requires" if strange else f"no {missing[0]}, which is required"
        raise untrusted_error(f"it has {what}")
    for wheel in lock.wheels:
        found = listed[wheel.name]
        if found["version"] != wheel.version or wheel.sha256 not in found["sha256s"].split():
            raise untrusted_error(f"{wheel.file_name} with sha256 {wheel.sha256[:12]}… is not what the indexes list")
        if wheel.url and found.get("url") and (host := _host_url(wheel.url)) != _host_url(found["url"]):
            raise untrusted_error(f"{wheel.file_name} comes from {host}, not from the index's own place")


def check_sources(lock: Lock, chosen: Mapping[str, Wheel]) -> tuple[Wheel, ...]:
    """Return the wheels of ``lock``; in place of those that stand as their source, what was built from that.

    ``chosen``: what the definition's own lines give with the lock's versions, by name. Raises LockUntrustedError if
    that was built from something else.
    """
    wheels = []
    for wheel in lock.wheels:
        found = chosen.get(wheel.name)
        if is_source(wheel) and found is not None:
            if found.version != wheel.version or _identify_source(found) != _identify_source(wheel):
                raise untrusted_error(
                    f"{wheel.name} {wheel.version} has another source than its line or the index gives"
                )
            wheel = found
        wheels.append(wheel)
    return tuple(wheels)


def _identify_source(wheel: Wheel) -> tuple[str, str, str]:
    source = wheel.source
    return (source.kind, source.sha256, source.commit) if source is not None else ("", "", "")


def _host_url(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}"
