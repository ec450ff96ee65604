"""The project of a pyproject.toml is installed on top of its dependencies, in a prefix of its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.projects import Project
from tests.support.roost_process import Roost


@pytest.fixture
def project(roost: Roost, pip_index: PipIndex) -> Project:
    pip_index.wheel("leaf", "1.0")
    return Project(roost.folder / "project", "leaf")


def test_a_project_runs_by_its_scripts_and_is_built_once(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("leaf", "1.0")
    cwd = roost.folder / 'it\'s a "möve"'
    project = Project(cwd, "leaf")
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
    assert roost.ok("which", "demo", cwd=cwd) == f"{prefix['path']}/bin/demo\n"
    assert roost.failed(7, "which", "--no-project", "demo", cwd=cwd)["code"] == "program-absent"
    listed = roost.json("list", cwd=cwd)
    assert (listed["lock_digest"], listed["project"]) == (ready["lock_digest"], "demo-app")
    assert "pyproject.toml" in roost.ok("why", "leaf", cwd=cwd)
    # What is recorded and shared is the lock of the dependencies.
    run = roost.json("runs", "list")["runs"][0]
    assert (run["lock_digest"], run["artifact"]) == (ready["lock_digest"], prefix["id"])
    shown = roost.json("runs", "show", run["id"])
    assert (shown["project"]["name"], shown["project"]["folder"], shown["options"]) == ("demo-app", str(cwd), {})
    assert "demo-app" not in roost.ok("lock", cwd=cwd)
    rerun = roost.run("runs", "rerun", run["id"])
    assert (rerun.stdout, "warning" in rerun.stderr) == ("second\n", False), rerun.stderr
    project.describe(more="# changed\n")
    rerun = roost.run("runs", "rerun", run["id"])
    assert (rerun.stdout, "have changed" in rerun.stderr) == ("second\n", True), rerun.stderr
    project.file.unlink()
    rerun = roost.run("runs", "rerun", run["id"])
    assert (rerun.returncode, "has no project demo-app any more" in rerun.stderr) == (127, True), rerun.stderr


def lead(link: Path, target: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def test_a_link_that_leads_elsewhere_is_another_project(roost: Roost, project: Project) -> None:
    other, cwd = Project(roost.folder / "other", "leaf"), roost.folder
    other.says("second")
    ask = ("-f", "current/pyproject.toml", "demo")
    lead(cwd / "current", "project")
    for command in ("exec", "exec", "exec", "run"):  # the last exec by its launch plan
        assert roost.ok(command, *ask, cwd=cwd) == "first\n"
    other.file.unlink()
    os.link(project.file, other.file)  # nothing but the folder differs
    lead(cwd / "current", "other")
    assert roost.json("plan", *ask[:2], cwd=cwd)["plans"][0]["action"] == "build-prefix"
    for command in ("exec", "exec", "run"):
        assert roost.ok(command, *ask, cwd=cwd) == "second\n"
    # Links within a project, of which the backend wrote where they led.
    (other.folder / "src").rename(cwd / "new")
    (project.folder / "src").rename(cwd / "old")
    lead(other.folder / "src", "../old")
    other.describe(more="# again\n")
    for command in ("exec", "exec", "run"):
        assert roost.ok(command, *ask, cwd=cwd) == "first\n"
    lead(other.folder / "src", "../new")
    assert "prefix-drifted" in [each["code"] for each in roost.json("plan", *ask[:2], cwd=cwd)["plans"][0]["reasons"]]
    for command in ("exec", "exec", "run"):
        assert roost.ok(command, *ask, cwd=cwd) == "second\n"


def test_a_backend_that_fails_says_so_and_the_dependencies_run(roost: Roost, project: Project) -> None:
    cwd = project.folder
    project.break_backend('raise RuntimeError("no such compiler")')
    error = roost.failed(4, "build", cwd=cwd)
    assert (error["code"], error["fields"]["folder"]) == ("project-build-failed", str(cwd))
    assert "no such compiler" in error["message"]
    assert "--no-project" in error["hint"]
    assert error["location"]["line"] == 7
    assert roost.ok("run", "--no-project", "python", "-c", "import leaf; print(leaf.value)", cwd=cwd) == "1.0\n"
    assert len(roost.json("cache", "df")["artifacts"]) == 1
    project.break_backend("")
    assert roost.ok("run", "demo", cwd=cwd) == "first\n"


def test_what_a_build_needs_and_cannot_have_is_the_projects_failure(
    roost: Roost, project: Project, pip_index: PipIndex
) -> None:
    project.describe(requires='"absent>=2"')
    error = roost.failed(4, "build", cwd=project.folder)
    assert (error["code"], error["fields"]["cause"]) == ("project-build-failed", "pip-unsatisfiable")
    assert "absent" in error["message"]
    pip_index.wheel("absent", "2.0")
    assert roost.ok("run", "demo", cwd=project.folder) == "first\n"


def test_what_is_built_meanwhile_changed_is_not_kept(roost: Roost, project: Project) -> None:
    project.break_backend('open(here / "setup.cfg", "w").write("# changed")')
    error = roost.failed(4, "build", cwd=project.folder)
    assert (error["code"], error["retryable"]) == ("project-changed", True)
    assert roost.ok("run", "demo", cwd=project.folder) == "first\n"


def wait_for(path: Path) -> str:
    """What a process writes into a file, once it has."""
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, path
        time.sleep(0.01)
    return path.read_text()


HANG = """
if not (here / "go").exists():
    (here / "pid").write_text(f"{os.getpid()}\\n")
    import time
    time.sleep(600)
