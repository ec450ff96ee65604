"""Files of Azure's CLI v2 and of other tools from the command line: read through, or refused with the way."""

from __future__ import annotations

import pytest
from tests.e2e.test_workspace import SAY, TRAIN
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

JOB = "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json\ncommand: python a.py\n"


@pytest.fixture
def train(roost: Roost, pip_index: PipIndex) -> Roost:
    """Two registered versions of an environment, and no file of it."""
    for version, colour in (("1.0", "red"), ("2.0", "blue")):
        pip_index.wheel("toy", version)
        roost.write("roost.toml", TRAIN.format(version=version, colour=colour))
        roost.ok("env", "register")
    (roost.folder / "roost.toml").unlink()
    return roost


def test_a_job_runs_in_the_environment_that_it_names(train: Roost) -> None:
    say = ("-f", "job.yml", "--", "python", "-c", SAY)
    train.write("job.yml", f"{JOB}environment: azureml:train:1\n")
    assert train.ok("run", *say) == "1.0 red\n"
    assert train.json("runs", "list")["runs"][0]["environment"] == {"name": "train", "version": 1}
    assert train.ok("exec", *say) == "1.0 red\n"
    train.write("job.yml", f"{JOB}environment: azureml:train@latest\n")
    assert train.ok("exec", *say) == "2.0 blue\n"
    assert train.ok("exec", *say) == "2.0 blue\n", "by a launch plan"
    train.ok("env", "archive", "train:2")
    assert train.ok("exec", *say) == "1.0 red\n", "what a plan was made for has another label's version now"
    digest = train.json("digest", "-f", "job.yml")["definition_digest"]
    assert digest == train.json("digest", "-e", "train:1")["definition_digest"]


def test_variables_of_a_job_come_on_top_and_make_no_version_of_the_environment(train: Roost) -> None:
    train.write("jobs/job.yml", f"{JOB}environment: azureml:train\nenvironment_variables: {{COLOUR: green}}\n")
    assert train.ok("run", "-f", "jobs/job.yml", "--", "python", "-c", SAY) == "2.0 green\n"
    assert train.json("runs", "list")["runs"][0]["environment"] == {"name": "jobs", "version": 1}
    assert [each["version"] for each in train.json("env", "versions", "train")["versions"]] == [2, 1]
    train.write("a.runconfig", '{"script": "a", "framework": "python", "environment": {"name": "train", "version": 1}}')
    assert train.ok("exec", "-f", "a.runconfig", "--", "python", "-c", SAY) == "1.0 red\n"


def test_files_without_an_environment_are_refused_with_their_place(roost: Roost) -> None:
    files = {
        "job.yml": (f"{JOB}environment: azureml:none@latest\n", 7, "environment-unknown", 3),
        "registry.yml": (f"{JOB}environment: azureml://registries/a/environments/b/labels/latest\n", 3, None, 3),
        "compose.yml": ("services: {a: {image: b}}\n", 3, "definition-format-unread", 1),
        "typo.yml": ("channels: [a]\ndependancies: [python]\n", 3, "key-misspelled", 2),
        "mapping.yml": ("dependencies:\n- python: 3.11\n", 3, "dependency-form", 2),
        "d/Dockerfile": ("FROM debian:12-slim\nCOPY . /x\n", 3, "context-unnamed", 2),
    }
    for name, (text, status, code, line) in files.items():
        roost.write(name, text)
        error = roost.failed(status, "plan", "-f", name)
        assert error["code"] == (code or "azure-environment-unreadable")
        assert (error["location"]["path"], error["location"]["line"]) == (str(roost.folder / name), line)
    assert f"-f {roost.folder}/d" in error["hint"]
    assert roost.json("digest", "-f", "d")["definition_digest"]


def test_a_dockerfile_of_another_name_is_exported_and_registered_with_its_context(roost: Roost) -> None:
    roost.write("d/docker/gpu.Dockerfile", "FROM debian:12-slim\nCOPY word /x\n")
    roost.write("d/word", "x")
    roost.write("e.yml", "name: e\nbuild: {path: d, dockerfile_path: docker/gpu.Dockerfile}\n")
    digest = roost.json("digest", "-f", "e.yml")["definition_digest"]
    for format, main in (("azure-v2", "environment.yml"), ("roost", "roost.toml")):
        target = "out" if format == "azure-v2" else "own/roost.toml"
        (roost.folder / "own").mkdir(exist_ok=True)
        roost.ok("env", "export", "-f", "e.yml", "--format", format, "-o", target)
        path = f"out/{main}" if format == "azure-v2" else target
        assert roost.json("digest", "-f", path)["definition_digest"] == digest
    roost.ok("env", "register", "-f", "e.yml")
    (roost.folder / "d/docker/gpu.Dockerfile").unlink()
    shown = roost.json("env", "show", "e")
    assert shown["definition_digest"] == digest
    assert shown["definition"]["base"]["context"]["dockerfile"] == "docker/gpu.Dockerfile"
    kept = roost.root / "snapshots" / shown["definition"]["base"]["context"]["digest"].removeprefix("sha256:") / "d"
    assert (kept / "docker/gpu.Dockerfile").read_text().startswith("FROM debian")
