"""The parts of a run configuration: ``docker``, and those that are stored and written again although runs of roost do
not act on them (how Azure distributes a run, makes its compute and records it).

Names, parameters and defaults are those of azureml-core 1.61 (``azureml.core.runconfig``). Keys in files are the
attributes' names in camel case. A key that no attribute stands for survives in ``unknown``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

Json = dict[str, Any]
PartT = TypeVar("PartT", bound="StoredPart")


def camel_case(name: str) -> str:
    """Return ``maxRunDurationSeconds`` for ``max_run_duration_seconds`` and for ``MaxRunDurationSeconds``: Azure's SDK
    reads all three."""
    joined = re.sub(r"_+([A-Za-z0-9])", lambda match: match[1].upper(), name.strip("_"))
    return joined[:1].lower() + joined[1:]


@dataclass(slots=True, kw_only=True)
class StoredPart:
    """A table of a run configuration."""

    unknown: Json = field(default_factory=dict, repr=False)

    @classmethod
    def from_table(cls: type[PartT], table: Mapping[str, Any]) -> PartT:
        """Return the part with the content of ``table``; what is missing has Azure's default."""
        part = cls()
        names = {key: name for name, key in cls._keys().items()}
        for key, value in table.items():
            if (name := names.get(camel_case(key))) is not None:
                setattr(part, name, value)
            else:
                part.unknown[key] = value
        return part

    def to_table(self) -> Json:
        """Return the content as a file has it."""
        return {key: getattr(self, name) for name, key in self._keys().items()} | self.unknown

    @classmethod
    def _keys(cls) -> dict[str, str]:
        return {each.name: camel_case(each.name) for each in fields(cls) if each.name != "unknown"}


@dataclass(slots=True)
class DockerConfiguration(StoredPart):
    """Whether a run is in a container, and how that starts. ``shm_size`` such as ``2g``, ``arguments`` such as
    ``["--gpus=all"]``; ``None`` and empty: those of the environment. ``shared_volumes``: a container always sees the
    folder that the run works in; a run in one with ``False`` is refused."""

    use_docker: bool = False
    shared_volumes: bool = True
    arguments: Sequence[str] = ()
    shm_size: str | None = None

    def __post_init__(self) -> None:
        self.arguments = list(self.arguments)


@dataclass(slots=True)
class HistoryConfiguration(StoredPart):
    """What Azure records of a run. roost records every run."""

    output_collection: bool = True
    snapshot_project: bool = True
    directories_to_watch: list[str] = field(default_factory=lambda: ["logs"])


@dataclass(slots=True)
class SparkConfiguration(StoredPart):
    """Options of Spark, for the framework PySpark."""

    configuration: Json = field(
        default_factory=lambda: {"spark.app.name": "Azure ML Experiment", "spark.yarn.maxAppAttempts": 1}
    )


@dataclass(slots=True)
class HdiConfiguration(StoredPart):
    """How HDInsight deploys: ``cluster`` or ``client``."""

    yarn_deploy_mode: str = "cluster"


@dataclass(slots=True)
class TensorflowConfiguration(StoredPart):
    """A distributed run of TensorFlow."""

    worker_count: int = 1
    parameter_server_count: int = 1


@dataclass(slots=True)
class MpiConfiguration(StoredPart):
    """A distributed run by MPI."""

    process_count_per_node: int = 1
    node_count: int = 1


@dataclass(slots=True)
class PyTorchConfiguration(StoredPart):
    """A distributed run of PyTorch; ``communication_backend`` is ``nccl`` or ``gloo``."""

    communication_backend: str = "nccl"
    process_count: int | None = None
    node_count: int = 1

    def __post_init__(self) -> None:
        self.communication_backend = self.communication_backend.lower()


@dataclass(slots=True)
class ParallelTaskConfiguration(StoredPart):
    """A run of parallel tasks."""

    max_retries_per_worker: int = 0
    worker_count_per_node: int = 1
    terminal_exit_codes: list[int] | None = None


@dataclass(slots=True)
class AmlComputeConfiguration(StoredPart):
    """A cluster that Azure makes for the run."""

    vm_size: str | None = None
    vm_priority: str | None = None
    _retain_cluster: bool = False
    _name: str | None = None
    _cluster_max_node_count: int | None = None


@dataclass(slots=True)
class KubernetesComputeConfiguration(StoredPart):
    """The kind of instance on a Kubernetes cluster of Azure."""

    instance_type: str | None = None


@dataclass(slots=True)
class ApplicationEndpointConfiguration(StoredPart):
    """A service beside the run, such as ``Jupyter`` or ``SSH``."""

    type: str | None = None
    port: int | None = None
    properties: Json | None = None


@dataclass(slots=True, init=False)
class DataReferenceConfiguration(StoredPart):
    """Data of a datastore of Azure: ``mode`` is ``mount``, ``download`` or ``upload``."""

    data_store_name: str | None
    path_on_data_store: str | None
    mode: str
    overwrite: bool
    path_on_compute: str | None

    def __init__(
        self,
        datastore_name: str | None = None,
        mode: str = "mount",
        path_on_datastore: str | None = None,
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        self.unknown = {}
        self.data_store_name = datastore_name
        self.path_on_data_store = path_on_datastore
        self.mode = mode.lower()
        self.overwrite = overwrite
        self.path_on_compute = path_on_compute


PARTS: dict[str, type[StoredPart]] = {
    "docker": DockerConfiguration,
    "history": HistoryConfiguration,
    "spark": SparkConfiguration,
    "hdi": HdiConfiguration,
    "tensorflow": TensorflowConfiguration,
    "mpi": MpiConfiguration,
    "pytorch": PyTorchConfiguration,
    "paralleltask": ParallelTaskConfiguration,
    "amlcompute": AmlComputeConfiguration,
    "kubernetescompute": KubernetesComputeConfiguration,
}
"""The attributes of a run configuration that are one part each; their keys have the same names."""
PART_TABLES: dict[str, type[StoredPart]] = {
    "data_references": DataReferenceConfiguration,
    "services": ApplicationEndpointConfiguration,
}
"""The attributes that are parts by name."""


def table_of(value: object) -> Any:  # noqa: ANN401 - JSON values
    """Return ``value``, which may be or contain parts, as a file has it."""
    if isinstance(value, StoredPart):
        return table_of(value.to_table())
    if isinstance(value, Mapping):
        return {key: table_of(inner) for key, inner in value.items()}
    return [table_of(inner) for inner in value] if isinstance(value, (list, tuple)) else value
