"""What a request chooses of a definition and adds to it: extras, groups, the version of Python, packages.

Readers apply extras and groups themselves. The rest is applied to what they return: ``--python`` or a
``.python-version``, then ``--with``. Blocking: a ``.python-version`` and local packages are read.
"""

from __future__ import annotations

import os

import msgspec

from roost.daemon.definitions.files import WatchedFiles
from roost.daemon.definitions.resolved import BaseDefinition, ResolvedDefinition
from roost.model.canonical.form import canonicalise_definition, digest_bytes
from roost.model.definition import Choices, Defaults, InputFile, ReadResult
from roost.model.errors import InvalidRequestError
from roost.model.readers.choices.additions import add_packages
from roost.model.readers.choices.pythons import apply_version_file, choose_python, is_version, leaves_python_open
from roost.model.syntax.urls import strip_credentials
from roost.store.sources.python_versions import find_version_file
from roost.wire.plans import EnvironmentSelector


def get_choices(selector: EnvironmentSelector) -> Choices:
    """Return what the selector chooses among the things that a file offers."""
    return Choices(python=selector.python, extras=tuple(selector.extras), groups=tuple(selector.groups))


def list_chosen(selector: EnvironmentSelector) -> dict[str, object]:
    """Return the options by which the definition is another one than its file or environment says, as runs record
    them; empty if there are none."""
    chosen: dict[str, object] = {
        "python": selector.python,
        "extras": list(selector.extras),
        "groups": list(selector.groups),
        "with": [strip_credentials(text)[0] for text in selector.additions],
    }
    return {name: value for name, value in chosen.items() if value}


def check_choices(selector: EnvironmentSelector) -> None:
    """Raise InvalidRequestError if a choice can't name anything, or if what the selector names offers none."""
    if selector.python is not None and not is_version(selector.python):
        raise InvalidRequestError(
            f"--python is {selector.python!r}; expected a version such as 3.12 or 3.12.4", hint="Give X.Y or X.Y.Z."
        )
    named = (("--extra", selector.extras), ("--group", selector.groups), ("--with", selector.additions))
    for option, names in named:
        if any(not name.strip() or "\0" in name or "\n" in name for name in names):
            raise InvalidRequestError(f"{option} has an empty name, or one of several lines", hint="Give one name.")
    given = [option for option, names in named if names]
    fixed = [*(["--python"] if selector.python is not None else []), *given]
    if selector.image is not None and fixed:
        raise InvalidRequestError(
            f"--image runs an image as it is, and {fixed[0]} would change it",
            hint=f"Leave out {' and '.join(fixed)}, or name an environment with -f or -e.",
        )
    if selector.run is not None and fixed:
        raise InvalidRequestError(
            f"A recorded run has its packages already, and {fixed[0]} would change them", hint="Name an environment."
        )
    projects = [option for option in given if option != "--with"]
    if selector.environment is not None and projects:
        raise InvalidRequestError(
            f"{selector.environment} is registered with its packages: {projects[0]} chooses among those of a file",
            hint="Name the file with -f, or register another environment: `roost env register --extra NAME …`.",
        )


class ChosenDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition that was read, with the choices of the request."""

    parsed: ReadResult
    base: ReadResult | None = None
    """The same without added packages, if some were added."""
    absent: tuple[str, ...] = ()
    """Paths whose appearance would change it."""


def apply_choices(
    parsed: ReadResult, selector: EnvironmentSelector, files: WatchedFiles, folder: str | None
) -> ChosenDefinition:
    """Return ``parsed`` with the chosen Python and the added packages.

    ``folder``: where a ``.python-version`` is searched from; ``None``: it has none. Raises: PythonConflictError,
    AdditionRefusedError, InvalidDefinitionError if a package is not valid.
    """
    absent: tuple[str, ...] = ()
    if selector.python is not None:
        parsed = choose_python(parsed, selector.python)
    elif folder is not None and leaves_python_open(parsed) and files.covers(folder):
        found = find_version_file(folder)
        absent = found.absent
        if found.path is not None and files.covers(found.path):
            files.watch(found.path)
            found = find_version_file(folder)  # again, so that its state is from before the reading
            parsed = apply_version_file(parsed, found.path or "", found.data)
            if found.path is not None and found.data is not None:
                version_file = InputFile(path=found.path, digest=digest_bytes(found.data))
                parsed = msgspec.structs.replace(parsed, inputs=(*parsed.inputs, version_file))
    if not selector.additions:
        return ChosenDefinition(parsed=parsed, absent=absent)
    added = add_packages(parsed, selector.additions, files, selector.cwd)
    return ChosenDefinition(parsed=added, base=parsed, absent=absent)


def make_base(base: ReadResult | None, defaults: Defaults) -> BaseDefinition | None:
    """Return what a solve of a definition with added packages prefers the versions of."""
    if base is None:
        return None
    form = canonicalise_definition(base.definition, defaults)
    return BaseDefinition(digest=digest_bytes(form), canonical=form)


def apply_to_registered(resolved: ResolvedDefinition, selector: EnvironmentSelector) -> ResolvedDefinition:
    """Return a registered version with the chosen Python and the added packages. It is no version any more."""
    chosen = list_chosen(selector)
    if not chosen:
        return resolved
    made = apply_choices(resolved.parsed, selector, WatchedFiles(), None)
    form = canonicalise_definition(made.parsed.definition, resolved.defaults)
    return msgspec.structs.replace(
        resolved,
        parsed=made.parsed,
        digest=digest_bytes(form),
        canonical=form,
        guards=None if selector.additions else resolved.guards,
        environment=None,
        base=BaseDefinition(digest=resolved.digest, canonical=resolved.canonical),
        chosen=chosen,
    )


def find_home(path: str | None, cwd: str) -> str:
    """Return the folder that a ``.python-version`` is searched from: that of the definition, or the working folder."""
    if path is None:
        return cwd
    return path if os.path.isdir(path) else os.path.dirname(path)
