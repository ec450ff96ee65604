"""What to run, where and in which environment: ``RunConfiguration``, ``ScriptRunConfig``, ``DockerConfiguration``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from roost.client.api.conda_dependencies import CondaDependencies
from roost.client.api.docker_section import SharedVolumes
from roost.client.api.environment import Environment, EnvironmentReference
from roost.client.api.errors import unsupported, usage

AZURE_LONGEST_SECONDS = 2592000
"""Azure's default limit of a run, 30 days, which scripts may spell out."""
Described = Environment | EnvironmentReference


class DockerConfiguration(SharedVolumes):
    """Whether a run is in a container, and how that starts. ``shm_size`` such as ``2g``, ``arguments`` such as
    ``["--gpus=all"]``; ``None`` and empty: as the environment says."""

    __slots__ = ("arguments", "shm_size", "use_docker")

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Sequence[str] = (),
        shm_size: str | None = None,
    ) -> None:
        self.shared_volumes = shared_volumes
        self.use_docker = use_docker
        self.arguments = list(arguments)
        self.shm_size = shm_size


class RunConfiguration:
    """How to run something, to be used for several scripts.

    ``environment``: ``None`` at first: the nearest environment file upwards from the source folder. ``target``: where,
    such as ``local`` or ``docker``; ``None``: chosen. ``environment_variables``: for this run, over the environment's.
    ``framework`` and ``communicator`` can only be Python's and none.
    """

    __slots__ = ("_target", "arguments", "command", "docker", "environment", "environment_variables", "script")

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[object] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        command: Sequence[object] | str | None = None,
    ) -> None:
        if framework not in (None, "Python", "python"):
            raise unsupported(f"framework={framework!r}", "Runs are commands; leave it out.")
        if communicator not in (None, "None", "none"):
            raise unsupported(f"communicator={communicator!r}", "Name the launcher in the command, as in mpirun.")
        self.script = script
        self.arguments = list(arguments or ())
        self.command = command
        self.environment: Described | None = None
        self.environment_variables: dict[str, str] = {}
        self.docker = DockerConfiguration()
        self._target: str | None = None
        if conda_dependencies is not None:
            self.environment = Environment("default-environment")
            self.environment.python.conda_dependencies = conda_dependencies

    @property
    def target(self) -> str | None:
        """Where to run, such as ``local`` or ``docker``."""
        return self._target

    @target.setter
    def target(self, value: object) -> None:
        self._target = target_name(value)


class ScriptRunConfig:
    """A script or a command, and what to run it in.

    ``source_directory``: the folder that it works in, as it is: nothing is copied. ``script``: a path in it, run by
    Python with ``arguments``; or ``command``: the words, or one text for the shell. ``run_config``: what the other
    arguments do not say. ``compute_target``: the name of a target. Raises ``UsageError``; ``UnsupportedError`` for
    ``distributed_job_config``, ``resume_from`` and a limit of time.
    """

    MAX_DURATION_SECONDS_DEFAULT = AZURE_LONGEST_SECONDS

    def __init__(
        self,
        source_directory: str | os.PathLike[str] | None = None,
        script: str | None = None,
        arguments: Sequence[object] | None = None,
        run_config: RunConfiguration | None = None,
        compute_target: object = None,
        environment: Described | None = None,
        distributed_job_config: object = None,
        resume_from: object = None,
        max_run_duration_seconds: int | None = None,
        command: Sequence[object] | str | None = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        _refuse(distributed_job_config, resume_from, max_run_duration_seconds)
        if script is not None and command is not None:
            raise usage("Both a script and a command are given", "Give one of them.")
        config = run_config or RunConfiguration()
        if script is None and command is None:
            script, command = config.script, config.command
        self.source_directory = os.path.abspath(source_directory or os.curdir)
        self.script = script
        self.arguments = list(arguments if arguments is not None else config.arguments)
        self.command = command
        self.environment = environment if environment is not None else config.environment
        self.environment_variables = dict(config.environment_variables)
        self.docker = docker_runtime_config or config.docker
        self.compute_target = target_name(compute_target) or config.target

    @property
    def words(self) -> list[str]:
        """The command, word by word. Raises ``UsageError`` where there is none."""
        if self.command:
            given = self.command
            head = ["/bin/sh", "-c", given] if isinstance(given, str) else [str(word) for word in given]
            return [*head, *map(str, self.arguments)] if not isinstance(given, str) else head
        if not self.script:
            raise usage("The configuration has neither a script nor a command", "Give script= or command=.")
        return ["python", self.script, *map(str, self.arguments)]

    @property
    def target(self) -> str:
        """Where: what was named, else ``docker`` where the configuration or the environment asks for a container, else
        ``auto``."""
        if self.compute_target is not None:
            return self.compute_target
        asked = isinstance(self.environment, Environment) and self.environment.docker.enabled
        return "docker" if asked or self.docker.use_docker else "auto"


def target_name(value: object) -> str | None:
    """A target goes by its name. Raises ``UsageError``."""
    name = getattr(value, "name", value)
    if name is not None and (not isinstance(name, str) or not name):
        raise usage(f"{value!r} is no target", "Give a name, such as 'local' or 'docker'.")
    return name


def _refuse(distributed_job_config: object, resume_from: object, seconds: int | None) -> None:
    if distributed_job_config is not None:
        raise unsupported("distributed_job_config", "Name the launcher in the command, as in mpirun or torchrun.")
    if resume_from is not None:
        raise unsupported("resume_from", "Give the folder of the earlier output as an argument.")
    if seconds not in (None, AZURE_LONGEST_SECONDS):
        raise unsupported("max_run_duration_seconds", "Use `timeout` in the command, or Run.cancel().")
