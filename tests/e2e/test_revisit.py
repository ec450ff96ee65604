"""Years later: a run again in its exact generation and settings, from its lock alone, or a word on what is missing."""

from __future__ import annotations

import http.server
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost
from tests.support.trees import link_or_copy

from roost.client import Run, RunFailedError, Workspace
from roost.client.api.run_record import LOG_NAME
from roost.client.cli.main import run as roost_here
from roost.client.launch import activate

CONDA = "name: old\nchannels: [conda-forge]\ndependencies: [python=3.11, six=1.16]\nvariables: {FROM_FILE: file}\n"
SAY = "import os, six; print(six.__version__, os.environ['FROM_FILE'], os.environ['GIVEN'])"
PACKAGE = "six-1.16.0-pyhd_0.conda"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def channel_copy(channel: Path, tmp_path: Path) -> Path:
    """The channel, its files to be taken away and changed."""
    return Path(shutil.copytree(channel, tmp_path / "conda-forge", copy_function=link_or_copy))


@pytest.fixture(params=["file", "http"])
def aged(request: pytest.FixtureRequest, roost: Roost, channel_copy: Path) -> Iterator[Roost]:
    """roost with conda-forge from a folder, or from a server of that folder."""
    handler = partial(Quiet, directory=str(channel_copy))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        by_http = f"http://127.0.0.1:{server.server_port}"
        url = channel_copy.as_uri() if request.param == "file" else by_http
        roost.config.write_text(roost.config.read_text() + f'[conda.mirrors]\n"conda-forge" = ["{url}"]\n')
        yield roost
        server.shutdown()


def forget(roost: Roost) -> None:
    """All that a budget may collect: prefixes, and the caches they came from."""
    roost.ok("daemon", "stop")
    for name in ("prefixes", "packages", "wheels"):
        shutil.rmtree(roost.root / name)


def last_run(roost: Roost) -> dict[str, Any]:
    shown: dict[str, Any] = roost.json("runs", "show", roost.json("runs", "list")["runs"][0]["id"])
    return shown


def test_a_run_comes_back_from_its_lock_whatever_has_become_of_everything(aged: Roost, channel_copy: Path) -> None:
    file = aged.write("environment.yml", CONDA)
    words = ("run", "--var", "GIVEN=given", "--experiment", "e", "--", "python", "-c", SAY)
    assert aged.ok(*words) == "1.16.0 file given\n"
    first = last_run(aged)
    file.write_text(CONDA.replace("six=1.16", "six"))
    aged.ok("env", "register")
    aged.ok("build", "--rebuild")
    file.unlink()
    forget(aged)
    package = channel_copy / "noarch" / PACKAGE
    package.rename(package.with_suffix(".aside"))
    lost = aged.failed(4, "runs", "rerun", first["id"])
    assert lost["code"] == "package-missing"
    assert "six 1.16.0" in lost["message"]
    assert f"conda-forge/noarch/{PACKAGE}" in lost["message"]
    assert lost["fields"]["package"] == "six"
    assert lost["fields"]["url"].endswith(f"conda-forge/noarch/{PACKAGE}")
    assert lost["fields"]["sha256"] in lost["hint"]
    assert "conda.mirrors" in lost["hint"]
    shutil.copy(package.with_name("six-1.17.0-pyhd_0.conda"), package)
    other = aged.failed(4, "runs", "rerun", first["id"])
    assert other["code"] == "digest-mismatch"
    assert list((aged.root / "prefixes").iterdir()) == []
    assert "six 1.16.0" in other["message"]
    package.unlink()
    package.with_suffix(".aside").rename(package)
    done = aged.run("runs", "rerun", first["id"])
    assert (done.returncode, done.stdout) == (0, "1.16.0 file given\n"), done.stderr
    assert "linking" in done.stderr, "the rebuild shows how far it is"
    second = last_run(aged)
    same = ("lock_digest", "generation", "definition_digest", "environment", "variables", "command", "experiment")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert second["environment"] == {"name": "old", "version": 1}
    assert aged.json("cache", "verify")["findings"] == []
    assert aged.json("cache", "df")["artifacts"][0]["kind"] == "prefix"


