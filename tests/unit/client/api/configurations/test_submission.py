"""The request that submits a run, with a daemon that answers nothing but a canonical definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roost.client import (
    DockerConfiguration,
    Environment,
    EnvironmentReference,
    ScriptRunConfig,
    UnsupportedError,
    UsageError,
)
from roost.client.api.configurations.submission import submission_request
from roost.client.api.connection import WorkspaceConnection

VIEW = {
    "name": "train",
    "version": 3,
    "definition": {"pip": {"requirements": ["six"]}},
    "settings": {"container": {"shm_size": "1g"}},
    "definition_digest": "sha256:0",
    "kind": "system-managed",
    "labels": ["latest"],
}


class AnsweringConnection(WorkspaceConnection):
    """Answers digests and environments without a daemon."""

    def _request(self, method: str, target: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"canonical": {"pip": "${INDEX_TOKEN}"}} if target == "/v1/digests" else VIEW


def request(folder: Path, environment: Environment | EnvironmentReference | None, **given: Any) -> dict[str, Any]:
    config = ScriptRunConfig(
        folder, "a.py", environment=environment, docker_runtime_config=DockerConfiguration(**given)
    )
    return submission_request(AnsweringConnection(), config, "first")


def test_without_an_environment_the_folder_and_the_containers_options_are_sent(tmp_path: Path) -> None:
    sent = request(tmp_path, None, arguments=["--gpus=all"])
    assert sent["what"] == {"cwd": str(tmp_path), "command": ["python", "a.py"]}
    assert (sent["container"], sent["target"], sent["experiment"]) == ({"arguments": ["--gpus=all"]}, "auto", "first")


def test_a_registered_version_is_named_and_stays_as_it_is(tmp_path: Path) -> None:
    sent = request(tmp_path, EnvironmentReference("train"), shm_size="2g", use_docker=True)
    assert sent["what"]["environment"] == "train:3"
    assert (sent["container"], sent["target"]) == ({"shm_size": "2g"}, "docker")


def test_a_description_gets_the_containers_options_as_settings(tmp_path: Path) -> None:
    environment = Environment("fresh")
    environment.docker.enabled, environment.docker.arguments = True, ["--hostname=box"]
    sent = request(tmp_path, environment, shm_size="2g")
    assert sent["what"]["document"]["container"] == {"shm_size": "2g", "arguments": ["--hostname=box"]}
    assert (sent["container"], sent["target"]) == ({}, "docker")
    assert environment.docker.shm_size is None, "the object does not change"


def test_values_of_variables_in_the_definition_are_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "x")
    assert request(tmp_path, None)["what"]["environ"] == {"INDEX_TOKEN": "x"}


def test_a_source_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no folder"):
        request(tmp_path / "none", None)


def test_a_description_without_a_name_is_called_after_the_source_folder(tmp_path: Path) -> None:
    environment = Environment(None)
    environment.environment_variables = {"A": ""}
    sent = request(tmp_path, environment)
    assert sent["what"]["document"] == {"name": tmp_path.name, "variables": {"A": ""}}
    assert environment.name is None, "the object does not change"


def test_volumes_are_demanded_of_a_container_only(tmp_path: Path) -> None:
    assert request(tmp_path, Environment("x"), shared_volumes=False)["target"] == "auto"
    based = Environment("x")
    based.docker.base_image = "debian:12-slim"
    for environment, in_docker in ((Environment("x"), True), (based, False)):
        with pytest.raises(UnsupportedError, match=r"docker\.shared_volumes = False"):
            request(tmp_path, environment, shared_volumes=False, use_docker=in_docker)
