"""The variables of markers (PEP 508) on a platform, without asking a Python there. Pure.

Separate because ``verify_offline`` is long without it.
"""

from __future__ import annotations

from roost.model.locks.lock import HostPython, Lock

_SYSTEMS = {
    "linux": ("posix", "linux", "Linux"),
    "osx": ("posix", "darwin", "Darwin"),
    "win": ("nt", "win32", "Windows"),
}
_MACHINES = {"linux-64": "x86_64", "linux-32": "i686", "osx-64": "x86_64", "osx-arm64": "arm64", "win-64": "AMD64"}


def marker_environment(lock: Lock, subdir: str) -> dict[str, str]:
    """Return the variables of markers (PEP 508) on the lock's platform with the lock's Python."""
    own = lock.provider.version if isinstance(lock.provider, HostPython) else "3"
    version = next((package.version for package in lock.conda if package.name == "python"), own)
    system, _, processor = subdir.partition("-")
    os_name, platform, name = _SYSTEMS.get(system, ("posix", system, system))
    return {
        "os_name": os_name,
        "sys_platform": platform,
        "platform_system": name,
        "platform_machine": _MACHINES.get(subdir, processor),
        "platform_release": "",
        "platform_version": "",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "implementation_version": version,
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "extra": "",
    }
