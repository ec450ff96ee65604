"""Environment files, as Azure's SDK saves them and as people edit them, each read by ``load_from_directory``."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

PLAIN: dict[str, Any] = {
    "name": "x",
    "version": None,
    "environmentVariables": {},
    "python": {"userManagedDependencies": False, "interpreterPath": "python", "condaDependenciesFile": None},
    "docker": {"baseImage": "base:1"},
}


def _changed(path: str = "", value: object = None) -> dict[str, Any]:
    """Return the plain document with ``value`` at ``path``."""
    document = copy.deepcopy(PLAIN)
    *sections, key = path.split(".")
    table = document
    for section in sections:
        table = table.setdefault(section, {})
    if key:
        table[key] = value
    return document


DOCUMENTS: dict[str, Any] = {
    "plain": PLAIN,
    "packages in it": _changed("python.condaDependencies", {"dependencies": ["python=3.8", {"pip": ["six"]}]}),
    "packages in a file that it names": _changed("python.condaDependenciesFile", "own.yml"),
    "a base environment": _changed("python.baseCondaEnvironment", "base"),
    "a key that nobody knows": _changed("nobodyKnows", 1),
    "a key of docker that nobody knows": _changed("docker.nobodyKnows", 1),
    "a version that is a number": _changed("version", 3),
    "a version": _changed("version", "3"),
    "a variable that is a number": _changed("environmentVariables", {"A": 1}),
    "a variable that is empty": _changed("environmentVariables", {"A": ""}),
    "variables that are null": _changed("environmentVariables", None),
    "docker that is null": _changed("docker", None),
    "python that is null": _changed("python", None),
    "no name": {key: value for key, value in PLAIN.items() if key != "name"},
    "Spark": _changed("spark", {"packages": [{"group": "g", "artifact": "a", "version": "1"}], "repositories": []}),
    "Spark packages as texts": _changed("spark", {"packages": ["g:a:1"]}),
    "two bases": _changed("docker.baseDockerfile", "FROM other\nRUN true\n"),
    "steps": _changed("docker.steps", ["RUN true"]),
    "a flag as a text": _changed("python.userManagedDependencies", "true"),
    "enabled": _changed("docker.enabled", True),
    "R": _changed("r", {"rVersion": "3.6", "cranPackages": [{"name": "dplyr", "version": "1", "repository": None}]}),
    "keys in another case": {"Name": "x", "Docker": {"BaseImage": "base:1"}},
    "keys in snake case": {"name": "x", "docker": {"base_image": "base:1"}},
    "a registry apart": _changed("docker.baseImageRegistry", {"address": "r.example.org"}),
    "an inferencing stack": _changed("inferencingStackVersion", "latest"),
    "an asset's id": _changed("assetId", "azureml://x"),
    "nothing": {},
    "a list": [],
    "shared memory as a number": _changed("docker.shmSize", 2),
    "arguments as a text": _changed("docker.arguments", "--ipc=host"),
}


def read_document(sdk: Any, document: Any) -> Any:
    """Write ``document`` to a folder, and return what the loaded environment says."""
    folder = os.path.join("documents", str(len(os.listdir("documents")) if os.path.isdir("documents") else 0))
    os.makedirs(folder)
    with open(os.path.join(folder, "azureml_environment.json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    with open(os.path.join(folder, "own.yml"), "w", encoding="utf-8") as file:
        file.write("dependencies: [python=3.9]\n")
    made = sdk.Environment.load_from_directory(folder)
    docker, python = made.docker, made.python
    registry = docker and docker.base_image_registry and docker.base_image_registry.address
    packages = python.conda_dependencies and list(python.conda_dependencies.conda_packages)
    return {
        "name": made.name,
        "version": made.version and str(made.version),
        "image": docker and docker.base_image,
        "registry": registry,
        "container": docker and [docker.enabled, docker.arguments, docker.shm_size],
        "user_managed": python and bool(python.user_managed_dependencies),
        "packages": packages or [],
        "variables": {name: str(value) for name, value in (made.environment_variables or {}).items()},
        "spark": [package.group for package in made.spark.packages] if made.spark else [],
        "r": made.r and made.r.r_version,
        "stack": made.inferencing_stack_version,
    }
