"""The attributes of a run configuration as the values of its file, and back. Nothing that a file says is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roost.client.api.configurations.parts import PART_TABLES, PARTS, DockerConfiguration, camel_case, table_of
from roost.client.api.configurations.text import ConfigurationTable

Json = dict[str, Any]
ATTRIBUTES = (
    *("script", "arguments", "target", "framework", "communicator", "max_run_duration_seconds", "node_count"),
    *("priority", "environment", "history", "spark", "docker", "hdi", "tensorflow", "mpi", "pytorch", "paralleltask"),
    *("data_references", "data", "datacaches", "output_data", "source_directory_data_store", "amlcompute"),
    *("auto_cluster_compute_specification", "kubernetescompute", "credential_passthrough", "command"),
    *("environment_variables", "services"),
)
"""In the order in which Azure's SDK writes them."""
_KEYS = {name: camel_case(name) for name in ATTRIBUTES} | {"services": "applicationEndpoints"}
_TEXTS = ("script", "target", "framework", "communicator", "source_directory_data_store")
_NUMBERS = ("max_run_duration_seconds", "node_count", "priority")


def read_attributes(table: ConfigurationTable, typed: Json) -> tuple[Json, Json]:
    """Return the attributes that a file has, without ``environment``, and the keys that no attribute stands for.

    ``table``: the file with scalars as texts; ``typed``: the same with flags and numbers. Raises: DefinitionError if
    the value of a key has another type.
    """
    names = {key: name for name, key in _KEYS.items()}
    known = {key: value for key, value in typed.items() if key in names and key != "environment"}
    found = {names[key]: _read_attribute(names[key], key, table, value) for key, value in known.items()}
    return found, {key: value for key, value in typed.items() if key not in names}


def _read_attribute(name: str, key: str, table: ConfigurationTable, value: object) -> Any:  # noqa: ANN401 - of its type
    if name in _TEXTS:
        is_odd = isinstance(value, (dict, list)) and name not in ("script", "target")
        return value if is_odd else table.text(key)  # a run of it is refused, and the file is not
    if name in _NUMBERS:
        return table.number(key)
    if name == "command":
        return table.command() or ""
    if name == "arguments":
        return [_read_argument(*each) for each in zip(table.texts(key), value or (), strict=True)]  # type: ignore[call-overload]
    if name == "environment_variables":
        return table.variables(key)
    if name == "credential_passthrough":
        return table.flag(key)
    if name == "docker":
        return _read_docker(table.table(key), value or {})  # type: ignore[arg-type]
    if name == "datacaches":
        return table.list_of(key, value)
    if name in PARTS:
        return None if value is None else PARTS[name].from_table(table.mapping(key, value))
    if name in PART_TABLES:
        tables = table.mapping(key, value)
        return {each: PART_TABLES[name].from_table(table.mapping(key, inner)) for each, inner in tables.items()}
    return value if name == "auto_cluster_compute_specification" else table.mapping(key, value)


def _read_argument(text: str, value: object) -> object:
    """Return a number as such, with the text that it was written as, and anything else as its text."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else text


def _read_docker(table: ConfigurationTable, value: Mapping[str, Any]) -> DockerConfiguration:
    docker = DockerConfiguration.from_table(value)
    docker.use_docker = table.flag("useDocker")
    docker.shared_volumes = table.flag("sharedVolumes", default=True)
    docker.arguments, docker.shm_size = table.texts("arguments"), table.text("shmSize")
    return docker


def build_form(attributes: Mapping[str, Any], environment: Json | str | None, unknown: Json) -> Json:
    """Return the content of a file. ``environment``: the value of that key."""
    form = {_KEYS[name]: table_of(value) for name, value in {**attributes, "environment": environment}.items()}
    return {**{_KEYS[name]: form[_KEYS[name]] for name in ATTRIBUTES}, **unknown}
