"""Check each package when it is in the cache and before it is linked."""

from __future__ import annotations

import os
import threading

from roost.daemon.engines.conda import cache
from roost.daemon.engines.conda.errors import PackageUnsafeError
from roost.daemon.engines.conda.jobs import LinkRequest
from roost.daemon.engines.conda.package_code import read_commands
from roost.daemon.engines.conda.package_paths import PrefixPaths, place_paths
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import CondaPackage


class PackageCheck:
    """The check of one link. Reads from the cache. Safe in threads."""

    def __init__(self, request: LinkRequest) -> None:
        self._cache_dir = request.cache_dir
        self._folders = {
            _describe(package): cache.entry_folder(request.cache_dir, package) for package in request.packages
        }
        self._site = _find_site(request)
        self._paths = PrefixPaths(self._read_link, ignores_case=ignores_case(request.prefix))
        self._lock = threading.Lock()

    def add(self, package: CondaPackage) -> None:
        """Raise ``PackageUnsafeError`` if a file of ``package`` would leave the prefix, or if its lists can't be read.

        Missing lists are left to rattler.
        """
        name = _describe(package)
        is_python = package.record.get("noarch") == "python"
        try:
            paths = [each.path for each in cache.read_paths(self._folders[name]) if each.path_type != "directory"]
            commands = read_commands(self._folders[name]) if is_python else []
        except OSError:
            return
        except MALFORMED_JSON as error:
            raise PackageUnsafeError(
                f"The package {name} can't be linked: its list of files can't be read: {error}",
                hint="Choose another version or build of it, and report it to the channel.",
                fields={"package": name},
            ) from error
        placed = place_paths(paths, self._site if is_python else None)
        with self._lock:
            self._paths.add(name, placed, commands)

    def _read_link(self, package: str, source: str) -> str | None:
        try:
            return os.readlink(os.path.join(self._folders[package], source))
        except OSError:
            return None


def ignores_case(prefix: str) -> bool:
    """Return whether the file system finds ``prefix`` (or its nearest existing parent) by a name in the other case."""
    while not os.path.exists(prefix):
        prefix = os.path.dirname(prefix)
    folder, name = os.path.split(prefix.rstrip("/"))
    try:
        return name.swapcase() != name and os.path.samefile(prefix, os.path.join(folder, name.swapcase()))
    except OSError:
        return False


def _describe(package: CondaPackage) -> str:
    return f"{package.name}-{package.version}-{package.build}"


def _find_site(request: LinkRequest) -> str:
    """Return the path of ``site-packages``, as rattler finds it: python says it (conda's CEP 17) or has a version."""
    python = next((package for package in request.packages if package.name == "python"), None)
    if python is None:
        return "site-packages"
    stated = python.record.get("python_site_packages_path")
    return str(stated) if stated else f"lib/python{'.'.join(python.version.split('.')[:2])}/site-packages"
