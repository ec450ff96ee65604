"""Platforms of targets: a conda subdir, with ``+cuda<major>`` if an accelerator is requested or found."""

from __future__ import annotations

import os
import platform as machine
import sys

from roost.daemon.oci.platforms import conda_platform, parse_platform
from roost.model.records import HOST_SCOPE

_LINUX_SUBDIRS = {"osx-64": "linux-64", "osx-arm64": "linux-aarch64"}
"""Subdirs of images on a Mac: Docker there runs Linux on the Mac's processor."""
_SYSTEMS = {"linux": "linux", "darwin": "osx"}
_MACHINES = {
    "x86_64": "64",
    "amd64": "64",
    "aarch64": "aarch64",
    "arm64": "arm64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
}
_BINFMT = "/proc/sys/fs/binfmt_misc"
_NARROWER = {"amd64": "386", "arm64": "arm"}
"""Architecture that a processor runs besides its own."""
_QEMU_NAMES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}
"""QEMU's names of architectures that images name differently."""


def machine_subdir(system: str, processor: str) -> str:
    """Return the conda subdir of ``sys.platform`` and ``platform.machine()``: ``linux``, ``x86_64`` → ``linux-64``."""
    arch = _MACHINES.get(processor.lower(), processor.lower())
    if system == "linux" and arch == "arm64":
        arch = "aarch64"
    return f"{_SYSTEMS.get(system, system)}-{arch}"


def local_platform(system_section: dict[str, str]) -> str:
    """Return this machine's platform for a definition: ``[system] cuda = "12"`` makes it ``linux-64+cuda12``."""
    subdir = machine_subdir(sys.platform, machine.machine())
    cuda = system_section.get("cuda")
    return f"{subdir}+cuda{cuda.split('.')[0]}" if cuda else subdir


def target_image_platform(system_section: dict[str, str], named: str | None) -> str:
    """Return the platform of a definition's image.

    ``named``: the image platform that the definition names (``linux/arm64`` → ``linux-aarch64``); ``None``: Linux on
    this machine's processor.

    Raises: ReferenceInvalidError if conda has no packages for it.
    """
    subdir, plus, accelerator = local_platform(system_section).partition("+")
    subdir = _LINUX_SUBDIRS.get(subdir, subdir) if named is None else conda_platform(named)
    return subdir + plus + accelerator


def split_platform(platform: str) -> tuple[str, str | None]:
    """Split ``linux-64+cuda12`` into (``linux-64``, ``12``)."""
    subdir, _, accelerator = platform.partition("+")
    return subdir, accelerator.removeprefix("cuda") or None


def format_platform(generation_scope: str) -> str:
    """Return the scope of a generation as users read it: ``linux-64+host`` → ``linux-64 (of use here only)``."""
    platform = generation_scope.removesuffix(HOST_SCOPE)
    return platform if platform == generation_scope else f"{platform} (this machine only)"


def can_run(image: str, engine: str) -> bool:
    """Return whether an engine on ``engine`` (``linux/amd64``) runs images for ``image``. Blocks.

    Emulation is included as far as it can be detected: this machine's kernel reports its own, and Docker on a Mac
    always emulates.
    """
    wanted, own = parse_platform(image), parse_platform(engine)
    if wanted.os != own.os:
        return False
    if wanted.architecture in (own.architecture, _NARROWER.get(own.architecture)) or sys.platform == "darwin":
        return True
    return os.path.exists(f"{_BINFMT}/qemu-{_QEMU_NAMES.get(wanted.architecture, wanted.architecture)}")
