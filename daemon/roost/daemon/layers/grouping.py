"""Which packages share a layer of an image, in which order layers lie, and what a layer's bytes depend on. Pure.

A changed package moves its own layer, and an engine unpacks every layer above it again. So each large package has a
layer of its own; small ones share a layer with those of the same bucket, by name alone; and what is heavy and seldom
changes lies below what is light and often does. A wheel is what a definition's lines name, where most of conda's
packages are what those need: it counts for an eighth of its size. Sizes count by their order of magnitude: a new
version of about the same size stays where it was. On top lies what belongs to no package.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from roost.daemon.oci.manifests import OCI_LAYER_GZIP, Descriptor
from roost.model.locks.lock import CondaPackage, Lock, Wheel
from roost.model.records import VariableChange

PREFIX_IN_IMAGE = "/opt/roost/env"
LAYER_FORMAT = 1
"""Changes with anything that gives the same packages other bytes."""
LARGE = 2 << 20
"""Bytes of a package file from which on it has a layer of its own."""
LARGE_LAYERS = 36
TOP = "environment"
"""Name of the unit on top."""
CLEARING = "clearing"
"""Name of the unit below all others where the base has an environment of its own, which none of it may outlive."""
OPAQUE = ".wh..wh..opq"
"""In a layer's folder: nothing that lower layers have in it is there (OCI image specification 1.1, layer.md)."""
GROUPS = {"conda": 12, "wheel": 8}
"""With one on top and one that clears at most 58 layers."""
LAYER_LIMIT = 125
"""Of an engine, the base's included: overlay2 can't mount more."""
_WHEEL_LIGHTER = 3
"""Powers of two."""

_VERSION = re.compile(r"(\d+)\.(\d+)")


Kind = Literal["conda", "wheel"]


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that is ready to be loaded or pushed."""

    diff_id: str
    """Digest of the tar archive."""
    digest: str
    """Digest of the blob."""
    size: int
    """Of the blob."""
    path: str
    """The blob."""
    media_type: str = OCI_LAYER_GZIP
    packages: tuple[str, ...] = ()
    """``name version``; none for the layer that belongs to no package."""
    clears: bool = False
    """It holds nothing, and hides what the base has in the environment's place."""

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)


class LayerContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock adds to an image."""

    layers: tuple[Layer, ...] = ()
    """From the bottom to the top."""
    activation: tuple[VariableChange, ...] = ()
    """What activating the environment changes, for the image's variables."""
    scripts: tuple[str, ...] = ()
    """Packages with a post-link script, which an engine has to run as a last step, dependencies first."""


class LayerPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a lock."""

    kind: Kind
    name: str
    version: str
    size: int
    """Of the package file, as far as the lock knows it."""
    identity: tuple[str, ...]
    """What its files depend on."""
    python: bool
    """Whether its files depend on the Python of the lock."""

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into one layer."""

    name: str
    parts: tuple[LayerPackage, ...]


def parts_of(lock: Lock) -> list[LayerPackage]:
    """The packages of ``lock``."""
    return [*map(_conda_part, lock.conda), *map(_wheel_part, lock.wheels)]


def _conda_part(package: CondaPackage) -> LayerPackage:
    digest = package.sha256 or f"md5:{package.record.get('md5', '')}"
    return LayerPackage(
        kind="conda",
        name=package.name,
        version=package.version,
        size=package.size,
        identity=(digest, package.file_name, package.url),
        python=_needs_python(package),
    )


def _needs_python(package: CondaPackage) -> bool:
    needed = any(name in ("python", "python_abi") for name in _depends(package))
    return package.name == "python" or package.record.get("noarch") == "python" or needed


def _wheel_part(wheel: Wheel) -> LayerPackage:
    identity = (wheel.sha256, wheel.file_name)
    return LayerPackage(
        kind="wheel", name=wheel.name, version=wheel.version, size=wheel.size, identity=identity, python=True
    )


