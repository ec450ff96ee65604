"""``[container] arguments`` in a real engine: what they do there, and what it says of those that it can't follow."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import debian_parts
import docker_parts
import pytest
from roost_process import Roost


def _definition(roost: Roost, image: str, *arguments: str) -> None:
    text = f'[base]\nimage = "{image}"\n[python]\nuser_managed = true\ninterpreter = "/bin/sh"\n'
    roost.write("roost.toml", f"{text}[container]\narguments = {list(arguments)}\n")
    roost.folder.chmod(0o755)  # for users other than its owner


@pytest.mark.parametrize(
    ("user", "expected"), [("1234:1234", "1234:1234 700"), ("1234", "1234:0 700"), ("nobody", "0:0 1777")]
)
def test_another_user_can_use_its_home(user: str, expected: str, docker_roost: Roost, base_image: str):
    _definition(docker_roost, base_image, f"--user {user}")
    script = 'echo kept > ~/file && cat ~/file && stat -c "%u:%g %a" ~'
    assert docker_roost.ok("run", "--", "sh", "-c", script) == f"kept\n{expected}\n"


@pytest.fixture
def cdi_host(newer_docker_host: str) -> Iterator[str]:
    """The address of an engine that gives a device by its name in CDI: ``vendor.com/class=name`` sets a variable."""
    folder = Path(tempfile.mkdtemp(prefix="rdc", dir="/tmp"))
    device = {"name": "name", "containerEdits": {"env": ["DEVICE=given"]}}
    (folder / "vendor.json").write_text(
        json.dumps({"cdiVersion": "0.5.0", "kind": "vendor.com/class", "devices": [device]})
    )
    (folder / "daemon.json").write_text(json.dumps({"features": {"cdi": True}, "cdi-spec-dirs": [str(folder)]}))
    try:
        program = debian_parts.unpacked("docker.io") / "usr/sbin/dockerd"
        docker_parts.start(folder, f"--config-file={folder}/daemon.json", program=str(program))
        docker_parts.import_image(f"unix://{folder}/d.sock", "base", docker_parts.BASE)
        yield f"unix://{folder}/d.sock"
    finally:
        docker_parts.clear(folder)


def test_a_device_is_given_by_its_name_in_cdi(docker_roost: Roost, cdi_host: str):
    docker_roost.config.write_text(f'[docker]\nhost = "{cdi_host}"\n')
    _definition(docker_roost, docker_parts.BASE, "--device vendor.com/class=name")
    assert docker_roost.ok("run", "--", "sh", "-c", "echo $DEVICE") == "given\n"


def test_an_engine_that_gives_no_devices_by_their_names_is_told_as_such(docker_roost: Roost, base_image: str):
    _definition(docker_roost, base_image, "--device vendor.com/class=name")
    body = docker_roost.failed(125, "run", "--", "true")
    assert body["code"] == "container-argument"
    assert "cdi" in body["message"], "the engine's own words"
    assert "daemon.json" in body["hint"]
