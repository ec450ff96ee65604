"""What to run, where and in which environment: ``RunConfiguration``, ``ScriptRunConfig``, ``DockerConfiguration``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from roost.client.api.documents import to_document
from roost.client.api.environment import Environment
from roost.client.api.errors import unsupported, usage
from roost.client.api.fixed import Fixed
from roost.client.api.references import EnvironmentReference
from roost.client.api.sections.conda_dependencies import CondaDependencies
from roost.client.api.sections.docker import SharedVolumes
from roost.client.api.workspace import Workspace

AZURE_LONGEST_SECONDS = 2592000
"""Azure's default limit of a run, 30 days, which scripts may spell out."""
UNNAMED = "default-environment"
"""What an environment is called that was only described within a run configuration."""
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

    ``environment``: says nothing at first, and as long as it does, the nearest environment file upwards from the source
    folder counts. ``target``: where, such as ``local`` or ``docker``; ``None``: chosen. ``environment_variables``: for
    this run, over the environment's. ``docker``: whether in a container, and how that starts. Runs are commands of one
    machine, so that ``framework``, ``communicator``, ``node_count`` and ``max_run_duration_seconds`` can only be what
    they are: ``UnsupportedError``.
    """

    __slots__ = ("_environment", "_target", "arguments", "command", "docker", "environment_variables", "script")

    framework = Fixed("Python", "python", None, hint="Runs are commands; leave it as it is.")
    communicator = Fixed("None", "none", None, hint="Name the launcher in the command, as in mpirun.")
    node_count = Fixed(1, None, hint="Name the launcher in the command, as in mpirun or torchrun.")
    max_run_duration_seconds = Fixed(None, AZURE_LONGEST_SECONDS, hint="Use `timeout` in the command, or Run.cancel().")
    auto_prepare_environment = Fixed(True, None, hint="Environments are always made ready.")

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[object] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        command: Sequence[object] | str | None = None,
    ) -> None:
        self.framework, self.communicator = framework, communicator
        self.script = script
        self.arguments = list(arguments or ())
        self.command = command
        self._environment: Described = Environment(UNNAMED)
        self.environment_variables: dict[str, str] = {}
        self.docker = DockerConfiguration()
        self._target: str | None = None
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies

    @property
    def environment(self) -> Environment:
        """What to run in. Set it to an ``Environment``, or to an ``EnvironmentReference``, which is fetched when it is
        looked at; to ``None`` to have it say nothing."""
        if isinstance(self._environment, EnvironmentReference):
            self._environment = self._environment.get_environment(Workspace())
        return self._environment

    @environment.setter
    def environment(self, value: Described | None) -> None:
        self._environment = value if value is not None else Environment(UNNAMED)

    @property
    def described(self) -> Described | None:
        """The environment, or the reference to one; ``None`` where nothing is said."""
        known = self._environment
        silent = isinstance(known, Environment) and known.name == UNNAMED and not to_document(known)
        return None if silent else known

    @staticmethod
    def load(path: str | os.PathLike[str], name: str | None = None) -> RunConfiguration:
        """From a file that ``save`` or Azure's SDK wrote: ``path`` itself, or the one called ``name`` in the project at
        ``path``. Raises ``FileNotFoundError``, ``DefinitionError``, ``UnsupportedError``."""
        from roost.client.api.configurations import files

        config = RunConfiguration()

        files.load(config, files.place(os.fspath(path), name))
        return config

    def save(self, path: str | os.PathLike[str] | None = None, name: str | None = None) -> None:
        """Write it to the file ``path``, or as ``.azureml/NAME.runconfig`` in the folder ``path`` (by default the
        working folder). Azure's SDK reads it too. Raises ``UsageError``, ``OSError``."""
        from roost.client.api.configurations import files

        files.save(self, files.place(os.fspath(path or os.curdir), name, new=True))

    @staticmethod
    def delete(path: str | os.PathLike[str], name: str | None = None) -> None:
        """Remove such a file. Raises ``FileNotFoundError``."""
        from roost.client.api.configurations import files

        os.remove(files.place(os.fspath(path), name))

    @property
    def target(self) -> str | None:
        """Where to run, such as ``local`` or ``docker``; an object goes by its ``name``."""
        return self._target

    @target.setter
    def target(self, value: object) -> None:
        name = getattr(value, "name", value)
        if name is not None and (not isinstance(name, str) or not name):
            raise usage(f"{value!r} is no target", "Give a name, such as 'local' or 'docker'.")
        self._target = name

    @property
    def chosen_target(self) -> str:
        """``target``; where that says nothing ``docker`` if the configuration or the environment asks for a container,
        else ``auto``. An environment that is referred to is fetched to look."""
        known = bool(self._target or self.docker.use_docker)
        return self._target_for(None if known else self.environment)

    def _target_for(self, environment: Environment | None) -> str:
        asked = self.docker.use_docker or (environment is not None and environment.docker.enabled)
        return self._target or ("docker" if asked else "auto")


class ScriptRunConfig:
    """A script or a command, and in ``run_config`` where and in what it runs.

    ``source_directory``: the folder that it works in, as it is: nothing is copied. ``script``: a path in it, run by
    Python with ``arguments``; or ``command``: the words, or one text for the shell. ``compute_target``, ``environment``
    and ``docker_runtime_config`` make a ``run_config``, or it is given. Raises ``UsageError`` where both are given;
    ``UnsupportedError`` for ``distributed_job_config``, ``resume_from`` and a limit of time.
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
        _refuse(distributed_job_config, resume_from)
        if run_config is not None and (compute_target or environment or docker_runtime_config):
            hint = "Set run_config.target, run_config.environment and run_config.docker instead."
            raise usage("A run_config is given, and also what it says", hint)
        self.run_config = config = run_config or _configuration(compute_target, environment, docker_runtime_config)
        config.max_run_duration_seconds = max_run_duration_seconds
        self.source_directory = os.path.abspath(source_directory or os.curdir)
        given = script is not None or command is not None
        self.script = script if given else config.script
        self.command = command if given else config.command
        self.arguments = list(arguments if arguments is not None else config.arguments)

    @property
    def words(self) -> list[str]:
        """The command, word by word. Raises ``UsageError`` where there is none, or two."""
        if bool(self.script) == bool(self.command):
            raise usage("The configuration needs a script or a command, one of them", "Set the other to None.")
        if isinstance(self.command, str):
            return ["/bin/sh", "-c", self.command]
        head = ["python", str(self.script)] if self.script else map(str, self.command or ())
        return [*head, *map(str, self.arguments)]


def _configuration(
    compute_target: object, environment: Described | None, docker: DockerConfiguration | None
) -> RunConfiguration:
    config = RunConfiguration()
    config.target = compute_target
    config.environment = environment
    config.docker = docker or config.docker
    return config


def _refuse(distributed_job_config: object, resume_from: object) -> None:
    if distributed_job_config is not None:
        raise unsupported("distributed_job_config", "Name the launcher in the command, as in mpirun or torchrun.")
    if resume_from is not None:
        raise unsupported("resume_from", "Give the folder of the earlier output as an argument.")
