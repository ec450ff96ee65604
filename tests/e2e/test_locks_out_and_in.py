"""What one roost writes as a lock another builds from; local parts of a definition; dates; who joins a build."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex, backend_files, wheel_bytes
from tests.support.roost_process import Roost

BOTH = "dependencies: [python=3.11, six=1.17, pip, {pip: [greet, needs-greet]}]\n"
GREETING = ["exec", "--", "python", "-c", "import greet; print(greet.value)"]


@pytest.mark.parametrize(
    ("name", "how"),
    [("conda-lock.yml", "conda-lock"), ("pixi.lock", "pixi"), ("explicit.txt", "explicit")],
)
def test_a_lock_is_built_from_what_was_written_of_it(
    conda_roost: Roost, pip_index: PipIndex, name: str, how: str
) -> None:
    roost = conda_roost
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("needs-greet", "1.0", "greet")
    roost.write("environment.yml", BOTH)
    first = roost.json("build")["build"]
    roost.ok("lock", "--format", how, "-o", name)
    pip_index.wheel("greet", "2.0")
    again = roost.json("build", "-f", name)["build"]
    assert again["definition_digest"] != first["definition_digest"]
    assert (again["lock_digest"], again["state"]) == (first["lock_digest"], "not-needed")
    code = "import greet, needs_greet, six; print(greet.value, six.__version__)"
    assert roost.ok("exec", "-f", name, "--", "python", "-c", code).split() == ["1.0", "1.17.0"]


def test_a_written_lock_is_built_on_a_root_that_never_solved(
    conda_roost: Roost, pip_index: PipIndex, short_folder: Path
) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("needs-greet", "1.0", "greet")
    conda_roost.write("environment.yml", BOTH)
    first = conda_roost.json("build")["build"]["lock_digest"]
    conda_roost.ok("lock", "-o", "conda-lock.yml")
    other = Roost(short_folder / "root", conda_roost.folder)
    other.config.write_text(conda_roost.config.read_text())
    try:
        assert other.json("build", "-f", "conda-lock.yml")["build"]["lock_digest"] == first
    finally:
        other.run("daemon", "stop")


@pytest.mark.parametrize(
    ("name", "how"),
    [("conda-lock.yml", "conda-lock"), ("pixi.lock", "pixi"), ("explicit.txt", "explicit"), ("e.yml", "conda-builds")],
)
def test_an_index_that_the_definition_names_is_found_again(
    conda_roost: Roost, pip_index: PipIndex, short_folder: Path, name: str, how: str
) -> None:
    """In a nested file. Neither this machine's config nor the other's has it."""
    pip_index.wheel("greet", "1.0")
    named = conda_roost.config.read_text()
    conda_roost.config.write_text(named.replace(pip_index.url, "http://127.0.0.1:1/simple"))
    conda_roost.write("more.txt", f"--index-url {pip_index.url}\ngreet\n")
    conda_roost.write("environment.yml", "dependencies: [python=3.11, pip, {pip: ['-r more.txt']}]\n")
    first = conda_roost.json("build")["build"]["lock_digest"]
    conda_roost.ok("env", "export", "-f", "environment.yml", "--format", how, "-o", name)
    other = Roost(short_folder / "root", conda_roost.folder)
    other.config.write_text(conda_roost.config.read_text())
    try:
        assert other.json("build", "-f", name)["build"]["lock_digest"] == first
    finally:
        other.run("daemon", "stop")


def test_a_local_wheel_counts_by_its_content(roost: Roost) -> None:
    name, content = wheel_bytes("greet", "1.0")
    (roost.folder / name).write_bytes(content)
    roost.write("requirements.txt", f"./{name}\n")
    first = roost.json("build")["build"]["definition_digest"]
    assert roost.ok(*GREETING).strip() == "1.0"
    (roost.folder / name).write_bytes(wheel_bytes("greet", "1.0", code="value = 'other'\n")[1])
    assert roost.json("digest")["definition_digest"] != first
    assert roost.ok(*GREETING).strip() == "other"
    body = roost.failed(1, "lock")
    assert (body["code"], body["fields"]["packages"]) == ("lock-not-portable", ["greet"])


def test_an_editable_project_is_seen_as_it_is_now_and_rebuilt_when_its_metadata_changes(
    roost: Roost, tmp_path: Path
) -> None:
    """The backend here leaves a path file, as real ones do for an editable install."""
    trace = tmp_path / "trace"
    files = backend_files("proj", "1.0", str(trace), static=True)
    files["backend.py"] = files["backend.py"].replace('"proj.py"', '"proj.pth"').replace(
        '"value = \'1.0 built\'\\n"', "str(pathlib.Path.cwd() / 'src') + chr(10)"
    ).replace("proj.py,,", "proj.pth,,")  # fmt: skip
    assert files["backend.py"].count("proj.pth") == 2
    for name, text in files.items():
        roost.write(f"proj/{name}", text)
    roost.write("proj/src/proj.py", "value = 'first'\n")
    roost.write("requirements.txt", "-e ./proj\n")
    say = ["exec", "--", "python", "-c", "import proj; print(proj.value)"]
    first = roost.json("build")["build"]
    assert roost.ok(*say).strip() == "first"
    roost.write("proj/src/proj.py", "value = 'second'\n")
    assert roost.json("digest")["definition_digest"] == first["definition_digest"]
    assert roost.ok(*say).strip() == "second"
    roost.write("proj/pyproject.toml", files["pyproject.toml"].replace('"1.0"', '"1.1"'))
    second = roost.json("plan")
    assert second["definition_digest"] != first["definition_digest"]
    assert second["plans"][0]["action"] == "build-prefix"


def test_as_of_takes_what_there_was_and_makes_a_generation_of_it(conda_roost: Roost) -> None:
    roost = conda_roost
    roost.write("environment.yml", "dependencies: [dated]\n")
    said = []
    for words in ([], ["--as-of", "2024-06-01"], ["--as-of", "2023-12-01T00:00:00Z"]):
        made = roost.json("build", *words)["build"]
        version = Path(made["artifacts"][0]["path"], "share/dated.txt").read_text().strip()
        said.append((made["generation"], made["state"], version))
    assert said == [(1, "succeeded", "3"), (2, "succeeded", "2"), (3, "succeeded", "1")]
    roost.ok("env", "register", "--name", "it")
    told = {each["number"]: each.get("as_of") for each in roost.json("env", "show", "it")["generations"]}
    assert told[1] is None
    assert told[2].startswith("2024-06-01T23:59:59")
    assert all(told[number].endswith("Z") for number in (2, 3))
    assert roost.ok("exec", "--generation", "2", "--", "sh", "-c", "cat $CONDA_PREFIX/share/dated.txt") == "2\n"
    assert roost.ok("exec", "--", "sh", "-c", "cat $CONDA_PREFIX/share/dated.txt") == "1\n", "the current one"
    early = roost.failed(4, "build", "--as-of", "2020-01-01")
    assert "--as-of" in early["hint"]


@pytest.mark.parametrize("platform", ["linux-aarch64", "osx-arm64", "win-64"])
def test_pip_packages_are_locked_beside_condas_python_for_another_platform(
    conda_roost: Roost, pip_index: PipIndex, platform: str
) -> None:
    pip_index.wheel("greet", "1.0")
    conda_roost.write("pyproject.toml", '[project]\nname = "p"\nversion = "1"\ndependencies = ["greet"]\n')
    here = conda_roost.ok("lock", "--platform", "linux-64")
    assert here == conda_roost.ok("lock"), "with the Python of this machine, as it is built here"
    listed = conda_roost.ok("lock", "--platform", platform, "--format", "explicit").splitlines()
    assert listed[:2] == [f"# platform: {platform}", "@EXPLICIT"]
    assert any(f"/{platform}/python-3." in line for line in listed)
    assert [line.split(" --hash")[0] for line in listed if line.startswith("# pip ")] == ["# pip greet==1.0"]


def test_who_comes_while_it_is_built_joins(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    file = "greet-1.0-py3-none-any.whl"
    pip_index.hanging.add(file)
    roost.write("requirements.txt", "greet\n")
    first = roost.start("build", "--json")
    _until(lambda: any(file in path for path in pip_index.asked))
    second = roost.start("build", "--json")
    assert second.stdout is not None
    told = json.loads(second.stdout.readline())
    assert told["event"] == "build"
    pip_index.hanging.clear()
    pip_index.let_go.set()
    results = [json.loads(p.communicate(timeout=60)[0].strip().splitlines()[-1])["build"] for p in (first, second)]
    assert [result["state"] for result in results] == ["succeeded", "joined"]
    assert results[0]["id"] == results[1]["id"] == told["id"]
    assert len(roost.json("builds", "list")["builds"]) == 1


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
