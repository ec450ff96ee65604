"""References to wheels of the store: ``roost-wheel:sha256:<64 hex>/<file name>`` in requirements of any format.

The store holds an added wheel by content, and a definition can name it wherever a path to it could stand, with extras
and markers. The reference means the same wheel as the path and has the same digest: file name and content.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from roost.model.definition import PipItem
from roost.model.errors import InvalidDefinitionError

SCHEME = "roost-wheel:"
_REFERENCE = re.compile(r"roost-wheel:(sha256:[0-9a-f]{64})/([^/\s\[\];]+\.whl)")


class WheelUnknownError(InvalidDefinitionError):
    """A definition refers to a wheel whose content this store does not have."""

    code = "wheel-unknown"


class WheelReference(NamedTuple):
    """A wheel, by digest of its content and file name."""

    digest: str
    file_name: str


def format_wheel_reference(digest: str, file_name: str) -> str:
    """Return the text that refers to the wheel in requirements."""
    return f"{SCHEME}{digest}/{file_name}"


def parse_wheel_reference(text: str) -> WheelReference | None:
    """Parse a reference without extras, marker and options; ``None`` if ``text`` is not a reference."""
    match = _REFERENCE.fullmatch(text)
    return WheelReference(match[1], match[2]) if match else None


def is_wheel_reference(item: PipItem) -> bool:
    """Whether a line names a wheel only by its content."""
    return item.kind == "wheel" and item.path is None and item.digest is not None


def is_stored_wheel(item: PipItem) -> bool:
    """Whether a line's wheel is in the folder of wheels of a store, so that a reference can name it."""
    if item.kind != "wheel" or item.digest is None:
        return False
    folder = f"/wheels/given/{item.digest.removeprefix('sha256:')}/"
    return item.path is None or folder in item.path


def unknown_wheel_error(item: PipItem) -> WheelUnknownError:
    """Return the error for a reference to a wheel that this store does not have."""
    return WheelUnknownError(
        f"The store of this machine has no wheel {item.text} with {item.digest}",
        hint="Add it here with `roost env add-wheel PATH`: definitions and locks do not contain it.",
        location=item.location,
        fields={"digest": item.digest},
    )
