"""The formats of Azure ML: an environment as its SDK writes it, with the part of it that roost only passes through, and
keys and references of the YAML of its CLI v2.

The names are those of azureml-core 1.61 (``azureml.core.environment``, serialised in camel case). A definition and its
settings hold most of a file. The rest (databricks, shared volumes, Azure's own version …) goes into
``Settings.passthrough["azure"]`` as far as it differs from ``TEMPLATE``, so that a plain environment has none. To
Azure, a missing key means the default and ``null`` means no value: paths that were null are listed under ``null``.

The source for the CLI v2 is the schemas of azure-ai-ml 1.35 (``azure.ai.ml._schema``): an ``environment:`` is one in
place, or ``azureml:NAME:VERSION``, ``azureml:NAME@LABEL``, ``azureml:NAME``, an ARM id behind ``azureml:``, or
``azureml://registries/…``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from roost.model.syntax.secret_keys import drop_nulls, is_secret_key

Json = dict[str, Any]

JSON_FILE = "azureml_environment.json"
CONDA_FILE = "conda_dependencies.yml"
DOCKER_FILE = "BaseDockerfile"
"""Azure's name. A ``Dockerfile`` in such a folder is another file, which neither Azure nor roost reads for it."""
CONDA_NAME = "project_environment"
"""Name of the environment in every conda file that Azure writes."""
NULL = "null"
"""Key of the passthrough that lists the paths which were null."""

R_TEMPLATE: Json = {
    "rVersion": None,
    "userManaged": False,
    "rscriptPath": None,
    "snapshotDate": None,
    "cranPackages": None,
    "githubPackages": None,
    "customUrlPackages": None,
    "bioconductorPackages": None,
}
TEMPLATE: Json = {
    "name": None,
    "version": None,
    "environmentVariables": {},
    "python": {
        "userManagedDependencies": False,
        "interpreterPath": "python",
        "condaDependenciesFile": None,
        "baseCondaEnvironment": None,
    },
    "docker": {
        "enabled": False,
        "baseImage": None,
        "baseDockerfile": None,
        "buildContext": None,
        "sharedVolumes": True,
        "shmSize": None,
        "arguments": [],
        "baseImageRegistry": {"address": None, "username": None, "password": None, "registryIdentity": None},
        "platform": {"os": "Linux", "architecture": "amd64"},
    },
    "spark": {"repositories": [], "packages": [], "precachePackages": True},
    "databricks": {
        "mavenLibraries": [],
        "pypiLibraries": [],
        "rcranLibraries": [],
        "jarLibraries": [],
        "eggLibraries": [],
    },
    "r": None,
    "inferencingStackVersion": None,
    "assetId": None,
}
"""Content of the file that ``save_to_directory`` writes for an empty environment."""
_READ_PATHS = frozenset(
    (
        *("name", "environmentVariables", "inferencingStackVersion"),
        *("python.userManagedDependencies", "python.interpreterPath", "python.condaDependencies"),
        *("docker.baseImage", "docker.baseDockerfile", "docker.buildContext", "docker.shmSize", "docker.arguments"),
        *("spark.repositories", "spark.packages"),
        *("r.rVersion", "r.snapshotDate", "r.cranPackages", "r.githubPackages", "r.customUrlPackages"),
        "r.bioconductorPackages",
    )
)
"""Paths that a definition and its settings hold."""
_CRAN = re.compile(r"(?P<name>[^=@]*)(?:=(?P<version>[^@]*?))?(?: @ (?P<repository>.*))?", re.DOTALL)


V2_BASE_KEYS = ("image", "build", "docker")
V2_ENVIRONMENT_KEYS = ("$schema", "name", "image", "build", "docker", "conda_file")
"""Keys that are read; ``docker`` is of an early form."""
V2_PASSTHROUGH_KEYS = ("version", "description", "tags", "properties", "type", "os_type", "inference_config")
"""Keys that only Azure acts on."""
V2_EXPORTED_KEYS = (
    "id",
    "creation_context",
    "datastore",
    "resourceGroup",
    "stage",
    "intellectual_property",
    "is_anonymous",
)
"""Keys that Azure adds to an environment that it prints; they have no effect."""
V2_BUILD_KEYS = ("path", "dockerfile_path")
V2_NAMING_KEYS = ("environment", "trial", "task", "jobs", "component", "create_job", "deployments")
"""Keys that contain or lead to the environment of a job, a component, a deployment, a pipeline or a schedule."""
_NAME = r"(?P<name>[^:@/]+)"
_WORKSPACE_REFERENCE = re.compile(rf"azureml:{_NAME}(?P<rest>[:@][^:@/]+)?")
_ARM_ID = re.compile(rf"azureml:/subscriptions/.*/environments/{_NAME}/(?P<kind>versions|labels)/(?P<rest>[^/]+)", re.I)
_REGISTRY = re.compile(r"azureml://registries/(?P<registry>[^/]+)/environments/(?P<name>[^/]+)")


