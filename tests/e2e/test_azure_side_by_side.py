"""Azure's SDK and roost do the same operations, side by side: what scripts do with environments and run configurations.

Both sides run every operation of ``tests.support.side_by_side``. They may differ in what Azure's SDK adds by itself
(``without_additions``); any other difference is in one of the tables here with its reason and with what roost comes to,
so that a change of either side is seen.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.azureml import python_with_azureml
from tests.support.roost_process import Roost, new_roost

from roost.client import DataReferenceConfiguration, RunConfiguration, Workspace

REPOSITORY = Path(__file__).parents[2]
PROGRAM = "tests.support.side_by_side.program"
BREAKING: dict[str, tuple[str, Any]] = {
    "from an image of a registry with a password": (
        "a password is never stored, and a pull that lacks it would fail far from the line: docker login holds it",
        ["raised", "UnsupportedError"],
    ),
    "document: two bases": (
        "which of the two the image is built on can't be known; Azure's SDK holds both",
        ["raised", "DefinitionError"],
    ),
    "document: arguments as a text": (
        "Azure's service takes a list, and where the words end is not said",
        ["raised", "DefinitionError"],
    ),
}
"""Differences that break a script which works under Azure's SDK: the operation, why, and what roost comes to."""
NO_DEFAULTS = "roost adds no packages, image, shared memory or platform that nobody asked for"
MORE_READ = "roost reads what Azure's SDK leaves unread or loses"
HARMLESS: dict[str, tuple[str, Any]] = {
    "dependencies: number of defaults": (NO_DEFAULTS, ["value", [0, 0]]),
    "new: its image": (NO_DEFAULTS, ["value", [True, None, None, False]]),
    "run: its shared memory": (NO_DEFAULTS, ["value", None]),
    "run: its target": ("None lets the definition decide between a prefix and an image", ["value", None]),
    "script: a configuration and an environment": (
        "its target is None, as above",
        ["value", ["own.py", ["--own"], "default-environment", None]],
    ),
    "dependencies: created with a number": (
        "3.8 is written as it was meant; Azure's SDK raises TypeError",
        ["value", {"dependencies": ["python=3.8"]}],
    ),
    "dependencies: created with an index": (
        "the index is used beside the usual one; Azure's --find-links finds nothing in an index",
        [
            "value",
            {"dependencies": ["python=3.8", {"pip": ["--extra-index-url https://index.example.org/simple", "six"]}]},
        ],
    ),
    "options: an index by its URL": (
        "a URL is meant; Azure's SDK refuses it",
        ["value", {"dependencies": ["python=3.8", {"pip": ["--index-url https://index.example.org/simple"]}]}],
    ),
    "pip: another case": (
        "pip refuses a package that is listed twice, in whatever case",
        ["value", {"dependencies": ["python=3.8", {"pip": ["six==1.2"]}]}],
    ),
    "merged: names of another case": ("the same", ["value", ["a>=1,==1"]]),
    "base: a Dockerfile that is not there": (
        "Azure's SDK takes the path for the text of a Dockerfile, whose build fails",
        ["raised", "UsageError"],
    ),
    "clone: its packages": ("a change of a clone changes the original under Azure's SDK", ["value", ["six"]]),
    "from requirements: with comments": (
        "comments are no packages, and lines that continue are one",
        [
            "value",
            ["made", [None, None], False, {"dependencies": [{"pip": ["-r more.txt", "numpy>=1.1", "six   ==1.16.0"]}]}],
        ],
    ),
    "repr": ("the JSON of an environment is roost's document, without what is not set", ["value", ["name", "version"]]),
    "run: saved to a new path": (
        "Azure's SDK saves to a path only if a file is there already",
        [
            "value",
            [
                *("train.py", ["--rate", 0.5, "-n", 3], "local", "Python", {"Z": "1", "EMPTY": ""}, "within"),
                *("registry.example.org/base:1", {"A": "1"}, {"dependencies": ["python=3.8", {"pip": ["six"]}]}),
            ],
        ],
    ),
    "script: a command": (
        "no arguments are an empty list",
        ["value", [None, ["python", "train.py", "--n", 1], [], "x"]],
    ),
    "script: both a script and a command": (
        "the same; submitting refuses it on either side",
        ["value", ["train.py", ["ls"], [], "x"]],
    ),
}
DOCUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "document: packages in a file that it names": (MORE_READ, {"packages": ["python=3.9"]}),
    "document: docker that is null": ("a section is never None", {"container": [False, [], None]}),
    "document: Spark packages as texts": (MORE_READ, {"spark": ["g"]}),
    "document: shared memory as a number": ("an option of docker is a text", {"container": [False, [], "2"]}),
}
"""Documents that roost reads otherwise: the fields in which it differs from Azure's SDK."""
NEAR_MISSES = {"document: keys in another case", "document: keys in snake case"}
"""Documents whose image Azure's SDK leaves unread, silently: roost asks whether another key was meant."""
READ_BY_ROOST = {"document: python that is null", "document: nothing"}
"""Documents on which Azure's SDK fails with an internal error; they are environments without anything."""


