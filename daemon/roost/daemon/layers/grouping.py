"""Which packages share a layer of an image, the order of layers, and what the bytes of a layer depend on. Pure.

A changed package changes its layer, and an engine unpacks every layer above it again. So each large package has a
layer of its own; small ones share a layer with those of the same bucket, which depends on the name alone; and what is
heavy and rarely changes lies below what is light and often changes. Wheels are mostly named by the definition itself
and change often, while most conda packages are dependencies: a wheel counts as an eighth of its size. Sizes count by
their order of magnitude, so a new version of about the same size stays in its place. On top lies what belongs to no
package.
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
"""Path of the environment in an image."""
LAYER_FORMAT = 1
"""To be increased with every change that gives the same packages other bytes."""
LARGE = 2 << 20
"""Size in bytes of a package file from which on it has a layer of its own."""
LARGE_LAYERS = 36
"""The most packages that have a layer of their own."""
TOP = "environment"
"""Name of the unit on top, which belongs to no package."""
CLEARING = "clearing"
"""Name of the lowest unit, if the base has an environment of its own: it hides all of that."""
OPAQUE = ".wh..wh..opq"
"""Name of a file in a layer that hides what lower layers have in its folder (OCI image specification 1.1, layer.md)."""
GROUPS = {"conda": 12, "wheel": 8}
"""Number of buckets for small packages: with the large ones, the top and the clearing unit at most 58 layers."""
LAYER_LIMIT = 125
"""The most layers of an image, the base's included: overlay2 can't mount more."""
_WHEEL_DISCOUNT = 3
"""Powers of two by which a wheel counts as smaller than it is."""

_MINOR_VERSION = re.compile(r"(\d+)\.(\d+)")


Kind = Literal["conda", "wheel"]


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that can be loaded or pushed."""

    diff_id: str
    """Digest of the tar archive."""
    digest: str
    """Digest of the blob."""
    size: int
    """Of the blob, in bytes."""
    path: str
    """Of the blob."""
    media_type: str = OCI_LAYER_GZIP
    packages: tuple[str, ...] = ()
    """``name version`` of each package; empty for the layer that belongs to no package."""
    clears: bool = False
    """Whether it is empty and hides what the base has at the environment's path."""

    @property
    def descriptor(self) -> Descriptor:
        """The layer in a manifest."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)


class LayerContent(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a lock adds to an image."""

    layers: tuple[Layer, ...] = ()
    """From the bottom to the top."""
    activation: tuple[VariableChange, ...] = ()
    """The changes that activation makes, for the image's variables."""
    scripts: tuple[str, ...] = ()
    """Names of packages with a post-link script, which an engine must run as a last step; dependencies first."""


class LayerPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a lock."""

    kind: Kind
    name: str
    version: str
    size: int
    """Bytes of the package file; 0 if the lock does not have it."""
    identity: tuple[str, ...]
    """What its files depend on, beside the Python."""
    python: bool
    """Whether its files depend on the Python of the lock."""

    @property
    def label(self) -> str:
        """Name and version, for people."""
        return f"{self.name} {self.version}"


class LayerUnit(msgspec.Struct, frozen=True, kw_only=True):
    """The packages of one layer, or a layer of its own kind (:data:`TOP`, :data:`CLEARING`)."""

    name: str
    parts: tuple[LayerPackage, ...]

    @property
    def size(self) -> int:
        """Bytes of its packages' files; the unit on top has none of their content."""
        return 0 if self.name in (TOP, CLEARING) else sum(part.size for part in self.parts)


def layer_packages(lock: Lock) -> list[LayerPackage]:
    """Return the packages of ``lock``."""
    return [*map(_from_conda, lock.conda), *map(_from_wheel, lock.wheels)]


def _from_conda(package: CondaPackage) -> LayerPackage:
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
    needed = any(name in ("python", "python_abi") for name in _dependency_names(package))
    return package.name == "python" or package.record.get("noarch") == "python" or needed


def _from_wheel(wheel: Wheel) -> LayerPackage:
    identity = (wheel.sha256, wheel.file_name)
    return LayerPackage(
        kind="wheel", name=wheel.name, version=wheel.version, size=wheel.size, identity=identity, python=True
    )


