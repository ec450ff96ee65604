"""`roost doctor` about a real engine, and registries that are down, read only, ask for credentials and so on."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.images.registries import RegistryProcess, free_port, registry

from roost.daemon.caller.current import use_caller
from roost.daemon.config.config import parse_config
from roost.daemon.config.source import ConfigSource
from roost.daemon.doctor import registries as checks
from roost.daemon.doctor.docker import check_docker
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.registries import check_registries
from roost.daemon.doctor.surroundings import Surroundings
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.oci.registries import list_locations
from roost.store.disk.layout import Layout

SECRET = "$2y$04$IME7Jjb31qSvsOR8TPpPbeZ0A6WLN4QPOsn7GGKLHZQn3oVKx/UMq"
"""htpasswd -B of "secret"."""


@pytest.fixture
def docker_config(tmp_path: Path) -> Iterator[Path]:
    """The caller's Docker config, which has no credentials yet."""
    with use_caller({"DOCKER_CONFIG": str(tmp_path)}):
        yield tmp_path / "config.json"


@pytest.fixture
async def clients() -> AsyncIterator[list[RegistryClient]]:
    made: list[RegistryClient] = []
    yield made
    for client in made:
        await client.close()


async def check(clients: list[RegistryClient], text: str) -> dict[str, Check]:
    config = parse_config(f"[registries]\n{text}\n".encode(), "/config.toml")
    client = RegistryClient(RegistryConfig(retries=0, mirrors=config.registries.mirrors))
    clients.append(client)

    async def get_client() -> RegistryClient:
        return client

    async def locations() -> Any:
        return list_locations(config.registries)

    parts: Any = SimpleNamespace(registry=get_client)
    found = await check_registries(Surroundings(cast(Any, None), cast(Any, None), parts, config, locations))
    assert all(each.hint for each in found if each.state != "ok")
    return {each.subject: each for each in found}


async def test_one_that_is_good_and_one_that_is_down(docker_config: Path, clients: list[RegistryClient]) -> None:
    with registry() as process:
        down = f"127.0.0.1:{free_port()}"
        found = await check(clients, f'workspace = "{process.host}/team"\ncatalogues = ["{down}"]')
        assert (found[f"{process.host}/team"].state, found[down].state) == ("ok", "error")
        assert "Connection refused" in found[down].message


async def test_one_that_is_read_only(docker_config: Path, clients: list[RegistryClient]) -> None:
    class ReadOnly(RegistryProcess):
        def _config(self) -> str:
            return (
                super()
                ._config()
                .replace("storage:\n", "storage:\n  maintenance:\n    readonly:\n      enabled: true\n")
            )

    with registry() as process:
        process.stop()
        read_only = ReadOnly(process.folder, free_port())
        read_only.start()
        try:
            found = await check(clients, f'workspace = "{read_only.host}"\ncatalogues = ["{read_only.host}/shared"]')
        finally:
            read_only.stop()
        workspace = found[read_only.host]
        assert (workspace.state, "read and not written" in workspace.message) == ("error", True)
        assert f"roost registry remove {read_only.host}" in workspace.hint
        assert found[f"{read_only.host}/shared"].state == "ok"


async def test_one_that_asks_for_credentials(docker_config: Path, clients: list[RegistryClient]) -> None:
    with registry(users={"me": SECRET}) as process:
        before = (await check(clients, f'workspace = "{process.host}/team"'))[f"{process.host}/team"]
        assert (before.state, "401" in before.message) == ("error", True)
        assert f"docker login {process.host}" in before.hint
        docker_config.write_text(json.dumps({"auths": {process.host: {"auth": "bWU6c2VjcmV0"}}}))
        after = (await check(clients, f'workspace = "{process.host}/team"'))[f"{process.host}/team"]
        assert after.state == "ok"


async def test_one_whose_authority_is_unknown(
    docker_config: Path, clients: list[RegistryClient], tmp_path: Path
) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=tests", "-addext", f"subjectAltName=DNS:{socket.gethostname()}"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"]
    subprocess.run([*make, *names, *files], check=True, capture_output=True)

    class Encrypted(RegistryProcess):
        @property
        def host(self) -> str:  # a loopback address would be accessed over plain http
            return f"{socket.gethostname()}:{self.port}"

        def _config(self) -> str:
            tls = f"  tls:\n    certificate: {tmp_path}/ca.pem\n    key: {tmp_path}/key.pem\n"
            return super()._config().replace("  secret: tests\n", f"  secret: tests\n{tls}")

        def _answers(self) -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((socket.gethostname(), self.port)) == 0

    with registry() as process:
        process.stop()
        encrypted = Encrypted(process.folder, free_port())
        encrypted.start()
        try:
            found = (await check(clients, f'workspace = "{encrypted.host}"'))[encrypted.host]
            assert (found.state, "certificate" in found.message) == ("error", True)
            assert "SSL_CERT_FILE" in found.hint
            with use_caller({"SSL_CERT_FILE": str(tmp_path / "ca.pem")}):
                assert (await check(clients, f'workspace = "{encrypted.host}"'))[encrypted.host].state == "ok"
        finally:
            encrypted.stop()


async def test_one_that_never_answers_and_mirrors(
    docker_config: Path, clients: list[RegistryClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_SECONDS", 0.5)
    with registry() as process, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        text = f'workspace = "{host}"\n[registries.mirrors]\n"docker.io" = ["{process.host}/hub", "{host}/hub"]'
        found = await check(clients, text)
        assert [found[each].state for each in (host, f"{host}/hub", f"{process.host}/hub")] == ["error", "error", "ok"]
        assert "did not answer within" in found[host].message


async def test_a_real_engine_says_what_it_is(docker_host: str) -> None:
    config = parse_config(b"", "/config.toml")
    with use_caller({"DOCKER_HOST": docker_host}), tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as root:
        engines = Engines(Layout(root), ConfigSource(config))
        [found] = await check_docker(Surroundings(Layout(root), cast(Any, None), engines, config, cast(Any, None)))
        await engines.close()
    assert found.state == "ok"
    assert f"{docker_host} (DOCKER_HOST: {docker_host}): version " in found.message
