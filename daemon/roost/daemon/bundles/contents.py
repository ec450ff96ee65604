"""What a bundle says of its environments: definitions and settings as they were parsed, and their locks. Pure.

A definition travels as it was digested, and not as the text of its file, in which credentials may be written. Paths and
locations of the machine that exports are left out; what they led to is in the lock as wheels.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec

from roost.daemon.bundles.errors import BundleNewerError, BundleUnportableError
from roost.daemon.bundles.format import CONDA_TYPE, WHEEL_TYPE, damaged, describe_file
from roost.daemon.locks.artifact import find_local_part
from roost.daemon.oci.manifests import Descriptor
from roost.model.definition import PipItem
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import LOCK_FORMAT, CondaPackage, Lock, Wheel
from roost.model.records import BaseRecord, EnvironmentBody

PYTHON_NAME = "python-"
"""Begins the names of the environments that bring the Python of others."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class BundledEnvironment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One definition with its settings and its lock for one platform."""

    name: str
    version: Annotated[int, msgspec.Meta(ge=1, lt=2**53)] | None = None
    """Its number on the machine that exports, if it was registered."""
    definition_digest: str
    scope: str
    """What its generation is counted under (``generation_scope``)."""
    body: EnvironmentBody
    lock: Lock
    is_image: bool = False
    is_python: bool = False
    """Whether it brings the Python that another environment of the bundle rests on."""
    base: BaseRecord | None = None
    """The image that the packages are put on: the result of docker steps, if there are any."""
    base_digest: str | None = None
    steps_digest: str | None = None


class BundleContents(msgspec.Struct, frozen=True, kw_only=True):
    """All environments of a bundle."""

    environments: tuple[BundledEnvironment, ...]


class _LockFormat(msgspec.Struct):
    format: int = 1


class _EnvironmentFormat(msgspec.Struct):
    lock: _LockFormat


class _ContentsFormat(msgspec.Struct):
    environments: tuple[_EnvironmentFormat, ...]


def encode_contents(contents: BundleContents) -> bytes:
    """Return the same bytes for the same environments, in whatever order they were named."""
    ordered = sorted(contents.environments, key=lambda each: (each.name, each.definition_digest, each.scope))
    return msgspec.json.encode(BundleContents(environments=tuple(ordered)), order="sorted")


def decode_contents(data: bytes, name: str) -> BundleContents:
    """Return the contents of a bundle. Raises BundleInvalidError, BundleNewerError."""
    try:
        formats = [each.lock.format for each in msgspec.json.decode(data, type=_ContentsFormat).environments]
        if max(formats, default=0) > LOCK_FORMAT:
            raise BundleNewerError(
                f"A lock of the bundle has format {max(formats)}; this version of roost reads up to {LOCK_FORMAT}",
                hint="Update roost on this machine.",
            )
        contents = msgspec.json.decode(data, type=BundleContents)
        encode_contents(contents)  # records of packages are any JSON: numbers that the index can't have are refused
    except (OverflowError, *MALFORMED_JSON) as error:
        raise damaged(name, str(error)) from None
    return contents


def make_portable_body(body: EnvironmentBody) -> EnvironmentBody:
    """Return ``body`` without folders and locations of this machine, which count in no digest."""
    return _map_places(body, lambda item: posixpath.basename(item.path or "") or None)


def place_body(body: EnvironmentBody, snapshots: str) -> EnvironmentBody:
    """Return ``body`` of a bundle as if its local content was in the store of this machine, whose folder of snapshots
    is ``snapshots``: what is not there is missed by name if it is needed for another solve. No other path stays."""

    def place(item: PipItem) -> str | None:
        name = posixpath.basename(item.path or "")
        if item.digest is None or not name:
            return None
        return posixpath.join(snapshots, item.digest.removeprefix("sha256:"), "content" if name == ".." else name)

    return _map_places(body, place)


def _map_places(body: EnvironmentBody, place: Callable[[PipItem], str | None]) -> EnvironmentBody:
    """Return ``body`` with the path that ``place`` gives to each folder of a line; wheels are found by their digest."""

    def map_item(item: PipItem) -> PipItem:
        inner = tuple(map_item(each) for each in item.items)
        if item.kind in ("requirements", "constraints"):
            path = item.text if item.path is not None else None  # that there is one means that it was a file
        elif item.kind == "editable":
            path = item.path  # digested: such a definition goes into no bundle
        else:
            path = place(item) if item.kind != "wheel" and item.path is not None else None
        return msgspec.structs.replace(item, items=inner, path=path, location=None)

    definition = body.definition
    items = tuple(map_item(item) for item in definition.pip.requirements)
    definition = msgspec.structs.replace(definition, pip=msgspec.structs.replace(definition.pip, requirements=items))
    if definition.base is not None and definition.base.context_path is not None:
        base = msgspec.structs.replace(definition.base, context_path=None)
        definition = msgspec.structs.replace(definition, base=base)
    return msgspec.structs.replace(body, definition=definition)


def make_portable_lock(lock: Lock, name: str) -> Lock:
    """Return ``lock`` as it travels. Raises BundleUnportableError if it is of use on this machine only."""
    conda = tuple(_with_public_url(package) for package in lock.conda)
    reason = find_local_part(msgspec.structs.replace(lock, conda=conda, bundle=""))
    if reason is not None:
        raise BundleUnportableError(
            f"{name} can't go into a bundle: {reason}",
            hint="Build it here first (`roost build`), and use packages in place of editable folders.",
        )
    return msgspec.structs.replace(lock, bundle="", unanswered={})


def _with_public_url(package: CondaPackage) -> CondaPackage:
    """Return ``package`` as if it did not come from a folder: its file is in the bundle."""
    return msgspec.structs.replace(package, url=package.url.removeprefix("file://"))


def describe_package(package: CondaPackage, size: int) -> Descriptor:
    """Return the descriptor of a conda package's file."""
    return describe_file(package.sha256, size, CONDA_TYPE, package.file_name)


def describe_wheel(wheel: Wheel, size: int) -> Descriptor:
    """Return the descriptor of a wheel's file."""
    return describe_file(wheel.sha256, size, WHEEL_TYPE, wheel.file_name)


def list_variables(environment: BundledEnvironment) -> dict[str, str]:
    """Return the variables that a definition or a lock names, each with ``${NAME}`` as its value: what is compared
    needs no values."""
    text = msgspec.json.encode([environment.body.definition, environment.lock]).decode()
    return {name: f"${{{name}}}" for name in _VARIABLE.findall(text)}


def list_origins(lock: Lock) -> Iterator[str]:
    """Yield where the packages of ``lock`` are said to come from: ``scheme://host``."""
    for url in [package.url for package in lock.conda] + [wheel.url or "" for wheel in lock.wheels]:
        if "://" in url:
            scheme, _, rest = url.partition("://")
            yield f"{scheme}://{rest.partition('/')[0]}"
