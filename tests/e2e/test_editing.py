"""``init``, ``add``, ``remove``: files of every kind, solved before they are replaced, left alone by any failure.

One daemon serves all cases; each has a folder of its own.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.support.following import EventFollower
from tests.support.pip_index import PipIndex, sdist_bytes
from tests.support.roost_process import ROOST, Roost, new_roost
from uv import find_uv_bin

PATIENCE = 60
NUMBERS = count(1)
SETTINGS = "[watch]\nmax_load = 0\non_battery = true\n"
"""The machine that runs the tests is busy."""


@pytest.fixture(scope="module")
def index() -> Iterator[PipIndex]:
    made = PipIndex()
    for name in ("left", "right", "upper"):
        for version in ("1.0", "2.0"):
            made.wheel(name, version)
    made.wheel("needs-left", "1.0", "left<2")
    yield made
    made.close()


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While this file exists, the daemon does not go on once a temporary file is complete."""
    return tmp_path_factory.mktemp("hold") / "hold"


@pytest.fixture(scope="module")
def shared(index: PipIndex, channel_url: str, hold: Path) -> Iterator[Roost]:
    made = new_roost()
    made.variables["ROOST_FAILPOINT_HOLD"] = f"edit.synced={hold}"
    mirrors = f'[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n'
    made.config.write_text(f'[pip]\nindex_url = "{index.url}"\n{mirrors}{SETTINGS}')
    yield made
    made.end()


class Project:
    """A folder in which roost is called."""

    def __init__(self, roost: Roost, folder: Path) -> None:
        self.roost = roost
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / ".git").mkdir()  # the search for a file ends here

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.roost.run(*words, cwd=self.folder, **options)

    def ok(self, *words: str) -> str:
        return self.roost.ok(*words, cwd=self.folder)

    def json(self, *words: str) -> Any:
        return self.roost.json(*words, cwd=self.folder)

    def failed(self, status: int, *words: str) -> dict[str, Any]:
        return self.roost.failed(status, *words, cwd=self.folder)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return self.roost.start(*words, cwd=self.folder)

    def names(self) -> list[str]:
        return sorted(each.name for each in self.folder.iterdir() if each.name != ".git")


@pytest.fixture
def project(shared: Roost, request: pytest.FixtureRequest) -> Project:
    return Project(shared, shared.folder / f"{next(NUMBERS)}-{request.node.originalname}")


def changed(result: dict[str, Any]) -> list[str]:
    return [each["text"] for each in result["changes"]]