def test_a_detached_rerun_does_not_wait_for_what_is_made_again(
    roost: Roost, pip_index: PipIndex, workspace: Workspace
) -> None:
    roost.write("requirements.txt", "toy\n")
    pip_index.wheel("toy", "1.0")
    roost.ok("run", "--", "python", "-c", "import toy; print(toy.value)")
    first = last_run(roost)
    forget(roost)
    [name] = pip_index.projects["toy"]
    pip_index.hanging.add(name)
    detached = roost.ok("runs", "rerun", "--detach", first["id"]).strip()
    again = Run.get(workspace, first["id"]).rerun()
    assert roost.json("runs", "show", detached)["state"] == again.get_details()["roost"]["state"] == "preparing"
    cancelled = roost.ok("runs", "rerun", "--detach", first["id"]).strip()
    roost.ok("runs", "cancel", cancelled)
    assert roost.json("runs", "show", cancelled)["state"] == "cancelled"
    pip_index.hanging.clear()
    again.wait_for_completion()
    assert again.get_details_with_logs()["logFiles"][LOG_NAME] == "1.0\n"
    same = ("lock_digest", "generation", "rerun_of")
    known = [[roost.json("runs", "show", each)[name] for name in same] for each in (again.id, detached)]
    assert known == [[first["lock_digest"], first["generation"], first["id"]]] * 2
    forget(roost)
    del pip_index.files[name]
    lost = Run.get(workspace, first["id"]).rerun()
    with pytest.raises(RunFailedError, match=r"toy 1\.0"):
        lost.wait_for_completion()
    assert lost.get_details()["error"]["code"] == "package-missing"


