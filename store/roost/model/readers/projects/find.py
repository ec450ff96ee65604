"""Which project a ``pyproject.toml`` has, by static reading: no build backend runs.

A project is what uv would install: there is a ``[build-system]``, and ``[tool.uv]`` does not have ``package = false``;
or ``package = true``. ``[tool.roost] project`` decides before both. It has to have a static name in ``[project]``.

A change of a build file (``build_files``) may change what a build installs; a change of any other file may not, because
the installation refers to the sources where they are.
"""

from __future__ import annotations

import posixpath

from roost.model.definition import ProjectSource
from roost.model.documents.toml_text import TomlText
from roost.model.readers.projects.build_files import digest_build_files, list_unwatched_keys
from roost.model.readers.source import FileAccess, ReadContext, decode_text, require_utf8_path
from roost.model.syntax.pip_lines import normalise_name


def find_project(reading: ReadContext, toml: TomlText, *, only_explicit: bool = False) -> ProjectSource | None:
    """Return the project of ``toml``; ``None`` if it has none or may not have one.

    ``only_explicit``: ``[tool.roost] project = true`` is needed, since the dependencies of the project are not those of
    the definition. What is missing of an explicit one is reported as a warning.
    Raises: InvalidDefinitionError if a key that decides has a value of another type.
    """
    explicit = _read_flag(toml, "tool", "roost", "project")
    package = _read_flag(toml, "tool", "uv", "package")
    has_backend = "build-system" in toml.data
    wanted = explicit if explicit is not None else package if package is not None else has_backend
    if not wanted or (only_explicit and not explicit):
        return None
    if posixpath.basename(reading.path) != "pyproject.toml":
        return None
    location = toml.locate("build-system") if has_backend else toml.locate("project")
    name = toml.table("project").get("name")
    if not isinstance(name, str) or not name.strip():
        message = (
            "The project is not installed: [project] has no name. If none is meant, set package = false in [tool.uv]"
        )
        reading.warn("project-unnamed", message, location)
        return None
    folder = posixpath.dirname(reading.path)
    # Backends write where links lead into what they install, so one that leads elsewhere later is another project.
    place = require_utf8_path(reading.files.resolve_links(folder), location)
    digest = _record_build_files(reading, toml, folder)
    version = toml.table("project").get("version")
    return ProjectSource(
        name=normalise_name(name.strip()),
        version=version if isinstance(version, str) else "",
        folder=place,
        digest=digest,
        location=location,
    )


def _read_flag(toml: TomlText, *keys: str) -> bool | None:
    value = toml.table(*keys[:-1]).get(keys[-1])
    if value is not None and not isinstance(value, bool):
        raise toml.error(f"{keys[-1]!r} is {value!r}; expected true or false", *keys)
    return value


def compute_project_digest(files: FileAccess, folder: str) -> str:
    """Return the digest of the build files in ``folder`` as they are now; ``ProjectSource.digest`` is what it was when
    the definition was read.

    Raises: OSError if a file can't be read, InvalidDefinitionError if the ``pyproject.toml`` is not valid.
    """
    path = posixpath.join(folder, "pyproject.toml")
    toml = TomlText(decode_text(files.read(path), path), path)

    def read(name: str) -> bytes | None:
        path = posixpath.join(folder, name)
        return files.read(path) if files.exists(path) and not files.is_folder(path) else None

    return digest_build_files(read, folder, toml)


def _record_build_files(reading: ReadContext, toml: TomlText, folder: str) -> str:
    """Return the digest of the build files, which are inputs of the reading: the missing ones, too."""

    def read(name: str) -> bytes | None:
        path = reading.files.resolve(posixpath.join(folder, name))
        if not reading.files.covers(path):
            return None
        if reading.files.exists(path) and not reading.files.is_folder(path):
            return reading.load_file(path, None)
        reading.record_input(path, None)
        return None

    if unwatched := list_unwatched_keys(toml):
        text = f"Changes of these cache-keys don't install the project again: {', '.join(unwatched)}"
        reading.warn("cache-key-unused", text, toml.locate("tool", "uv", "cache-keys"))
    return digest_build_files(read, folder, toml)
