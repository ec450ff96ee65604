"""Wheels of the store in definitions: ``roost-wheel:sha256:<64 hex>/<file name>`` in requirements of any format.

A wheel that was given once is kept by content, and a definition names it wherever a path to it could stand, extras and
markers included. It means the same wheel as that path, and so counts the same in a digest: by file name and content.
Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from roost.model.definition import PipItem
from roost.model.errors import InvalidDefinitionError

SCHEME = "roost-wheel:"
_REFERENCE = re.compile(r"roost-wheel:(sha256:[0-9a-f]{64})/([^/\s\[\];]+\.whl)")


class WheelUnknownError(InvalidDefinitionError):
    """A definition refers to a wheel of the store, and this store has none of that content."""

    code = "wheel-unknown"


class WheelReference(NamedTuple):
    """A wheel by content and file name."""

    digest: str
    file_name: str


def format_wheel_reference(digest: str, file_name: str) -> str:
    """The text that stands for it in requirements."""
    return f"{SCHEME}{digest}/{file_name}"


def parse_wheel_reference(text: str) -> WheelReference | None:
    """What ``text`` (without extras, marker and options) refers to; ``None`` where it is no reference."""
    match = _REFERENCE.fullmatch(text)
    return WheelReference(match[1], match[2]) if match else None


def is_wheel_reference(item: PipItem) -> bool:
    """Whether a line names a wheel by its content alone."""
    return item.kind == "wheel" and item.path is None and item.digest is not None


def is_stored_wheel(item: PipItem) -> bool:
    """Whether a line's wheel lies where a store keeps wheels by content, and so can be named by that."""
    if item.kind != "wheel" or item.digest is None:
        return False
    folder = f"/wheels/given/{item.digest.removeprefix('sha256:')}/"
    return item.path is None or folder in item.path


def unknown_wheel_error(item: PipItem) -> WheelUnknownError:
    """The error for a reference to a wheel that this store does not have."""
    return WheelUnknownError(
        f"The store of this machine has no wheel {item.text} with {item.digest}",
        hint="Add it here with `roost env add-wheel PATH`: no definition and no lock takes its content along.",
        location=item.location,
        fields={"digest": item.digest},
    )
