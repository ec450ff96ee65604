"""The state of an ``Environment``: its name, its sections, and the registered version that it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from roost.client.api.errors import usage_error
from roost.client.api.sections.docker import DockerSection
from roost.client.api.sections.python import PythonSection
from roost.client.api.sections.r import RSection
from roost.client.api.sections.spark import DatabricksSection, SparkSection

Json = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """The registered version that an object was made from, and its content at that time."""

    name: str
    version: int
    document: Json
    definition_digest: str
    kind: str
    labels: tuple[str, ...]
    run: str | None
    """Id of the run that the object was fetched from, whose generation is used; ``None``: the current generation."""

    @property
    def reference(self) -> str:
        """``NAME:VERSION``."""
        return f"{self.name}:{self.version}"


class EnvironmentDescription:
    """The attributes of an ``Environment``, which is its only subclass: that adds what users do with them.

    ``_origin`` and ``_passthrough`` are private to the package ``roost.client.api``. ``_passthrough``: the parts of a
    fetched document that no attribute stands for.
    """

    __slots__ = (
        "_origin",
        "_passthrough",
        "databricks",
        "docker",
        "environment_variables",
        "inferencing_stack_version",
        "name",
        "python",
        "r",
        "spark",
        "system",
        "version",
    )

    def __init__(self, name: str | None) -> None:
        self.name: str = check_name(name) if name else cast("str", name)
        """``None`` or empty: it has no name yet, which registering requires. The type is that of the usual case, so
        that scripts can pass the name on."""
        self.version: str | None = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.databricks = DatabricksSection()
        self.r: RSection | None = None
        self.environment_variables: dict[str, str] = {}
        self.system: dict[str, str] = {}
        self.inferencing_stack_version: str | None = None
        self._passthrough: Json = {}
        self._origin: Origin | None = None


def check_name(name: object) -> str:
    """Return ``name`` if it is a text that is not empty; the daemon decides whether it is a valid name of an
    environment. Raises: UsageError otherwise."""
    if not isinstance(name, str) or not name:
        raise usage_error(f"{name!r} is not a valid environment name", "Give a string, such as 'train'.")
    return name
