"""Names of environments, labels, and references to versions: ``NAME``, ``NAME:VERSION``, ``NAME@LABEL``.

Names are ASCII on purpose: no two look alike, none escapes its folder, and each can be used unquoted in a path, an
image tag and a shell command.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import msgspec

from roost.model.errors import InvalidRequestError

MAX_LENGTH = 128
LATEST = "latest"
"""The label that roost maintains on the highest version that is not archived."""
CURATED_PREFIX = "Roost-"
AZURE_PREFIX = "AzureML-"
"""Begins the names of Azure's own curated environments."""
_SAME_SUBJECTS = (("sklearn", "scikitlearn"),)
"""Short and long forms of what Azure's curated environments are called after."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_QUOTED = 60


class NameInvalidError(InvalidRequestError):
    """A name, label or version is not valid."""

    code = "name-invalid"


class VersionReference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to a version of an environment; the latest one if it has neither version nor label."""

    name: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}:{self.version}"
        return f"{self.name}@{self.label}" if self.label is not None else self.name


def parse_reference(text: str) -> VersionReference:
    """Parse ``NAME``, ``NAME:VERSION`` or ``NAME@LABEL``. Raises: NameInvalidError if ``text`` is not a reference."""
    mark = re.search(r"[:@]", text)
    name, rest = (text[: mark.start()], text[mark.end() :]) if mark else (text, "")
    check_name(name)
    if mark is None:
        return VersionReference(name=name)
    if mark[0] == ":":
        return VersionReference(name=name, version=parse_version(rest))
    return VersionReference(name=name, label=check_label(rest))


def parse_version(text: str) -> int:
    """Parse the number of a version, from 1. Raises: NameInvalidError if ``text`` is not such a number."""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise NameInvalidError(
            f"{_quote(text)} is not a valid version; expected a number from 1",
            hint="Write NAME:VERSION as in train:3, or NAME@LABEL for a label.",
        )
    return int(text)


def check_name(name: str, kind: str = "name of an environment") -> str:
    """Return ``name`` if it is a valid name. Raises: NameInvalidError if it is not; the message gives the reason."""
    if fault := _find_name_fault(name):
        raise NameInvalidError(
            f"{_quote(name)} can't be the {kind}: {fault}",
            hint=f"Use up to {MAX_LENGTH} letters, digits, '.', '_' and '-', a letter or digit first.",
        )
    return name


def check_new_name(name: str) -> str:
    """Return ``name`` if users may register it.

    Raises: NameInvalidError if it is not valid, or is reserved for curated environments.
    """
    check_name(name)
    if is_reserved(name):
        raise NameInvalidError(
            f"{_quote(name)} can't be registered: {CURATED_PREFIX!r} begins the names of curated environments",
            hint="Choose another name; `roost env clone` makes an ordinary environment from a curated one.",
        )
    return name


def check_label(label: str) -> str:
    """Return ``label`` if it is a valid label. Raises: NameInvalidError if it is not."""
    return check_name(label, "label of an environment")


def check_new_label(label: str) -> str:
    """Return ``label`` if users may set it. Raises: NameInvalidError if it is not valid, or is maintained by roost."""
    check_label(label)
    if label.lower() == LATEST:
        raise NameInvalidError(
            f"The label {label!r} is reserved by roost",
            hint="It always marks the latest version; choose another label.",
        )
    return label


def is_reserved(name: str) -> bool:
    """Whether ``name`` is reserved for curated environments, regardless of case."""
    return name.lower().startswith(CURATED_PREFIX.lower())


def find_counterpart(name: str, curated: Iterable[str]) -> str | None:
    """Return which of the ``curated`` environments is for the subject of Azure's curated environment ``name``:
    ``Roost-Scikit-Learn`` for ``AzureML-sklearn-1.5-ubuntu22.04-py310-cpu``. ``None`` if none is, or if ``name`` is not
    one of Azure's."""
    if not name.lower().startswith(AZURE_PREFIX.lower()):
        return None
    subject = _fold_subject(name[len(AZURE_PREFIX) :])
    stems = {_fold_subject(each[len(CURATED_PREFIX) :]): each for each in curated if is_reserved(each)}
    found = [stem for stem in stems if stem and subject.startswith(stem)]
    return stems[max(found, key=len)] if found else None


def _fold_subject(text: str) -> str:
    """Return the letters of ``text`` in lower case, with the long form of what it begins with."""
    letters = re.sub(r"[^a-z]", "", text.lower())
    return next((long + letters[len(short) :] for short, long in _SAME_SUBJECTS if letters.startswith(short)), letters)


def derive_name(text: str | None) -> str:
    """Derive a name that users may register from the name of a file or folder; invalid characters become ``-``."""
    ascii_text = unicodedata.normalize("NFKD", text or "").encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_text).strip("-._")[:MAX_LENGTH]
    name = name.rstrip("-._")
    if is_reserved(name):
        name = name[len(CURATED_PREFIX) :].lstrip("-._")
    return name if name and not is_reserved(name) else "environment"


def _find_name_fault(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_LENGTH:
        return f"it has {len(name):,} characters, and the limit is {MAX_LENGTH}"
    odd = next((character for character in name if not re.match(r"[A-Za-z0-9._-]", character)), None)
    if odd is not None:
        called = unicodedata.name(odd, "no name")
        return f"it contains {odd!r} (U+{ord(odd):04X}, {called})"
    return None if _NAME.fullmatch(name) else f"it begins with {name[0]!r}"


def _quote(text: str) -> str:
    return repr(text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…")