def arrange_layers(parts: Iterable[LayerPackage]) -> list[LayerUnit]:
    """Return the layers for ``parts`` from the bottom to the top; the order of ``parts`` does not matter."""
    ordered = sorted(parts, key=lambda part: (-_magnitude(part.size), part.name, part.kind, part.version))
    large = [part for part in ordered if part.size >= LARGE][:LARGE_LAYERS]
    groups: dict[tuple[Kind, int], list[LayerPackage]] = {}
    for part in ordered:
        if part not in large:
            groups.setdefault((part.kind, _bucket(part)), []).append(part)
    units = [LayerUnit(name=f"{part.kind}:{part.name}", parts=(part,)) for part in large]
    units += [
        LayerUnit(name=f"group:{kind}:{number:02}", parts=_sort_by_name(each))
        for (kind, number), each in groups.items()
    ]
    return sorted(units, key=_stack_order)


def _stack_order(unit: LayerUnit) -> tuple[int, Kind, str]:
    """Return the sort key of a unit: the heavier, the lower.

    The place of a group can't depend on its size, which any of its packages may change: a group of conda packages
    counts as the lightest package with a layer of its own, a group of wheels as nothing.
    """
    first = unit.parts[0]
    if unit.name.startswith("group:"):
        weight = _magnitude(LARGE) if first.kind == "conda" else 0
    else:
        weight = _magnitude(first.size) - (_WHEEL_DISCOUNT if first.kind == "wheel" else 0)
    return -weight, first.kind, unit.name


def _magnitude(size: int) -> int:
    return size.bit_length()


def _bucket(part: LayerPackage) -> int:
    return int.from_bytes(hashlib.sha256(part.name.encode()).digest()[:4], "big") % GROUPS[part.kind]


def _sort_by_name(parts: Sequence[LayerPackage]) -> tuple[LayerPackage, ...]:
    return tuple(sorted(parts, key=lambda part: (part.name, part.kind, part.version)))


def top_unit(parts: Iterable[LayerPackage]) -> LayerUnit:
    """Return the unit on top, which describes all packages and belongs to none."""
    return LayerUnit(name=TOP, parts=_sort_by_name(list(parts)))


def list_units(lock: Lock, *, clear: bool) -> list[LayerUnit]:
    """Return all layers that ``lock`` adds to a base, from the bottom, without those of link scripts.

    ``clear`` says that the base has an environment, which must be hidden.
    """
    if not lock.conda:
        return []
    packages = layer_packages(lock)
    return [*([clearing_unit()] if clear else []), *arrange_layers(packages), top_unit(packages)]


def count_layers(lock: Lock, *, clear: bool) -> int:
    """Return how many layers ``lock`` adds to a base. ``clear``: as for ``list_units``."""
    return len(list_units(lock, clear=clear))


def clearing_unit() -> LayerUnit:
    """Return the unit that hides the environment of a base; it is the same for every lock."""
    return LayerUnit(name=CLEARING, parts=())


def layer_key(unit: LayerUnit, python: str, prefix: str = PREFIX_IN_IMAGE) -> str:
    """Return ``sha256:`` of everything that the bytes of a unit's layer depend on.

    ``python`` identifies the Python that the layer is for and the one that compiles its byte-code.
    """
    content = {
        "format": LAYER_FORMAT,
        "holds": unit.name if unit.name in (TOP, CLEARING) else "packages",
        "prefix": prefix,
        "parts": [[part.kind, part.name, part.version, *part.identity] for part in unit.parts],
        "python": python if any(part.python for part in unit.parts) else "",
    }
    return "sha256:" + hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def describe_python(lock: Lock, compiler_version: str | None = None) -> str:
    """Return ``python`` of ``layer_key``. ``compiler_version``: of the Python that compiles, by default the lock's."""
    version, site = find_python(lock) or ("", "")
    return f"{version} {site} {compiler_version or version}"


def sort_by_dependency(packages: Sequence[CondaPackage]) -> list[CondaPackage]:
    """Return ``packages`` with dependencies first, otherwise by name; a cycle is cut at its first name."""
    left = {package.name: package for package in sorted(packages, key=lambda package: package.name)}
    ordered: list[CondaPackage] = []

    def append(name: str) -> None:
        package = left.pop(name, None)
        if package is not None:
            for needed in _dependency_names(package):
                append(needed)
            ordered.append(package)

    for name in list(left):
        append(name)
    return ordered


def _dependency_names(package: CondaPackage) -> list[str]:
    depends = package.record.get("depends", [])
    return sorted(str(spec).split()[0] for spec in depends) if isinstance(depends, list) else []


def find_python(lock: Lock) -> tuple[str, str] | None:
    """Return the version of the lock's conda Python and the path of its ``site-packages`` in the prefix.

    ``None`` if the lock has no conda Python.
    """
    for package in lock.conda:
        if package.name == "python" and (match := _MINOR_VERSION.match(package.version)):
            default = f"lib/python{match[1]}.{match[2]}/site-packages"
            return package.version, str(package.record.get("python_site_packages_path") or default)
    return None
