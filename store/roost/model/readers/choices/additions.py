"""Packages that a request adds to a definition that was read (``--with``): conda match specs or pip lines.

A definition with conda packages gets match specs, any other pip lines; ``conda:`` and ``pip:`` before a package decide,
and so does its form if only one of the two knows it: a path, a URL or ``name @ …`` is pip's, a package file of conda or
``channel::name`` conda's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

import msgspec

from roost.model.definition import Conda, Definition, Pip, PipItem, ReadResult
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.requirements import read_requirement
from roost.model.readers.source import FileAccess, MissingFileError, ReadContext
from roost.model.syntax.match_specs import is_package_file
from roost.model.syntax.pip_lines import LogicalLine
from roost.model.syntax.urls import strip_credentials

OPTION = "--with"
_PREFIX = re.compile(r"(conda|pip):\s*(?!//)")
_CONDA_FORM = re.compile(r"[^\s\[\]]+::")
_PIP_FORM = re.compile(
    r"(?:\.{0,2}/|git\+|-e\b|--|[A-Za-z][A-Za-z0-9+.-]*://)|[A-Za-z0-9][\w.-]*\s*(?:\[[^\]=]*\])?\s*@"
)
_OTHER_OPTION = re.compile(r"-(?!e\b|-editable\b)")


class AdditionRefusedError(InvalidDefinitionError):
    """A package can't be added to the definition."""

    code = "addition-refused"


def add_packages(result: ReadResult, texts: Sequence[str], files: FileAccess, folder: str) -> ReadResult:
    """Return ``result`` with the packages in ``texts`` at the end of its lists. Relative paths are below ``folder``.

    Raises: AdditionRefusedError if nothing is installed for the definition, or a text is not a package;
    InvalidDefinitionError if it is not valid.
    """
    _check_addable(result, texts)
    reading = ReadContext(files, posixpath.join(folder, OPTION))
    definition = result.definition
    specs, items = list(definition.conda.dependencies), list(definition.pip.requirements)
    for text in texts:
        try:
            _add(reading, definition, text.strip(), specs, items)
        except InvalidDefinitionError as error:
            if not error.message.startswith(OPTION):
                error.message, error.location = f"{OPTION} {_show(text)}: {error.message}", None
                error.hint = "Name a file or folder that exists." if isinstance(error, MissingFileError) else error.hint
            raise
    conda: Conda = msgspec.structs.replace(definition.conda, dependencies=tuple(specs))
    pip: Pip = msgspec.structs.replace(definition.pip, requirements=tuple(items))
    known = {each.path for each in result.inputs}
    return msgspec.structs.replace(
        result,
        definition=msgspec.structs.replace(definition, conda=conda, pip=pip),
        inputs=(*result.inputs, *(each for each in reading.inputs.values() if each.path not in known)),
        credentials={**result.credentials, **reading.credentials},
    )


def _check_addable(result: ReadResult, texts: Sequence[str]) -> None:
    definition = result.definition
    where = Location(path=result.path) if result.path else None
    if definition.python.user_managed:
        raise AdditionRefusedError(
            f"{OPTION} {_show(texts[0])}: roost installs nothing for this definition, which names its interpreter",
            hint="Install the package there, or name another definition.",
            location=where,
        )
    if any(item.text == "--require-hashes" for item in definition.pip.requirements):
        raise AdditionRefusedError(
            f"{OPTION} {_show(texts[0])}: the definition allows no packages without a digest (--require-hashes)",
            hint="Name the file that the lock was made from, such as pyproject.toml.",
            location=where,
        )


def _add(reading: ReadContext, definition: Definition, text: str, specs: list[str], items: list[PipItem]) -> None:
    prefix = _PREFIX.match(text)
    body = text[prefix.end() :] if prefix else text
    if _is_conda(definition, prefix[1] if prefix else None, body):
        if definition.conda.explicit:
            raise AdditionRefusedError(
                f"{OPTION} {_show(text)}: the definition lists the files of its conda packages, to which none is added",
                hint="Write pip: before a package that pip is to install.",
            )
        specs.append(reading.read_match_spec(body, Location(path=OPTION)))
        return
    if _OTHER_OPTION.match(body):
        raise AdditionRefusedError(
            f"{OPTION} {_show(text)} is not a package",
            hint="Name a package, such as six, 'six>=1.16', ./dist/own-1.0-py3-none-any.whl or conda:cmake.",
        )
    for item in read_requirement(reading, LogicalLine(body, Location(path=OPTION)), reading.path):
        items.append(msgspec.structs.replace(item, location=None))


def _is_conda(definition: Definition, prefix: str | None, body: str) -> bool:
    if prefix is not None:
        return prefix == "conda"
    if is_package_file(body) or _CONDA_FORM.match(body):
        return True
    return bool(definition.conda.dependencies) and _PIP_FORM.match(body) is None


def _show(text: str) -> str:
    return strip_credentials(text)[0]
