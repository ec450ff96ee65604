"""A registry that wants a password: the engine's pulls, and roost's own pushes and pulls, by Docker's config and by a
credential helper; nothing of it is kept."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images.machines import machine, write_definition
from tests.support.images.registries import Registries, RegistryProcess, registry
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

HTPASSWD = "$2y$05$1gvPWL8ohZO0l/teCkIrhek.THEyr96OSAqJsJ64hSS9QOoMqdRm."
"""Of ``swordfish 4711``, as `htpasswd -nbB` writes it."""
USER, PASSWORD = "somebody", "swordfish 4711"
SIX = ("run", "-t", "docker", "--", "python", "-c", "import six; print(six.__version__)")


@pytest.fixture
def locked() -> Iterator[RegistryProcess]:
    with registry(users={USER: HTPASSWD}) as made:
        yield made


class Login:
    """A folder for Docker's config, as ``docker login`` leaves it."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host
        self.folder.mkdir()
        self.out()

    @property
    def variables(self) -> dict[str, str]:
        return {"DOCKER_CONFIG": str(self.folder), "PATH": f"{self.folder}:{os.environ['PATH']}"}

    def out(self) -> None:
        self._config({})

    def in_config(self, password: str = PASSWORD) -> None:
        pair = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._config({"auths": {self.host: {"auth": pair}}})

    def in_helper(self) -> None:
        """A program that speaks Docker's protocol, and notes what it was asked."""
        answer = json.dumps({"ServerURL": self.host, "Username": USER, "Secret": PASSWORD})
        program = self.folder / "docker-credential-roost-here"
        program.write_text(f"#!/bin/sh\ncat >> {self.folder}/asked\necho '{answer}'\n")
        program.chmod(0o755)
        self._config({"credHelpers": {self.host: "roost-here"}})

    def _config(self, config: dict) -> None:
        (self.folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def login(locked: RegistryProcess, tmp_path: Path) -> Login:
    return Login(tmp_path / "docker", locked.host)


def _hold_no_secret(*folders: Path) -> None:
    forms = [PASSWORD.encode(), base64.b64encode(f"{USER}:{PASSWORD}".encode())]
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert not any(form in data for form in forms), path


def _own_image(client: docker.DockerClient, base_image: str, locked: RegistryProcess) -> tuple[str, str]:
    """An image of the test's own in the registry alone: its repository (tag ``1``) and id."""
    name = f"{locked.host}/team/base"
    container = client.containers.create(base_image, "true")
    image = str(container.commit(name, "1", changes=f"LABEL at={locked.host}").id)
    container.remove()
    client.images.push(name, "1", auth_config={"username": USER, "password": PASSWORD})
    client.images.remove(image, force=True)
    return name, image


WAYS = {
    "variables": 'username_variable = "TEAM_USER"\npassword_variable = "TEAM_TOKEN"',
    "helper": 'helper = "roost-here"',
    "docker_config": 'docker_config = "{folder}/other.json"',
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_the_config_says_where_the_credentials_of_a_host_are(
    way: str,
    locked: RegistryProcess,
    login: Login,
    docker_roost: Roost,
    client: docker.DockerClient,
    base_image: str,
):
    """For the engine's pulls and roost's own pushes and reads; Docker's own config knows nothing."""
    name, image = _own_image(client, base_image, locked)
    login.in_config()
    (login.folder / "config.json").rename(login.folder / "other.json")
    login.in_helper()
    login.out()
    settings = docker_roost.config.read_text() + f'[registries]\nworkspace = "{locked.host}/own"\n'
    table = f'[registries.credentials."{locked.host}"]\n{WAYS[way].format(folder=login.folder)}\n'
    docker_roost.config.write_text(settings)
    docker_roost.variables.update({**login.variables, "TEAM_USER": USER, "TEAM_TOKEN": PASSWORD})
    words = ("run", "--image", f"{name}:1", "--", "echo", "ran")
    assert docker_roost.run(*words).returncode == 125
    docker_roost.config.write_text(settings + table)
    assert docker_roost.ok(*words) == "ran\n"
    [pushed] = docker_roost.json("image", "push", "--image", f"{name}:1")["build"]["artifacts"]
    assert pushed["digest"] == image
    client.images.remove(image, force=True)
    docker_roost.config.write_text(settings)
    assert docker_roost.run(*words).returncode == 125, "nothing is remembered"
    _hold_no_secret(docker_roost.root)


def test_a_dockerfile_builds_on_an_image_of_a_locked_registry(
    locked: RegistryProcess, login: Login, docker_roost: Roost, client: docker.DockerClient, base_image: str
):
    name, _ = _own_image(client, base_image, locked)
    docker_roost.variables.update({**login.variables, "TEAM_USER": USER, "TEAM_TOKEN": PASSWORD})
    docker_roost.write("Dockerfile", f"FROM {name}:1 AS one\nRUN echo made > /made\n")
    docker_roost.write("roost.toml", '[base]\ndockerfile = "Dockerfile"\n')
    assert docker_roost.failed(4, "build")["code"] == "engine-failed"
    table = f'[registries.credentials."{locked.host}"]\n{WAYS["variables"]}\n'
    docker_roost.config.write_text(docker_roost.config.read_text() + table)
    assert docker_roost.ok("run", "--", "cat", "/made") == "made\n"
    [made] = docker_roost.json("image", "list")["images"]
    client.images.remove(made["digest"], force=True)
    client.images.remove(f"{name}:1", force=True)
    _hold_no_secret(docker_roost.root)


def test_a_variable_that_the_config_names_and_nobody_set_is_told(locked: RegistryProcess, docker_roost: Roost):
    table = f'[registries.credentials."{locked.host}"]\n{WAYS["variables"]}\n'
    docker_roost.config.write_text(docker_roost.config.read_text() + table)
    refused = docker_roost.failed(125, "run", "--image", f"{locked.host}/team/base:1", "--", "true")
    assert "TEAM_USER and TEAM_TOKEN" in refused["message"], refused


def test_azures_base_image_registry_refers_to_variables_of_the_caller(
    locked: RegistryProcess, login: Login, docker_roost: Roost, client: docker.DockerClient, base_image: str
):
    _, image = _own_image(client, base_image, locked)
    docker_roost.variables.update(login.variables)
    registry_of = {"address": locked.host, "username": "${REG_USER}", "password": "${REG_PASSWORD}"}
    azure = {
        "name": "az",
        "docker": {"baseImage": "team/base:1", "baseImageRegistry": registry_of},
        "python": {"userManagedDependencies": True, "interpreterPath": "/bin/sh"},
    }
    docker_roost.write("azureml_environment.json", json.dumps(azure))
    words = ("run", "-f", "azureml_environment.json", "--", "echo", "ran")
    refused = docker_roost.failed(125, *words)
    assert refused["code"] == "variable-missing"
    assert "REG_PASSWORD" in refused["hint"]
    assert docker_roost.ok(*words, variables={"REG_USER": USER, "REG_PASSWORD": PASSWORD}) == "ran\n"
    assert docker_roost.ok(*words) == "ran\n", "what is here needs no password"
    client.images.remove(image, force=True)
    wrong = docker_roost.run(*words, variables={"REG_USER": USER, "REG_PASSWORD": "wrong"})
    assert wrong.returncode == 125, "nothing is remembered"
    _hold_no_secret(docker_roost.root, docker_roost.folder)


def test_the_engine_pulls_with_what_docker_knows(
    locked: RegistryProcess, login: Login, docker_roost: Roost, client: docker.DockerClient, base_image: str
):
    name, image = _own_image(client, base_image, locked)
    docker_roost.variables.update(login.variables)
    words = ("run", "--image", f"{name}:1", "--", "echo", "ran")
    refused = docker_roost.failed(125, *words)
    assert (refused["code"], "401" in refused["message"]) == ("base-unreachable", True)
    login.in_config("wrong")
    assert docker_roost.run(*words).returncode == 125
    for enter in (login.in_config, login.in_helper):
        enter()
        assert docker_roost.ok(*words) == "ran\n"
        client.images.remove(image, force=True)
    assert locked.host in (login.folder / "asked").read_text()
    login.out()
    assert docker_roost.run(*words).returncode == 125, "nothing is remembered"
    _hold_no_secret(docker_roost.root)


@pytest.mark.long
@pytest.mark.parametrize("way", ["config", "helper"])
def test_images_and_locks_go_through_a_locked_workspace(
    way: str,
    channel_url: str,
    docker_host: str,
    base_image: str,
    locked: RegistryProcess,
    login: Login,
    client: docker.DockerClient,
    prepared_root: Path,
):
    registries = Registries(workspace=locked, catalogue=locked)
    index = PipIndex()
    with contextlib.ExitStack() as stack:
        stack.callback(index.close)
        three = [
            stack.enter_context(machine(channel_url, index, docker_host, registries, prepared=prepared_root))
            for _ in range(3)
        ]
        for each in three:
            each.variables.update(login.variables)
            write_definition(each, base_image)
        stranger, first, second = three
        denied = stranger.failed(6, "image", "push")
        assert (denied["code"], locked.host in denied["message"]) == ("registry-unknown", True)
        login.in_config() if way == "config" else login.in_helper()
        pushed = first.json("image", "push")["build"]["artifacts"][0]
        assert pushed["reference"].startswith(f"{locked.host}/team/images:")
        [plan] = second.json("plan")["plans"]
        assert (plan["action"], plan["artifact"]["digest"]) == ("pull-image", pushed["digest"])
        assert second.ok(*SIX) == "1.16.0\n"
        client.images.remove(pushed["digest"], force=True)
        login.out()
        [plan] = second.json("plan", "-t", "docker")["plans"]
        assert "registry-unknown" in [reason["code"] for reason in plan["reasons"]], "unknown, and not absent"
        _hold_no_secret(*(each.root for each in three))
