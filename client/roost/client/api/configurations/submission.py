"""The request that submits a run: ``POST /v1/runs`` (``wire.RunRequest``)."""

from __future__ import annotations

import copy
import os
from typing import Any

from roost.client.api.configurations.run_config import DockerConfiguration, choose_target
from roost.client.api.configurations.script_run_config import ScriptRunConfig
from roost.client.api.connection import WorkspaceConnection, process_variables
from roost.client.api.environment import Environment
from roost.client.api.errors import usage_error
from roost.client.api.references import EnvironmentReference
from roost.client.api.selectors import attach_variables, use_selector

Json = dict[str, Any]


def submission_request(workspace: WorkspaceConnection, config: ScriptRunConfig, experiment: str) -> Json:
    """Return the request for a detached run of ``config``. Raises: UsageError if the command or the source folder is
    wrong; DefinitionError, EnvironmentNotFoundError."""
    command, run_config = config.words, config.run_config
    folder = os.path.abspath(config.source_directory)
    if not os.path.isdir(folder):
        raise usage_error(f"There is no folder {folder} to run in", "Name one that exists with source_directory.")
    environment = run_config.described
    if isinstance(environment, EnvironmentReference):  # fetched now: it may require a container
        environment = environment.get_environment(workspace)
    selector, container = _select_environment(environment, run_config.docker, folder)
    return {
        "what": attach_variables(workspace, {**selector, "command": command}),
        "command": command,
        "container": container,
        "target": choose_target(run_config, environment),
        "variables": {str(name): str(value) for name, value in run_config.environment_variables.items()},
        "experiment": experiment,
        "detach": True,
        "environ_of_client": process_variables(),
    }


def _select_environment(environment: Environment | None, docker: DockerConfiguration, cwd: str) -> tuple[Json, Json]:
    """Return the environment's selector and the options of this run's container (``wire.ContainerOptions``).

    1. No environment: the nearest file is used as it is, and the options are for this run alone.
    2. A registered version, unchanged: the same.
    3. A description: the options become settings of the version that this run registers.
    """
    options = {"shm_size": docker.shm_size, "arguments": list(docker.arguments)}
    container = {key: value for key, value in options.items() if value}
    if environment is None:
        return {"cwd": cwd}, container
    if environment.asset_id is not None:
        return use_selector(environment, cwd), container
    described = copy.copy(environment)
    described.docker = copy.copy(environment.docker)
    described.docker.arguments = list(docker.arguments) or environment.docker.arguments
    described.docker.shm_size = docker.shm_size or environment.docker.shm_size
    return use_selector(described, cwd), {}
