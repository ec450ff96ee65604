"""Which platform a target is: a conda subdir, with ``+cuda<major>`` where an accelerator is asked for or found."""

from __future__ import annotations

import platform as machine
import sys

from roost.daemon.oci import conda_platform

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


def subdir_of(system: str, processor: str) -> str:
    """The conda subdir of ``sys.platform`` and ``platform.machine()``: ``linux``, ``x86_64`` → ``linux-64``."""
    arch = _MACHINES.get(processor.lower(), processor.lower())
    if system == "linux" and arch == "arm64":
        arch = "aarch64"
    return f"{_SYSTEMS.get(system, system)}-{arch}"


def local_platform(system_section: dict[str, str]) -> str:
    """This machine's platform for a definition: ``[system] cuda = "12"`` makes it ``linux-64+cuda12``."""
    subdir = subdir_of(sys.platform, machine.machine())
    cuda = system_section.get("cuda")
    return f"{subdir}+cuda{cuda.split('.')[0]}" if cuda else subdir


def image_platform(system_section: dict[str, str], named: str | None) -> str:
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
