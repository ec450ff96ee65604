"""Files that contain no environment. conda opens each as an empty one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.model.readers.mistakes.test_near_keys import read

from roost.model.definition import Definition
from roost.model.readers.mistakes import near_keys
from roost.model.readers.mistakes.file_signatures import PACKAGE_KEYS, SIGNATURES
from roost.model.readers.mistakes.near_keys import find_near_key
from roost.model.readers.mistakes.other_files import CONDA_KEYS, CONDA_TOOL_KEYS

FILES = {
    "a compose file": "services:\n  web:\n    build: .\nvolumes: {}\n",
    "a GitHub Actions workflow": "name: ci\non: [push]\njobs: {test: {runs-on: x}}\n",
    "an Azure Pipelines definition": "trigger: [main]\npool: {vmImage: x}\nsteps: []\n",
    "a GitLab CI file": "image: python:3.11\nstages: [test]\nvariables: {A: 1}\n",
    "a Kubernetes manifest": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n",
    "a Helm chart": "apiVersion: v2\nname: x\nversion: 1.0.0\n",
    "a dev container configuration": '{"name": "x", "image": "a:1", "features": {}}\n',
    "a conda recipe": "package: {name: x, version: 1}\nbuild: {number: 0}\nrequirements: {run: [python]}\n",
    "a conda configuration file": "channels: [conda-forge]\nchannel_priority: strict\n",
    "an MLflow model": "flavors: {}\nrun_id: x\n",
    "a pre-commit configuration": "repos: []\n",
    "a DVC pipeline": "stages: {train: {cmd: x}}\n",
    "a Jupyter notebook": json.dumps({"cells": [], "metadata": {}, "nbformat": 4}),
}


@pytest.mark.parametrize(("what", "text"), FILES.items(), ids=FILES)
def test_a_file_of_another_tool_is_refused_by_its_name(what, text):
    (error,) = read(text).errors
    assert error.code == "definition-format-unread"
    assert what in error.message
    assert error.hint
    assert error.location is not None
    assert error.location.line == 1


def test_the_environment_file_that_another_tools_file_names_is_the_way():
    (error,) = read("name: x\nconda_env: deps/conda.yaml\nentry_points: {}\n").errors
    assert "an MLflow project" in error.message
    assert error.hint == "Its environment is in 'deps/conda.yaml': name that file."


@pytest.mark.parametrize("key", PACKAGE_KEYS)
def test_packages_under_another_key_are_shown_where_they_belong(key):
    (error,) = read(f"name: x\nchannels: [conda-forge]\n{key}: [python]\n").errors
    assert (error.code, error.location and error.location.line) == ("definition-format-unread", 3)
    assert "'dependencies'" in error.hint


@pytest.mark.parametrize("text", ["- numpy\n- pandas\n", "- hosts: all\n  tasks: []\n", "- 1\n", "- [a]\n"])
def test_a_list_is_refused(text):
    (error,) = read(text).errors
    assert error.code == "definition-format-unread"


@given(st.sets(st.sampled_from(CONDA_KEYS), min_size=1), st.sets(st.sampled_from(CONDA_TOOL_KEYS)))
def test_a_mapping_of_an_environments_keys_is_one(keys, others):
    document = read("".join(f"{key}:\n" for key in [*sorted(keys), *sorted(others)]))
    assert document.errors == ()
    assert document.result is not None
    assert document.result.definition == Definition()


KNOWN = {*CONDA_KEYS, *CONDA_TOOL_KEYS, "image", "build", "docker", "conda_file"}


@given(
    st.sets(st.sampled_from([key for key in CONDA_KEYS if key != "dependencies"])),
    st.text("abcdefghijklmnopqrstuvwxyz_-", min_size=1, max_size=15).filter(
        lambda key: key not in KNOWN and key.strip("-_") and not find_near_key(key, CONDA_KEYS)
    ),
)
def test_a_mapping_with_any_other_key_is_none(keys, other):
    (error,) = read("".join(f"{key}:\n" for key in sorted(keys)) + f'"{other}": 1\n').errors
    assert error.code == "definition-format-unread"


def test_with_dependencies_any_key_is_passed_over_as_conda_does():
    others = {key for signature in SIGNATURES for key in signature.every} - {"apiVersion", "version"}
    keys = [key for key in sorted(others) if not find_near_key(key, CONDA_KEYS) and key not in CONDA_KEYS]
    document = read("dependencies: [python]\n" + "".join(f"{key}: 1\n" for key in keys))
    assert document.errors == ()
    assert len(document.problems) == len(keys)


@pytest.mark.parametrize("above", ["", "dependencies: []\n"])
def test_thousands_of_unknown_keys_are_not_each_compared_with_the_known(monkeypatch, above):
    compared: list[str] = []
    real = near_keys._measure_distance
    monkeypatch.setattr(near_keys, "_measure_distance", lambda key, known: compared.append(key) or real(key, known))
    read(above + "".join(f"chamel{number}: 1\n" for number in range(5_000)))
    assert len(set(compared)) <= near_keys.MOST_KEYS
