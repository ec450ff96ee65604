"""``RunConfiguration``: where and how something runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from roost.client.api.configurations import files
from roost.client.api.configurations.form import ATTRIBUTES, build_form, read_attributes
from roost.client.api.configurations.parts import (
    AmlComputeConfiguration,
    ApplicationEndpointConfiguration,
    DataReferenceConfiguration,
    DockerConfiguration,
    HdiConfiguration,
    HistoryConfiguration,
    KubernetesComputeConfiguration,
    MpiConfiguration,
    ParallelTaskConfiguration,
    PyTorchConfiguration,
    SparkConfiguration,
    TensorflowConfiguration,
)
from roost.client.api.configurations.text import parse, parse_typed
from roost.client.api.connection import WorkspaceConnection
from roost.client.api.environment import Environment, is_empty
from roost.client.api.errors import usage_error
from roost.client.api.references import EnvironmentOrReference, EnvironmentReference
from roost.client.api.sections.conda_dependencies import CondaDependencies

UNNAMED = "default-environment"
"""Name of an environment that was only described within a run configuration."""
Json = dict[str, Any]


class RunConfiguration:
    """How to run something, to be used for several scripts.

    ``environment``: empty at first, and as long as it is, the nearest environment file upwards from the source folder
    is used. ``target``: where to run, such as ``local`` or ``docker``; ``None``: roost decides.
    ``environment_variables``: for this run, overriding those of the environment. ``docker``: whether to run in a
    container, and how that starts.

    Runs are commands on one machine. What Azure's configurations say beyond that is stored, loaded and saved without
    a loss: ``framework``, ``communicator``, ``node_count``, ``max_run_duration_seconds``, ``priority``, the parts
    (``history``, ``spark``, ``mpi`` …), data, and keys that nobody knows. ``Experiment.submit`` refuses, by name, what
    would run something else.
    """

    __slots__ = (
        *("_environment", "_file", "_target", "_unknown", "amlcompute", "arguments"),
        *("auto_cluster_compute_specification", "command", "communicator", "credential_passthrough", "data"),
        *("data_references", "datacaches", "docker", "environment_variables", "framework", "hdi", "history"),
        *("kubernetescompute", "max_run_duration_seconds", "mpi", "node_count", "output_data", "paralleltask"),
        *("priority", "pytorch", "script", "services", "source_directory_data_store", "spark", "tensorflow"),
    )

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[object] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        command: Sequence[object] | str | None = None,
    ) -> None:
        self.script = script
        self.arguments: list[object] = list(arguments or ())
        self.command = command or ""
        self.framework: str | None = framework or "Python"
        self.communicator: str | None = communicator or "None"
        self.node_count: int | None = 1
        self.max_run_duration_seconds: int | None = None
        self.priority: int | None = None
        self._environment: EnvironmentOrReference = Environment(UNNAMED)
        self.environment_variables: dict[str, str] = {}
        self.docker = DockerConfiguration()
        self.history = HistoryConfiguration()
        self.spark = SparkConfiguration()
        self.hdi = HdiConfiguration()
        self.tensorflow = TensorflowConfiguration()
        self.mpi = MpiConfiguration()
        self.pytorch = PyTorchConfiguration()
        self.paralleltask = ParallelTaskConfiguration()
        self.amlcompute = AmlComputeConfiguration()
        self.kubernetescompute = KubernetesComputeConfiguration()
        self.data_references: dict[str, DataReferenceConfiguration] = {}
        self.services: dict[str, ApplicationEndpointConfiguration] = {}
        self.data: Json = {}
        self.datacaches: list[Any] = []
        self.output_data: Json = {}
        self.source_directory_data_store: str | None = None
        self.auto_cluster_compute_specification: Json | None = None
        self.credential_passthrough = False
        self._unknown: Json = {}
        self._target: str | None = None
        self._file: str | None = None
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies

    @property
    def auto_prepare_environment(self) -> bool:
        """Always true: environments are always prepared. Azure has no use for the attribute either."""
        return True

    @auto_prepare_environment.setter
    def auto_prepare_environment(self, value: object) -> None:
        pass

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
        at ``path``. Raises ``FileNotFoundError``, ``DefinitionError``."""
        file = files.locate(os.fspath(path or os.curdir), name)
        config, text = RunConfiguration(), files.read_text(file)
        table = parse(text, file)
        attributes, config._unknown = read_attributes(table, parse_typed(text))
        for attribute, value in attributes.items():
            setattr(config, attribute, value)
        config.environment = files.read_environment(table.data.get("environment"), text, file)
        config._file = file
        return config

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        separate_environment_yaml: bool = False,
    ) -> None:
        """Write the configuration to the file ``path``, or as ``.azureml/NAME.runconfig`` in the folder ``path`` (by
        default the file that it was loaded from, or the working folder). Azure's SDK reads it too.
        ``separate_environment_yaml``: write the environment to ``environment.yml`` beside it. Raises ``UsageError``,
        ``OSError``."""
        given = os.fspath(path) if path else None if name else self._file
        file = files.locate(given or os.curdir, name, new=True)
        form = files.export_environment(self._environment)
        environment = files.write_environment(form, file) if separate_environment_yaml else form
        attributes = {each: getattr(self, each) for each in ATTRIBUTES if each != "environment"}
        files.write(build_form(attributes, environment, self._unknown), file)

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
