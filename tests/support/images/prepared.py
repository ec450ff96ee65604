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
BLOBS, REPOSITORIES = "docker/registry/v2/blobs", "docker/registry/v2/repositories"
ANCHOR = "roost-test-anchor"
DEFINITION = """name = "prepared"
[base]
image = "{base}"
[conda]
dependencies = ["python=3.11", "six=1.16"]
"""


def registry_with_bases(run_id: str, docker_host: str, base: str, python: str) -> Path:
    """The data of a registry that has ``base`` as ``base:1`` and ``python`` as ``base:python``: pushing them is what
    takes an engine seconds."""
    place = Path(tempfile.gettempdir(), f"rpr-{run_id[:8]}")
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            with registry() as made, contextlib.closing(docker.DockerClient(base_url=docker_host)) as client:
                repository = f"{made.host}/base"
                for image, tag in ((base, "1"), (python, "python")):
                    client.images.get(image).tag(repository, tag)
                    answer = client.images.push(repository, tag)
                    assert "error" not in answer, answer
                    client.images.remove(f"{repository}:{tag}")
                shutil.copytree(made.folder / "data", place)
    return place


def add_base(prepared: Path, made: RegistryProcess) -> str:
    """Put the base of ``registry_with_bases`` into a running registry, and return its reference there."""
    lend_layers(prepared, made, "base")
    name = "_manifests/tags/1"
    _put(prepared / REPOSITORIES / "base/_manifests/revisions", made, f"{REPOSITORIES}/base/_manifests/revisions")
    _put(prepared / REPOSITORIES / "base" / name, made, f"{REPOSITORIES}/base/{name}")
    return f"{made.host}/base:1"


def lend_layers(prepared: Path, made: RegistryProcess, *repositories: str) -> None:
    """Have a running registry know the layers of both bases in ``repositories``, without images. An engine that pushes
    an image on a base asks for each layer, and compresses and sends those only that are not there: four seconds of
    processor time less for each push of a test whose subject is not how layers are sent by an engine."""
    _put(prepared / BLOBS, made, BLOBS)
    for repository in repositories:
        _put(prepared / REPOSITORIES / "base/_layers", made, f"{REPOSITORIES}/{repository}/_layers")


def _put(source: Path, made: RegistryProcess, place: str) -> None:
    """Blobs are linked; what a push replaces in place is copied."""
    for folder, _, names in os.walk(source):
        target = made.folder / "data" / place / Path(folder).relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not (target / name).exists():
                (link_or_copy if place == BLOBS else shutil.copy2)(Path(folder, name), target / name)


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
