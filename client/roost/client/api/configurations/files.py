"""Run configurations as files in the layout of Azure's ``.azureml/NAME.runconfig``: YAML, the environment within."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import yaml

from roost.client.api import directory_format
from roost.client.api.configurations import text as run_config_text
from roost.client.api.documents import fill
from roost.client.api.environment import Environment
from roost.client.api.errors import definition_invalid, unsupported, usage
from roost.client.api.references import EnvironmentReference
from roost.client.api.sections import conda_file
from roost.client.api.workspace import Workspace

if TYPE_CHECKING:
    from roost.client.api.configurations.run_config import RunConfiguration

Json = dict[str, Any]
FOLDERS = (".azureml", "aml_config")
ENDING = ".runconfig"


def place(path: str, name: str | None, *, new: bool = False) -> str:
    """The file that ``path`` and ``name`` mean: ``path`` itself, or one called ``name`` in the project ``path``. Raises
    ``UsageError``; ``FileNotFoundError`` unless it is to be ``new``."""
    if not os.path.isdir(path):
        if name is None and (new or os.path.isfile(path)):
            return path
        raise FileNotFoundError(f"There is no run configuration at {path!r}")
    if name is None:
        raise usage(f"{path!r} is a folder", "Give the name of the run configuration too.")
    candidates = [os.path.join(path, folder, name + ending) for folder in FOLDERS for ending in (ENDING, "")]
    found = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if found is None and not new:
        raise FileNotFoundError(f"There is no run configuration {name!r} in {path!r}")
    return found or candidates[0]


def load(config: RunConfiguration, path: str) -> None:
    """Make ``config`` say what the file does. Raises ``DefinitionError``, ``UnsupportedError``, ``OSError``."""
    text = _text(path)
    said = run_config_text.said(text, path)
    config.script, config.arguments = said.text("script"), list(said.texts("arguments"))
    config.command = said.command()
    config.target = said.text("target")
    config.framework, config.communicator = said.data.get("framework"), said.data.get("communicator")
    config.node_count = said.number("nodeCount")
    config.max_run_duration_seconds = said.number("maxRunDurationSeconds")
    config.environment_variables = said.variables("environmentVariables")
    docker = said.within("docker")
    config.docker.use_docker = docker.flag("useDocker")
    config.docker.arguments, config.docker.shm_size = docker.texts("arguments"), docker.text("shmSize")
    config.environment = _environment(said.data.get("environment"), text, path)


def _text(path: str) -> str:
    with open(path, encoding="utf-8-sig") as file:
        try:
            return file.read()
        except UnicodeDecodeError as error:
            raise definition_invalid(f"The file is no UTF-8: {error.reason}", "Save it as UTF-8.", path) from None


def _environment(said: Json | str | None, text: str, path: str) -> Environment | EnvironmentReference | None:
    """Read by the daemon, as every other file; a reference is to an environment of this workspace."""
    if not said:
        return None
    named = said.get("name") if isinstance(said, dict) else None
    if isinstance(said, dict) and set(said) <= {"name", "version"}:
        return EnvironmentReference(named, said.get("version")) if named else None
    what = {"cwd": os.getcwd(), "file": os.path.abspath(path), "text": run_config_text.environment_alone(text)}
    answer = directory_format.read({"what": what}, path, silent=("run-unread",))
    environment = Environment(answer["name"] if named or isinstance(said, str) else _project(path))
    fill(environment, answer["document"])
    return environment


def _project(path: str) -> str:
    """What an environment without a name is called after."""
    folder = os.path.dirname(os.path.abspath(path))
    return os.path.basename(os.path.dirname(folder) if os.path.basename(folder) in FOLDERS else folder)


def save(config: RunConfiguration, path: str) -> None:
    """Write ``config`` to ``path``. Raises ``UnsupportedError`` for an environment with files of its own, ``OSError``,
    ``RoostError``."""
    data = {
        "script": config.script,
        "arguments": [str(argument) for argument in config.arguments],
        "command": config.command or "",
        "target": config.target,
        "framework": config.framework,
        "communicator": config.communicator,
        "nodeCount": config.node_count,
        "environmentVariables": dict(config.environment_variables),
        "docker": {
            "useDocker": config.docker.use_docker,
            "sharedVolumes": True,
            "arguments": list(config.docker.arguments),
            "shmSize": config.docker.shm_size,
        },
        "environment": _written(config),
    }
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(conda_file.dump(data))


def _written(config: RunConfiguration) -> Json:
    """The environment within the file, in Azure's form."""
    described = config.described
    if isinstance(described, EnvironmentReference):
        return {"name": described.name, "version": described.version}
    environment = config.environment
    answer = Workspace()._request("POST", "/v1/exports", {"what": environment._written(), "format": "azure"})
    if answer["copies"]:
        raise unsupported("A run configuration whose environment has files of its own", "Use save_to_directory.")
    form: Json = json.loads(answer["files"][directory_format.FILE])
    conda, dockerfile = (answer["files"].get(name) for name in directory_format.PARTS)
    if conda is not None:
        form["python"]["condaDependencies"] = yaml.safe_load(conda)
    if dockerfile is not None:
        form["docker"]["baseDockerfile"] = dockerfile
    return form