def test_a_rerun_whose_prefix_goes_before_it_begins_makes_it_again(
    roost: Roost, pip_index: PipIndex, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, to take the prefix away in between."""
    roost.write("requirements.txt", "toy\n")
    pip_index.wheel("toy", "1.0")
    roost.ok("run", "--", "python", "-c", "import pathlib; pathlib.Path('done').touch()")
    first = last_run(roost)
    hold, taken = activate.hold_lease, list[str | None]()

    def gone_first(lease: str | None) -> int | None:
        if len(taken) < 2:
            taken.append(lease)
            shutil.rmtree(roost.root / "prefixes")
            (roost.root / "prefixes").mkdir(0o700)
        return hold(lease)

    monkeypatch.setattr(activate, "hold_lease", gone_first)
    (roost.folder / "done").unlink()
    assert roost_here(["runs", "rerun", first["id"]]) == 0
    assert (roost.folder / "done").exists()
    states = [each["state"] for each in roost.json("runs", "list")["runs"]]
    assert states == ["succeeded", "failed", "failed", "succeeded"], "the newest first"
    assert roost.json("runs", "list")["runs"][1]["exit_status"] == 125


def test_a_wheel_that_is_gone_is_named(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("toy", "1.0")
    roost.write("requirements.txt", "toy\n")
    say = ("--", "python", "-c", "import toy; print(toy.value)")
    roost.ok("run", *say)
    run = last_run(roost)
    forget(roost)
    [name] = pip_index.projects["toy"]
    kept = pip_index.files.pop(name)
    lost = roost.failed(4, "runs", "rerun", run["id"])
    assert lost["code"] == "package-missing"
    assert "toy 1.0" in lost["message"]
    assert lost["fields"]["url"] == f"{pip_index.origin}/files/{name}"
    pip_index.files[name] = wheel_bytes("toy", "1.0", code="value = 'other'")[1]
    assert roost.failed(4, "runs", "rerun", run["id"])["code"] == "digest-mismatch"
    pip_index.files[name] = kept
    assert roost.ok("runs", "rerun", run["id"]) == "1.0\n"
    assert last_run(roost)["lock_digest"] == run["lock_digest"]


USER_MANAGED = 'name = "mine"\n[python]\nuser_managed = true\ninterpreter = "{path}"\n[variables]\nA = "1"\n'
WHICH = ("--", "python", "-c", "import os, sys; print(sys.version.split()[0], os.environ['A'], os.environ.get('B'))")


def other_python() -> str:
    """Another version than the tests' own."""
    roots = Path(sys.base_prefix).parent.glob("3.*/bin/python3")
    own = "{}.{}.{}".format(*sys.version_info[:3])
    found = [str(path) for path in sorted(roots) if path.parent.parent.name != own]
    if not found:
        pytest.skip("there is one Python only")
    return found[0]


def test_a_user_managed_run_is_run_again_and_says_what_has_changed(roost: Roost) -> None:
    link = roost.folder / "bin" / "python"
    link.parent.mkdir()
    link.symlink_to(os.path.realpath(sys.executable))
    roost.write("roost.toml", USER_MANAGED.format(path=link))
    version = "{}.{}.{}".format(*sys.version_info[:3])
    assert roost.ok("run", "--var", "B=2", *WHICH) == f"{version} 1 2\n"
    first = last_run(roost)
    assert first["environment"] == {"name": "mine", "version": 1}
    found = roost.json("env", "diff", first["id"])
    assert [(each["field"], each["before"]) for each in found["settings"]] == [("variables.B", "2")]
    assert "user-managed" in found["after"]["lock_missing"]
    (roost.folder / "roost.toml").unlink()
    again = roost.run("runs", "rerun", first["id"])
    assert (again.stdout, again.stderr) == (f"{version} 1 2\n", ""), "nothing has changed: nothing is said"
    link.unlink()
    link.symlink_to(other_python())
    changed = roost.run("runs", "rerun", first["id"])
    assert changed.returncode == 0
    assert changed.stdout != again.stdout
    assert "warning" in changed.stderr
    assert f"Python {version} then" in changed.stderr
    since = last_run(roost)["interpreter"]["changed_since"]
    assert since["run"] == first["id"]
    assert since["version"]["before"] == version
    assert {"executable", "mtime"} <= set(since)
    link.unlink()
    gone = roost.failed(7, "runs", "rerun", first["id"])
    assert gone["code"] == "interpreter-missing"
    assert "mine:1" in gone["hint"]


def test_a_run_that_never_started_can_not_be_run_again(roost: Roost, pip_index: PipIndex) -> None:
    roost.write("requirements.txt", "nosuch\n")
    run = roost.ok("run", "--detach", "--", "true").strip()
    roost.run("runs", "logs", "-f", run)
    assert roost.failed(7, "runs", "rerun", run)["code"] == "run-unrepeatable"


def test_secrets_of_a_run_are_asked_for_again_and_recorded_by_name(roost: Roost) -> None:
    roost.write("requirements.txt", "# nothing\n")
    say = ("--", "python", "-c", "import os; print(os.environ['TOKEN'])")
    roost.ok("run", "--secret", "TOKEN", *say, variables={"TOKEN": "one"})
    first = last_run(roost)
    assert roost.failed(2, "runs", "rerun", first["id"])["code"] == "usage"
    assert roost.ok("runs", "rerun", first["id"], variables={"TOKEN": "two"}) == "two\n"
    assert last_run(roost)["secrets"] == ["TOKEN"]
    detached = roost.ok("runs", "rerun", "--detach", first["id"], variables={"TOKEN": "three"}).strip()
    assert roost.ok("runs", "logs", "-f", detached) == "three\n"


def test_what_a_run_used_is_told_as_it_was(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("toy", "1.0")
    text = 'name = "e"\n[pip]\nrequirements = ["toy"]\n[variables]\nA = "{}"\n'
    roost.write("roost.toml", text.format(1))
    roost.ok("run", "--var", "B=2", "--", "python", "-c", "pass")
    run = last_run(roost)
    pip_index.wheel("toy", "2.0")
    roost.ok("build", "--rebuild")
    roost.write("roost.toml", text.format(9))
    roost.ok("env", "register")
    assert run["environment"] == {"name": "e", "version": 1}
    assert (run["generation"], run["variables"]) == (1, {"A": "1", "B": "2"})
    used = roost.json("env", "show", "e:1")
    assert used["definition"] == {"pip": {"requirements": ["toy"]}}
    assert used["settings"] == {"variables": {"A": "1"}}
    assert used["generations"][0]["lock_digest"] == run["lock_digest"]
    say = ("--", "python", "-c", "import toy; print(toy.value)")
    assert roost.ok("run", "-e", "e:1", "--lock", run["lock_digest"], *say) == "1.0\n"
    shown = roost.ok("runs", "show", run["id"])
    assert "e:1" in shown
