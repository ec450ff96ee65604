"""An ``Environment`` as the document that the daemon reads, in the shape of ``roost.toml``, and back.

Nothing is lost on the way: what a fetched document says and no attribute does is kept beside, and goes back with it.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from roost.client.api.errors import UsageError, unsupported, usage
from roost.client.api.passthrough import fill_kept, put_kept
from roost.client.api.sections import pip_lines
from roost.client.api.sections.conda_dependencies import CondaDependencies
from roost.client.api.sections.docker import DockerBuildContext, DockerSection
from roost.client.api.sections.others import (
    PythonSection,
    RCranPackage,
    RGitHubPackage,
    RSection,
    SparkPackage,
    SparkSection,
)

if TYPE_CHECKING:
    from roost.client.api.environment import Environment

Json = dict[str, Any]
_CRAN = re.compile(r"(?P<name>[^=@]+?)(?:=(?P<version>[^@]*?))?(?: @ (?P<repository>.*))?", re.DOTALL)


def to_document(environment: Environment) -> Json:
    """All that ``environment`` says, without its name. Raises ``UsageError`` for what can't be meant."""
    document: Json = copy.deepcopy(environment._kept)
    dependencies = environment.python.conda_dependencies or CondaDependencies()
    said: dict[str, Json] = {
        "base": _base(environment.docker),
        "conda": {
            "channels": [str(channel) for channel in dependencies.conda_channels],
            "dependencies": [str(spec) for spec in dependencies.conda_packages],
        },
        "pip": {"requirements": list(pip_lines.entries(dependencies._pip, dependencies.folder or os.getcwd()))},
        "python": _python(environment.python),
        "system": {key: str(value) for key, value in environment.system.items()},
        "spark": _spark(environment.spark),
        "r": _r(environment.r) if environment.r is not None else {},
        "inference": {"stack": environment.inferencing_stack_version},
        "variables": _variables(environment, dependencies),
        "container": {"shm_size": environment.docker.shm_size, "arguments": list(environment.docker.arguments)},
    }
    for section, values in said.items():
        _put(document, section, values)
    if environment.r is not None:
        document.setdefault("r", {})
    put_kept(document, environment)
    return document


def _put(document: Json, section: str, values: Json) -> None:
    values = {key: value for key, value in values.items() if value not in (None, "", [], {}, False)}
    if values or section in document:
        document[section] = {**document.get(section, {}), **values}


def _variables(environment: Environment, dependencies: CondaDependencies) -> Json:
    said = {**dependencies._content.variables, **environment.environment_variables}
    return {str(name): str(value) for name, value in said.items()} or {}


def _base(docker: DockerSection) -> Json:
    image, text, context = docker.base_image, docker.base_dockerfile, docker.build_context
    address = (docker.base_image_registry.address or "").rstrip("/")
    if image and address and not image.startswith(f"{address}/"):
        image = f"{address}/{image}"
    parts = (docker.platform.os, docker.platform.architecture)
    return {
        "image": image,
        "dockerfile": text if text is None or "\n" in text else {"text": text},
        "context": _context(context) if context is not None else None,
        "steps": list(docker.steps),
        "platform": "/".join(part.lower() for part in parts if part),
    }


def _context(context: DockerBuildContext) -> str | Json:
    if context.location_type in (DockerBuildContext.LocationType.Git, DockerBuildContext.LocationType.StorageAccount):
        hint = "Fetch it into a folder, and use DockerBuildContext.from_local_directory."
        raise unsupported(f"A build context of the type {context.location_type.name}", hint)
    if os.path.normpath(context.dockerfile_path) != "Dockerfile":
        raise unsupported("A Dockerfile of another name", "Call the one in the context's root 'Dockerfile'.")
    path = os.path.abspath(context.location) if context.location else None
    if context.digest is not None:
        return {"digest": context.digest, **({"path": path} if path else {})}
    if path is None:
        raise usage("The build context has no location", "DockerBuildContext.from_local_directory makes one.")
    return path


def _python(python: PythonSection) -> Json:
    interpreter = python.interpreter_path if python.interpreter_path != "python" else None
    return {
        "user_managed": bool(python.user_managed_dependencies),
        "interpreter": interpreter,
        "requires": python.requires,
    }


def _spark(spark: SparkSection) -> Json:
    return {"repositories": list(spark.repositories), "packages": [_coordinates(package) for package in spark.packages]}


def _coordinates(package: SparkPackage) -> str:
    parts = (package.group, package.artifact, package.version)
    if not all(parts):
        raise usage("A Spark package lacks its group, artifact or version", "All three are needed.")
    return ":".join(map(str, parts))


