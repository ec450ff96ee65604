"""``ScriptRunConfig``: a script or a command, with the configuration of its runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from roost.client.api.configurations.parts import (
    DockerConfiguration,
    MpiConfiguration,
    PyTorchConfiguration,
    TensorflowConfiguration,
)
from roost.client.api.configurations.refusals import AZURE_LONGEST_SECONDS
from roost.client.api.configurations.run_config import RunConfiguration
from roost.client.api.errors import unsupported_error, usage_error
from roost.client.api.references import EnvironmentOrReference

logger = logging.getLogger("roost")


class ScriptRunConfig:
    """A script or a command, and in ``run_config`` where and in which environment it runs.

    ``source_directory``: the working folder, used as it is: nothing is copied. ``script``: a path in it, run by Python
    with ``arguments``; or ``command``: the words, or one text for the shell. Either ``compute_target``,
    ``environment``, ``distributed_job_config``, a time limit and ``docker_runtime_config`` are given, from which a
    ``run_config`` is made, or ``run_config`` itself: then those are ignored with a warning, as Azure's SDK does (but a
    ``compute_target`` is used if ``run_config`` has none).
    Submitting refuses a ``distributed_job_config`` and a time limit. Raises ``UnsupportedError`` for ``resume_from``.
    """

    MAX_DURATION_SECONDS_DEFAULT = AZURE_LONGEST_SECONDS

    def __init__(
        self,
        source_directory: str | os.PathLike[str] | None = None,
        script: str | None = None,
        arguments: Sequence[object] | None = None,
        run_config: RunConfiguration | None = None,
        compute_target: object = None,
        environment: EnvironmentOrReference | None = None,
        distributed_job_config: object = None,
        resume_from: object = None,
        max_run_duration_seconds: int | None = None,
        command: Sequence[object] | str | None = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        if resume_from is not None:
            raise unsupported_error("resume_from", "Give the folder of the earlier output as an argument.")
        given = {
            "compute_target": compute_target,
            "environment": environment,
            "distributed_job_config": distributed_job_config,
            "docker_runtime_config": docker_runtime_config,
            "max_run_duration_seconds": max_run_duration_seconds,
        }
        if run_config is not None and run_config.target is None:  # nobody has chosen one
            run_config.target = given.pop("compute_target")
        if run_config is not None and (ignored := [name for name, value in given.items() if value is not None]):
            logger.warning("%s: ignored, since run_config is given, which has its own", ", ".join(ignored))
        if run_config is None:
            run_config = RunConfiguration()
            run_config.target = compute_target
            run_config.environment = environment
            run_config.docker = docker_runtime_config or run_config.docker
            run_config.max_run_duration_seconds = max_run_duration_seconds
            _distribute(run_config, distributed_job_config)
        self.run_config = run_config
        self.source_directory = os.path.abspath(source_directory or os.curdir)
        has_command = script is not None or command is not None
        self.script = script if has_command else run_config.script
        self.command = command if has_command else run_config.command
        self.arguments = list(arguments if arguments is not None else run_config.arguments)

    @property
    def words(self) -> list[str]:
        """The command, word by word. Raises ``UsageError`` if there is neither a script nor a command, or both."""
        if bool(self.script) == bool(self.command):
            raise usage_error("The configuration needs either a script or a command", "Set the other to None.")
        if self.command and isinstance(self.command, str):
            return ["/bin/sh", "-c", self.command]
        head = ["python", str(self.script)] if self.script else map(str, self.command or ())
        return [*head, *map(str, self.arguments)]


def _distribute(config: RunConfiguration, job: object) -> None:
    """Set what Azure's SDK sets for a distributed job. Raises: UsageError if ``job`` is not one."""
    if isinstance(job, MpiConfiguration):
        config.mpi, config.communicator, config.node_count = job, "IntelMpi", job.node_count
    elif isinstance(job, PyTorchConfiguration):
        config.pytorch, config.framework, config.node_count = job, "PyTorch", job.node_count
        config.communicator = job.communication_backend
    elif isinstance(job, TensorflowConfiguration):
        config.tensorflow, config.framework, config.node_count = job, "TensorFlow", job.worker_count
        config.communicator = "ParameterServer"
    elif job is not None:
        hint = "Give an MpiConfiguration, a PyTorchConfiguration or a TensorflowConfiguration."
        raise usage_error(f"{job!r} is not a distributed job", hint)
