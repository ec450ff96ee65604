"""An engine is found by config or context, and works alike by ``unix://``, ``tcp://`` and ``ssh://``."""

from __future__ import annotations

import gc
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import docker_parts
import pytest

from roost.daemon.engines.docker_address import USUAL, ContextMissingError, DockerConfig, find_engine
from roost.daemon.engines.docker_containers import Frames
from roost.daemon.engines.docker_engine import DockerEngine
from roost.daemon.engines.docker_options import ContainerSpec
from roost.store.errors import UsageError


def test_the_config_names_the_engine_and_docker_host_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert find_engine(DockerConfig()).url == USUAL
    assert find_engine(DockerConfig(host="tcp://127.0.0.1:1")).url == "tcp://127.0.0.1:1"
    with pytest.raises(UsageError, match="no address"):
        find_engine(DockerConfig(host="http://127.0.0.1:1"))


def test_a_context_is_found_by_name_and_as_the_current_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    folder = tmp_path / "contexts" / "meta" / sha256(b"mine").hexdigest()
    folder.mkdir(parents=True)
    endpoints = {"docker": {"Host": "unix:///run/mine.sock", "SkipTLSVerify": False}}
    (folder / "meta.json").write_text(json.dumps({"Name": "mine", "Metadata": {}, "Endpoints": endpoints}))
    (tmp_path / "config.json").write_text("{}")
    assert find_engine(DockerConfig(context="mine")).url == "unix:///run/mine.sock"
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    assert find_engine(DockerConfig()).url == "unix:///run/mine.sock"
    with pytest.raises(ContextMissingError, match="other"):
        find_engine(DockerConfig(context="other"))


@pytest.fixture
def tcp_folder(docker_host: str) -> Iterator[tuple[Path, int]]:
    """An engine of its own that also listens on a port of loopback."""
    folder = Path(tempfile.mkdtemp(prefix="rdt", dir="/tmp"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    docker_parts.start(folder, f"--host=tcp://127.0.0.1:{port}", "--tls=false")
    yield folder, port
    docker_parts.clear(folder)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK never waits for the ssh processes that it starts
@pytest.mark.parametrize("scheme", ["tcp", "ssh"])
async def test_a_container_runs_over_the_network_too(
    scheme: str, tcp_folder: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, port = tcp_folder
    image = docker_parts.import_image(f"unix://{folder}/d.sock", "base", docker_parts.BASE)
    host = f"tcp://127.0.0.1:{port}"
    if scheme == "ssh":  # a stand-in for ssh itself, which would only carry the bytes: the far end is the real one
        shim = tmp_path / "bin" / "ssh"
        shim.parent.mkdir()
        shim.write_text(f"#!/bin/sh\nDOCKER_HOST=unix://{folder}/d.sock exec docker system dial-stdio\n")
        shim.chmod(0o755)
        monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
        host = "ssh://somebody@far.example"
    engine = DockerEngine(DockerConfig(host=host), str(tmp_path))
    assert await engine.image(image) is not None
    command = ["sh", "-c", "read line; echo got $line; exit 3"]
    containers = engine.containers
    container = await containers.create(ContainerSpec(image=image, command=command, cwd=str(tmp_path), user="0:0"))
    reader, writer = await containers.attach(container)
    await containers.start(container)
    writer.write(b"hello\n")
    await writer.drain()
    frames, output = Frames(), b""
    while b"\n" not in output:
        output += b"".join(frames.feed(await reader.read(1024)))
    assert output == b"got hello\n"
    assert await containers.wait(container) == 3
    await containers.remove(container)
    writer.close()
    await containers.remove(container)
    engine.close()
    del engine, containers, reader, writer
    gc.collect()
