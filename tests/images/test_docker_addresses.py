"""An engine is found by config or context, and works alike by ``unix://``, ``tcp://`` and ``ssh://``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import getpass
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.images import engines as docker_parts
from tests.support.images.debian import missing
from tests.support.images.registries import free_port

from roost.daemon.engines.docker.address import DEFAULT_URL, find_engine
from roost.daemon.engines.docker.containers import FrameDecoder
from roost.daemon.engines.docker.engine import DockerEngine
from roost.daemon.engines.docker.errors import ContextMissingError, EngineUnreachableError
from roost.daemon.engines.docker.values import ContainerSpec, DockerConfig
from roost.daemon.jobs.progress import Silent
from roost.model.errors import InvalidRequestError


def test_the_config_names_the_engine_or_else_the_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    empty = {"DOCKER_CONFIG": str(tmp_path)}
    assert find_engine(DockerConfig(variables=empty)).url == DEFAULT_URL
    caller = {**empty, "DOCKER_HOST": "tcp://10.0.0.2:2375", "DOCKER_CONTEXT": "none"}
    found = find_engine(DockerConfig(variables=caller))
    assert (found.url, found.tls) == ("tcp://10.0.0.2:2375", None)
    assert find_engine(DockerConfig(host="tcp://127.0.0.1:1", variables=caller)).url == "tcp://127.0.0.1:1"
    with pytest.raises(InvalidRequestError, match="not the address"):
        find_engine(DockerConfig(host="http://127.0.0.1:1"))
    with pytest.raises(InvalidRequestError, match="not the address") as caught:
        find_engine(DockerConfig(variables={"DOCKER_HOST": "http://127.0.0.1:1"}))
    assert "DOCKER_HOST begins with" in caught.value.hint


def test_a_callers_tls_files_are_used_if_verification_is_wanted(tmp_path: Path):
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text("x")
    caller = {"DOCKER_HOST": "tcp://10.0.0.2:2376", "DOCKER_CERT_PATH": str(tmp_path)}
    assert find_engine(DockerConfig(variables=caller)).tls is None
    tls = find_engine(DockerConfig(variables={**caller, "DOCKER_TLS_VERIFY": "1"})).tls
    assert tls is not None
    assert (tls.verify, tls.ca_cert, tls.cert[0]) == (True, str(tmp_path / "ca.pem"), str(tmp_path / "cert.pem"))


def test_a_context_is_found_by_name_and_as_the_current_one(tmp_path: Path):
    caller = {"DOCKER_CONFIG": str(tmp_path)}
    folder = tmp_path / "contexts" / "meta" / sha256(b"mine").hexdigest()
    folder.mkdir(parents=True)
    endpoints = {"docker": {"Host": "unix:///run/mine.sock", "SkipTLSVerify": False}}
    (folder / "meta.json").write_text(json.dumps({"Name": "mine", "Metadata": {}, "Endpoints": endpoints}))
    (tmp_path / "config.json").write_text("{}")
    assert find_engine(DockerConfig(context="mine", variables=caller)).url == "unix:///run/mine.sock"
    assert find_engine(DockerConfig(variables={**caller, "DOCKER_CONTEXT": "mine"})).url == "unix:///run/mine.sock"
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    assert find_engine(DockerConfig(variables=caller)).url == "unix:///run/mine.sock"
    assert find_engine(DockerConfig(variables={**caller, "DOCKER_CONTEXT": "default"})).url == DEFAULT_URL
    with pytest.raises(ContextMissingError, match="other"):
        find_engine(DockerConfig(context="other", variables=caller))
    (folder / "meta.json").write_text("[]")
    with pytest.raises(EngineUnreachableError, match="can't be read"):
        find_engine(DockerConfig(context="mine", variables=caller))


@pytest.fixture
def ambient(monkeypatch: pytest.MonkeyPatch, buildx: dict[str, str]) -> pytest.MonkeyPatch:
    """Docker's config in a folder of the test, with buildx; and what must not count."""
    around = {**buildx, "REQUESTS_CA_BUNDLE": "/dev/null", "HTTPS_PROXY": "http://127.0.0.1:1"}
    for name, value in {**around, "HTTP_PROXY": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@contextlib.contextmanager
def _listening(*options: str) -> Iterator[tuple[Path, int]]:
    """An engine of its own that also listens on a port of loopback."""
    folder = Path(tempfile.mkdtemp(prefix="rdt", dir="/tmp"))
    port = free_port()
    try:
        docker_parts.start(folder, f"--host=tcp://127.0.0.1:{port}", *options)
        docker_parts.import_image(f"unix://{folder}/d.sock", "base", docker_parts.BASE)
        yield folder, port
    finally:
        docker_parts.clear(folder)


async def _talk(engine: DockerEngine, folder: Path) -> None:
    """Everything that goes over the wire differently: calls, streams both ways, and what BuildKit needs."""
    image = docker_parts.BASE
    assert await engine.images.find(image) is not None
    command = ["sh", "-c", "echo got $(cat); exit 3"]
    containers = engine.containers
    container = await containers.create(ContainerSpec(image=image, command=command, cwd=str(folder), user="0:0"))
    streams = await containers.attach(container)
    await containers.start(container)
    streams.writer.write(b"hello\n")
    await streams.writer.drain()
    streams.end_input()
    frames, output = FrameDecoder(), b""
    while b"\n" not in output:
        output += b"".join(frames.feed(await streams.reader.read(1024)))
    assert output == b"got hello\n"
    assert await containers.wait(container) == 3
    await containers.remove(container)
    streams.close()
    await containers.remove(container)
    step = "RUN --mount=type=cache,target=/c echo made > /made"
    assert await engine.build_dockerfile(f"FROM {image}\n{step}\n", progress=Silent())
    engine.close()


async def test_a_container_runs_over_a_plain_port(docker_host: str, tmp_path: Path, ambient: pytest.MonkeyPatch):
    with _listening("--tls=false") as (_, port):
        await _talk(DockerEngine(DockerConfig(host=f"tcp://127.0.0.1:{port}"), str(tmp_path)), tmp_path)


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _certificates(folder: Path) -> None:
    """An authority, and what it signed for the engine at 127.0.0.1 and for a client."""
    folder.mkdir()
    key = ("-newkey", "rsa:2048", "-nodes")
    _openssl(folder, "req", "-x509", *key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=tests")
    for name, usage, more in (("server", "serverAuth", "subjectAltName=IP:127.0.0.1\n"), ("client", "clientAuth", "")):
        request, certificate = f"{name}.csr", f"{name}.pem"
        (folder / f"{name}.ext").write_text(f"extendedKeyUsage={usage}\n{more}")
        _openssl(folder, "req", *key, "-keyout", f"{name}-key.pem", "-out", request, "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2")
        _openssl(folder, "x509", "-req", "-in", request, "-out", certificate, *signed, "-extfile", f"{name}.ext")


def _context(config: Path, name: str, address: str, certificates: Path | None) -> None:
    """As ``docker context create`` leaves it."""
    digest = sha256(name.encode()).hexdigest()
    meta, tls = config / "contexts/meta" / digest, config / "contexts/tls" / digest / "docker"
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": address, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    (config / "config.json").write_text("{}")
    if certificates is not None:
        tls.mkdir(parents=True)
        for name_there, name_here in (("ca", "ca"), ("cert", "client"), ("key", "client-key")):
            (tls / f"{name_there}.pem").write_bytes((certificates / f"{name_here}.pem").read_bytes())


async def test_a_container_runs_over_tls_with_the_certificates_of_a_context(
    docker_host: str, tmp_path: Path, ambient: pytest.MonkeyPatch
):
    if not shutil.which("openssl"):
        missing("there is no openssl to make certificates with")
    await asyncio.to_thread(_certificates, certificates := tmp_path / "certificates")
    served = [f"--tlscert={certificates}/server.pem", f"--tlskey={certificates}/server-key.pem"]
    config = Path(os.environ["DOCKER_CONFIG"])
    with _listening("--tlsverify", f"--tlscacert={certificates}/ca.pem", *served) as (_, port):
        _context(config, "far", f"tcp://127.0.0.1:{port}", certificates)
        await _talk(
            DockerEngine(DockerConfig(context="far", variables={"DOCKER_CONFIG": str(config)}), str(tmp_path)), tmp_path
        )
        for shown in ("cert", "key"):
            (config / "contexts/tls" / sha256(b"far").hexdigest() / "docker" / f"{shown}.pem").unlink()
        stranger = DockerEngine(DockerConfig(context="far", variables={"DOCKER_CONFIG": str(config)}), str(tmp_path))
        with pytest.raises(EngineUnreachableError, match="certificate"):
            await stranger.ping()
        stranger.close()


@pytest.fixture
def ssh(tmp_path: Path, ambient: pytest.MonkeyPatch) -> Iterator[Callable[[Path], str]]:
    """A real sshd on loopback with keys of its own; gives the address by which it leads to the engine of a folder.

    ssh looks for keys in the account's home, whatever ``HOME`` says: the one on PATH names others.
    """
    if not shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or not shutil.which("ssh-keygen"):
        missing("there is no OpenSSH server")
    folder, port = tmp_path / "ssh", free_port()
    folder.mkdir(mode=0o700)
    for key in ("host", "own"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    own = f"IdentityFile {folder}/own\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\nBatchMode yes\n"
    (folder / "config").write_text(own)
    program = folder / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    program.chmod(0o755)
    ambient.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with contextlib.ExitStack() as stack:

        def serve(engine: Path) -> str:
            stack.enter_context(_sshd(folder, port, f"DOCKER_HOST=unix://{engine}/d.sock"))
            return f"ssh://{getpass.getuser()}@127.0.0.1:{port}"

        yield serve


@contextlib.contextmanager
def _sshd(folder: Path, port: int, variable: str) -> Iterator[None]:
    Path("/run/sshd").mkdir(exist_ok=True)  # which sshd wants when root starts it
    options = [f"HostKey={folder}/host", f"AuthorizedKeysFile={folder}/own.pub", "StrictModes=no", "UsePAM=no"]
    options += ["ListenAddress=127.0.0.1", f"Port={port}", "PidFile=none", "PasswordAuthentication=no"]
    options += ["PermitRootLogin=prohibit-password", f"SetEnv={variable}"]
    words = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *(word for each in options for word in ("-o", each))]
    with open(folder / "log", "wb") as log, subprocess.Popen(words, stderr=log) as process:
        try:
            deadline = time.monotonic() + 10
            while b"listening" not in (folder / "log").read_bytes():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield
        finally:
            process.terminate()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK never waits for the ssh processes that it starts
async def test_a_container_runs_over_ssh(
    docker_host: str, tmp_path: Path, ssh: Callable[[Path], str], ambient: pytest.MonkeyPatch
):
    with _listening("--tls=false") as (folder, _):
        address = ssh(folder)
        await _talk(DockerEngine(DockerConfig(host=address), str(tmp_path)), tmp_path)
        (tmp_path / "ssh" / "own").unlink()
        await _refused(DockerEngine(DockerConfig(host=address), str(tmp_path)))
        await asyncio.sleep(0.2)  # for the threads to let go
        gc.collect()


async def _refused(stranger: DockerEngine) -> None:
    with pytest.raises(EngineUnreachableError):
        await stranger.ping()
    stranger.close()
