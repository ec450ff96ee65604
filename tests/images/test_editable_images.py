"""An editable install in an image: a wheel of what the folder held, which a plan says, and says when it has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images.machines import machine
from tests.support.images.registries import Registries
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

PROJECT = """
[project]
name = "mine"
version = "1.0"
dependencies = []
[project.optional-dependencies]
extra = ["greet"]
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import pathlib, zipfile
INFO = "mine-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\nProvides-Extra: extra\\n"
METADATA += "Requires-Dist: greet ; extra == 'extra'\\n"
def _wheel(folder, module, content):
    name = "mine-1.0-py3-none-any.whl"
    files = {module: content, INFO + "/METADATA": METADATA}
    files[INFO + "/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[INFO + "/RECORD"] = "".join(f"{each},,\\n" for each in [*files, INFO + "/RECORD"])
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        for each, text in files.items():
            wheel.writestr(each, text)
    return name
def build_wheel(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, "mine.py", pathlib.Path("src/mine.py").read_text())
def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, "mine.pth", str(pathlib.Path.cwd() / "src") + "\\n")
"""
SAY = ("run", "--", "python", "-c", "import mine; print(mine.value)")
ENVIRONMENT = "name: ed\ndependencies:\n- python=3.11\n- pip:\n  - -e {}\n"


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    index.wheel("greet", "1.0")
    yield index
    index.close()


@pytest.fixture
def roost(
    channel_url: str, pip_index: PipIndex, docker_host: str, base_image: str, prepared_root: Path
) -> Iterator[Roost]:
    extra = f'[base]\nimage = "{base_image}"'
    with machine(channel_url, pip_index, docker_host, extra=extra, prepared=prepared_root) as made:
        project(made, "mine")
        yield made


def project(roost: Roost, folder: str) -> None:
    for name, text in (("pyproject.toml", PROJECT), ("backend.py", BACKEND), ("src/mine.py", "value = 'first'\n")):
        roost.write(f"{folder}/{name}", text)


def _docker(*words: str) -> tuple[str, ...]:
    return (words[0], "-t", "docker", *words[1:])


def _codes(plan: dict) -> list[str]:
    return [reason["code"] for reason in plan["reasons"]]


def test_an_image_keeps_what_the_folder_held_and_says_so_until_it_is_asked_for_anew(roost: Roost):
    roost.write("environment.yml", ENVIRONMENT.format("./mine[extra]"))
    built = roost.json("build", "-t", "docker")["build"]
    assert (built["state"], built["generation"]) == ("succeeded", 1)
    code = "import mine, greet, sys; print(mine.value, greet.value, mine.__file__)"
    said = roost.ok(*_docker("run", "--", "python", "-c", code)).split()
    assert said[:2] == ["first", "1.0"]
    assert said[2].startswith("/opt/roost/env/lib/"), "nothing of this machine's folder"
    [plan] = roost.json("plan", "-t", "docker")["plans"]
    assert plan["action"] == "reuse-image"
    assert "editable-frozen" in _codes(plan)

    roost.write("mine/src/mine.py", "value = 'second'\n")
    [plan] = roost.json("plan", "-t", "docker")["plans"]
    assert (plan["action"], "editable-changed" in _codes(plan)) == ("reuse-image", True)
    run = roost.run(*_docker(*SAY))
    assert run.stdout == "first\n"
    assert "mine 1.0 has the content of" in run.stderr
    assert "--rebuild uses its current content" in run.stderr
    assert "--rebuild uses its current content" in roost.run("build", "-t", "docker").stderr

    again = roost.json("build", "-t", "docker", "--rebuild")["build"]
    assert again["generation"] == 2
    assert again["lock_digest"] != built["lock_digest"]
    run = roost.run(*_docker(*SAY))
    assert (run.stdout, "--rebuild" in run.stderr) == ("second\n", False)
    older = roost.run("run", "-t", "docker", "--generation", "1", *SAY[1:])
    assert (older.stdout, "--rebuild" in older.stderr) == ("first\n", False), "asked for as it was: nothing to say"


def test_a_prefix_of_the_same_definition_stays_tied_to_the_folder_in_a_generation_of_its_own(roost: Roost):
    roost.write("environment.yml", ENVIRONMENT.format("./mine"))
    prefix = roost.json("build")["build"]
    image = roost.json("build", "-t", "docker")["build"]
    assert prefix["definition_digest"] == image["definition_digest"]
    assert prefix["lock_digest"] != image["lock_digest"]
    roost.write("mine/src/mine.py", "value = 'second'\n")
    assert roost.ok(*SAY) == "second\n"
    assert roost.ok(*_docker(*SAY)) == "first\n"
    assert [roost.json("build", *words)["build"]["state"] for words in ([], ["-t", "docker"])] == ["not-needed"] * 2
    for run in roost.json("runs", "list")["runs"]:
        assert roost.ok("runs", "rerun", run["id"]) in ("second\n", "first\n")


def test_the_folder_of_the_definition_itself_and_pip_alone(roost: Roost):
    for name, text in (("pyproject.toml", PROJECT), ("backend.py", BACKEND), ("src/mine.py", "value = 'here'\n")):
        roost.write(name, text)
    roost.write("requirements.txt", "-e .\n")
    said = roost.ok("run", "-t", "docker", "-f", "requirements.txt", *SAY[1:])
    assert said == "here\n"
    assert roost.ok("run", "-f", "requirements.txt", *SAY[1:]) == "here\n"
    [plan] = roost.json("plan", "-t", "docker", "-f", "requirements.txt")["plans"]
    assert "editable-frozen" in _codes(plan), "byte-code and what the build left are no change"
    (roost.folder / "src/mine.py").unlink()
    [plan] = roost.json("plan", "-t", "docker", "-f", "requirements.txt")["plans"]
    assert "editable-changed" in _codes(plan)


def test_planning_runs_no_code_of_the_folder(roost: Roost):
    trace = roost.folder / "trace"
    roost.write("mine/backend.py", f"open({str(trace)!r}, 'a').write('ran')\n{BACKEND}")
    roost.write("environment.yml", ENVIRONMENT.format("./mine"))
    [plan] = roost.json("plan", "-t", "docker")["plans"]
    assert plan["action"] == "build-image"
    refused = roost.failed(4, "plan", "--solve", "-t", "docker")
    assert (refused["code"], trace.exists()) == ("lock-needs-build", False)
    roost.ok("build", "-t", "docker")
    assert trace.exists()


def test_nobody_elses_folder_is_taken_for_ones_own(
    channel_url: str, pip_index: PipIndex, docker_host: str, base_image: str, registries: Registries, tmp_path: Path
):
    """Two machines with one path and other sources have one definition digest: their locks are not shared."""
    said = []
    base = f'[base]\nimage = "{base_image}"'
    for word in ("one", "other"):
        with machine(channel_url, pip_index, docker_host, registries, extra=base) as roost:
            roost.folder.rmdir()
            roost.folder = tmp_path / "same"
            project(roost, "mine")
            roost.write("mine/src/mine.py", f"value = {word!r}\n")
            roost.write("environment.yml", ENVIRONMENT.format("./mine"))
            built = roost.json("build", "-t", "docker")["build"]
            said.append((built["definition_digest"], roost.ok(*_docker(*SAY)), built["reasons"]))
    assert said[0][0] == said[1][0]
    assert [each[1] for each in said] == ["one\n", "other\n"]
    assert "lock-pushed" not in json.dumps(said[0][2])
