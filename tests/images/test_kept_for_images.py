"""Private things in images: build contexts that are kept with versions, given wheels, wheels of a private index."""

from __future__ import annotations

import shutil
from pathlib import Path

import docker
from tests.support.images.machines import Machine
from tests.support.pip_index import PipIndex, wheel_bytes

READ = "print(open('/word').read().strip(), sorted(__import__('os').listdir('/all')))"


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


def test_a_wheel_of_the_store_and_one_of_a_private_index_are_in_the_image(
    new_machine: Machine, base_image: str, pip_index: PipIndex, client: docker.DockerClient
):
    pip_index.wheel("greet", "2.0")
    pip_index.password = "p4ss-of-somebody"
    table = f'[credentials."{pip_index.origin[7:]}"]\nusername = "somebody"\npassword_variable = "THE_PASSWORD"\n'
    roost = new_machine(extra=table)
    roost.variables["THE_PASSWORD"] = pip_index.password
    name, content = wheel_bytes("given", "1.0")
    (roost.folder / name).write_bytes(content)
    line = roost.ok("env", "add-wheel", name).strip()
    (roost.folder / name).unlink()
    base = f'[base]\nimage = "{base_image}"\n[conda]\ndependencies = ["python=3.11"]\n'
    roost.write("roost.toml", f'{base}[pip]\nrequirements = ["{line}", "greet"]\n')
    said = roost.ok("run", "--", "python", "-c", "import given, greet; print(given.value, greet.value)")
    assert said == "1.0 2.0\n"
    [image] = roost.json("image", "list")["images"]
    saved = b"".join(client.images.get(image["digest"]).save())  # config, history and all files
    assert b"greet-2.0.dist-info" in saved
    assert pip_index.password.encode() not in saved
    roost.ok("daemon", "stop")
    files = [path for path in roost.root.rglob("*") if path.is_file()]
    assert [str(path) for path in files if pip_index.password.encode() in content_of(path)] == []


def content_of(path: Path) -> bytes:
    """What the file holds; nothing if it is one of the index's that vanish as the daemon ends."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
