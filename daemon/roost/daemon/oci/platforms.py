"""Names and documents of OCI registries: references, descriptors, manifests, indexes, platforms. Pure.

Sources: OCI image specification 1.1 (descriptor.md, manifest.md, image-index.md), OCI distribution specification 1.1,
Docker's reference grammar (distribution/reference) and its rule for what is a host (``splitDockerDomain``), Docker
image manifest V2 schema 2. Docker's and OCI's types are read alike, since registries hold both.
"""

from __future__ import annotations

import re

import msgspec

from roost.daemon.oci.references import ReferenceInvalidError


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image runs on, in Go's words."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_SUBDIRS = {
    "linux-64": "linux/amd64",
    "linux-32": "linux/386",
    "linux-aarch64": "linux/arm64",
    "linux-armv7l": "linux/arm/v7",
    "linux-armv6l": "linux/arm/v6",
    "linux-ppc64le": "linux/ppc64le",
    "linux-riscv64": "linux/riscv64",
    "linux-s390x": "linux/s390x",
}
_ARM_ORDER = ("v8", "v7", "v6", "v5")


def parse_platform(text: str) -> Platform:
    """``os/architecture[/variant]``, with other names of the same thing brought to one (containerd's ``platforms``).

    Raises ReferenceInvalidError.
    """
    parts = text.lower().split("/")
    if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in parts):
        raise ReferenceInvalidError(f"{text!r} is no platform", hint="Write it like linux/amd64 or linux/arm64.")
    return _normal(Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else ""))


def same_platform(one: str, other: str) -> bool:
    """Whether two platforms are the same, under whichever names; the processor's variant does not count."""
    first, second = parse_platform(one), parse_platform(other)
    return (first.os, first.architecture) == (second.os, second.architecture)


def _normal(platform: Platform) -> Platform:
    architecture, implied = _ARCHITECTURES.get(platform.architecture, (platform.architecture, ""))
    variant = platform.variant or implied
    if architecture == "arm64" and variant in ("8", "v8"):
        variant = ""
    if architecture == "amd64" and variant == "v1":
        variant = ""
    if architecture == "arm":
        variant = f"v{variant.removeprefix('v') or '7'}"
    return Platform(os=platform.os, architecture=architecture, variant=variant)


def image_platform(conda_platform: str) -> str:
    """The image platform of a conda subdir, with or without ``+cuda…``. Raises ReferenceInvalidError if there is none:
    containers are Linux."""
    subdir = conda_platform.partition("+")[0]
    if subdir not in _SUBDIRS:
        raise ReferenceInvalidError(
            f"No images are made for {conda_platform}", hint=f"Platforms of images: {', '.join(_SUBDIRS)}."
        )
    return _SUBDIRS[subdir]


def conda_platform(platform: str) -> str:
    """The conda subdir of an image platform (``linux/amd64`` → ``linux-64``). Raises ReferenceInvalidError."""
    wanted = str(parse_platform(platform))
    for subdir, name in _SUBDIRS.items():
        if name == wanted:
            return subdir
    raise ReferenceInvalidError(
        f"Conda has no packages for {platform}", hint=f"Platforms: {', '.join(_SUBDIRS.values())}."
    )