def arrange(parts: Iterable[LayerPackage]) -> list[Unit]:
    """The layers of an image from the bottom to the top; the order of ``parts`` is of no matter."""
    ordered = sorted(parts, key=lambda part: (-_magnitude(part.size), part.name, part.kind, part.version))
    large = [part for part in ordered if part.size >= LARGE][:LARGE_LAYERS]
    groups: dict[tuple[Kind, int], list[LayerPackage]] = {}
    for part in ordered:
        if part not in large:
            groups.setdefault((part.kind, _bucket(part)), []).append(part)
    units = [Unit(name=f"{part.kind}:{part.name}", parts=(part,)) for part in large]
    units += [Unit(name=f"group:{kind}:{number:02}", parts=_by_name(each)) for (kind, number), each in groups.items()]
    return sorted(units, key=_place)


def _place(unit: Unit) -> tuple[int, Kind, str]:
    """The heavier, the lower. A group's place can't go by its size, which any of its packages may change: conda's count
    as much as the lightest that has a layer of its own, and those of wheels as nothing."""
    first = unit.parts[0]
    if unit.name.startswith("group:"):
        weight = _magnitude(LARGE) if first.kind == "conda" else 0
    else:
        weight = _magnitude(first.size) - (_WHEEL_LIGHTER if first.kind == "wheel" else 0)
    return -weight, first.kind, unit.name


def _magnitude(size: int) -> int:
    return size.bit_length()


def _bucket(part: LayerPackage) -> int:
    return int.from_bytes(hashlib.sha256(part.name.encode()).digest()[:4], "big") % GROUPS[part.kind]


def _by_name(parts: Sequence[LayerPackage]) -> tuple[LayerPackage, ...]:
    return tuple(sorted(parts, key=lambda part: (part.name, part.kind, part.version)))


def top_of(parts: Iterable[LayerPackage]) -> Unit:
    """The layer that belongs to no package, and tells of them all."""
    return Unit(name=TOP, parts=_by_name(list(parts)))


def layer_count(lock: Lock, *, clear: bool) -> int:
    """How many layers the lock puts on a base, without those of link scripts."""
    return clear + len(arrange(parts_of(lock))) + 1 if lock.conda else 0


def clearing() -> Unit:
    """The layer that hides another environment: the same one for every lock."""
    return Unit(name=CLEARING, parts=())


def layer_key(unit: Unit, python: str, prefix: str = PREFIX_IN_IMAGE) -> str:
    """``sha256:`` over all that the bytes of a unit's layer depend on. ``python`` says which Python it is for and which
    one compiles its byte-code."""
    content = {
        "format": LAYER_FORMAT,
        "holds": unit.name if unit.name in (TOP, CLEARING) else "packages",
        "prefix": prefix,
        "parts": [[part.kind, part.name, part.version, *part.identity] for part in unit.parts],
        "python": python if any(part.python for part in unit.parts) else "",
    }
    return "sha256:" + hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def by_dependency(packages: Sequence[CondaPackage]) -> list[CondaPackage]:
    """``packages`` with each behind those that it depends on, else by name; a cycle is cut at its first name."""
    left = {package.name: package for package in sorted(packages, key=lambda package: package.name)}
    ordered: list[CondaPackage] = []

    def take(name: str) -> None:
        package = left.pop(name, None)
        if package is not None:
            for needed in _depends(package):
                take(needed)
            ordered.append(package)

    for name in list(left):
        take(name)
    return ordered


def _depends(package: CondaPackage) -> list[str]:
    depends = package.record.get("depends", [])
    return sorted(str(spec).split()[0] for spec in depends) if isinstance(depends, list) else []


def python_of(lock: Lock) -> tuple[str, str] | None:
    """Version of the lock's conda Python and its ``site-packages``, relative to the prefix."""
    for package in lock.conda:
        if package.name == "python" and (match := _VERSION.match(package.version)):
            default = f"lib/python{match[1]}.{match[2]}/site-packages"
            return package.version, str(package.record.get("python_site_packages_path") or default)
    return None
