"""Names of environments, labels, and references to versions: ``NAME``, ``NAME:VERSION``, ``NAME@LABEL``. Pure.

Names are ASCII on purpose: no two of them look alike, none climbs out of a folder, and each can stand in a path, an
image tag and a shell word as it is.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

from roost.model.errors import InvalidRequestError

MAX_LENGTH = 128
LATEST = "latest"
"""The label that roost keeps on the highest version that is not archived."""
CURATED_PREFIX = "Roost-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHOWN = 60


class NameInvalidError(InvalidRequestError):
    """A name, label or version that is none."""

    code = "name-invalid"


class VersionReference(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of which environment; neither version nor label: the latest."""

    name: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}:{self.version}"
        return f"{self.name}@{self.label}" if self.label is not None else self.name


def parse_reference(text: str) -> VersionReference:
    """``NAME``, ``NAME:VERSION`` or ``NAME@LABEL``. Raises NameInvalidError."""
    name, mark, rest = _split(text)
    check_name(name)
    if mark == ":":
        return VersionReference(name=name, version=parse_version(rest))
    return VersionReference(name=name, label=check_label(rest)) if mark else VersionReference(name=name)


def parse_version(text: str) -> int:
    """A version's number, from 1. Raises NameInvalidError."""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise NameInvalidError(
            f"{_shown(text)} is no version; expected a number from 1",
            hint="Write NAME:VERSION as in train:3, or NAME@LABEL for a label.",
        )
    return int(text)


def check_name(name: str, kind: str = "name of an environment") -> str:
    """``name``, if it may be one. Raises NameInvalidError, which says what is wrong with it."""
    if fault := _fault(name):
        raise NameInvalidError(
            f"{_shown(name)} can't be the {kind}: {fault}",
            hint=f"Use up to {MAX_LENGTH} letters, digits, '.', '_' and '-', a letter or digit first.",
        )
    return name


def check_new_name(name: str) -> str:
    """``name``, if people may register it: those of curated environments are roost's. Raises NameInvalidError."""
    check_name(name)
    if is_reserved(name):
        raise NameInvalidError(
            f"{_shown(name)} can't be registered: {CURATED_PREFIX!r} begins the names of curated environments",
            hint="Choose another name; `roost env clone` makes an ordinary environment from a curated one.",
        )
    return name


def check_label(label: str) -> str:
    """``label``, if it may be one. Raises NameInvalidError."""
    return check_name(label, "label of an environment")


def check_new_label(label: str) -> str:
    """``label``, if people may set it. Raises NameInvalidError."""
    check_label(label)
    if label.lower() == LATEST:
        raise NameInvalidError(
            f"The label {label!r} is kept by roost",
            hint="It is always on the latest version; choose another label.",
        )
    return label


def is_reserved(name: str) -> bool:
    """Whether ``name`` is one for curated environments, however its letters are written."""
    return name.lower().startswith(CURATED_PREFIX.lower())


def derive_name(text: str | None) -> str:
    """A name that may be registered, from what a file or folder is called: what no name may hold becomes ``-``."""
    plain = unicodedata.normalize("NFKD", text or "").encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:MAX_LENGTH]
    name = name.rstrip("-._")
    if is_reserved(name):
        name = name[len(CURATED_PREFIX) :].lstrip("-._")
    return name if name and not is_reserved(name) else "environment"


def _split(text: str) -> tuple[str, str, str]:
    found = re.search(r"[:@]", text)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")


def _fault(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_LENGTH:
        return f"it has {len(name):,} characters, and {MAX_LENGTH} are the most"
    odd = next((character for character in name if not re.match(r"[A-Za-z0-9._-]", character)), None)
    if odd is not None:
        called = unicodedata.name(odd, "no name")
        return f"it holds {odd!r} (U+{ord(odd):04X}, {called})"
    return None if _NAME.fullmatch(name) else f"it begins with {name[0]!r}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