def wait_until(check: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something that ``process`` brings about."""
    deadline = time.monotonic() + PATIENCE
    while not check():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


# ----------------------------------------------------------------- every kind of file
def test_a_newcomer_begins_adds_and_runs_without_a_second_solve(project: Project, index: PipIndex) -> None:
    assert "wrote requirements.txt" in project.ok("init", "--pip")
    assert "left (2.0) at requirements.txt:" in project.ok("add", "left")
    index.wheel("left", "3.0")
    done = project.run("add", "right")
    assert done.returncode == 0, done.stderr
    assert "added right (2.0) at requirements.txt:" in done.stdout
    assert "+ right 2.0" in done.stdout
    assert "left" not in done.stdout, "nothing else moved"
    asked = sum(number for path, number in index.asked.items() if path.startswith("/simple"))
    said = project.run("run", "--", "python", "-c", "import left, right; print(left.__name__)")
    assert (said.returncode, said.stdout) == (0, "left\n"), said.stderr
    assert "locking" not in said.stderr
    assert sum(number for path, number in index.asked.items() if path.startswith("/simple")) == asked
    removed = project.json("remove", "right")
    assert changed(removed) == ["- right 2.0"]
    assert project.read("requirements.txt").split()[-1] == "left"


def test_an_environment_yml_keeps_its_comments_and_its_other_packages(project: Project) -> None:
    text = "name: train\nchannels:\n  - conda-forge\ndependencies:\n  - dated=1   # the first\n"
    project.write("environment.yml", text)
    project.ok("add", "dated<2")
    result = project.json("add", "post-linked")
    assert project.read("environment.yml").startswith("name: train\nchannels:\n  - conda-forge\ndependencies:\n")
    assert "# the first" in project.read("environment.yml")
    assert (result["format"], result["is_written"], changed(result)) == ("conda", True, ["+ post-linked 1.2"])
    (item,) = result["items"]
    assert (item["action"], item["section"], item["after"], item["version"]) == ("added", "conda", "post-linked", "1.2")
    assert project.read("environment.yml").splitlines()[item["line"] - 1].strip() == "- post-linked"
    planned = project.json("plan", "-t", "local")
    assert (planned["lock_digest"], planned["definition_digest"]) == (
        result["lock_digest"],
        result["definition_digest"],
    )
    again = project.json("add", "post-linked")
    assert ([each["action"] for each in again["items"]], again["is_written"]) == (["present"], False)
    assert again["lock_digest"] == result["lock_digest"]


def test_a_pyproject_gets_bounds_and_a_group_is_solved_with_the_group(project: Project) -> None:
    project.write("pyproject.toml", '[project]\nname = "demo"\nversion = "1"\ndependencies = [\n    "upper<2",\n]\n')
    result = project.json("add", "right")
    assert '"right>=2.0",' in project.read("pyproject.toml")
    assert result["items"][0]["after"] == "right>=2.0"
    assert project.json("plan", "--no-project")["lock_digest"] == result["lock_digest"], "no second solve"
    grouped = project.json("add", "needs-left", "--group", "test")
    assert grouped["items"][0]["after"] == "needs-left>=1.0"
    assert "[dependency-groups]" in project.read("pyproject.toml")
    assert grouped["definition_digest"] != result["definition_digest"]
    assert project.json("plan", "--no-project", "--group", "test")["lock_digest"] == grouped["lock_digest"]
    assert sorted(changed(grouped)) == ["+ left 1.0", "+ needs-left 1.0"], "compared with the file without the group"
    other = project.json("add", "left==1.0", "--extra", "plot")
    assert changed(other) == ["+ left 1.0"], "nothing of the group"
    project.write("pyproject.toml", project.read("pyproject.toml").replace("upper<2", "upper<3"))
    assert changed(project.json("remove", "left", "--extra", "plot")) == [], "no lock of what was edited by hand"
    project.write("pyproject.toml", project.read("pyproject.toml").replace("upper<3", "upper<2"))
    assert project.json("plan", "--no-project")["lock_digest"] == result["lock_digest"]


def test_a_script_is_edited_by_its_name(project: Project) -> None:
    project.write("train.py", '# /// script\n# dependencies = ["upper"]\n# ///\nimport right\nprint("trained")\n')
    result = project.json("add", "--script", "train.py", "right")
    assert project.read("train.py").endswith('# ///\nimport right\nprint("trained")\n')
    assert "right>=2.0" in project.read("train.py")
    said = project.run("run", "train.py")
    assert (said.returncode, said.stdout) == (0, "trained\n"), said.stderr
    assert "locking" not in said.stderr
    assert project.json("plan", "-f", "train.py")["lock_digest"] == result["lock_digest"]


def test_a_roost_toml_takes_both_kinds(project: Project) -> None:
    project.write("roost.toml", '[conda]\ndependencies = ["python=3.11"]\n\n[pip]\nrequirements = ["upper"]\n')
    result = project.json("add", "conda:dated=1", "pip:right")
    assert [(each["section"], each["version"]) for each in result["items"]] == [("conda", "1.0"), ("pip", "2.0")]
    removed = project.json("remove", "dated")
    assert changed(removed) == ["- dated 1.0"]


def test_beside_a_roost_lock_its_versions_stay_and_it_is_named(project: Project, index: PipIndex) -> None:
    project.write("requirements.txt", "upper\n")
    project.ok("lock", "--write")
    index.wheel("upper", "3.0")
    result = project.json("add", "right==1.0")
    assert changed(result) == ["+ right 1.0"]
    assert [each["code"] for each in result["warnings"]] == ["lock-stale"]
    project.ok("lock", "--write")
    assert changed(project.json("add", "left==1.0")) == ["+ left 1.0"]
    assert changed(project.json("remove", "left")) == ["- left 1.0"]
    assert project.json("plan", "--locked")["lock_digest"] == result["lock_digest"]


# --------------------------------------------------------------------------- judges
PYPROJECT = '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.9"\n'
LISTED = 'dependencies = [\n    "left",  # mine\n    "upper<2",\n]\n\n[tool.other]\na = 1\n'


def run_uv(project: Project, index: PipIndex, *words: str) -> str:
    environ = {**os.environ, "UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    folder = project.folder / "judged"
    done = subprocess.run(
        [find_uv_bin(), *words, "--no-config"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LISTED, ("right", "needs-left ; sys_platform == 'linux'")),
        (LISTED, ("left>=1",)),
        ("", ("right<2",)),
        (LISTED.replace("\n[tool.other]\na = 1\n", ""), ("right", "--group", "test")),
        (LISTED, ("right[all]", "--optional", "plot")),
    ],
)
def test_uv_writes_the_same_text(project: Project, index: PipIndex, text: str, words: tuple[str, ...]) -> None:
    project.write("pyproject.toml", PYPROJECT + text)
    project.write("judged/pyproject.toml", PYPROJECT + text)
    project.ok("add", *(word.replace("--optional", "--extra") for word in words))
    run_uv(project, index, "add", "--no-sync", *words)
    of_uv, _, own_index = project.read("judged/pyproject.toml").partition("\n[[tool.uv.index]]")
    assert "default = true" in own_index, "uv writes the index of its command line"
    assert project.read("pyproject.toml") == of_uv


def test_uv_and_pip_read_what_was_written(project: Project, index: PipIndex) -> None:
    (project.folder / "judged").mkdir()
    project.write("judged/train.py", "#!/usr/bin/env python3\n# mine\nprint(1)\n")
    project.write("judged/requirements.txt", "left==1.0  # mine\n-c bounds.txt\n")
    project.write("judged/bounds.txt", "right<2\n")
    for name in ("train.py", "requirements.txt"):
        project.ok("add", "-f", f"judged/{name}", "right", "upper==1.0")
        compiled = run_uv(project, index, "pip", "compile", name, "--no-annotate", "--no-header", "-q").split()
        assert {"upper==1.0", "right==1.0" if name == "requirements.txt" else "right==2.0"} <= set(compiled)
    script = (
        "from pip._internal.network.session import PipSession\n"
        "from pip._internal.req.req_file import parse_requirements\n"
        "print(*sorted(each.requirement for each in parse_requirements('requirements.txt', PipSession())\n"
        "              if not each.constraint), sep='|')"
    )
    read = subprocess.run(
        [sys.executable, "-c", script], cwd=project.folder / "judged", capture_output=True, text=True, check=True
    )
    assert read.stdout.strip() == "left==1.0|right|upper==1.0"


def test_a_package_without_a_wheel_is_built_for_its_lock(project: Project, index: PipIndex) -> None:
    index.add("made", sdist_bytes("made", "1.0", str(project.folder / "trace")))
    project.write("requirements.txt", "left==1.0\n")
    result = project.json("add", "made")
    assert result["items"][0]["version"] == "1.0"
    said = project.run("run", "--", "python", "-c", "import made; print(made.__name__)")
    assert (said.returncode, said.stdout) == (0, "made\n"), said.stderr
    assert "locking" not in said.stderr
    assert project.json("plan")["lock_digest"] == result["lock_digest"]


def test_a_large_file_is_edited_as_a_small_one(project: Project) -> None:
    comments = "# a line of a file that is edited in a worker\n" * 6000
    project.write("requirements.txt", f"{comments}left==1.0\n")
    result = project.json("add", "right==1.0")
    assert project.read("requirements.txt") == f"{comments}left==1.0\nright==1.0\n"
    assert result["items"][0]["line"] == 6002
    refused = project.failed(1, "remove", "upper")
    assert refused["code"] == "package-not-listed"


# ------------------------------------------------------------------------- refusals
def test_what_cannot_be_solved_changes_no_byte(project: Project) -> None:
    file = project.write("requirements.txt", "left==1.0  # pinned\n")
    before = file.stat()
    missing = project.failed(4, "add", "no-such-package")
    assert "no-such-package" in missing["message"]
    assert missing["hint"].endswith("requirements.txt stays as it was.")
    conflict = project.failed(4, "add", "left>=2", "needs-left")
    assert "left" in conflict["message"]
    assert (file.read_text(), file.stat().st_ino, file.stat().st_mtime_ns) == (
        "left==1.0  # pinned\n",
        before.st_ino,
        before.st_mtime_ns,
    )
    assert project.names() == ["requirements.txt"]
    project.write("environment.yml", "dependencies:\n- dated=1\n")
    body = project.failed(4, "add", "no-such-conda-package")
    assert "no-such-conda-package" in body["message"]
    assert body["location"] is None or body["location"]["line"] is None
    assert project.read("environment.yml") == "dependencies:\n- dated=1\n"


def test_a_trial_shows_the_change_and_makes_none(project: Project) -> None:
    project.write("requirements.txt", "left==1.0\n")
    shown = project.ok("add", "right", "--dry-run")
    assert "+right" in shown.splitlines()
    assert project.read("requirements.txt") == "left==1.0\n"
    result = project.json("remove", "left", "--dry-run")
    assert result["is_written"] is False
    assert project.json("plan")["lock_digest"] is None, "nothing was recorded"


def test_every_refusal_says_what_to_do_and_leaves_the_file(project: Project) -> None:
    absent = project.failed(7, "add", "left")
    assert "roost init" in absent["hint"]
    assert "roost init" in project.failed(7, "add", "-f", ".", "left")["hint"]
    assert "roost env edit train" in project.failed(2, "add", "-e", "train", "left")["hint"]
    project.write("requirements.txt", "left==1.0\n")
    assert project.failed(1, "remove", "right")["code"] == "package-not-listed"
    project.failed(2, "add", "left==")
    project.write("explicit.txt", "@EXPLICIT\nhttps://example.org/a-1-0.conda#" + "0" * 64 + "\n")
    refused = project.failed(1, "add", "-f", "explicit.txt", "left")
    assert refused["code"] == "edit-refused"
    (project.folder / "requirements.txt").chmod(0o444)
    assert project.failed(1, "add", "right")["code"] == "file-not-writable"
    (project.folder / "requirements.txt").chmod(0o644)
    project.write("requirements.txt", "left ==\n")
    assert project.failed(3, "add", "right")["location"]["line"] == 1
    assert project.read("requirements.txt") == "left ==\n"
    project.write(
        "requirements.txt", "private @ https://x:${SECRET_OF_NOBODY}@localhost:1/private-1-py3-none-any.whl\n"
    )
    assert project.failed(3, "add", "right")["code"] == "variable-missing"


# ----------------------------------------------------------- others at the same time
def test_two_additions_at_once_are_both_there(project: Project) -> None:
    project.write("requirements.txt", "upper\n")
    processes = [project.start("add", name) for name in ("left==1.0", "right==1.0")]
    for process in processes:
        printed = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, printed
    assert sorted(project.read("requirements.txt").split()) == ["left==1.0", "right==1.0", "upper"]
    assert project.names() == ["requirements.txt"]


def test_a_save_during_the_addition_is_not_lost(project: Project, hold: Path) -> None:
    file = project.write("requirements.txt", "upper\n")
    hold.touch()
    try:
        process = project.start("add", "left", "--json")
        wait_until(lambda: any(name.startswith(".roost-edit-") for name in project.names()), process)
        file.write_text("upper\nright\n")
    finally:
        hold.unlink()
    printed, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, json.loads(printed)["code"]) == (1, "file-changed")
    assert file.read_text() == "upper\nright\n"
    assert project.names() == ["requirements.txt"]


def test_an_interrupt_leaves_the_file_and_the_next_addition_works(project: Project, index: PipIndex) -> None:
    project.write("requirements.txt", "left\n")
    index.wheel("slow", "1.0")
    index.hanging.add("/simple/slow/")
    process = project.start("add", "slow")
    wait_until(lambda: index.asked["/simple/slow/"], process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "cancelled: the file stays as it was" in said.splitlines()[-1]
    assert project.read("requirements.txt") == "left\n"
    index.hanging.clear()
    assert project.json("add", "slow")["is_written"]
    assert project.read("requirements.txt") == "left\nslow\n"


def test_an_interrupt_during_the_replacement_completes_it(project: Project, hold: Path) -> None:
    project.write("requirements.txt", "left==1.0\n")
    hold.touch()
    try:
        process = project.start("add", "upper==1.0")
        wait_until(lambda: any(name.startswith(".roost-edit-") for name in project.names()), process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    finally:
        hold.unlink()
    assert project.json("add", "upper==1.0")["is_written"] is False, "it comes after the first, which was completed"
    assert project.read("requirements.txt") == "left==1.0\nupper==1.0\n"
    assert project.json("plan")["lock_digest"] is not None
    assert project.names() == ["requirements.txt"]


def test_a_link_to_another_file_system_stays_a_link(project: Project) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # the file must lie on another file system
        target = Path(folder) / "shared.txt"
        target.write_text("left\n")
        link = project.folder / "requirements.txt"
        link.symlink_to(target)
        project.ok("add", "upper==1.0")
        assert link.is_symlink()
        assert target.read_text() == "left\nupper==1.0\n"
        assert [each.name for each in Path(folder).iterdir()] == ["shared.txt"]


def test_what_is_watched_is_built_once_with_the_lock_of_the_addition(project: Project) -> None:
    events = EventFollower(project.roost)
    file = project.write("requirements.txt", "right==1.0\n")
    project.ok("watch", "add", str(file))
    events.wait("watch-ready", where=lambda fields: fields["path"] == str(file))
    seen = events.seq
    result = project.json("add", "left==2.0")
    digest = result["definition_digest"]
    events.wait("watch-ready", since=seen, where=lambda fields: fields["definition_digest"] == digest)
    (build,) = [each for each in project.json("builds", "list")["builds"] if each["definition_digest"] == digest]
    assert (build["state"], build["lock_digest"], build["generation"]) == ("succeeded", result["lock_digest"], 1)
    project.ok("watch", "remove", str(file))


# ------------------------------------------------------------------------- beginning
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--conda",), "environment.yml"),
        (("--pip",), "requirements.txt"),
        (("--pyproject",), "pyproject.toml"),
        (("--script", "train.py"), "train.py"),
    ],
)
def test_what_was_begun_can_be_added_to(project: Project, words: tuple[str, ...], name: str) -> None:
    project.ok("init", *words)
    assert project.names() == [name]
    assert (project.folder / name).stat().st_mode & 0o777 == 0o666 & ~_umask()
    before = project.read(name)
    assert project.failed(1, "init", *words)["code"] == "file-exists"
    assert project.read(name) == before
    package = "dated" if name == "environment.yml" else "right"
    assert project.json("add", "-f", name, package)["is_written"]
    removed = project.run("remove", "-f", name, package)
    assert removed.returncode == 0, removed.stderr
    assert project.read(name) == before


def test_init_names_the_files_that_it_hides_and_that_hide_it(project: Project) -> None:
    project.write("requirements.txt", "left\n")
    assert project.failed(1, "init")["code"] == "file-exists"
    hides = project.run("init", "--conda")
    assert "requirements.txt until now" in hides.stderr
    project.write("environment.yaml", "dependencies: []\n")
    os.unlink(project.folder / "environment.yml")
    assert "environment.yaml" in project.failed(1, "init", "--conda")["message"]
    hidden = project.run("init", "--pyproject")
    assert "environment.yaml, which comes before pyproject.toml" in hidden.stderr
    other = project.run("init", "new/folder/tools.yml")
    assert (other.returncode, other.stdout) == (0, "wrote new/folder/tools.yml\n"), other.stderr
    assert "`roost add -f new/folder/tools.yml PKG`" in other.stderr
    assert project.failed(2, "init", "--script", "a.py", "b.py")["code"] == "usage"


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


# -------------------------------------------------------------------- what is seen
def test_on_a_terminal_the_progress_gives_way_to_the_result(project: Project) -> None:
    project.write("requirements.txt", "left\n")
    project.roost.begin()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.folder)
        os.execve(ROOST, [ROOST, "add", "right==1.0"], {**project.roost.environ, "TERM": "xterm", "NO_COLOR": "1"})
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # how Linux says that nobody has the other end any more
            break
        if not chunk:
            break
        seen += chunk
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    lines = [line.rpartition("\x1b[K")[2].strip() for line in seen.decode().split("\n")]
    assert "added right==1.0 (1.0) at requirements.txt:2" in lines
    assert not any("\x1b" in line for line in lines), lines
