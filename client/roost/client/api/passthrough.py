"""Settings of Azure's files that are in no definition: under ``kept.azure`` of a document, and as attributes of
sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from roost.client.api.description import EnvironmentDescription
from roost.client.api.sections.docker import DockerSection
from roost.client.api.sections.spark import (
    DatabricksSection,
    EggLibrary,
    JarLibrary,
    MavenLibrary,
    PyPiLibrary,
    RCranLibrary,
)

Json = dict[str, Any]
_LIBRARIES: dict[str, type] = {
    "maven": MavenLibrary,
    "pypi": PyPiLibrary,
    "rcran": RCranLibrary,
    "jar": JarLibrary,
    "egg": EggLibrary,
}


def write_passthrough(document: Json, description: EnvironmentDescription) -> None:
    """Add the settings of ``description`` to ``document``. Defaults are left out."""
    r = description.r
    tables: dict[str, Json] = {
        "docker": {"enabled": description.docker.enabled or None, **_changed_flags(document, description.docker)},
        "spark": {"precachePackages": None if description.spark.precache_packages else False},
        "r": {} if r is None else {"userManaged": r.user_managed or None, "rscriptPath": r.rscript_path or None},
        "databricks": _databricks_table(description.databricks),
    }
    azure: Json = dict(document.get("kept", {}).get("azure", {}))
    for section, table in tables.items():
        if values := {key: value for key, value in table.items() if value is not None}:
            azure[section] = {**azure.get(section, {}), **values}
    if azure:
        document["kept"] = {**document.get("kept", {}), "azure": azure}


def read_version(document: Mapping[str, Any]) -> str | None:
    """Return the version that Azure's file gave to the environment of ``document``."""
    version = document.get("kept", {}).get("azure", {}).get("version")
    return None if version is None else str(version)


def write_version(document: Json, version: str | None) -> None:
    """Set or remove the version that ``read_version`` returns."""
    kept: Json = dict(document.pop("kept", {}))
    azure = {key: value for key, value in kept.pop("azure", {}).items() if key != "version"}
    azure |= {"version": version} if version is not None else {}
    if kept or azure:
        document["kept"] = {**kept, **({"azure": azure} if azure else {})}


def read_passthrough(description: EnvironmentDescription, rest: Json) -> None:
    """Move the settings from ``rest``, the part of a document that is not read yet, to ``description``."""
    azure: Json = rest.get("kept", {}).get("azure", {})
    description.docker.enabled = bool(_pop_setting(azure, "docker", "enabled", False))
    docker = azure.get("docker")
    description.docker.shared_volumes, description.docker.gpu_support = _read_flags(docker)
    _split_registry(description.docker, docker)
    description.spark.precache_packages = bool(_pop_setting(azure, "spark", "precachePackages", True))
    if description.r is not None:
        description.r.user_managed = bool(_pop_setting(azure, "r", "userManaged", False))
        description.r.rscript_path = _pop_setting(azure, "r", "rscriptPath", None)
    description.databricks = _databricks_section(azure.pop("databricks", {}))
    if "kept" in rest and "azure" in rest["kept"]:
        rest["kept"]["azure"] = {key: value for key, value in azure.items() if value != {}}
        if not rest["kept"]["azure"]:
            del rest["kept"]["azure"]


def _read_flags(table: object) -> tuple[bool, bool]:
    """Return ``sharedVolumes`` and ``gpuSupport``. Both stay in the passthrough, since older files have them with their
    defaults too."""
    flags: Json = table if isinstance(table, dict) else {}
    return bool(flags.get("sharedVolumes", True)), bool(flags.get("gpuSupport", False))


def _changed_flags(document: Json, docker: DockerSection) -> Json:
    """Return those of the two flags that differ from what ``document`` has of them already."""
    shared_volumes, gpu_support = _read_flags(document.get("kept", {}).get("azure", {}).get("docker"))
    return {
        "sharedVolumes": docker.shared_volumes if docker.shared_volumes != shared_volumes else None,
        "gpuSupport": docker._gpu_support if docker._gpu_support != gpu_support else None,
    }


def _split_registry(docker: DockerSection, table: object) -> None:
    """Set the registry and the image of a file that has them apart. The file's address stays in the passthrough."""
    registry = table.get("baseImageRegistry") if isinstance(table, dict) else None
    address = str(registry.get("address") or "").rstrip("/") if isinstance(registry, dict) else ""
    if address and (docker.base_image or "").startswith(f"{address}/"):
        docker.base_image_registry.address = address
        docker.base_image = (docker.base_image or "").removeprefix(f"{address}/")


def _pop_setting(azure: Json, section: str, key: str, default: object) -> Any:  # noqa: ANN401 - depends on the key
    table = azure.get(section)
    return table.pop(key, default) if isinstance(table, dict) else default


def _databricks_table(section: DatabricksSection) -> Json:
    """Return the section as Azure's files have it, without lists and values that are not set."""
    lists = {
        f"{kind}Libraries": [
            {key: value for key, value in asdict(library).items() if value is not None}
            for library in getattr(section, f"{kind}_libraries")
        ]
        for kind in _LIBRARIES
    }
    return {key: libraries for key, libraries in lists.items() if libraries}


def _databricks_section(table: Mapping[str, Any]) -> DatabricksSection:
    section = DatabricksSection()
    for kind, library in _LIBRARIES.items():
        setattr(section, f"{kind}_libraries", [library(**values) for values in table.get(f"{kind}Libraries", ())])
    return section
