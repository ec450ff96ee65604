"""One namespace with the names of Azure's SDK, or with roost's names for the same."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from types import SimpleNamespace
from typing import Any

AZURE = {
    "azureml.core": ("Environment", "RunConfiguration", "ScriptRunConfig"),
    "azureml.core.conda_dependencies": ("CondaDependencies",),
    "azureml.core.container_registry": ("ContainerRegistry",),
    "azureml.core.environment": (
        *("DockerBuildContext", "DockerSection", "EnvironmentReference", "PythonSection", "RCranPackage"),
        *("RGitHubPackage", "RSection", "SparkPackage"),
    ),
    "azureml.core.runconfig": ("DataReferenceConfiguration", "DockerConfiguration", "MpiConfiguration"),
}
"""Module of Azure's SDK to the names that the operations use."""


def load_sdk(side: str) -> SimpleNamespace:
    """Return the names: ``side`` is ``azure`` or ``roost``."""
    modules = [importlib.import_module(module if side == "azure" else "roost.client") for module in AZURE]
    pairs = zip(modules, AZURE.values(), strict=True)
    return SimpleNamespace(**{name: getattr(module, name) for module, names in pairs for name in names})


def content(dependencies: Any) -> Any:
    """What a conda environment file of ``dependencies`` says."""
    return json.loads(json.dumps(dependencies.as_dict()))


def dependencies_of(sdk: Any, *pip: str, conda: tuple[str, ...] = ()) -> Any:
    """Dependencies with a Python and these packages, and nothing that either side adds by itself."""
    return sdk.CondaDependencies.create(python_version="3.8", pip_packages=[*pip], conda_packages=[*conda])


def environment_of(sdk: Any, name: str = "made", *pip: str) -> Any:
    """An environment on a named image, with a Python and pip packages."""
    environment = sdk.Environment(name)
    environment.docker.base_image = "registry.example.org/base:1"
    environment.python.conda_dependencies = dependencies_of(sdk, *(pip or ("six",)))
    environment.environment_variables = {"A": "1"}
    return environment


def saved(environment: Any) -> dict[str, Any]:
    """The files of the folder that ``environment`` is saved to, read."""
    import yaml

    folder = os.path.join(tempfile.mkdtemp(), "saved")
    environment.save_to_directory(folder)
    files: dict[str, Any] = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        files[name] = yaml.safe_load(text) if name.endswith((".json", ".yml")) else text
    return files
