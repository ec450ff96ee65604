"""Files of run configurations, in the layout of Azure's ``.azureml/NAME.runconfig``: YAML, the environment included."""

from __future__ import annotations

import json
import os
from typing import Any

import yaml

from roost.client.api import directory_format
from roost.client.api.configurations.text import extract_environment, serialize
from roost.client.api.environment import environment_from_document
from roost.client.api.errors import RoostError, translate_decode_errors, unsupported_error, usage_error
from roost.client.api.references import EnvironmentOrReference, EnvironmentReference
from roost.client.api.selectors import export_selector

Json = dict[str, Any]
FOLDERS = (".azureml", "aml_config")
SUFFIX = ".runconfig"
ENVIRONMENT_FILE = "environment.yml"


def locate(path: str, name: str | None, *, new: bool = False) -> str:
    """Return the path of a file: ``path`` itself, or that of the file called ``name`` in the project ``path``.

    Raises: UsageError if ``path`` is a folder and there is no ``name``; FileNotFoundError if the file does not exist,
    unless it is to be written (``new``).
    """
    if not os.path.isdir(path):
        written = [each for each in (path, path + SUFFIX) if os.path.isfile(each)]
        if name is None and (new or written):
            return path if new else written[0]
        raise FileNotFoundError(f"There is no run configuration at {path!r}")
    if name is None:
        raise usage_error(f"{path!r} is a folder", "Give the name of the run configuration too.")
    names = [name] if name.endswith(SUFFIX) else [name + SUFFIX, name]
    candidates = [os.path.join(path, folder, each) for folder in FOLDERS for each in names]
    beside = [] if new else [os.path.join(path, names[0])]
    existing = next((candidate for candidate in [*candidates, *beside] if os.path.isfile(candidate)), None)
    if existing is None and not new:
        raise FileNotFoundError(f"There is no run configuration {name!r} in {path!r}")
    return existing or candidates[0]


def read_text(path: str) -> str:
    """Return the text of a file. Raises: DefinitionError if it is not UTF-8; OSError."""
    with open(path, encoding="utf-8-sig") as file, translate_decode_errors(path):
        return file.read()


def read_environment(value: Json | str | None, text: str, path: str) -> EnvironmentOrReference | None:
    """Return the environment of the file at ``path`` with the content ``text``. ``value``: that of its key
    ``environment``; with a name (and version) only it refers to an environment of this workspace. The daemon reads the
    environment, as it reads every other file. Raises: DefinitionError."""
    if not value:
        return None
    name = value.get("name") if isinstance(value, dict) else None
    if isinstance(value, dict) and set(value) <= {"name", "version"}:
        return EnvironmentReference(name, value.get("version")) if name else None
    selector = {"cwd": os.getcwd(), "file": os.path.abspath(path), "text": extract_environment(text)}
    answer = directory_format.request_document({"what": selector}, path, ignored_warnings=("run-unread",))
    return environment_from_document(answer["document"], answer["document"].get("name"))


def write(data: Json, path: str) -> None:
    """Write the values of a run configuration to ``path``. Raises: OSError."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(serialize(data))


def write_environment(form: Json, path: str) -> Json | str:
    """Write the environment ``form`` of the run configuration ``path`` to a file of its own, and return the value of
    the key ``environment``: the path of that file from the project's folder. A reference to an environment is not
    written. Raises: UsageError if another kind of file is there; OSError."""
    if set(form) <= {"name", "version"}:
        return form
    folder = os.path.dirname(os.path.abspath(path))
    file = os.path.join(folder, ENVIRONMENT_FILE)
    if os.path.lexists(file) and not _is_environment_file(file):
        raise usage_error(
            f"{file} exists and is not an environment of a run configuration", "Move it, or save to another folder."
        )
    write(form, file)
    name = os.path.basename(folder)
    return f"{name}/{ENVIRONMENT_FILE}" if name in FOLDERS else ENVIRONMENT_FILE


def _is_environment_file(path: str) -> bool:
    try:
        data = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RoostError, OSError):
        return False
    return isinstance(data, dict) and {"python", "docker"} <= set(data)


def export_environment(environment: EnvironmentOrReference) -> Json:
    """Return the value of the key ``environment`` in Azure's form. Raises: UnsupportedError if the environment has
    files of its own; RoostError."""
    if isinstance(environment, EnvironmentReference):
        return {"name": environment.name, "version": environment.version}
    export = directory_format.request_export(export_selector(environment))
    if export["copies"]:
        raise unsupported_error("A run configuration whose environment has files of its own", "Use save_to_directory.")
    form: Json = json.loads(export["files"][directory_format.FILE])
    conda, dockerfile = (export["files"].get(name) for name in directory_format.PARTS)
    if conda is not None:
        form["python"]["condaDependencies"] = yaml.safe_load(conda)
    if dockerfile is not None:
        form["docker"]["baseDockerfile"] = dockerfile
    return form
