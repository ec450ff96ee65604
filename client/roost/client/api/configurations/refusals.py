"""What a run configuration of Azure's says that a run of roost can't do. Pure."""

from __future__ import annotations

from roost.client.api.configurations.parts import table_of
from roost.client.api.configurations.run_config import RunConfiguration
from roost.client.api.errors import UnsupportedError, unsupported_error

AZURE_LONGEST_SECONDS = 2592000
"""Azure's default time limit of a run, 30 days."""
_HARMLESS: dict[str, tuple[object, ...]] = {
    "framework": ("Python", "python", None),
    "communicator": ("None", "none", None),
    "node_count": (1, None),
    "max_run_duration_seconds": (None, AZURE_LONGEST_SECONDS),
}
"""The values with which a run is a command on one machine; of other attributes that is the value of a new object."""
_REFUSED = (
    *_HARMLESS,
    *("mpi", "pytorch", "tensorflow", "paralleltask", "data_references", "data", "datacaches", "output_data"),
    *("services", "credential_passthrough", "auto_cluster_compute_specification"),
)
"""Attributes that would run something else, or lack what the script expects, if they were ignored."""
_IDLE = ("history", "spark", "hdi", "amlcompute", "kubernetescompute", "priority", "source_directory_data_store")
"""Attributes that say how a service of Azure records, schedules and stores: a local run is the same without them."""
_HINTS = {
    "max_run_duration_seconds": "Use `timeout` in the command, or Run.cancel().",
    "node_count": "Name the launcher in the command, as in mpirun or torchrun.",
    "communicator": "Name the launcher in the command, as in mpirun or torchrun.",
    "mpi": "Name the launcher in the command, as in mpirun.",
    "pytorch": "Name the launcher in the command, as in torchrun.",
    "framework": "Runs are commands; a framework starts by its own launcher in the command.",
    "data_references": "Give the path of the data as an argument.",
    "data": "Give the path of the data as an argument.",
    "output_data": "Give the path of the output as an argument.",
}


def find_refused(config: RunConfiguration) -> list[str]:
    """Return the names of the attributes, and of unknown keys, with which a run is refused."""
    return [name for name in _REFUSED if _differs(config, name)] + list(config._unknown)


def find_idle(config: RunConfiguration) -> list[str]:
    """Return the names of the attributes that are set and have no effect on a run."""
    return [name for name in _IDLE if _differs(config, name)]


def refusal(config: RunConfiguration, *, in_container: bool) -> UnsupportedError | None:
    """Return the error for a run of ``config``; ``None`` if it can be run."""
    names = find_refused(config)
    if in_container and not config.docker.shared_volumes:
        names.append("docker.shared_volumes = False")
    if not names:
        return None
    hint = _HINTS.get(names[0], "Set it to its default, or to None, for a run here; a saved file keeps it.")
    return unsupported_error(f"A run with {', '.join(_format_named(config, name) for name in names)}", hint)


def _differs(config: RunConfiguration, name: str) -> bool:
    value = getattr(config, name)
    if name in _HARMLESS:
        return value not in _HARMLESS[name]
    return value is not None and table_of(value) != table_of(getattr(_DEFAULT, name))


def _format_named(config: RunConfiguration, name: str) -> str:
    """Return the name, with its value if that is short."""
    return f"{name} = {getattr(config, name)!r}" if name in _HARMLESS else name


_DEFAULT = RunConfiguration()
