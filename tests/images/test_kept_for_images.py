"""What versions refer to is kept for images too: build contexts, and wheels that were given to the store."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator

import pytest
from image_machines import machine
from pip_index import PipIndex, wheel_bytes
from roost_process import Roost

Machine = Callable[..., Roost]
READ = "print(open('/word').read().strip(), sorted(__import__('os').listdir('/all')))"


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    yield index
    index.close()


@pytest.fixture
def new_machine(channel_url: str, pip_index: PipIndex, docker_host: str) -> Iterator[Machine]:
    with contextlib.ExitStack() as stack:

        def make(**options) -> Roost:
            return stack.enter_context(machine(channel_url, pip_index, docker_host, **options))

        yield make


def test_a_build_context_goes_and_the_version_is_built_and_run(new_machine: Machine, base_image: str):
    roost = new_machine()
    roost.write("context/Dockerfile", f"FROM {base_image}\nCOPY word /word\nCOPY . /all\n")
    roost.write("context/word", "kept\n")
    roost.write("context/.dockerignore", "*.log\nignored\n!ignored/but-this\n")
    roost.write("context/much.log", "x")
    roost.write("context/ignored/other", "x")
    roost.write("context/ignored/but-this", "y")
    (roost.folder / "context" / "empty").mkdir()
    (roost.folder / "context" / "link").symlink_to("word")
    roost.write("roost.toml", '[base]\ncontext = "context"\n[conda]\ndependencies = ["python=3.11"]\n')
    digest = roost.json("digest")["definition_digest"]
    roost.ok("env", "register", "--name", "kept")
    before = roost.json("env", "show", "kept")
    [kept] = (roost.root / "snapshots").glob("*/context")
    assert sorted(str(path.relative_to(kept)) for path in kept.rglob("*")) == [
        ".dockerignore", "Dockerfile", "empty", "ignored", "ignored/but-this", "link", "word",
    ]  # fmt: skip
    roost.write("context/word", "changed\n")
    shutil.rmtree(roost.folder / "context")
    built = roost.json("build", "-e", "kept")["build"]
    assert (built["state"], built["definition_digest"]) == ("succeeded", digest)
    said = roost.ok("run", "-e", "kept", "--", "python", "-c", READ)
    assert said == "kept ['.dockerignore', 'Dockerfile', 'empty', 'ignored', 'link', 'word']\n"
    after = roost.json("env", "show", "kept")
    assert after["definition"] == before["definition"]
    assert "FROM" in roost.ok("image", "show", "-e", "kept")


def test_a_wheel_of_the_store_is_in_the_image(new_machine: Machine, base_image: str):
    roost = new_machine()
    name, content = wheel_bytes("given", "1.0")
    (roost.folder / name).write_bytes(content)
    line = roost.ok("env", "add-wheel", name).strip()
    (roost.folder / name).unlink()
    base = f'[base]\nimage = "{base_image}"\n'
    roost.write("roost.toml", f'{base}[conda]\ndependencies = ["python=3.11"]\n[pip]\nrequirements = ["{line}"]\n')
    assert roost.ok("run", "--", "python", "-c", "import given; print(given.value)") == "1.0\n"
