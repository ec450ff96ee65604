"""The version of Python that a request or a ``.python-version`` chooses, applied to a definition that was read.

``--python`` comes before everything that the definition says, but stays within ``requires-python``. A
``.python-version`` chooses only where the definition itself leaves the choice: it has no conda packages, no base image
and no interpreter of its own, and its ``requires-python`` allows the version.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from roost.model.definition import Definition, Notice, ReadResult
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.syntax.match_specs import spec_name, split_match_spec

VERSION_FILE = ".python-version"
MAX_VERSION_FILE = 4_096
"""Bytes of a ``.python-version`` that are looked at."""
_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,5}(\.[0-9]{1,5})?")
_MOST_PATCHES = 100
_SHOWN = 40


class PythonConflictError(InvalidDefinitionError):
    """The version of Python that was chosen is not one that the definition allows, or it can't be chosen at all."""

    code = "python-conflict"


def is_version(text: str) -> bool:
    """Whether ``text`` is X.Y or X.Y.Z."""
    return _VERSION.fullmatch(text) is not None


def format_specifier(version: str) -> str:
    """Return the specifier (PEP 440) of a version X.Y or X.Y.Z."""
    return f"=={version}" if version.count(".") > 1 else f"=={version}.*"


def allows(requires: str | None, version: str) -> bool:
    """Whether ``requires`` allows a release that ``version`` (X.Y or X.Y.Z) means. An invalid one allows all: whoever
    uses it reports it."""
    try:
        specifiers = SpecifierSet(requires or "")
    except InvalidSpecifier:
        return True
    if version.count(".") > 1:
        return specifiers.contains(version, prereleases=True)
    patches = set(range(_MOST_PATCHES))
    for specifier in specifiers:
        try:
            bound = Version(specifier.version.removesuffix(".*"))
        except InvalidVersion:
            continue
        patches.update((bound.micro, bound.micro + 1))
    return any(specifiers.contains(f"{version}.{patch}", prereleases=True) for patch in patches)


def choose_python(result: ReadResult, version: str, option: str = "--python") -> ReadResult:
    """Return ``result`` with the Python ``version``, X.Y or X.Y.Z: a conda spec in place of the definition's own if it
    has conda packages, else a bound beside ``requires-python``.

    Raises: PythonConflictError if ``requires-python`` does not allow it, or if the definition names its Python by an
    interpreter or a list of files.
    """
    definition, python = result.definition, result.definition.python
    where = result.python_location or (Location(path=result.path) if result.path else None)
    if fixed := _find_fixed(definition):
        raise PythonConflictError(
            f"{option} {version} can't be chosen: {fixed}",
            hint=f"Leave out {option}, or name another definition.",
            location=where,
            fields={"python": version},
        )
    if not allows(python.requires, version):
        raise PythonConflictError(
            f"{option} {version} is outside requires-python '{python.requires}'",
            hint=f"Choose a version that it allows, or change requires-python{_format_place(where)}.",
            location=where,
            fields={"python": version, "requires": python.requires},
        )
    if definition.conda.dependencies:
        return _replace_spec(result, version)
    bounds = [*(python.requires.split(",") if python.requires else []), format_specifier(version)]
    chosen = msgspec.structs.replace(python, requires=",".join(dict.fromkeys(bounds)))
    return _with_definition(result, msgspec.structs.replace(definition, python=chosen))


def leaves_python_open(result: ReadResult) -> bool:
    """Whether a ``.python-version`` may choose: nothing in the definition brings a Python."""
    definition = result.definition
    conda = definition.conda
    brings = conda.dependencies or conda.explicit or definition.base or definition.python.user_managed
    return not brings and result.registered is None


def apply_version_file(result: ReadResult, path: str, data: bytes | None) -> ReadResult:
    """Return ``result`` with the version in the ``.python-version`` at ``path``, or with a notice that it is not used.

    ``data``: the beginning of the file; ``None`` if it can't be read.
    """
    found = _find_version(data)
    if found is None:
        return _with_notice(result, f"{path} can't be read as text; it is not used", Location(path=path))
    line, text = found
    location = Location(path=path, line=line, column=1)
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    if not is_version(text):
        message = f"{shown!r} is not a version such as 3.12 or 3.12.4; this file is not used"
        return _with_notice(result, message if text else "there is no version here; this file is not used", location)
    if not allows(result.definition.python.requires, text):
        bound = f"'{result.definition.python.requires}'{_format_place(result.python_location)}"
        return _with_notice(result, f"{text} is outside requires-python {bound}; this file is not used", location)
    return choose_python(result, text, path)


def _find_version(data: bytes | None) -> tuple[int, str] | None:
    """Return the number and the text of the first line that is neither empty nor a comment; ``None`` if the file is not
    a text."""
    try:
        lines = (data or b"").decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return None
    if data is None or "\0" in "".join(lines):
        return None
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            return number, text
    return 1, ""


def _find_fixed(definition: Definition) -> str | None:
    """Return what names the Python of the definition so that no version can be chosen."""
    if definition.python.user_managed:
        base = definition.base
        if base is not None and (base.image or base.dockerfile or base.context):
            return "the image has its own Python"
        return f"the definition is user-managed, and uses {definition.python.interpreter} as it is"
    if definition.conda.explicit:
        return "the definition lists the files of its packages, Python's among them"
    return None


def _replace_spec(result: ReadResult, version: str) -> ReadResult:
    """Return ``result`` with one spec for Python, at the place of the first one that was there; its channel stays."""
    specs: list[str] = []
    is_placed = False
    for spec in result.definition.conda.dependencies:
        if spec_name(spec) != "python":
            specs.append(spec)
        elif not is_placed:
            channel = split_match_spec(spec).channel
            specs.append(f"{channel}::python={version}" if channel else f"python={version}")
            is_placed = True
    if not is_placed:
        specs.append(f"python={version}")
    conda = msgspec.structs.replace(result.definition.conda, dependencies=tuple(specs))
    return _with_definition(result, msgspec.structs.replace(result.definition, conda=conda))


def _with_definition(result: ReadResult, definition: Definition) -> ReadResult:
    return msgspec.structs.replace(result, definition=definition)


def _with_notice(result: ReadResult, message: str, location: Location) -> ReadResult:
    notice = Notice(code="python-version-unused", message=message, location=location)
    warnings: Sequence[Notice] = (*result.warnings, notice)
    return msgspec.structs.replace(result, warnings=tuple(warnings))


def _format_place(location: Location | None) -> str:
    if location is None or location.line is None:
        return ""
    return f" in {location.path}:{location.line}"
