"""The door of the readers: read a file of any known format into a definition and its settings.

``read_definition`` detects the format by content and parses it; every error has its location. No code of a package or
a project is run, and the disk is seen only through the :class:`FileAccess` that is passed in.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable
from typing import Any

from roost.model.canonical.form import digest_bytes
from roost.model.definition import ReadResult
from roost.model.errors import Location
from roost.model.readers.azure import read_v2
from roost.model.readers.azure_sdk import read_run_configuration, read_v1
from roost.model.readers.conda import read_conda
from roost.model.readers.detect import FormatUnreadError, check_text, detect_syntax, detect_yaml, format_unread_error
from roost.model.readers.docker import read_context, read_dockerfile
from roost.model.readers.explicit import read_explicit
from roost.model.readers.lock_files import read_conda_lock, read_pixi_lock
from roost.model.readers.pyproject import read_pyproject, read_script
from roost.model.readers.requirements import read_requirements
from roost.model.readers.roost_file import read_roost
from roost.model.readers.source import DefinitionSource, FileAccess, ReadContext, decode_text
from roost.model.readers.toml_text import TomlText
from roost.model.readers.yaml_nodes import YamlNode, parse_yaml

_YAML: dict[str, Callable[[ReadContext, YamlNode], ReadResult]] = {
    "conda": read_conda,
    "conda-lock": read_conda_lock,
    "pixi-lock": read_pixi_lock,
    "azure": read_v1,
    "azure-run": read_run_configuration,
    "azure-v2": read_v2,
}
_TEXT: dict[str, Callable[[ReadContext, str], ReadResult]] = {
    "requirements": read_requirements,
    "explicit": read_explicit,
    "pep723": read_script,
    "dockerfile": read_dockerfile,
}
FORMATS = (*_YAML, *_TEXT, "roost", "pyproject", "context")


def read_definition(source: DefinitionSource, files: FileAccess) -> ReadResult:
    """Parse ``source``. Raises a ``InvalidDefinitionError`` that says where, what and what was expected."""
    path = source.path or "/<text>"
    reading = ReadContext(files, path)
    if source.data is None and files.is_folder(path):
        return _read_folder(reading, path)
    data = source.data if source.data is not None else reading.load(path, None)
    reading.remember(path, digest_bytes(data))
    text = decode_text(data, path)
    check_text(text, path)
    return _read_text(reading, text, source.format)


def read_document(document: dict[str, Any], files: FileAccess, path: str) -> ReadResult:
    """Read a definition and its settings from a document in the shape of ``roost.toml`` (``writers.document`` writes
    it). ``path`` is the name that errors give the document; local files are looked up beside it.

    Raises: InvalidDefinitionError if the document is invalid.
    """
    return read_roost(ReadContext(files, path), TomlText.of(document, path))


def detect_format(source: DefinitionSource, files: FileAccess) -> str:
    """The format of ``source``: one of ``FORMATS``. Raises ``InvalidDefinitionError`` where it can't be read."""
    if source.format:
        return source.format
    path = source.path or "/<text>"
    if source.data is None and files.is_folder(path):
        return "context"
    text = decode_text(source.data if source.data is not None else ReadContext(files, path).load(path, None), path)
    syntax = detect_syntax(path, text)
    if syntax == "yaml":
        return detect_yaml(parse_yaml(_as_yaml(text), path))
    return _toml_format(TomlText(text, path)) if syntax == "toml" else syntax


def _read_text(reading: ReadContext, text: str, format: str | None) -> ReadResult:
    syntax = format or detect_syntax(reading.path, text)
    if syntax in _TEXT:
        return _TEXT[syntax](reading, text)
    if syntax in ("toml", "roost", "pyproject"):
        return _read_toml(reading, TomlText(text, reading.path), format)
    root = parse_yaml(_as_yaml(text), reading.path)
    return _YAML[format if format in _YAML else detect_yaml(root)](reading, root)


_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


def _as_yaml(text: str) -> str:
    """JSON is YAML but for two things: tabs between its parts, and characters that are escaped as two surrogates."""
    if not text.lstrip().startswith("{"):
        return text
    return _PAIR.sub(lambda pair: pair[1] + json.loads(f'"\\u{pair[2]}\\u{pair[3]}"'), text.replace("\t", " "))


def _read_toml(reading: ReadContext, toml: TomlText, format: str | None) -> ReadResult:
    nested = "roost" in toml.table("tool")
    if (format or _toml_format(toml)) == "roost":
        return read_roost(reading, toml, ("tool", "roost") if nested else ())
    return read_pyproject(reading, toml)


def _toml_format(toml: TomlText) -> str:
    """``[tool.roost]`` wins over ``[project]``; pixi's own file is known by sight."""
    if "roost" in toml.table("tool"):
        return "roost"
    project = toml.data.get("project")
    if "workspace" in toml.data or (isinstance(project, dict) and "channels" in project):
        raise format_unread_error("a pixi manifest", toml.place())
    if posixpath.basename(toml.path) == "pyproject.toml" or {"project", "dependency-groups"} & set(toml.data):
        return "pyproject"
    return "roost"


CONTEXT_FILES = ("azureml_environment.json", "Dockerfile")
"""What makes a folder one that is read whole, before any environment file in it."""


def _read_folder(reading: ReadContext, folder: str) -> ReadResult:
    """A build context, or the folder that Azure's ``save_to_directory`` writes."""
    stored = posixpath.join(folder, CONTEXT_FILES[0])
    if reading.files.exists(stored):
        reading.path = stored
        return _read_text(reading, decode_text(reading.load(stored, None), stored), "azure")
    if reading.files.exists(posixpath.join(folder, CONTEXT_FILES[1])):
        return read_context(reading, folder)
    raise FormatUnreadError(
        f"{folder} holds no environment file, no Dockerfile and no azureml_environment.json",
        hint="Name a file.",
        location=Location(path=folder),
    )
