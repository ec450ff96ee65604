"""Which platform a target is: a conda subdir, with ``+cuda<major>`` where an accelerator is asked for or found."""

from __future__ import annotations

import os
import platform as machine
import sys

from roost.daemon.oci.platforms import conda_platform, parse_platform
from roost.model.records import HOST_SCOPE

# Docker on a Mac runs Linux on the Mac's processor.
_LINUX = {"osx-64": "linux-64", "osx-arm64": "linux-aarch64"}
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
"""What a processor runs besides its own."""
_EMULATED = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}
"""QEMU's names where images have others."""


def machine_subdir(system: str, processor: str) -> str:
    """The conda subdir of ``sys.platform`` and ``platform.machine()``: ``linux``, ``x86_64`` → ``linux-64``."""
    arch = _MACHINES.get(processor.lower(), processor.lower())
    if system == "linux" and arch == "arm64":
        arch = "aarch64"
    return f"{_SYSTEMS.get(system, system)}-{arch}"


def local_platform(system_section: dict[str, str]) -> str:
    """This machine's platform for a definition: ``[system] cuda = "12"`` makes it ``linux-64+cuda12``."""
    subdir = machine_subdir(sys.platform, machine.machine())
    cuda = system_section.get("cuda")
    return f"{subdir}+cuda{cuda.split('.')[0]}" if cuda else subdir


def target_image_platform(system_section: dict[str, str], named: str | None) -> str:
    """The platform of a definition's image: what it names (``linux/arm64`` → ``linux-aarch64``), else Linux on this
    machine's processor. Raises ReferenceInvalidError for one that conda has no packages for."""
    here = local_platform(system_section)
    if named is None:
        subdir, plus, accelerator = here.partition("+")
        return _LINUX.get(subdir, subdir) + plus + accelerator
    _, plus, accelerator = here.partition("+")
    return conda_platform(named) + plus + accelerator


def split_platform(platform: str) -> tuple[str, str | None]:
    """``linux-64+cuda12`` → (``linux-64``, ``12``)."""
    subdir, _, accelerator = platform.partition("+")
    return subdir, accelerator.removeprefix("cuda") or None


def format_platform(lineage: str) -> str:
    """For people: ``linux-64+host`` → ``linux-64 (of use here only)``."""
    platform = lineage.removesuffix(HOST_SCOPE)
    return platform if platform == lineage else f"{platform} (of use here only)"


def can_run(image: str, engine: str) -> bool:
    """Whether an engine on ``engine`` (``linux/amd64``) runs what was built for ``image``, emulation included as far as
    it shows: the kernel says so where it is this machine's, and Docker on a Mac always emulates. Blocks."""
    wanted, own = parse_platform(image), parse_platform(engine)
    if wanted.os != own.os:
        return False
    if wanted.architecture in (own.architecture, _NARROWER.get(own.architecture)) or sys.platform == "darwin":
        return True
    return os.path.exists(f"{_BINFMT}/qemu-{_EMULATED.get(wanted.architecture, wanted.architecture)}")