"""


def test_a_backend_that_hangs_ends_with_the_command_or_the_daemon(roost: Roost, project: Project) -> None:
    cwd = project.folder
    project.break_backend(HANG)
    waiting = roost.start("run", "demo", cwd=cwd)
    pid = int(wait_for(cwd / "pid"))
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(60) == 128 + signal.SIGINT
    wait_end(pid)
    (cwd / "pid").unlink()
    roost.start("run", "demo", cwd=cwd)
    pid = int(wait_for(cwd / "pid"))
    daemon = roost.daemon_pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)
    wait_end(daemon)
    os.kill(pid, signal.SIGKILL)  # else it goes on, in a prefix that no daemon knows any more
    (cwd / "go").touch()
    assert roost.ok("run", "demo", cwd=cwd) == "first\n"
    assert len(list((roost.root / "prefixes").glob("*.manifest"))) == 2
    assert roost.json("cache", "verify")["findings"] == []


def wait_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{pid}") and b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2][:3]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_watching_and_prebuilding_never_run_a_backend(roost: Roost, project: Project, pip_index: PipIndex) -> None:
    roost.config.write_text(roost.config.read_text() + "[watch]\nmax_load = 0\non_battery = true\n")
    cwd = project.folder
    roost.ok("watch", "add", ".", cwd=cwd)
    wait_warm(roost)
    pip_index.wheel("more", "1.0")
    project.require("leaf", "more")
    wait_warm(roost, roost.json("plan", cwd=cwd)["definition_digest"])
    assert (project.builds, len(roost.json("cache", "df")["artifacts"])) == (0, 2)
    roost.ok("digest", cwd=cwd)
    assert project.builds == 0
    assert roost.ok("run", "demo", cwd=cwd) == "first\n"
    assert len(roost.json("cache", "df")["artifacts"]) == 3


def wait_warm(roost: Roost, digest: str | None = None) -> None:
    """Until what is watched is ready, with that digest."""
    deadline = time.monotonic() + 60
    while True:
        (watch,) = roost.json("watch", "list")["watches"]
        if watch["state"] == "warm" and digest in (None, watch["definition_digest"]):
            return
        assert time.monotonic() < deadline, watch
        assert watch["state"] not in ("waiting", "failed"), watch
        time.sleep(0.02)


def test_an_altered_layer_is_replaced_by_the_next_command_and_goes_with_its_folder(
    roost: Roost, project: Project
) -> None:
    roost.ok("build", cwd=project.folder)
    layer = roost.json("plan", cwd=project.folder)["plans"][0]["artifact"]
    (altered,) = Path(layer["path"]).glob("lib/python3*/site-packages/demo_app.pth")
    altered.write_text("/elsewhere\n")
    builds = project.builds
    (finding,) = roost.json("cache", "verify", "--repair")["findings"]
    assert (finding["path"], finding["retired"], finding["replaced_by"]) == (layer["path"], True, None)
    assert project.builds == builds
    assert roost.ok("run", "demo", cwd=project.folder) == "first\n"
    assert roost.json("cache", "verify")["findings"] == []
    roost.ok("doctor")
    again = roost.json("plan", cwd=project.folder)["plans"][0]["artifact"]
    project.file.unlink()
    steps = roost.json("cache", "gc", "--all", "--dry-run")["steps"]
    assert ("abandoned-prefixes", again["id"]) in [(step["rule"], step["id"]) for step in steps]


def test_two_requests_at_once_are_one_build(roost: Roost, project: Project) -> None:
    roost.ok("build", cwd=project.folder)
    of_one = project.builds
    project.describe("another")
    both = [roost.start("run", "another", cwd=project.folder) for _ in range(2)]
    assert [(each.communicate()[0], each.returncode) for each in both] == [("first\n", 0)] * 2
    assert project.builds == 2 * of_one
    assert roost.run("exec", "demo", cwd=project.folder).returncode == 127


def test_a_definition_of_roost_gets_its_project_on_conda_packages(conda_roost: Roost, pip_index: PipIndex) -> None:
    project = Project(conda_roost.folder / "project")
    project.describe(more='[tool.roost]\nproject = true\n[tool.roost.conda]\ndependencies = ["python=3.12"]\n')
    assert conda_roost.ok("run", "demo", cwd=project.folder) == "first\n"
    planned = conda_roost.json("plan", "-t", "docker", cwd=project.folder)
    assert "project-not-in-image" in [each["code"] for each in planned["warnings"]]
    assert conda_roost.json("plan", "-t", "local", cwd=project.folder)["warnings"] == []


def test_the_lock_is_shared_as_without_a_project(roost: Roost, project: Project, pip_index: PipIndex) -> None:
    """Which needs the markers that its packages state: they are known once they were installed on their own."""
    pip_index.wheel("more", "1.0")
    roost.ok("add", "more", cwd=project.folder)  # records the lock, and builds nothing
    assert roost.ok("run", "demo", cwd=project.folder) == "first\n"
    assert len(roost.json("cache", "df")["artifacts"]) == 2
