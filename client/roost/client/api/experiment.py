"""``Experiment``: a name that runs belong to, and the way to start them."""

from __future__ import annotations

import builtins
import copy
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from roost.client.api.environment import Environment
from roost.client.api.errors import unsupported, usage
from roost.client.api.references import EnvironmentReference
from roost.client.api.run_config import ScriptRunConfig
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
        return {
            "what": with_variables(self._workspace, {**_what(config), "command": words}),
            "command": words,
            "target": run_config.chosen_target,
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


def _what(config: ScriptRunConfig) -> Json:
    folder, environment = os.path.abspath(config.source_directory), config.run_config.described
    if not os.path.isdir(folder):
        raise usage(f"There is no folder {folder} to run in", "Name one that exists with source_directory.")
    if environment is None:
        return {"cwd": folder}
    if isinstance(environment, EnvironmentReference):
        version = f":{environment.version}" if environment.version else ""
        return {"cwd": folder, "environment": environment.name + version}
    return _with_container(environment, config)._what(folder)


def _with_container(environment: Environment, config: ScriptRunConfig) -> Environment:
    """How the container starts is a setting: with another one, it is another version."""
    docker = config.run_config.docker
    if not docker.arguments and docker.shm_size is None:
        return environment
    changed = copy.copy(environment)
    changed.docker = copy.copy(environment.docker)
    changed.docker.arguments = builtins.list(docker.arguments) or environment.docker.arguments
    changed.docker.shm_size = docker.shm_size or environment.docker.shm_size
    return changed
