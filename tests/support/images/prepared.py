"""A root that has everything the usual definition of these tests needs, for each test to start from.

Packages unpacked, byte-code compiled, layers packed, and an engine that has them: made once for a test run, by building
the definition, and linked into each test's root (``cp -al``), where only the index is a copy. A container that never
runs keeps the layers in the engine, so that loading an image sends what is new in it. Tests whose subject is unpacking,
compiling, packing or loading ask for an empty root or for other packages.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import docker
from tests.support.images.registries import RegistryProcess, registry
from tests.support.roost_process import new_roost
from tests.support.trees import link_or_copy

KEPT = ("packages", "layers", "wheels", "format")
"""What of a root is linked: the rest belongs to what was built in it, or to the process that did."""
FORGOTTEN = (
    "events",
    "durations",
    "labels",
    "versions",
    "bodies",
    "environments",
    "images",
    "builds",
    "artifacts",
    "generations",
    "sightings",
    "settings",
    "definitions",
    "contents",
    "lock_uses",
    "lock_bodies",
    "locks",
    "packages",
    "package_names",
)
ANCHOR = "roost-test-anchor"
DEFINITION = """name = "prepared"
[base]
image = "{base}"
[conda]
dependencies = ["python=3.11", "six=1.16"]
"""


def registry_with_base(run_id: str, docker_host: str, base: str) -> Path:
    """The data of a registry that has ``base`` as ``base:1``: pushing it is what takes an engine seconds."""
    place = Path(tempfile.gettempdir(), f"rpr-{run_id[:8]}")
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            with registry() as made, contextlib.closing(docker.DockerClient(base_url=docker_host)) as client:
                repository = f"{made.host}/base"
                client.images.get(base).tag(repository, "1")
                answer = client.images.push(repository, "1")
                assert "error" not in answer, answer
                client.images.remove(f"{repository}:1")
                shutil.copytree(made.folder / "data", place)
    return place


def add_base(prepared: Path, made: RegistryProcess) -> str:
    """Put the base of ``registry_with_base`` into a running registry, and return its reference there. Blobs are linked;
    what a push replaces in place is copied."""
    for folder, _, names in os.walk(prepared):
        target = made.folder / "data" / Path(folder).relative_to(prepared)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            (link_or_copy if "/blobs/" in folder else shutil.copy2)(Path(folder, name), target / name)
    return f"{made.host}/base:1"


def prepared_root(run_id: str, config: str, docker_host: str, base: str) -> Path:
    """The root, made by whichever process of the run asks first."""
    place = Path(tempfile.gettempdir(), f"rp-{run_id[:8]}")
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "format").exists():
            _make(place, config, docker_host, base)
    return place


def remove(run_id: str) -> None:
    """Remove the root of a run that is over."""
    place = Path(tempfile.gettempdir(), f"rp-{run_id[:8]}")
    shutil.rmtree(place, ignore_errors=True)
    Path(f"{place}.lock").unlink(missing_ok=True)


def _make(place: Path, config: str, docker_host: str, base: str) -> None:
    roost = new_roost()
    try:
        roost.config.write_text(config)
        roost.write("roost.toml", DEFINITION.format(base=base))
        built = roost.json("build")["build"]
        roost.ok("daemon", "stop")
        _forget_what_was_built(roost.root / "index.db")
        _anchor(docker_host, built["artifacts"][0]["digest"])
        part = place.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for name in (*KEPT, "index.db"):
            os.rename(roost.root / name, part / name)
        part.rename(place)
    finally:
        roost.end()


def _forget_what_was_built(index: Path) -> None:
    with contextlib.closing(sqlite3.connect(index)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for table in FORGOTTEN:
            connection.execute(f"DELETE FROM {table}")  # a constant of this module
    for suffix in ("-wal", "-shm"):
        Path(f"{index}{suffix}").unlink(missing_ok=True)


def _anchor(docker_host: str, digest: str) -> None:
    """A container of the image that never runs: nothing prunes an image that a container is made of."""
    with contextlib.closing(docker.DockerClient(base_url=docker_host)) as client:
        with contextlib.suppress(docker.errors.NotFound):
            client.containers.get(ANCHOR).remove(force=True)
        client.containers.create(digest, ["true"], name=ANCHOR)
