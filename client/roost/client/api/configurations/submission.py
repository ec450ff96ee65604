"""The request that submits a run: ``POST /v1/runs`` (``wire.RunRequest``)."""

from __future__ import annotations

import copy
import logging
import os
from typing import Any

from roost.client.api.configurations.parts import DockerConfiguration
from roost.client.api.configurations.refusals import find_idle, refusal
from roost.client.api.configurations.run_config import RunConfiguration, choose_target
from roost.client.api.configurations.script_run_config import ScriptRunConfig
from roost.client.api.connection import WorkspaceConnection, process_variables
from roost.client.api.documents import to_document
from roost.client.api.environment import Environment
from roost.client.api.errors import usage_error
from roost.client.api.references import EnvironmentReference
from roost.client.api.sections.docker import has_gpu_argument
from roost.client.api.selectors import attach_variables, use_selector

NVIDIA_DRIVER = "/proc/driver/nvidia/version"
"""Exists where the kernel has NVIDIA's driver loaded."""
logger = logging.getLogger("roost")
Json = dict[str, Any]


def submission_request(workspace: WorkspaceConnection, config: ScriptRunConfig, experiment: str) -> Json:
    """Return the request for a detached run of ``config``. Raises: UsageError if the command or the source folder is
    wrong; DefinitionError, EnvironmentNotFoundError."""
    command, run_config = config.words, config.run_config
    if (error := refusal(run_config, in_container=False)) is not None:
        raise error
    folder = os.path.abspath(config.source_directory)
    if not os.path.isdir(folder):
        raise usage_error(f"There is no folder {folder} to run in", "Name one that exists with source_directory.")
    environment = run_config.described
    if isinstance(environment, EnvironmentReference):  # fetched now: it may require a container
        environment = environment.get_environment(workspace)
    target = choose_target(run_config, environment)
    names_base = environment is not None and "base" in to_document(environment)
    check_supported(run_config, in_container=target == "docker" or (target == "auto" and names_base))
    selector, container = _select_environment(environment, run_config.docker, folder)
    return {
        "what": attach_variables(workspace, {**selector, "command": command}),
        "command": command,
        "container": container,
        "target": target,
        "variables": {str(name): str(value) for name, value in run_config.environment_variables.items()},
        "experiment": experiment,
        "detach": True,
        "environ_of_client": process_variables(),
    }


def check_supported(config: RunConfiguration, *, in_container: bool = False) -> None:
    """Log what ``config`` says that has no effect on a run. Raises: UnsupportedError if it says what would run
    something else."""
    if (error := refusal(config, in_container=in_container)) is not None:
        raise error
    if idle := find_idle(config):
        logger.warning("The run configuration's %s: no effect on a run of roost", ", ".join(idle))


def _select_environment(environment: Environment | None, docker: DockerConfiguration, cwd: str) -> tuple[Json, Json]:
    """Return the environment's selector and the options of this run's container (``wire.ContainerOptions``).

    1. No environment: the nearest file is used as it is, and the options are for this run alone.
    2. A registered version, unchanged: the same.
    3. A description: the options become settings of the version that this run registers, under its name or that of
       the source folder.
    """
    options = {"shm_size": docker.shm_size, "arguments": list(docker.arguments)}
    container = {key: value for key, value in options.items() if value}
    if environment is None:
        return {"cwd": cwd}, container
    arguments = _container_arguments(environment, docker)
    if environment.asset_id is not None:
        own = {"arguments": arguments} if arguments != environment.docker.arguments else {}
        return use_selector(environment, cwd), {**container, **own}
    described = copy.copy(environment)
    described.name = environment.name or os.path.basename(cwd)
    described.docker = copy.copy(environment.docker)
    described.docker.arguments = arguments
    described.docker.shm_size = docker.shm_size or environment.docker.shm_size
    return use_selector(described, cwd), {}


def _container_arguments(environment: Environment, docker: DockerConfiguration) -> list[str]:
    """Return the arguments of the run's container: its own, else the environment's; with GPUs if the environment
    requires them and this machine has some, as Azure's service does it."""
    arguments = list(docker.arguments) or list(environment.docker.arguments)
    is_wanted = environment.docker.gpu_support and not has_gpu_argument(arguments)
    return [*arguments, "--gpus=all"] if is_wanted and os.path.exists(NVIDIA_DRIVER) else arguments
