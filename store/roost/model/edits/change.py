"""What is asked of a file, as values, and the errors of a change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from roost.model.errors import CodedError, InvalidRequestError, LookupFailedError
from roost.model.syntax.match_specs import MatchSpecError, normalise_match_spec, spec_name, to_rattler
from roost.model.syntax.pip_lines import normalise_name
from roost.model.syntax.urls import strip_credentials

PackageSection = Literal["conda", "pip"]
_PREFIX = re.compile(r"(conda|pip):(?!:)\s*")
_BARE_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")


class EditRefusedError(CodedError):
    """The file can't be changed without changing more than was asked. It stays as it is, and the hint has the line."""

    code = "edit-refused"
    exit_status = 1
    http_status = 409


class PackageNotListedError(LookupFailedError):
    """A package that is to be removed is not in the file."""

    code = "package-not-listed"
    exit_status = 1


class PackageTextError(InvalidRequestError):
    """The text of a package is not a requirement, or not a match spec."""

    code = "package-invalid"


class RequestedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a request."""

    text: str
    """As it is written in the file."""
    name: str
    """In lower case; of pip packages normalised by PEP 503."""
    section: PackageSection
    is_bare: bool
    """Whether the text is a name and nothing else."""


class EditOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Packages to add and to remove, in the order in which they were given, and where."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    section: PackageSection | None = None
    """``None``: what the kind of file suggests."""
    group: str | None = None
    """Of ``[dependency-groups]``."""
    extra: str | None = None
    """Of ``[project.optional-dependencies]``."""


class ItemEdit(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a file, before and after the change."""

    action: Literal["added", "removed", "changed", "present"]
    section: PackageSection
    name: str
    before: str | None = None
    after: str | None = None
    line: int | None = None
    """Where it is in the new text, counted from 1; of a removed one, where it was."""
    file: str | None = None
    """The file that lists it, if that is one that the edited file includes."""


def parse_package(text: str, section: PackageSection | None, default: PackageSection) -> RequestedPackage:
    """Return the package in ``text``, which ``pip:`` or ``conda:`` may precede.

    Raises: PackageTextError if it is not a requirement by name (PEP 508) or not a match spec.
    """
    prefix = _PREFIX.match(text.strip())
    body = text.strip()[prefix.end() :] if prefix else text.strip()
    chosen: PackageSection = section or ("conda" if prefix and prefix[1] == "conda" else "pip" if prefix else default)
    shown = strip_credentials(body)[0]
    if shown != body:
        raise PackageTextError(
            f"{shown} has a password or a token in its URL, which a file must not contain",
            hint="Write ${NAME} in its place, and set NAME where roost is called.",
        )
    if not body or not body.isprintable() or " #" in body:
        raise PackageTextError(f"{text!r} is not a package", hint="Name a package, such as numpy or 'numpy>=2'.")
    return _parse_conda(body) if chosen == "conda" else _parse_pip(body)


def _parse_conda(body: str) -> RequestedPackage:
    try:
        to_rattler(body)
    except MatchSpecError as error:
        raise PackageTextError(f"{body!r} is not a match spec of conda: {error.message}", hint=error.hint) from None
    name = spec_name(body)
    if not name or body.startswith("-"):
        raise PackageTextError(f"{body!r} is not a match spec of conda", hint="Write numpy, 'numpy>=2' or numpy=2.1.")
    return RequestedPackage(text=body, name=name, section="conda", is_bare=normalise_match_spec(body) == name)


def _parse_pip(body: str) -> RequestedPackage:
    try:
        found = Requirement(body)
    except InvalidRequirement:
        hint = "Write numpy, 'numpy>=2' or 'numpy @ https://…'; other lines of pip are added by hand."
        if re.fullmatch(r"[\w.-]+=[^=].*", body):
            hint = f"Write {body.replace('=', '==', 1)}: one = is for match specs of conda."
        raise PackageTextError(f"{body!r} is not a requirement of pip by name", hint=hint) from None
    if not all(name[-1].isalnum() for name in (found.name, *found.extras)):
        message = f"{body!r} is not a requirement of pip by name: a name ends with a letter or a digit"
        raise PackageTextError(message, hint="Correct the name.")
    is_bare = not (found.extras or found.specifier or found.url or found.marker)
    return RequestedPackage(text=body, name=normalise_name(found.name), section="pip", is_bare=is_bare)


def parse_name(text: str) -> tuple[PackageSection | None, str]:
    """Return the section, if ``pip:`` or ``conda:`` precedes it, and the name of a package to remove, in lower case.

    Raises: PackageTextError if the text is more than a name.
    """
    body, section = text.strip(), None
    if prefix := _PREFIX.match(body):
        body, section = body[prefix.end() :], prefix[1]
    if not _BARE_NAME.fullmatch(body):
        shown = strip_credentials(body)[0]
        raise PackageTextError(f"{shown!r} is not the name of a package", hint="Name the package without a version.")
    return ("conda" if section == "conda" else "pip" if section else None), body.lower()


def with_versions(order: EditOrder, versions: Mapping[str, str]) -> EditOrder:
    """Return ``order`` with ``>=`` and the version for each added pip package that has no bound and is in ``versions``.

    ``versions`` are those of a solve, by the packages' normalised names (PEP 503); of one that is left out, or whose
    version is not one of PEP 440, the text stays. Local parts (``+cu128``) are no part of a bound.
    """
    return msgspec.structs.replace(order, add=tuple(_add_bound(text, versions) for text in order.add))


def _add_bound(text: str, versions: Mapping[str, str]) -> str:
    prefix = _PREFIX.match(text.strip())
    start, body = (prefix.group(), text.strip()[prefix.end() :]) if prefix else ("", text.strip())
    try:
        found = Requirement(body)
        version = Version(versions.get(normalise_name(found.name), ""))
    except (InvalidRequirement, InvalidVersion):
        return text
    if found.specifier or found.url or start.startswith("conda"):
        return text
    head = body.partition(";")[0].rstrip()
    return f"{start}{head}>={version.public}{body[len(head) :]}"
