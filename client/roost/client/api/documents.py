"""An environment as the document that the daemon reads, in the layout of ``roost.toml``, and back.

Nothing is lost: the parts of a fetched document that no attribute stands for are stored beside the attributes, and
written again.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from typing import Any

from roost.client.api.description import EnvironmentDescription
from roost.client.api.errors import unsupported_error, usage_error
from roost.client.api.passthrough import read_passthrough, write_passthrough
from roost.client.api.sections.conda_dependencies import (
    CondaDependencies,
    dependencies_from_document,
    document_sections,
)
from roost.client.api.sections.docker import DockerBuildContext, DockerSection
from roost.client.api.sections.python import PythonSection
from roost.client.api.sections.r import RCranPackage, RGitHubPackage, RSection
from roost.client.api.sections.spark import SparkPackage, SparkSection

Json = dict[str, Any]
_CRAN = re.compile(r"(?P<name>[^=@]+?)(?:=(?P<version>[^@]*?))?(?: @ (?P<repository>.*))?", re.DOTALL)


def to_document(description: EnvironmentDescription) -> Json:
    """Return the content of ``description`` as a document, without its name. Raises: UsageError if a section is
    incomplete or contradicts itself."""
    document: Json = copy.deepcopy(description._passthrough)
    packages = document_sections(description.python.conda_dependencies or CondaDependencies())
    variables = {**packages["variables"], **description.environment_variables}
    sections: dict[str, Json] = {
        "base": _base_table(description.docker),
        "conda": packages["conda"],
        "pip": packages["pip"],
        "python": _python_table(description.python),
        "system": {key: str(value) for key, value in description.system.items()},
        "spark": _spark_table(description.spark),
        "r": _r_table(description.r) if description.r is not None else {},
        "inference": {"stack": description.inferencing_stack_version},
        "variables": {str(name): str(value) for name, value in variables.items()},
        "container": {"shm_size": description.docker.shm_size, "arguments": list(description.docker.arguments)},
    }
    for name, table in sections.items():
        values = {key: value for key, value in table.items() if name == "variables" or _is_set(value)}
        if values or name in document:
            document[name] = {**document.get(name, {}), **values}
    if description.r is not None:
        document.setdefault("r", {})
    write_passthrough(document, description)
    return document


def _is_set(value: object) -> bool:
    """Return whether a key with this value differs from an absent one. That of a variable always does."""
    return value not in (None, "", [], {}, False)


def _base_table(docker: DockerSection) -> Json:
    image, text, context = docker.base_image, docker.base_dockerfile, docker.build_context
    address = (docker.base_image_registry.address or "").rstrip("/")
    if image and address and not image.startswith(f"{address}/"):
        image = f"{address}/{image}"
    parts = (docker.platform.os, docker.platform.architecture)
    return {
        "image": image,
        "dockerfile": text if text is None or "\n" in text else {"text": text},
        "context": _context_value(context) if context is not None else None,
        "steps": list(docker.steps),
        "platform": "/".join(part.lower() for part in parts if part),
    }


def _context_value(context: DockerBuildContext) -> str | Json:
    if context.location_type in (DockerBuildContext.LocationType.Git, DockerBuildContext.LocationType.StorageAccount):
        hint = "Fetch it into a folder, and use DockerBuildContext.from_local_directory."
        raise unsupported_error(f"A build context of the type {context.location_type.name}", hint)
    file = os.path.normpath(context.dockerfile_path)
    named = {"dockerfile": file} if file != "Dockerfile" else {}
    path = os.path.abspath(context.location) if context.location else None
    if context.digest is not None:
        return {"digest": context.digest, **({"path": path} if path else {}), **named}
    if path is None:
        raise usage_error("The build context has no location", "DockerBuildContext.from_local_directory makes one.")
    return {"path": path, **named} if named else path


def _python_table(python: PythonSection) -> Json:
    interpreter = python.interpreter_path if python.interpreter_path != "python" else None
    return {
        "user_managed": bool(python.user_managed_dependencies),
        "interpreter": interpreter,
        "requires": python.requires,
    }


def _spark_table(spark: SparkSection) -> Json:
    return {
        "repositories": list(spark.repositories),
        "packages": [_maven_coordinates(package) for package in spark.packages],
    }


def _maven_coordinates(package: SparkPackage) -> str:
    parts = (package.group, package.artifact, package.version)
    if not all(parts):
        raise usage_error("A Spark package lacks its group, artifact or version", "All three are needed.")
    return ":".join(map(str, parts))


def _r_table(section: RSection) -> Json:
    return {
        "version": section.r_version,
        "cran": [_cran_text(package) for package in section.cran_packages or ()],
        "bioconductor": list(section.bioconductor_packages or ()),
        "github": [str(package.repository) for package in section.github_packages or ()],
        "urls": list(section.custom_url_packages or ()),
        "snapshot": section.snapshot_date,
    }


def _cran_text(package: RCranPackage) -> str:
    """Return ``NAME[=VERSION][ @ REPOSITORY]``."""
    if not package.name:
        raise usage_error("A CRAN package has no name", "Set its name.")
    version = f"={package.version}" if package.version else ""
    return package.name + version + (f" @ {package.repository}" if package.repository else "")


def apply_document(description: EnvironmentDescription, document: Mapping[str, Any]) -> None:
    """Set the attributes of ``description``, except its name, to the content of ``document``."""
    rest = copy.deepcopy({key: value for key, value in document.items() if key != "name"})
    _apply_base(description.docker, rest)
    python = description.python
    python.conda_dependencies = dependencies_from_document(
        _pop(rest, "conda", "channels") or (),
        _pop(rest, "conda", "dependencies") or (),
        _pop(rest, "pip", "requirements") or (),
    )
    python.user_managed_dependencies = bool(_pop(rest, "python", "user_managed"))
    python.interpreter_path = _pop(rest, "python", "interpreter") or "python"
    python.requires = _pop(rest, "python", "requires")
    description.system = rest.pop("system", {})
    description.spark.repositories = _pop(rest, "spark", "repositories") or []
    description.spark.packages = [SparkPackage(*text.split(":", 2)) for text in _pop(rest, "spark", "packages") or ()]
    description.r = _r_section(rest.pop("r")) if "r" in rest else None
    description.inferencing_stack_version = _pop(rest, "inference", "stack")
    description.environment_variables = rest.pop("variables", {})
    description.docker.shm_size = _pop(rest, "container", "shm_size")
    description.docker.arguments = _pop(rest, "container", "arguments") or []
    read_passthrough(description, rest)
    description._passthrough = {name: table for name, table in rest.items() if table or name == "base"}


def _pop(rest: Json, section: str, key: str) -> Any:  # noqa: ANN401 - depends on the key
    return rest.get(section, {}).pop(key, None)


def _apply_base(docker: DockerSection, rest: Json) -> None:
    """Set the base from ``rest``. An empty ``base`` of the document stays in ``rest``: it is not the same as none."""
    is_empty = rest.get("base") == {}
    docker.base_image = _pop(rest, "base", "image")
    dockerfile = _pop(rest, "base", "dockerfile")
    docker._base_dockerfile = dockerfile["text"] if isinstance(dockerfile, dict) else dockerfile
    docker._build_context = _build_context(_pop(rest, "base", "context"))
    docker.steps = _pop(rest, "base", "steps") or []
    system, _, architecture = (_pop(rest, "base", "platform") or "").partition("/")
    docker.platform.os, docker.platform.architecture = system or None, architecture or None
    if not rest.get("base") and not is_empty:
        rest.pop("base", None)


def _build_context(value: object) -> DockerBuildContext | None:
    if value is None:
        return None
    table: Json = value if isinstance(value, dict) else {"path": value}
    context = DockerBuildContext(DockerBuildContext.LocationType.Local, table.get("path"))
    context.digest = table.get("digest")
    context.dockerfile_path = table.get("dockerfile") or context.dockerfile_path
    return context


def _r_section(table: Json) -> RSection:
    section = RSection()
    section.r_version, section.snapshot_date = table.get("version"), table.get("snapshot")
    section.cran_packages = [_cran_package(text) for text in table.get("cran", ())] or None
    section.github_packages = [RGitHubPackage(text) for text in table.get("github", ())] or None
    section.custom_url_packages = list(table.get("urls", ())) or None
    section.bioconductor_packages = list(table.get("bioconductor", ())) or None
    return section


def _cran_package(text: str) -> RCranPackage:
    match = _CRAN.fullmatch(text)
    return RCranPackage(match["name"], match["version"], match["repository"]) if match else RCranPackage(text)