@pytest.fixture(scope="module")
def azure() -> Iterator[Callable[..., str]]:
    """Run Python with azureml-core, in a home of its own."""
    python, home = python_with_azureml(), tempfile.mkdtemp(prefix="r", dir="/tmp")
    environ = {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
    yield lambda *words: _run([str(python), *words], environ)
    shutil.rmtree(home, ignore_errors=True)


def _run(command: list[str], environ: dict[str, str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def outcomes(azure: Callable[..., str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What every operation comes to, under Azure's SDK and under roost."""
    folder, made = Path(tempfile.mkdtemp(prefix="r", dir="/tmp")), new_roost()
    made.config.write_text("")
    azure("-m", PROGRAM, "azure", str(folder / "azure.json"))
    environ = {**made.environ, "PYTHONPATH": str(REPOSITORY)}
    _run([sys.executable, "-m", PROGRAM, "roost", str(folder / "roost.json")], environ)
    yield tuple(json.loads((folder / f"{side}.json").read_text()) for side in ("azure", "roost"))  # type: ignore[misc]
    made.end()
    shutil.rmtree(folder, ignore_errors=True)


ADDED = re.compile(
    r"azureml-defaults|pip|python=3\.8\.13|python=3\.10\.\d+|--find-links .*|--extra-index-url (?!.*example).*"
)
DEFAULT_IMAGE = "mcr.microsoft.com/azureml/openmpi"


def without_additions(value: Any) -> Any:
    """Return ``value`` without what Azure's SDK adds to every environment, and with the pip part of packages last."""
    if isinstance(value, dict):
        found = {key: without_additions(inner) for key, inner in value.items() if key != "platform"}
        dropped = {"name": "project_environment", "channels": [], "pip": [], "baseDockerfile": None}
        found = {key: inner for key, inner in found.items() if key not in dropped or inner != dropped[key]}
        return {**found, "shmSize": None} if found.get("shmSize") == "2g" else found
    if isinstance(value, list):
        found = [without_additions(each) for each in value if not (isinstance(each, str) and ADDED.fullmatch(each))]
        found = [each for each in found if each not in ({}, "anaconda", "conda-forge")]
        return (
            sorted(found, key=lambda each: isinstance(each, dict))
            if any("pip" in each for each in found if isinstance(each, dict))
            else found
        )
    return None if isinstance(value, str) and value.startswith(DEFAULT_IMAGE) else value


def _shape(outcome: list[Any]) -> list[Any]:
    """Return an outcome for comparison: of an exception, its name only."""
    return outcome[:2] if outcome[0] == "raised" else ["value", without_additions(outcome[1])]


def test_every_operation_comes_to_the_same_but_for_what_is_listed(
    outcomes: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    azures, roosts = outcomes
    assert azures.keys() == roosts.keys()
    names = [name for name in azures if not name.startswith("document: ")]
    assert (len(names) >= 141, len(azures) - len(names)) == (True, 30)
    listed = {name: outcome for name, (_, outcome) in {**BREAKING, **HARMLESS}.items()}
    differing = {}
    for name, azure in azures.items():
        roost = roosts[name]
        if name.startswith("document: ") and name not in BREAKING:
            continue
        if azure[0] == roost[0] == "raised" or _shape(azure) == _shape(roost):
            continue
        differing[name] = _shape(roost)
    assert differing == listed
    assert len(BREAKING) <= 3
    assert all(reason for reason, _ in {**BREAKING, **HARMLESS}.values())


def test_every_environment_file_is_read_as_the_same_but_for_what_is_listed(
    outcomes: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    azures, roosts = outcomes
    for name in azures:
        if not name.startswith("document: ") or name in BREAKING:
            continue
        azure, roost = azures[name], roosts[name]
        if name in READ_BY_ROOST:
            assert (azure[0], azure[1], roost[0]) == ("raised", "AttributeError", "value"), name
            continue
        if azure[0] == "raised":
            assert roost[0] == "raised", name
            continue
        if name in NEAR_MISSES:
            assert (azure[1]["image"], roost[:2]) == (None, ["raised", "DefinitionError"]), name
            assert "did you mean" in roost[2], name
            continue
        _, fields = DOCUMENTS.get(name, ("", {}))
        assert roost == ["value", {**azure[1], **fields}], name
        assert not fields or azure[1] != {**azure[1], **fields}, f"{name} is the same by now"


def test_what_roost_refuses_says_what_to_do(outcomes: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for name, outcome in outcomes[1].items():
        if outcome[0] == "raised" and outcome[1] in ("UsageError", "UnsupportedError", "DefinitionError"):
            assert "\n  " in outcome[2], f"{name}: {outcome[2]}"


SAVE = """
import logging, os, sys, warnings
logging.disable(logging.CRITICAL); warnings.simplefilter("ignore")
from azureml.core import Environment, RunConfiguration
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.runconfig import ApplicationEndpointConfiguration, DataReferenceConfiguration
os.makedirs(sys.argv[1] + "/.azureml")
for name in ("whole", "apart"):  # each is made anew: saving changes an object
    config = RunConfiguration("train.py", ["--rate", 0.5], framework="PyTorch", communicator="Nccl")
    config.node_count, config.max_run_duration_seconds, config.priority, config.target = 4, 60, 2, "local"
    config.environment.version, config.environment.docker.base_image = "3", "base:1"
    config.environment.python.conda_dependencies = CondaDependencies.create(python_version="3.8", pip_packages=["six"])
    config.environment_variables = {"A": "", "B": "1"}
    config.history.output_collection, config.history.directories_to_watch = False, ["logs", "more"]
    config.spark.configuration["spark.app.name"] = "mine"
    config.docker.use_docker, config.docker.shared_volumes, config.docker.shm_size = True, False, "4g"
    config.hdi.yarn_deploy_mode, config.mpi.process_count_per_node, config.pytorch.process_count = "client", 2, 8
    config.paralleltask.max_retries_per_worker, config.credential_passthrough = 3, True
    config.data_references = {"x": DataReferenceConfiguration("store", "download", "a/b", overwrite=True)}
    config.amlcompute.vm_size, config.amlcompute._cluster_max_node_count = "D2", 3
    config.kubernetescompute.instance_type, config.source_directory_data_store = "gpu", "store"
    config.auto_cluster_compute_specification = {"a": 1}
    config.services = {"ssh": ApplicationEndpointConfiguration("SSH", 22)}
    config.save(sys.argv[1], f"{name}.runconfig", separate_environment_yaml=name == "apart")
"""
LOAD = """
import json, logging, sys, warnings
logging.disable(logging.CRITICAL); warnings.simplefilter("ignore")
from azureml.core import RunConfiguration
for name in sys.argv[2:]:
    config = RunConfiguration.load(sys.argv[1], name)
    print(json.dumps([json.loads(repr(config)), config.environment.python.conda_dependencies.as_dict()]))
"""


def test_a_run_configuration_of_azures_survives_roost_without_a_loss(
    azure: Callable[..., str], roost: Roost, workspace: Workspace
) -> None:
    azure("-c", SAVE, str(roost.folder / "project"))
    for name in ("whole", "apart"):
        config = RunConfiguration.load("project", name)
        assert config.data_references == {"x": DataReferenceConfiguration("store", "download", "a/b", overwrite=True)}
        config.save("project", f"again-{name}")
    RunConfiguration.load("project", "whole").save("project", "again-split", separate_environment_yaml=True)
    names = ("whole", "again-whole", "again-apart", "again-split")
    read = [json.loads(line) for line in azure("-c", LOAD, str(roost.folder / "project"), *names).splitlines()]
    for config, _ in read:
        config["environment"]["python"].pop("condaDependenciesFile")
        config["environment"]["python"].pop("condaDependencies", None)
        config["environment"]["docker"].pop("platform")
    first, *others = read
    for each in others:
        assert without_additions(each) == without_additions(first)
