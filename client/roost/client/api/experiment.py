"""``Experiment``: a name that runs belong to, and the way to start them."""

from __future__ import annotations

import builtins
import copy
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from roost.client.api.configurations.run_config import DockerConfiguration, ScriptRunConfig
from roost.client.api.environment import Environment
from roost.client.api.errors import unsupported, usage
from roost.client.api.references import EnvironmentReference
from roost.client.api.variables import own_variables, with_variables
from roost.client.api.workspace import Workspace

if TYPE_CHECKING:
    from roost.client.api.run import Run

Json = dict[str, Any]


class Experiment:
    """Runs of one purpose. An experiment is there as soon as a run belongs to it."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        if not isinstance(name, str) or not name.strip():
            raise usage(f"{name!r} can't be the name of an experiment", "Give a text.")
        self._workspace = workspace
        self._name = name

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def workspace(self) -> Workspace:
        """Where it is."""
        return self._workspace

    workspace_object = workspace

    @staticmethod
    def list(workspace: Workspace, experiment_name: str | None = None) -> builtins.list[Experiment]:
        """The experiments that runs belong to, the latest first; ``experiment_name``: that one only."""
        rows = workspace._pages("/v1/runs", "runs", "before")
        names = dict.fromkeys(str(row["experiment"]) for row in rows if row.get("experiment"))
        return [Experiment(workspace, name) for name in names if experiment_name in (None, name)]

    def submit(self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None) -> Run:
        """Start a run and return at once: it is made ready, started and recorded whether or not anybody waits. An
        environment that is not registered is registered by this. The run gets this process's variables. Raises
        ``UsageError``, ``DefinitionError``, ``EnvironmentNotFoundError``."""
        from roost.client.api.run import Run

        if not isinstance(config, ScriptRunConfig):
            raise usage(f"{config!r} can't be submitted", "Give a ScriptRunConfig, which may have a run_config.")
        if tags:
            raise unsupported("tags", "Put runs that belong together into one experiment.")
        answer = self._workspace._request("POST", "/v1/runs", self._request(config))
        return Run._of_record(self, answer["run"])

    def _request(self, config: ScriptRunConfig) -> Json:
        words, run_config = config.words, config.run_config
        folder, environment = _folder(config), _described(config, self._workspace)
        what, container = _what(folder, environment, run_config.docker)
        return {
            "what": with_variables(self._workspace, {**what, "command": words}),
            "command": words,
            "container": container,
            "target": run_config._target_for(environment),
            "variables": {str(name): str(value) for name, value in run_config.environment_variables.items()},
            "experiment": self._name,
            "detach": True,
            "environ_of_client": own_variables(),
        }

    def get_runs(self, *, status: str | None = None) -> Iterator[Run]:
        """Its runs, the latest first; ``status``: only those, such as ``Completed``."""
        from roost.client.api.run import Run

        return Run.list(self, status=status)

    def __repr__(self) -> str:
        return f"Experiment(name={self._name!r})"


def _folder(config: ScriptRunConfig) -> str:
    folder = os.path.abspath(config.source_directory)
    if not os.path.isdir(folder):
        raise usage(f"There is no folder {folder} to run in", "Name one that exists with source_directory.")
    return folder


def _described(config: ScriptRunConfig, workspace: Workspace) -> Environment | None:
    """The environment; one that is referred to is fetched, for it may ask for a container."""
    described = config.run_config.described
    return described.get_environment(workspace) if isinstance(described, EnvironmentReference) else described


def _what(folder: str, environment: Environment | None, docker: DockerConfiguration) -> tuple[Json, Json]:
    """``wire.What`` and ``wire.ContainerOptions``: how the container starts is of this run alone where the environment
    is a registered version or a file, which stay as they are."""
    container = {"shm_size": docker.shm_size, "arguments": builtins.list(docker.arguments)}
    container = {key: value for key, value in container.items() if value}
    if environment is None:
        return {"cwd": folder}, container
    if environment.asset_id is None:
        return _with_container(environment, docker)._what(folder), {}
    return environment._what(folder), container


def _with_container(environment: Environment, docker: DockerConfiguration) -> Environment:
    """What is described anew is described with them: how containers start is a setting of a version too."""
    changed = copy.copy(environment)
    changed.docker = copy.copy(environment.docker)
    changed.docker.arguments = builtins.list(docker.arguments) or environment.docker.arguments
    changed.docker.shm_size = docker.shm_size or environment.docker.shm_size
    return changed
