"""Real registries for the tests: ``docker-registry`` processes on loopback, each with a folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.images.engines import missing

START_SECONDS = 20.0


@dataclass
class RegistryProcess:
    """One registry. ``host`` is what stands in front of a repository's name."""

    folder: Path
    port: int
    users: dict[str, str] = field(default_factory=dict)
    """User to password hash line of htpasswd; none: everybody may do everything."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers; what it held before a stop is still there."""
        config = self.folder / "config.yml"
        config.write_text(self._config())
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"docker-registry did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def _config(self) -> str:
        auth = ""
        if self.users:
            lines = "".join(f"{user}:{digest}\n" for user, digest in self.users.items())
            (self.folder / "htpasswd").write_text(lines)
            auth = f"auth:\n  htpasswd:\n    realm: tests\n    path: {self.folder}/htpasswd\n"
        storage = f"storage:\n  filesystem:\n    rootdirectory: {self.folder}/data\n  delete:\n    enabled: true\n"
        return f"version: 0.1\nlog:\n  level: warn\n{storage}{auth}http:\n  addr: {self.host}\n  secret: tests\n"

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


@dataclass
class Registries:
    """The two that a team has: its own, and one for all that is only read."""

    workspace: RegistryProcess
    catalogue: RegistryProcess


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def registry(**options: dict[str, str]) -> Iterator[RegistryProcess]:
    """One running registry, empty."""
    if shutil.which("docker-registry") is None:
        missing("docker-registry is not installed")
    made = RegistryProcess(Path(tempfile.mkdtemp(prefix="rreg-", dir="/tmp")), free_port(), **options)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.folder, ignore_errors=True)
