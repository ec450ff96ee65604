"""The door of the readers: read a file of any known format into a definition and its settings.

``read_source`` detects the format by content and parses it into a document; ``read_definition`` returns the definition
in it, or raises its first error. Every item, problem and error has its location. No code of a package or
a project is run, and the disk is seen only through the :class:`FileAccess` that is passed in.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable
from typing import Any

from roost.model.canonical.form import digest_bytes
from roost.model.definition import NO_CHOICES, Choices, ReadResult
from roost.model.documents.document import Document, convert_document
from roost.model.documents.toml_text import TomlText
from roost.model.documents.yaml_nodes import YamlNode, YamlPlaces, parse_yaml
from roost.model.errors import Location
from roost.model.readers.azure import read_v2
from roost.model.readers.azure_jobs import IMPORT_HINT, EnvironmentUnreadableError, read_job
from roost.model.readers.azure_sdk import read_run_configuration, read_v1
from roost.model.readers.choices.selection import check_available
from roost.model.readers.conda import read_conda
from roost.model.readers.detect import check_text, detect_syntax, detect_yaml, has_definition_table
from roost.model.readers.docker import read_context, read_dockerfile
from roost.model.readers.explicit import read_conda_list, read_explicit
from roost.model.readers.lock_files import read_conda_lock, read_pixi_lock
from roost.model.readers.mistakes.other_files import FormatUnreadError
from roost.model.readers.mistakes.unread_files import find_other_toml, unread_error
from roost.model.readers.pyproject import PYPROJECT_TABLES, read_pyproject, read_script
from roost.model.readers.python_locks.pylock import read_pylock
from roost.model.readers.python_locks.uv_lock import read_uv_lock
from roost.model.readers.requirements import read_requirements
from roost.model.readers.roost_file import read_roost
from roost.model.readers.source import DefinitionSource, FileAccess, ReadContext, decode_text
from roost.model.syntax.bounds import MAX_DEPTH, too_large_error

_YAML: dict[str, Callable[[ReadContext, YamlNode], ReadResult]] = {
    "conda": read_conda,
    "conda-lock": read_conda_lock,
    "pixi-lock": read_pixi_lock,
    "azure": read_v1,
    "azure-run": read_run_configuration,
    "azure-v2": read_v2,
    "azure-job": read_job,
}
_TEXT: dict[str, Callable[[ReadContext, str], ReadResult]] = {
    "requirements": read_requirements,
    "explicit": read_explicit,
    "conda-list": read_conda_list,
    "pep723": read_script,
    "dockerfile": read_dockerfile,
}
_TOML_LOCKS: dict[str, Callable[[ReadContext, TomlText], ReadResult]] = {
    "uv-lock": read_uv_lock,
    "pylock": read_pylock,
}
READ_FORMATS = (*_YAML, *_TEXT, *_TOML_LOCKS, "roost", "pyproject", "context")
FORMATS_WITH_CHOICES = ("pyproject", *_TOML_LOCKS)
"""Formats that offer extras and dependency groups."""
CONTEXT_FILES = ("azureml_environment.json", "Dockerfile")
"""Files that make a folder one to read as a whole, rather than any environment file in it."""
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def read_definition(source: DefinitionSource, files: FileAccess, choices: Choices = NO_CHOICES) -> ReadResult:
    """Read ``source`` with ``choices`` of what it offers.

    Raises: InvalidDefinitionError if it is not valid or cannot be read; the error says where and what was expected, and
    has all problems of the source among its fields. A source that only names a registered environment
    (``ReadResult.registered``) has no definition in it.
    """
    result = convert_document(read_source(source, files, choices))
    if result.registered is not None:
        raise EnvironmentUnreadableError(
            f"This file names an environment of an Azure workspace ({result.registered.reference}) and does not "
            "contain it",
            hint=IMPORT_HINT,
            location=result.registered.location,
        )
    return result


def read_tables(tables: dict[str, Any], files: FileAccess, path: str, choices: Choices = NO_CHOICES) -> ReadResult:
    """Read tables in the shape of ``roost.toml``, as ``roost.model.writers.document`` writes them.

    Errors name the tables ``path``; local files are looked up beside it.

    Raises: InvalidDefinitionError if the tables are not valid; all problems are among its fields.
    """
    reading, result = ReadContext(files, path, choices), None
    with reading.recover(is_outermost=True):
        _check_depth(tables, path)
        result = read_roost(reading, TomlText.from_data(tables, path))
        check_available(choices, result)
    return convert_document(reading.build_document(result))


def read_source(source: DefinitionSource, files: FileAccess, choices: Choices = NO_CHOICES) -> Document:
    """Return the items, problems and result of ``source`` with ``choices`` of what it offers. What is wrong with it is
    among the problems."""
    path = source.path or "/<text>"
    reading, result = ReadContext(files, path, choices), None
    with reading.recover(is_outermost=True):
        if source.data is None and files.is_folder(path):
            result = _read_folder(reading, path)
        else:
            data = source.data if source.data is not None else reading.load_file(path, None)
            reading.record_input(path, digest_bytes(data))
            text = decode_text(data, path)
            check_text(text, path)
            result = _read_text(reading, text, source.format)
        if result.selection is None and result.format not in FORMATS_WITH_CHOICES:
            check_available(choices, result)
    return reading.build_document(result)


def _check_depth(tables: dict[str, Any], path: str) -> None:
    """Check tables that were not parsed from a text. Raises: TooLargeError if they are nested too deeply."""
    level: list[Any] = [tables]
    for _ in range(MAX_DEPTH):
        inner = (value.values() if isinstance(value, dict) else value for value in level)
        level = [each for values in inner for each in values if isinstance(each, (dict, list))]
        if not level:
            return
    raise too_large_error("These tables are nested too deeply", MAX_DEPTH, "levels", Location(path=path))


def detect_format(source: DefinitionSource, files: FileAccess) -> str:
    """Return the format of ``source``, one of ``READ_FORMATS``. Raises: InvalidDefinitionError if it cannot be read."""
    if source.format:
        return source.format
    path = source.path or "/<text>"
    if source.data is None and files.is_folder(path):
        return "context"
    data = source.data if source.data is not None else ReadContext(files, path).load_file(path, None)
    text = decode_text(data, path)
    syntax = detect_syntax(path, text)
    if syntax == "yaml":
        return detect_yaml(_parse_yaml_or_json(text, path))
    return _detect_toml(TomlText(text, path)) if syntax == "toml" else syntax


def _read_text(reading: ReadContext, text: str, format: str | None) -> ReadResult:
    syntax = format or detect_syntax(reading.path, text)
    if syntax in _TEXT:
        return _TEXT[syntax](reading, text)
    if syntax in ("toml", "roost", "pyproject", *_TOML_LOCKS):
        toml = TomlText(text, reading.path)
        is_nested = has_definition_table(toml)
        found = format or _detect_toml(toml)
        if found in _TOML_LOCKS:
            return _TOML_LOCKS[found](reading, toml)
        if found == "roost":
            return read_roost(reading, toml, ("tool", "roost") if is_nested else ())
        return read_pyproject(reading, toml)
    root = _parse_yaml_or_json(text, reading.path)
    return _YAML[format if format in _YAML else detect_yaml(root)](reading, root)


def _read_folder(reading: ReadContext, folder: str) -> ReadResult:
    """Read a build context, or the folder that Azure's ``save_to_directory`` writes."""
    azure_file, dockerfile = (posixpath.join(folder, name) for name in CONTEXT_FILES)
    if reading.files.exists(azure_file):
        reading.path = azure_file
        return _read_text(reading, decode_text(reading.load_file(azure_file, None), azure_file), "azure")
    if reading.files.exists(dockerfile):
        return read_context(reading, folder)
    raise FormatUnreadError(
        f"{folder} contains no environment file, no Dockerfile and no azureml_environment.json",
        hint="Name a file.",
        location=Location(path=folder),
    )