def _r(section: RSection) -> Json:
    return {
        "version": section.r_version,
        "cran": [_cran_text(package) for package in section.cran_packages or ()],
        "bioconductor": list(section.bioconductor_packages or ()),
        "github": [str(package.repository) for package in section.github_packages or ()],
        "urls": list(section.custom_url_packages or ()),
        "snapshot": section.snapshot_date,
    }


def _cran_text(package: RCranPackage) -> str:
    if not package.name:
        raise usage("A CRAN package has no name", "Set its name.")
    version = f"={package.version}" if package.version else ""
    return package.name + version + (f" @ {package.repository}" if package.repository else "")


def fill(environment: Environment, document: Mapping[str, Any]) -> None:
    """Make ``environment`` say what ``document`` says."""
    rest = copy.deepcopy({key: value for key, value in document.items() if key != "name"})
    _fill_base(environment.docker, rest)
    _fill_packages(environment.python, rest)
    python = environment.python
    python.user_managed_dependencies = bool(_take(rest, "python", "user_managed"))
    python.interpreter_path = _take(rest, "python", "interpreter") or "python"
    python.requires = _take(rest, "python", "requires")
    environment.system = rest.pop("system", {})
    environment.spark.repositories = _take(rest, "spark", "repositories") or []
    environment.spark.packages = [SparkPackage(*text.split(":", 2)) for text in _take(rest, "spark", "packages") or ()]
    environment.r = _filled_r(rest) if "r" in rest else None
    environment.inferencing_stack_version = _take(rest, "inference", "stack")
    environment.environment_variables = rest.pop("variables", {})
    environment.docker.shm_size = _take(rest, "container", "shm_size")
    environment.docker.arguments = _take(rest, "container", "arguments") or []
    fill_kept(environment, rest)
    environment._kept = {section: values for section, values in rest.items() if values or section == "base"}


def _take(rest: Json, section: str, key: str) -> Any:  # noqa: ANN401 - the key says which
    return rest.get(section, {}).pop(key, None)


def _fill_base(docker: DockerSection, rest: Json) -> None:
    said_nothing = rest.get("base") == {}
    docker.base_image = _take(rest, "base", "image")
    dockerfile = _take(rest, "base", "dockerfile")
    docker._base_dockerfile = dockerfile["text"] if isinstance(dockerfile, dict) else dockerfile
    docker._build_context = _context_of(_take(rest, "base", "context"))
    docker.steps = _take(rest, "base", "steps") or []
    system, _, architecture = (_take(rest, "base", "platform") or "").partition("/")
    docker.platform.os, docker.platform.architecture = system or None, architecture or None
    if not rest.get("base") and not said_nothing:
        rest.pop("base", None)


def _context_of(said: object) -> DockerBuildContext | None:
    if said is None:
        return None
    table: Json = said if isinstance(said, dict) else {"path": said}
    context = DockerBuildContext(DockerBuildContext.LocationType.Local, table.get("path"))
    context.digest = table.get("digest")
    return context


def _fill_packages(python: PythonSection, rest: Json) -> None:
    dependencies = CondaDependencies()
    for channel in _take(rest, "conda", "channels") or ():
        dependencies.add_channel(channel)
    dependencies._content.packages += _take(rest, "conda", "dependencies") or []
    lines = _take(rest, "pip", "requirements") or []
    if lines:
        dependencies.set_pip_requirements(
            [pip_lines.KeptLine(line) if isinstance(line, dict) else line for line in lines]
        )
    python.conda_dependencies = dependencies


def _filled_r(rest: Json) -> RSection:
    section, said = RSection(), rest.pop("r")
    section.r_version, section.snapshot_date = said.get("version"), said.get("snapshot")
    section.cran_packages = [_cran(text) for text in said.get("cran", ())] or None
    section.github_packages = [RGitHubPackage(text) for text in said.get("github", ())] or None
    section.custom_url_packages = list(said.get("urls", ())) or None
    section.bioconductor_packages = list(said.get("bioconductor", ())) or None
    return section


def _cran(text: str) -> RCranPackage:
    found = _CRAN.fullmatch(text)
    return RCranPackage(found["name"], found["version"], found["repository"]) if found else RCranPackage(text)


def check_name(name: object) -> str:
    """``name``, which must be a text: whether it may be a name is the daemon's to judge. Raises ``UsageError``."""
    if not isinstance(name, str) or not name:
        raise _no_name(name)
    return name


def _no_name(name: object) -> UsageError:
    return usage(f"{name!r} can't be the name of an environment", "Give a text, such as 'train'.")
