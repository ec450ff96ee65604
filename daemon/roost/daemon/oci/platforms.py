"""Platforms of images, and the conda subdirs that they correspond to. Pure.

Sources: OCI image specification 1.1 (image-index.md), containerd's package ``platforms`` (other spellings, and the
order of ARM variants).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from roost.daemon.oci.references import ReferenceInvalidError


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Platform of an image, in Go's names."""

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
"""Other spellings of an architecture to Go's name and the variant that they imply."""
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
"""Conda subdir to image platform."""
_ARM_VARIANTS = ("v8", "v7", "v6", "v5")
"""Variants of ARM, newest first: each runs images of those after it."""


def parse_platform(text: str) -> Platform:
    """Parse ``os/architecture[/variant]`` and normalize it (containerd's ``platforms``).

    Raises: ReferenceInvalidError if ``text`` is not a platform.
    """
    parts = text.lower().split("/")
    if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in parts):
        raise ReferenceInvalidError(
            f"{text!r} is not a valid platform", hint="Write it like linux/amd64 or linux/arm64."
        )
    return normalize_platform(Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else ""))


def normalize_platform(platform: Platform) -> Platform:
    """Return ``platform`` with Go's name of the architecture, and without a variant that is the default."""
    architecture, implied = _ARCHITECTURES.get(platform.architecture, (platform.architecture, ""))
    variant = platform.variant or implied
    if architecture == "arm64" and variant in ("8", "v8"):
        variant = ""
    if architecture == "amd64" and variant == "v1":
        variant = ""
    if architecture == "arm":
        variant = f"v{variant.removeprefix('v') or '7'}"
    return Platform(os=platform.os, architecture=architecture, variant=variant)


def same_platform(one: str, other: str) -> bool:
    """Return whether two platforms are equal in any spelling; the variant of the architecture is ignored."""
    first, second = parse_platform(one), parse_platform(other)
    return (first.os, first.architecture) == (second.os, second.architecture)


def compatible_platforms(platform: Platform) -> Iterator[Platform]:
    """Yield ``platform``, and for ARM the older variants whose images it runs, newest first (containerd's order)."""
    yield platform
    if platform.architecture == "arm" and platform.variant in _ARM_VARIANTS:
        for older in _ARM_VARIANTS[_ARM_VARIANTS.index(platform.variant) + 1 :]:
            yield msgspec.structs.replace(platform, variant=older)


def image_platform(conda_platform: str) -> str:
    """Return the image platform of a conda subdir, with or without ``+cuda…``.

    Raises: ReferenceInvalidError if there is none: containers are Linux.
    """
    subdir = conda_platform.partition("+")[0]
    if subdir not in _SUBDIRS:
        raise ReferenceInvalidError(
            f"Images are not supported for {conda_platform}", hint=f"Platforms of images: {', '.join(_SUBDIRS)}."
        )
    return _SUBDIRS[subdir]


def conda_platform(platform: str) -> str:
    """Return the conda subdir of an image platform (``linux/amd64`` → ``linux-64``).

    Raises: ReferenceInvalidError if conda has no packages for it.
    """
    wanted = str(parse_platform(platform))
    for subdir, name in _SUBDIRS.items():
        if name == wanted:
            return subdir
    raise ReferenceInvalidError(
        f"Conda has no packages for {platform}", hint=f"Platforms: {', '.join(_SUBDIRS.values())}."
    )
