"""The project of a pyproject.toml is installed on top of its dependencies, in a prefix of its own."""

from __future__ import annotations

import pytest
from tests.support.pip_index import PipIndex
from tests.support.projects import Project
from tests.support.roost_process import Roost


@pytest.fixture
def project(roost: Roost, pip_index: PipIndex) -> Project:
    pip_index.wheel("leaf", "1.0")
    return Project(roost.folder / 'it\'s a "möve"', "leaf")


def test_a_project_runs_by_its_scripts_and_is_built_once(roost: Roost, project: Project) -> None:
    cwd = project.folder
    planned = roost.json("plan", "--solve", cwd=cwd)
    assert [each["code"] for each in planned["plans"][0]["reasons"]][-1] == "project-missing"
    assert "project" in [each["kind"] for each in planned["plans"][0]["steps"]]
    assert project.builds == 0
    first = roost.run("run", "demo", cwd=cwd)
    assert (first.returncode, first.stdout) == (0, "first\n"), first.stderr
    assert f"installed project demo-app from {cwd} (editable)" in first.stderr
    builds = project.builds
    assert builds > 0
    second = roost.run("run", "demo", cwd=cwd)
    assert (second.stdout, "installed" in second.stderr) == ("first\n", False)
    project.says("second")
    for command in ("exec", "exec", "run"):  # the second exec by its launch plan
        assert roost.ok(command, "demo", cwd=cwd) == "second\n"
    assert list((roost.root / "launch").rglob("@exec")) != []
    assert project.builds == builds
    ready = roost.json("plan", cwd=cwd)
    prefix = ready["plans"][0]["artifact"]
    assert ready["plans"][0]["action"] == "reuse-prefix"
    # Without the project: another prefix of the same definition and lock, beside the first.
    alone = roost.json("plan", "--no-project", cwd=cwd)
    base = alone["plans"][0]["artifact"]
    assert alone["plans"][0]["action"] == "reuse-prefix"
    for each in (planned, alone):
        assert (each["definition_digest"], each["lock_digest"]) == (ready["definition_digest"], ready["lock_digest"])
    assert (base["digest"], base["path"] != prefix["path"]) == (ready["lock_digest"], True)
    assert roost.run("exec", "--no-project", "demo", cwd=cwd).returncode == 127
    assert roost.ok("exec", "demo", cwd=cwd) == "second\n"
    # What is recorded and shared is the lock of the dependencies.
    run = roost.json("runs", "list")["runs"][0]
    assert (run["lock_digest"], run["artifact"]) == (ready["lock_digest"], prefix["id"])
    assert "demo-app" not in roost.ok("lock", cwd=cwd)
