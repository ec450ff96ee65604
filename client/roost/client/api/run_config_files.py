"""Run configurations as files in the layout of Azure's ``.azureml/NAME.runconfig``: YAML, the environment within."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import yaml

from roost.client.api import conda_file, folders
from roost.client.api.documents import fill
from roost.client.api.environment import Environment
from roost.client.api.errors import definition_invalid, unsupported, usage
from roost.client.api.references import EnvironmentReference
from roost.client.api.workspace import Workspace

if TYPE_CHECKING:
    from roost.client.api.run_config import RunConfiguration

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
    data = _data(path)
    config.script, config.arguments = data.get("script") or None, list(data.get("arguments") or ())
    config.command = data.get("command") or None
    config.target = data.get("target") or None
    config.framework, config.communicator = data.get("framework"), data.get("communicator")
    config.node_count, config.max_run_duration_seconds = data.get("nodeCount"), data.get("maxRunDurationSeconds")
    config.environment_variables = {k: str(v) for k, v in (data.get("environmentVariables") or {}).items()}
    docker = data.get("docker") or {}
    config.docker.use_docker = bool(docker.get("useDocker"))
    config.docker.arguments = list(docker.get("arguments") or ())
    config.docker.shm_size = docker.get("shmSize")
    config.environment = _environment(data.get("environment") or {}, path)


def _data(path: str) -> Json:
    with open(path, encoding="utf-8") as file:
        try:
            data = yaml.safe_load(file)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise definition_invalid(f"The file is no YAML: {error}", "Correct that place.", path) from None
    if not isinstance(data, dict) or not isinstance(data.get("environment") or {}, dict):
        raise definition_invalid("The file is no run configuration", "Expected a mapping with 'environment'.", path)
    return data


def _environment(said: Json, path: str) -> Environment | EnvironmentReference | None:
    if not said:
        return None
    if set(said) <= {"name", "version"}:
        return EnvironmentReference(said["name"], said.get("version"))
    project = os.path.dirname(os.path.abspath(path))
    project = os.path.dirname(project) if os.path.basename(project) in FOLDERS else project
    python = said.get("python") or {}
    if beside := python.pop("condaDependenciesFile", None):
        python["condaDependencies"] = conda_file.read(os.path.join(project, beside)).as_dict()
    what = {"cwd": project, "file": os.path.join(project, "environment.json"), "text": json.dumps(said)}
    answer = folders.read({"what": what}, path)
    environment = Environment(answer["name"])
    fill(environment, answer["document"])
    return environment


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
    form: Json = json.loads(answer["files"][folders.FILE])
    conda, dockerfile = (answer["files"].get(name) for name in folders.PARTS)
    if conda is not None:
        form["python"]["condaDependencies"] = yaml.safe_load(conda)
    if dockerfile is not None:
        form["docker"]["baseDockerfile"] = dockerfile
    return form