def _parse_yaml_or_json(text: str, path: str) -> YamlNode:
    """Parse YAML, or JSON as YAML: it differs in tabs between tokens and in characters escaped as two surrogates."""
    if not text.lstrip().startswith("{"):
        return parse_yaml(text, path)
    pieces, removed, end, total = [], [], 0, 0
    for pair in _SURROGATES.finditer(text):
        pieces += [text[end : pair.start()], pair[1], json.loads(f'"\\u{pair[2]}\\u{pair[3]}"')]
        end = pair.end()
        removed.append((end - total - 11, total + 11))  # twelve characters become one
        total += 11
    return parse_yaml("".join([*pieces, text[end:]]).replace("\t", " "), path, YamlPlaces(text, path, removed))


def _detect_toml(toml: TomlText) -> str:
    """Return the format of a TOML file: ``[tool.roost]`` takes precedence over ``[project]``.

    Raises: FormatUnreadError if the file is of another tool, and not read.
    """
    if has_definition_table(toml):
        return "roost"
    if "lock-version" in toml.data:
        return "pylock"
    if posixpath.basename(toml.path) == "uv.lock" or {"requires-python", "version"} <= set(toml.data):
        return "uv-lock"
    if other := find_other_toml(toml):
        raise unread_error(other, toml.locate())
    if posixpath.basename(toml.path) == "pyproject.toml" or PYPROJECT_TABLES & set(toml.data):
        return "pyproject"
    return "roost"
