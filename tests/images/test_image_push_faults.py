"""Pushes that meet a registry that dies, packages that need an engine, and engines that are full, as a user does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images import engines as docker_parts
from tests.support.images.machines import machine, write_definition
from tests.support.images.registries import Registries, RegistryProcess
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

VERSION = "import numpy; print(numpy.__version__)"
Machine = Callable[[str | None], Roost]
LOADED = "300m"
"""Room for the base image, and not for what is put on it."""


@pytest.fixture
def new_machine(
    channel_url: str, pip_index: PipIndex, registries: Registries, prepared_root: Path
) -> Iterator[Machine]:
    with contextlib.ExitStack() as stack:
        yield lambda host: stack.enter_context(
            machine(channel_url, pip_index, host, registries=registries, prepared=prepared_root)
        )


def blobs(registry: RegistryProcess) -> dict[str, int]:
    """Blobs that a registry has in full, and when each was written."""
    found = registry.folder.glob("data/docker/registry/v2/blobs/sha256/*/*/data")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def tags(registry: RegistryProcess, repository: str) -> set[str]:
    folder = registry.folder / "data/docker/registry/v2/repositories" / repository / "_manifests/tags"
    return {path.name for path in folder.glob("*")}


def kill_within_a_blob(registry: RegistryProcess, size: int, deadline: float) -> Path:
    """End the registry while an upload has ``size`` bytes and more; the unfinished upload."""
    while time.monotonic() < deadline:
        for path in registry.folder.glob("data/docker/registry/v2/repositories/team/images/_uploads/*/data"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size >= size:
                    assert registry.process is not None
                    os.kill(registry.process.pid, signal.SIGKILL)
                    registry.process.wait(10)
                    return path
        time.sleep(0.0005)
    raise AssertionError("no upload grew that large")


def test_a_registry_that_dies_within_a_blob_is_named_and_the_next_push_goes_on(
    new_machine: Machine, shared_base: str, registries: Registries
):
    roost, workspace = new_machine(None), registries.workspace
    write_definition(roost, shared_base)
    process = roost.start("image", "push", "--json")
    kill_within_a_blob(workspace, 4 << 20, time.monotonic() + 120)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 6, (out, err)
    body = json.loads((out.strip() or err.strip()).splitlines()[-1])
    error = body.get("error", body)
    assert error["code"].startswith("registry-")
    assert workspace.host in error["message"]
    assert error["retryable"] is True
    workspace.start()
    there = blobs(workspace)
    assert tags(workspace, "team/images") == set()
    assert roost.json("image", "show")["exists_in_registry"] is False
    pushed = roost.json("image", "push")["build"]["artifacts"][0]
    assert pushed["reference"].rpartition(":")[2] in tags(workspace, "team/images")
    after = blobs(workspace)
    assert len(after) > len(there)
    assert {name: after[name] for name in there} == there, "what was there was not sent again"


def test_packages_with_link_scripts_are_refused_by_name_without_an_engine(
    new_machine: Machine, shared_base: str, registries: Registries
):
    roost = new_machine(None)
    text = f'[base]\nimage = "{shared_base}"\n[conda]\ndependencies = ["python=3.11", "post-linked"]\n'
    roost.write("roost.toml", text)
    refused = roost.failed(4, "image", "push")
    assert refused["code"] == "link-scripts"
    assert "post-linked" in refused["message"]
    assert refused["fields"]["packages"] == ["post-linked"]
    assert tags(registries.workspace, "team/images") == set()
    assert roost.json("image", "list")["images"] == []


@pytest.fixture
def small_engine(docker_host: str) -> Iterator[Path]:
    """An engine whose data lies on a file system with little room."""
    if shutil.which("dockerd") is None:
        docker_parts.missing("there is no dockerd")
    folder = Path(tempfile.mkdtemp(prefix="rdf", dir="/tmp"))
    (folder / "data").mkdir()
    if _mounted(folder, f"size={LOADED}").returncode != 0:
        docker_parts.missing("nothing can be mounted here")
    docker_parts.start(folder)
    yield folder
    docker_parts.clear(folder)


def _mounted(folder: Path, options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder / "data")])


@pytest.mark.long
def test_an_engine_that_is_full_while_it_loads_is_named_and_the_next_build_works(
    new_machine: Machine, small_engine: Path
):
    host = f"unix://{small_engine}/d.sock"
    base = docker_parts.import_image(host, "base", docker_parts.BASE)
    roost = new_machine(host)
    text = f'[base]\nimage = "{base}"\n[conda]\ndependencies = ["python=3.11", "numpy", "pandas", "scipy"]\n'
    roost.write("roost.toml", text)
    full = roost.failed(4, "build")
    assert full["code"] == "engine-full"
    assert "full" in full["message"]
    assert roost.json("image", "list")["images"] == []
    with contextlib.closing(docker.APIClient(base_url=host)) as client:
        assert [tag for image in client.images() for tag in image["RepoTags"] or []] == [base]
    layers = {path.name: path.stat().st_mtime_ns for path in (roost.root / "layers").iterdir()}
    assert len(layers) > 5
    assert roost.json("builds", "list")["builds"][0]["state"] == "failed"
    assert _mounted(small_engine, "remount,size=2g").returncode == 0
    built = roost.json("build")["build"]
    assert (built["state"], built["generation"]) == ("succeeded", 1)
    after = {path.name: path.stat().st_mtime_ns for path in (roost.root / "layers").iterdir()}
    assert {name: after[name] for name in layers} == layers, "no layer was written again"
    assert roost.ok("run", "--", "python", "-c", VERSION).startswith("2.")
