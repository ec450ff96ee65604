"""Locked wheels as entries of layers, installed by PyPA's ``installer`` for the path in the image.

Each is installed into a folder of its own, so that the owner of a file is known; no interpreter of the target is
needed.
"""

from __future__ import annotations

import csv
import hashlib
import os
import posixpath
import stat
from zipfile import BadZipFile, ZipFile

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.sources import WheelFile

from roost.daemon.engines.uv.errors import WheelCorruptError
from roost.daemon.engines.uv.unpacked.record import (
    FATAL,
    describe_faults,
    encode_digest,
    find_faults,
    parse_record,
)
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
        with ZipFile(path) as archive:
            source = WheelFile(archive)
            _check_record(archive, source)
            install(source=source, destination=destination, additional_metadata={"INSTALLER": b"roost\n"})
    except (InstallerError, BadZipFile, FileExistsError, ValueError, KeyError, AssertionError, csv.Error) as error:
        raise WheelCorruptError(
            f"{wheel.file_name} can't be installed: {error}",
            hint="Ask its publisher, or choose another version.",
            fields={"packages": [wheel.name]},
        ) from error
    return _list_entries(folder)


def _check_record(archive: ZipFile, source: WheelFile) -> None:
    """Compare the files of a wheel with its RECORD, as in prefixes.

    Raises: InstallerError if they contradict each other; csv.Error, ValueError if the RECORD can't be read.
    """

    def digest_of(path: str, algorithm: str) -> str:
        return encode_digest(hashlib.new(algorithm, archive.read(path)).digest())

    rows = parse_record(source.read_dist_info("RECORD"))
    files = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
    if faults := [each for each in find_faults(rows, files, source.dist_info_dir, digest_of) if each.kind in FATAL]:
        raise InstallerError(f"its list of files, RECORD, contradicts it: {describe_faults(faults)}")


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