def extract_passthrough(raw: Mapping[str, Any], *, has_platform: bool) -> Json:
    """Return what only Azure acts on in an environment as read from its file.

    ``has_platform``: the definition already holds the platform. Secret keys are left out.
    """
    read_paths = _READ_PATHS | {"docker.platform"} if has_platform else _READ_PATHS
    nulls: list[str] = []

    def differing(section: Mapping[str, Any], template: Json, prefix: str) -> Json:
        values: Json = {}
        for key, value in section.items():
            path, default = prefix + key, template.get(key)
            if value is None:
                if default is not None and path != "r":
                    nulls.append(path)
            elif path in read_paths or is_secret_key(key):
                continue
            elif isinstance(default, dict) and isinstance(value, Mapping):
                if inner := differing(value, default, path + "."):
                    values[key] = inner
            elif (bare := drop_nulls(value)) != default:
                values[key] = bare
        return values

    passthrough = differing(raw, {**TEMPLATE, "r": R_TEMPLATE}, "")
    return {**passthrough, NULL: sorted(nulls)} if nulls else passthrough


def restore_passthrough(passthrough: Mapping[str, Any], *, with_r: bool) -> Json:
    """Return a file's content with ``passthrough`` and Azure's own default everywhere else.

    ``with_r``: include the ``r`` section.
    """
    form = _merge_into_template({**TEMPLATE, "r": R_TEMPLATE if with_r else None}, passthrough)
    for path in passthrough.get(NULL, []):
        *sections, key = str(path).split(".")
        section: Any = form
        for name in sections:
            section = section.get(name) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section[key] = None
    form.pop(NULL, None)
    return form


def _merge_into_template(template: Json, passthrough: Mapping[str, Any]) -> Json:
    form: Json = {}
    for key, default in template.items():
        value = passthrough.get(key)
        if isinstance(default, dict):
            form[key] = _merge_into_template(default, value if isinstance(value, Mapping) else {})
        else:
            form[key] = default if value is None else value
    return {**form, **{key: value for key, value in passthrough.items() if key not in template}}


def format_cran_package(name: str, version: str | None, repository: str | None) -> str:
    """Return a CRAN package as one text: ``name=version @ repository``."""
    return name + (f"={version}" if version is not None else "") + (f" @ {repository}" if repository else "")


def parse_cran_package(text: str) -> Json:
    """Return the parts of a text that :func:`format_cran_package` made."""
    match = _CRAN.fullmatch(text)
    assert match is not None  # every part is optional
    return {key: match[key] for key in ("name", "version", "repository")}


def parse_schema(text: str) -> str | None:
    """Return the kind that a ``$schema`` names, such as ``commandJob`` or ``environment``; ``None`` for another's."""
    name = text.rpartition("/")[2]
    is_azures = "azureml" in text or name.endswith(".schema.json")
    kind = name.removesuffix(".json").removesuffix(".schema")
    return kind if is_azures and name.endswith(".json") and kind.isidentifier() else None


def format_kind(kind: str) -> str:
    """Return a schema's kind as words: ``managedOnlineDeployment`` is ``managed online deployment``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower().replace("auto ml", "AutoML").replace("mltable", "MLTable")


def parse_environment_reference(text: str) -> str | None:
    """Return the environment of a workspace as ``NAME``, ``NAME:VERSION`` or ``NAME@LABEL``; ``None`` for others."""
    if match := _WORKSPACE_REFERENCE.fullmatch(text):
        return match["name"] + (match["rest"] or "")
    if match := _ARM_ID.fullmatch(text):
        return f"{match['name']}{':' if match['kind'].lower() == 'versions' else '@'}{match['rest']}"
    return None


def parse_registry_reference(text: str) -> tuple[str, str] | None:
    """Return registry and name of an environment in a registry of Azure's; ``None`` for other texts."""
    match = _REGISTRY.match(text)
    return (match["registry"], match["name"]) if match else None
