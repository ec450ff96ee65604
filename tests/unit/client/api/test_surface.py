"""The Python API has the names of Azure's SDK, which were listed by introspection of ``azureml-core``."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import roost.client

DATA = json.loads((Path(__file__).parent / "azureml_surface.json").read_text())
CLASSES: dict[str, dict[str, Any]] = DATA["classes"]
WHOLE = (
    "Environment",
    "CondaDependencies",
    "DockerSection",
    "PythonSection",
    "SparkSection",
    "SparkPackage",
    "RSection",
    "RCranPackage",
    "RGitHubPackage",
    "DatabricksSection",
    "MavenLibrary",
    "PyPiLibrary",
    "RCranLibrary",
    "JarLibrary",
    "EggLibrary",
    "DockerImageDetails",
    "DockerBuildContext",
    "DockerImagePlatform",
    "EnvironmentReference",
    "DockerConfiguration",
    "ContainerRegistry",
)
"""Classes that have every name of Azure's. The others reach far beyond environments: those have some."""
ABSENT = {
    "CondaDependencies": {"sdk_origin_url"},  # there is no SDK of Azure to download
}
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "Environment": ("x",),
    "EnvironmentReference": ("x",),
    "ScriptRunConfig": (".",),
}


def parameters(call: object) -> list[str]:
    assert callable(call)
    return [name for name in inspect.signature(call).parameters if name != "self"]


@pytest.mark.parametrize("name", WHOLE)
def test_every_name_and_parameter_of_azures_class_is_there(name: str) -> None:
    ours, azure = getattr(roost.client, name), CLASSES[name]
    absent = ABSENT.get(name, set())
    made = _make(name)
    lacking = {n for n in (*azure["methods"], *azure["attributes"]) if not (hasattr(ours, n) or n in dir(made))}
    assert lacking == absent
    for method, wanted in azure["methods"].items():
        if method not in absent:
            assert parameters(getattr(ours, method))[: len(wanted)] == wanted, method
    if name not in ("Environment", "DockerImageDetails"):
        assert parameters(ours)[: len(azure["parameters"])] == azure["parameters"]


@pytest.mark.parametrize("name", ["Run", "Experiment", "Workspace", "RunConfiguration", "ImageBuildDetails"])
def test_methods_shared_with_azures_classes_have_parameters_in_its_order(name: str) -> None:
    ours, azure = getattr(roost.client, name), CLASSES[name]
    shared = [method for method in azure["methods"] if callable(getattr(ours, method, None))]
    assert shared or name == "RunConfiguration"
    for method in shared:
        wanted = azure["methods"][method]
        own = [p for p in parameters(getattr(ours, method)) if p in wanted]
        assert own == [p for p in wanted if p in own], method


def test_a_script_run_config_has_all_of_azures_parameters_in_order() -> None:
    assert parameters(roost.client.ScriptRunConfig) == CLASSES["ScriptRunConfig"]["parameters"]


def test_the_notebooks_names_of_runs_and_workspaces_are_there() -> None:
    run = {
        "id",
        "status",
        "get_status",
        "wait_for_completion",
        "get_environment",
        "get_details",
        "cancel",
        "get_all_logs",
    }
    assert run <= set(dir(roost.client.Run))
    assert {"from_config", "get", "list", "environments", "experiments", "name", "get_run"} <= set(
        dir(roost.client.Workspace)
    )
    assert {"submit", "get_runs", "list", "name", "workspace"} <= set(dir(roost.client.Experiment))


@pytest.mark.parametrize("name", sorted({*WHOLE} - {"DockerImageDetails", "CondaDependencies", "EnvironmentReference"}))
def test_an_attribute_that_is_none_is_refused_and_not_kept_in_silence(name: str) -> None:
    made = _make(name)
    with pytest.raises(AttributeError):
        made.base_imgae = "x"


def test_the_package_imports_nothing_until_a_name_is_used() -> None:
    code = (
        "import sys; before = set(sys.modules); import roost.client; print(sorted(set(sys.modules) - before));"
        "assert 'Environment' in dir(roost.client); from roost.client import RunConfig, RunConfiguration, paths;"
        "assert RunConfig is RunConfiguration; print('yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['roost', 'roost.client']", "True"]


def test_every_exported_name_is_there_and_has_a_docstring() -> None:
    for name in roost.client.__all__:
        assert inspect.getdoc(getattr(roost.client, name)), name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        roost.client.Nothing  # noqa: B018


def test_every_public_method_and_property_says_what_it_means() -> None:
    silent = [
        f"{name}.{attribute}"
        for name in roost.client.__all__
        for attribute, value in getattr(getattr(roost.client, name), "__dict__", {}).items()
        if not attribute.startswith("_")
        and isinstance(value, (property, staticmethod)) | inspect.isfunction(value)
        and not inspect.getdoc(getattr(getattr(roost.client, name), attribute))
    ]
    assert silent == []


def _make(name: str) -> Any:
    return getattr(roost.client, name)(*ARGUMENTS.get(name, ()))
