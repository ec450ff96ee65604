"""``[container] arguments`` in a real engine: what they do there, and what it says of those that it can't follow."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import docker
import pytest
from tests.support.images import debian as debian_parts
from tests.support.images import engines as docker_parts
from tests.support.roost_process import Roost

from roost.daemon.engines.docker.engine import DockerEngine
from roost.daemon.engines.docker.errors import ContainerArgumentError, ImageMissingError, ImagePlatformError
from roost.daemon.engines.docker.values import ContainerSpec, DockerConfig


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


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--volumes-from nosuch", "No such container: nosuch"),
        ("--ipc container:nosuch", "No such container: nosuch"),
        ("--network container:nosuch", "No such container: nosuch"),
        ("--network nosuch", "network nosuch not found"),
        ("--device /dev/nosuch", '"/dev/nosuch": no such file or directory'),
    ],
)
def test_what_the_engine_has_not_is_told_in_its_words_and_not_tried_again(
    argument: str, said: str, docker_roost: Roost, base_image: str
):
    _definition(docker_roost, base_image, argument)
    body = docker_roost.failed(125, "run", "--", "true")
    assert body["code"] == "container-argument"
    assert said in body["message"]
    assert "[container] arguments" in body["hint"]
    assert [each["state"] for each in docker_roost.json("runs", "list")["runs"]] == ["failed"]


async def _created(host: str, folder: Path, **more: Any) -> None:
    engine = DockerEngine(DockerConfig(host=host), str(folder))
    try:
        await engine.containers.create(ContainerSpec(command=["true"], cwd=str(folder), user="0:0", **more))
    finally:
        engine.close()


async def test_an_image_for_another_platform_is_not_taken_for_one_that_is_missing(
    docker_host: str, base_image: str, client: docker.DockerClient, tmp_path: Path
):
    for image in (base_image, client.images.get(base_image).id):
        with pytest.raises(ImagePlatformError, match="linux/s390x"):
            await _created(docker_host, tmp_path, image=image, platform="linux/s390x")
    with pytest.raises(ImageMissingError, match="No such image"):
        await _created(docker_host, tmp_path, image="sha256:" + "0" * 64)


class _Answer(BaseHTTPRequestHandler):
    """Newer engines than the tests have: what an argument names and is not there is 404, as an image would be."""

    said: ClassVar[dict[str, str]] = {"message": "No such container: nosuch"}
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, {"ApiVersion": "1.44", "Version": "29.0"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(404, self.said)

    def _send(self, status: int, body: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


async def test_an_engine_that_answers_not_found_of_an_argument_is_not_taken_to_lack_the_image(tmp_path: Path):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"tcp://127.0.0.1:{server.server_port}"
        with pytest.raises(ContainerArgumentError, match="No such container: nosuch"):
            await _created(host, tmp_path, image="sha256:" + "0" * 64, arguments=["--volumes-from nosuch"])
        server.shutdown()
