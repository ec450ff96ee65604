"""``RunConfiguration``: where and how something runs; and ``DockerConfiguration``, the part of it for containers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Generic, TypeVar

from roost.client.api.configurations import files
from roost.client.api.configurations.text import parse
from roost.client.api.connection import WorkspaceConnection
from roost.client.api.environment import Environment, is_empty
from roost.client.api.errors import unsupported_error, usage_error
from roost.client.api.references import EnvironmentOrReference, EnvironmentReference
from roost.client.api.sections.conda_dependencies import CondaDependencies
from roost.client.api.sections.docker import SharedVolumes

AZURE_LONGEST_SECONDS = 2592000
"""Azure's default time limit of a run, 30 days, which scripts may set explicitly."""
UNNAMED = "default-environment"
"""Name of an environment that was only described within a run configuration."""
T = TypeVar("T")


class FixedAttribute(Generic[T]):
    """An attribute of Azure's objects that has only one possible value in roost.

    It reads as ``value``. Setting it to ``value`` or to one of ``equivalents`` has no effect; setting it to another
    value raises ``UnsupportedError`` with ``hint``.
    """

    def __init__(self, value: T, *equivalents: object, hint: str) -> None:
        self._value = value
        self._accepted = (value, *equivalents)
        self._hint = hint
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type | None = None) -> T:
        return self._value

    def __set__(self, instance: object, value: object) -> None:
        if value not in self._accepted:
            raise unsupported_error(f"{self._name} = {value!r}", self._hint)


class DockerConfiguration(SharedVolumes):
    """Whether a run is in a container, and how that starts. ``shm_size`` such as ``2g``, ``arguments`` such as
    ``["--gpus=all"]``; ``None`` and empty: those of the environment."""

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

    ``environment``: empty at first, and as long as it is, the nearest environment file upwards from the source folder
    is used. ``target``: where to run, such as ``local`` or ``docker``; ``None``: roost decides.
    ``environment_variables``: for this run, overriding those of the environment. ``docker``: whether to run in a
    container, and how that starts. Runs are commands on one machine: setting ``framework``, ``communicator``,
    ``node_count`` or ``max_run_duration_seconds`` to anything but their defaults raises ``UnsupportedError``.
    """

    __slots__ = ("_environment", "_target", "arguments", "command", "docker", "environment_variables", "script")

    framework = FixedAttribute("Python", "python", None, hint="Runs are commands; leave it as it is.")
    communicator = FixedAttribute("None", "none", None, hint="Name the launcher in the command, as in mpirun.")
    node_count = FixedAttribute(1, None, hint="Name the launcher in the command, as in mpirun or torchrun.")
    max_run_duration_seconds = FixedAttribute(
        None, AZURE_LONGEST_SECONDS, hint="Use `timeout` in the command, or Run.cancel()."
    )
    auto_prepare_environment = FixedAttribute(True, None, hint="Environments are always prepared.")

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
        self._environment: EnvironmentOrReference = Environment(UNNAMED)
        self.environment_variables: dict[str, str] = {}
        self.docker = DockerConfiguration()
        self._target: str | None = None
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies

    @property
    def environment(self) -> Environment:
        """The environment to run in. Set it to an ``Environment``, or to an ``EnvironmentReference``, which is fetched
        when the attribute is read; or to ``None`` to make it empty again."""
        if isinstance(self._environment, EnvironmentReference):
            self._environment = self._environment.get_environment(WorkspaceConnection())
        return self._environment

    @environment.setter
    def environment(self, value: EnvironmentOrReference | None) -> None:
        self._environment = value if value is not None else Environment(UNNAMED)

    @property
    def described(self) -> EnvironmentOrReference | None:
        """The environment, or the reference to one; ``None`` if the environment is empty."""
        known = self._environment
        if isinstance(known, Environment) and known.name == UNNAMED and is_empty(known):
            return None
        return known

    @staticmethod
    def load(path: str | os.PathLike[str], name: str | None = None) -> RunConfiguration:
        """Read a file that ``save`` or Azure's SDK wrote: ``path`` itself, or the file called ``name`` in the project
        at ``path``. Raises ``FileNotFoundError``, ``DefinitionError``, ``UnsupportedError``."""
        config = RunConfiguration()
        file = files.locate(os.fspath(path), name)
        text = files.read_text(file)
        table = parse(text, file)
        config.script, config.arguments = table.text("script"), list(table.texts("arguments"))
        config.command = table.command()
        config.target = table.text("target")
        config.framework, config.communicator = table.data.get("framework"), table.data.get("communicator")
        config.node_count = table.number("nodeCount")
        config.max_run_duration_seconds = table.number("maxRunDurationSeconds")
        config.environment_variables = table.variables("environmentVariables")
        docker = table.table("docker")
        config.docker.use_docker = docker.flag("useDocker")
        config.docker.arguments, config.docker.shm_size = docker.texts("arguments"), docker.text("shmSize")
        config.environment = files.read_environment(table.data.get("environment"), text, file)
        return config

    def save(self, path: str | os.PathLike[str] | None = None, name: str | None = None) -> None:
        """Write the configuration to the file ``path``, or as ``.azureml/NAME.runconfig`` in the folder ``path`` (by
        default the working folder). Azure's SDK reads it too. Raises ``UsageError``, ``OSError``."""
        file = files.locate(os.fspath(path or os.curdir), name, new=True)
        data = {
            "script": self.script,
            "arguments": [str(argument) for argument in self.arguments],
            "command": self.command or "",
            "target": self.target,
            "framework": self.framework,
            "communicator": self.communicator,
            "nodeCount": self.node_count,
            "environmentVariables": dict(self.environment_variables),
            "docker": {
                "useDocker": self.docker.use_docker,
                "sharedVolumes": True,
                "arguments": list(self.docker.arguments),
                "shmSize": self.docker.shm_size,
            },
            "environment": files.export_environment(self._environment),
        }
        files.write(data, file)

    @staticmethod
    def delete(path: str | os.PathLike[str], name: str | None = None) -> None:
        """Delete a file that ``save`` wrote. Raises ``FileNotFoundError``."""
        os.remove(files.locate(os.fspath(path), name))

    @property
    def target(self) -> str | None:
        """Where to run, such as ``local`` or ``docker``. If it is set to an object, the ``name`` of that is used."""
        return self._target

    @target.setter
    def target(self, value: object) -> None:
        name = getattr(value, "name", value)
        if name is not None and (not isinstance(name, str) or not name):
            raise usage_error(f"{value!r} is not a valid target", "Give a name, such as 'local' or 'docker'.")
        self._target = name

    @property
    def chosen_target(self) -> str:
        """``target``; if that is ``None``, ``docker`` if the configuration or the environment requires a container,
        else ``auto``. An environment that is only referred to is fetched for this."""
        is_decided = bool(self._target or self.docker.use_docker)
        return choose_target(self, None if is_decided else self.environment)


def choose_target(config: RunConfiguration, environment: Environment | None) -> str:
    """Return the target of a run of ``config`` in ``environment``; ``None``: an environment that is not known yet, or
    does not matter."""
    wants_container = config.docker.use_docker or (environment is not None and environment.docker.enabled)
    return config.target or ("docker" if wants_container else "auto")
