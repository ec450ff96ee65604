"""Environment files that people edit while channels and indexes move on: what the edit does not concern stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

SOLVED = ("plan", "-t", "local", "--solve")


def write_yml(roost: Roost, *specs: str, pip: tuple[str, ...] = ()) -> None:
    lines = [f"- {spec}\n" for spec in specs]
    lines += ["- pip:\n", *(f"  - {line}\n" for line in pip)] if pip else []
    roost.write("environment.yml", "dependencies:\n" + "".join(lines))


def changed(result: dict[str, Any]) -> list[str]:
    return [each["text"] for each in result["changes"]]


def versions(roost: Roost) -> dict[str, str]:
    text = roost.ok("lock", "--format", "explicit")
    names = (line.rpartition("/")[2].rsplit("-", 2) for line in text.splitlines() if ".conda" in line)
    return {name: version for name, version, _ in names}


def test_an_edit_moves_nothing_that_it_does_not_concern(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    write_yml(roost, "dated=1")
    first = roost.json("build")["build"]
    assert first["changes"] == []
    write_yml(roost, "dated", "post-linked")
    assert changed(roost.json(*SOLVED)["plans"][0]) == ["+ post-linked 1.2"]
    assert "change + post-linked 1.2" in roost.ok(*SOLVED)
    said = roost.run("build")
    assert said.returncode == 0, said.stderr
    assert "+ post-linked 1.2" in said.stderr
    assert versions(roost) == {"dated": "1.0", "post-linked": "1.2"}
    edited = roost.json("plan", "-t", "local")["lock_digest"]
    # The user asks for everything new, and only then it moves.
    rebuilt = roost.json("build", "--rebuild")["build"]
    assert changed(rebuilt) == ["~ dated 1.0 -> 3.0"]
    assert [each["asked"] for each in rebuilt["changes"]] == [False]
    # A former text has its former lock, and what is edited next prefers that one.
    write_yml(roost, "dated=1")
    assert roost.json("build")["build"]["lock_digest"] == first["lock_digest"] != edited
    write_yml(roost, "dated", "activated")
    assert "+ activated 1.0" in changed(roost.json("build")["build"])
    assert versions(roost)["dated"] == "1.0"


def test_what_must_move_is_reported_as_what_was_asked_for(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    write_yml(roost, "dated=1")
    roost.ok("build")
    write_yml(roost, "dated>=2")
    (move,) = roost.json("build")["build"]["changes"]
    assert (move["change"], move["asked"], move["before"], move["after"]) == ("moved", True, "1.0", "3.0")
    roost.write("environment.yml", "dependencies: [post-linked]\n")
    assert sorted(changed(roost.json("build")["build"])) == ["+ post-linked 1.2", "- dated 3.0"]


def test_another_path_begins_anew_and_so_does_as_of(own_conda_roost: Roost, tmp_path: Path) -> None:
    roost = own_conda_roost
    write_yml(roost, "dated=1")
    roost.ok("build")
    other = tmp_path / "environment.yml"
    other.write_text("dependencies: [dated, post-linked]\n")
    assert roost.json("build", "-f", str(other))["build"]["changes"] == []
    write_yml(roost, "dated", "activated")
    dated = roost.json("build", "--as-of", "2024-12-01")["build"]
    assert versions(roost)["dated"] == "2.0", dated


def test_pip_packages_and_versions_of_an_environment_stay_too(roost: Roost, pip_index: PipIndex) -> None:
    for name in ("left", "right"):
        pip_index.wheel(name, "1.0")
    roost.write("requirements.txt", "left\n")
    roost.ok("build")
    roost.ok("env", "register", "-f", "requirements.txt", "--name", "train")
    pip_index.wheel("left", "2.0")
    roost.write("requirements.txt", "left\nright\n")
    roost.ok("env", "register", "-f", "requirements.txt", "--name", "train")
    assert changed(roost.json("build", "-e", "train:2")["build"]) == ["+ right 1.0"]
    pip_index.wheel("needs", "1.0", "left>=2")
    roost.write("requirements.txt", "left\nright\nneeds\n")
    result = roost.json("build")["build"]
    assert changed(result) == ["~ left 1.0 -> 2.0", "+ needs 1.0", "+ right 1.0"]
    assert [each["asked"] for each in result["changes"]] == [False, True, True]


def test_both_parts_of_a_mixed_file_stay_and_a_package_changes_sides_at_its_version(
    conda_roost: Roost, pip_index: PipIndex
) -> None:
    roost = conda_roost
    for name, older, newer in (("left", "1.0", "2.0"), ("numpy", "1.26.4", "2.1.3")):
        pip_index.wheel(name, older)
        pip_index.wheel(name, newer)
    write_yml(roost, "python=3.11", "numpy=1.26", pip=("left==1.0",))
    built = roost.json("build")["build"]
    write_yml(roost, "python=3.11", "numpy", pip=("left",))
    same = roost.json(*SOLVED)
    assert (same["lock_digest"], changed(same["plans"][0])) == (built["lock_digest"], [])
    write_yml(roost, "python=3.11", pip=("left", "numpy"))
    moves = roost.json(*SOLVED)["plans"][0]["changes"]
    (numpy,) = (each for each in moves if each["name"] == "numpy")
    assert numpy["text"] == "~ numpy 1.26.4 -> 1.26.4, from pip in place of conda"
    assert {each["change"] for each in moves if each["name"] != "numpy"} <= {"removed"}, "what only numpy needed"
