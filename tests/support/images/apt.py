"""A repository of Debian packages for steps that install some: real apt installs real packages, from this machine.

The archives are got before (``tests.support.images.debian``) and served at the gateway of the engine's default network,
where containers reach this machine: no step of a test goes to Debian's servers.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
from tests.support.images import debian
from tests.support.images.engines import SUITE

PACKAGES = ("gcc-12-base", "hello", "libgomp1")
"""What steps install, with the dependencies that the base image may have in another version."""


@contextlib.contextmanager
def repository(docker_host: str, folder: Path) -> Iterator[str]:
    """Serve ``PACKAGES`` from ``folder``; the address that containers of the engine reach it at."""
    for archive in archives().iterdir():
        (folder / archive.name).symlink_to(archive)
    (folder / "Packages").write_text("\n".join(_entry(archive) for archive in sorted(folder.glob("*.deb"))))
    handler = functools.partial(_Handler, directory=str(folder))
    with ThreadingHTTPServer((_gateway(docker_host), 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address[:2]
        yield f"http://{host!s}:{port}"
        server.shutdown()


def install_step(repository_url: str, *packages: str) -> str:
    """The step that installs ``packages`` with apt, from the repository only."""
    source = f"echo deb [trusted=yes] {repository_url} ./ > /etc/apt/sources.list"
    clear = "rm -rf /etc/apt/sources.list.d/*"
    install = f"apt-get install --yes --no-install-recommends {' '.join(packages)}"
    return f"RUN {clear} && {source} && apt-get update && {install}"


def archives() -> Path:
    """The folder of the archives of ``PACKAGES``."""
    return debian.archives(SUITE, *PACKAGES)


def _gateway(docker_host: str) -> str:
    with contextlib.closing(docker.DockerClient(base_url=docker_host)) as client:
        for settings in client.networks.get("bridge").attrs["IPAM"]["Config"]:
            if gateway := settings.get("Gateway"):
                return str(gateway)
    raise AssertionError("the engine's default network has no gateway")


def _entry(archive: Path) -> str:
    """What a repository's index says of an archive: its control fields, and where and what the file is."""
    control = subprocess.run(["dpkg-deb", "-f", str(archive)], capture_output=True, text=True, check=True).stdout
    data = archive.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return f"{control.strip()}\nFilename: ./{archive.name}\nSize: {len(data)}\nSHA256: {digest}\n"


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing: a failing step has apt's own words."""
