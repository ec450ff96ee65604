"""Locked wheels as entries of layers, installed by PyPA's ``installer`` for the path in the image.

Each is installed into a folder of its own, so that the owner of a file is known; no interpreter of the target is
needed.
"""

from __future__ import annotations

import os
import posixpath
import stat
from pathlib import Path
from zipfile import BadZipFile

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.sources import WheelFile

from roost.daemon.engines.uv.errors import WheelCorruptError
from roost.daemon.layers.conda_packages import IMAGE_ROOT
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.daemon.layers.tar import LayerEntry
from roost.model.locks.lock import Wheel

_SCRIPTS_FOLDER = f"{IMAGE_ROOT}/bin"


def install_wheel(wheel: Wheel, path: str, folder: str, site: str) -> list[LayerEntry]:
    """Install the wheel at ``path`` into ``folder``, as if that were the root of the image; return its entries.

    ``site`` is the path of ``site-packages`` in the prefix. Raises WheelCorruptError, ``OSError``. Blocks.
    """
    destination = SchemeDictionaryDestination(
        _install_scheme(wheel, site), interpreter=f"{PREFIX_IN_IMAGE}/bin/python", script_kind="posix", destdir=folder
    )
    try:
        with WheelFile.open(Path(path)) as source:
            source.validate_record(validate_contents=True)
            install(source=source, destination=destination, additional_metadata={"INSTALLER": b"roost\n"})
    except (InstallerError, BadZipFile, FileExistsError, ValueError, KeyError, AssertionError) as error:
        raise WheelCorruptError(
            f"{wheel.file_name} can't be installed: {error}",
            hint="Ask its publisher, or choose another version.",
            fields={"packages": [wheel.name]},
        ) from error
    return _list_entries(folder)


def _install_scheme(wheel: Wheel, site: str) -> dict[str, str]:
    """Return the paths for the parts of a wheel in a conda prefix (``sysconfig``'s scheme ``posix_prefix``)."""
    library = posixpath.join(PREFIX_IN_IMAGE, site)
    version = posixpath.basename(posixpath.dirname(site))
    return {
        "purelib": library,
        "platlib": library,
        "scripts": f"{PREFIX_IN_IMAGE}/bin",
        "headers": f"{PREFIX_IN_IMAGE}/include/{version}/{wheel.name}",
        "data": PREFIX_IN_IMAGE,
    }


def _list_entries(folder: str) -> list[LayerEntry]:
    found = []
    for parent, _, names in os.walk(os.path.join(folder, IMAGE_ROOT)):
        for name in names:
            source = os.path.join(parent, name)
            mode = os.lstat(source).st_mode
            target = os.path.relpath(source, folder)
            # pip and uv make every script executable, whatever its mode in the archive.
            executable = bool(mode & stat.S_IXUSR) or os.path.dirname(target) == _SCRIPTS_FOLDER
            found.append(LayerEntry(name=target, source=source, executable=executable))
    return found
