"""``ScriptRunConfig``: a script or a command, with the configuration of its runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from roost.client.api.configurations.run_config import (
    AZURE_LONGEST_SECONDS,
    DockerConfiguration,
    RunConfiguration,
)
from roost.client.api.errors import unsupported_error, usage_error
from roost.client.api.references import EnvironmentOrReference


class ScriptRunConfig:
    """A script or a command, and in ``run_config`` where and in which environment it runs.

    ``source_directory``: the working folder, used as it is: nothing is copied. ``script``: a path in it, run by Python
    with ``arguments``; or ``command``: the words, or one text for the shell. Either ``compute_target``, ``environment``
    and ``docker_runtime_config`` are given, from which a ``run_config`` is made, or ``run_config`` itself. Raises
    ``UsageError`` if both are given; ``UnsupportedError`` for ``distributed_job_config``, ``resume_from`` and a time
    limit.
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
        if distributed_job_config is not None:
            raise unsupported_error(
                "distributed_job_config", "Name the launcher in the command, as in mpirun or torchrun."
            )
        if resume_from is not None:
            raise unsupported_error("resume_from", "Give the folder of the earlier output as an argument.")
        if run_config is not None and (compute_target or environment or docker_runtime_config):
            hint = "Set run_config.target, run_config.environment and run_config.docker instead."
            raise usage_error("A run_config is given together with settings that it contains", hint)
        if not run_config:
            run_config = RunConfiguration()
            run_config.target = compute_target
            run_config.environment = environment
            run_config.docker = docker_runtime_config or run_config.docker
        run_config.max_run_duration_seconds = max_run_duration_seconds
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
        if isinstance(self.command, str):
            return ["/bin/sh", "-c", self.command]
        head = ["python", str(self.script)] if self.script else map(str, self.command or ())
        return [*head, *map(str, self.arguments)]
