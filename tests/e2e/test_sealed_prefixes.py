"""A prefix stays what its lock says: what people and installers change in one is noticed at the next hit, and replaced
at another path."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.bytecode_prefix import wait_until_complete
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost
from uv import find_uv_bin

pytestmark = pytest.mark.unprivileged

CHECK = "import greet, sys; print(greet.value, sys.prefix)"


@pytest.fixture
def prefix(roost: Roost, pip_index: PipIndex) -> Path:
    """A prefix with ``greet`` 1.0, on a Python of this machine."""
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("greet", "2.0")
    pip_index.wheel("other", "1.0")
    roost.write("requirements.txt", "greet==1.0\n")
    roost.ok("build")
    wait_until_complete(roost.root)
    return prefix_of(roost)


def prefix_of(roost: Roost) -> Path:
    return Path(roost.json("plan")["plans"][0]["artifact"]["path"])


def run(roost: Roost) -> tuple[str, Path]:
    value, path = roost.ok("exec", "--", "python", "-c", CHECK).split()
    return value, Path(path)


def site_of(prefix: Path) -> Path:
    return next(prefix.glob("lib/python3*/site-packages"))


def guarded(prefix: Path) -> list[Path]:
    return [site_of(prefix), site_of(prefix).parent, prefix / "bin", *prefix.glob("conda-meta")]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def is_writable(path: Path) -> bool:
    """By its mode: root writes everywhere."""
    return bool(path.stat().st_mode & 0o200)


def writable(folder: Path) -> None:
    """What whoever wants to change it by hand does first, if it is not root."""
    folder.chmod(0o755)


def remove(prefix: Path) -> None:
    writable(site_of(prefix))
    writable(site_of(prefix) / "greet-1.0.dist-info")
    shutil.rmtree(site_of(prefix) / "greet-1.0.dist-info")


def add_module(prefix: Path) -> None:
    writable(site_of(prefix))
    (site_of(prefix) / "sitecustomize.py").write_text("raise SystemExit(3)\n")


def add_path_file(prefix: Path) -> None:
    writable(site_of(prefix))
    (site_of(prefix) / "zz.pth").write_text("import sys; sys.exit(3)\n")


def add_folder(prefix: Path) -> None:
    writable(site_of(prefix))
    (site_of(prefix) / "json").mkdir()


def replace_program(prefix: Path) -> None:
    writable(prefix / "bin")
    path = prefix / "bin" / "new"
    path.write_text("#!/bin/sh\n")
    path.rename(prefix / "bin" / "activate")


def move_site(prefix: Path) -> None:
    writable(site_of(prefix).parent)
    site_of(prefix).rename(site_of(prefix).with_name("site"))


@pytest.mark.parametrize("change", [remove, add_module, add_path_file, add_folder, replace_program, move_site])
def test_what_is_changed_by_hand_is_replaced_at_the_next_hit(
    roost: Roost, prefix: Path, change: Callable[[Path], None]
) -> None:
    assert run(roost) == ("1.0", prefix)
    assert run(roost) == ("1.0", prefix)  # by the launch plan
    change(prefix)
    value, path = run(roost)
    assert value == "1.0"
    assert path != prefix
    assert run(roost) == ("1.0", path)
    assert not prefix.exists()


def test_folders_are_read_only_and_files_as_they_were(roost: Roost, prefix: Path) -> None:
    assert {mode(folder) for folder in guarded(prefix)} == {0o555}
    assert is_writable(prefix)
    assert is_writable(site_of(prefix) / "greet.py")


def test_byte_code_is_written_into_folders_that_exist_and_changes_no_guard(roost: Roost, prefix: Path) -> None:
    roost.variables["PYTHONDONTWRITEBYTECODE"] = ""
    caches = site_of(prefix) / "__pycache__"
    assert is_writable(caches)
    for file in caches.iterdir():
        file.unlink()
    assert run(roost) == ("1.0", prefix)
    assert [file.name.split(".")[0] for file in caches.iterdir()] == ["greet"]
    assert run(roost) == ("1.0", prefix)


UV = find_uv_bin()
HOST = os.path.join(sys.base_prefix, "bin", "python3")
"""A Python with pip, outside of every prefix."""
SCRIPT = "import sys; from pip._internal.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", f"{UV} --offline pip uninstall greet"],
        ["sh", "-c", f"{UV} pip install --index-url $INDEX greet==2.0"],
        ["sh", "-c", f"{HOST} -m pip --python $VIRTUAL_ENV uninstall -y greet"],
        ["sh", "-c", f"{HOST} -m pip --python $VIRTUAL_ENV install --index-url $INDEX greet==2.0"],
        ["sh", "-c", f"{HOST} -c '{SCRIPT}' --python $VIRTUAL_ENV uninstall -y greet"],
        ["sh", "-c", "rm -r $VIRTUAL_ENV/lib/python3*/site-packages/greet*"],
    ],
)
def test_installers_that_come_by_another_way(
    roost: Roost, prefix: Path, pip_index: PipIndex, command: list[str]
) -> None:
    """Root's work is noticed and undone; an unprivileged account can't do it."""
    done = roost.run("exec", "--", *command, variables={"INDEX": pip_index.url, "PIP_BREAK_SYSTEM_PACKAGES": "1"})
    assert (done.returncode == 0) == (os.geteuid() == 0), done.stderr
    value, path = run(roost)
    assert value == "1.0"
    assert (path == prefix) == (os.geteuid() != 0)
    assert roost.json("cache", "verify")["findings"] == []


def test_the_reason_is_told_once(roost: Roost, prefix: Path) -> None:
    remove(prefix)
    done = roost.run("exec", "--", "python", "-c", CHECK)
    line = f"roost: {site_of_gone(prefix)} was changed outside of roost: greet-1.0.dist-info missing"
    assert done.stderr.splitlines().count(line) == 1, done.stderr
    assert "outside of roost" not in roost.run("exec", "--", "python", "-c", CHECK).stderr


def site_of_gone(prefix: Path) -> Path:
    return prefix / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


def test_running_processes_keep_the_old_prefix(roost: Roost, prefix: Path) -> None:
    wait = "import sys; print('up', flush=True); sys.stdin.read(); import greet; print(greet.value, sys.prefix)"
    with roost.start("exec", "--", "python", "-c", wait, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        add_path_file(prefix)
        value, path = run(roost)
        assert value == "1.0"
        assert path != prefix
        output, _ = process.communicate("", timeout=60)
    assert output.split() == ["1.0", str(prefix)]
    assert run(roost) == ("1.0", path)


def touch(prefix: Path) -> None:
    site_of(prefix).touch()


def move_away_and_back(prefix: Path) -> None:
    writable(site_of(prefix))
    folder = site_of(prefix) / "greet-1.0.dist-info"
    folder.rename(folder.with_name("aside"))
    folder.with_name("aside").rename(folder)


@pytest.mark.parametrize("change", [touch, move_away_and_back])
def test_a_prefix_in_which_nothing_changed_is_kept_and_sealed_again(
    roost: Roost, prefix: Path, change: Callable[[Path], None]
) -> None:
    change(prefix)
    assert roost.json("plan")["plans"][0]["reasons"][-1]["code"] == "prefix-drifted"
    assert run(roost) == ("1.0", prefix)
    assert roost.json("plan")["plans"][0]["action"] == "reuse-prefix"
    assert {mode(folder) for folder in guarded(prefix)} == {0o555}
    remove(prefix)  # the new guards hold too
    assert run(roost)[1] != prefix


def forge(folder: Path, change: Callable[[], object]) -> None:
    """Change something in a folder, and set its time back as ``touch -d`` does."""
    before = folder.stat()
    folder.chmod(0o755)
    change()
    folder.chmod(0o555)
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit(path: Path, text: str) -> None:
    """In place: the inode stays."""
    with path.open("r+") as file:
        file.write(text)


VERIFIED: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda p: edit(site_of(p) / "greet.py", "value = 'x'\n"), "changed", "greet.py"),
    (lambda p: forge(site_of(p), (site_of(p) / "zz.pth").touch), "extra", "zz.pth"),
    (lambda p: forge(site_of(p), (site_of(p) / "greet.py").unlink), "missing", "greet.py"),
    (lambda p: (p / "lib" / "x").touch(), "extra", "x"),
    (lambda p: edit(p / "bin" / "activate", "exit"), "changed", "activate"),
    (lambda p: edit(next(site_of(p).glob("__pycache__/greet.*")), "x"), "changed", "greet.cpython"),
    (lambda p: p.with_name(f"{p.name}.manifest").unlink(), "missing", ".manifest"),
    (lambda p: edit(p.with_name(f"{p.name}.manifest"), "x"), "changed", ".manifest"),
]


@pytest.mark.parametrize(("change", "kind", "name"), VERIFIED)
def test_verify_finds_what_no_guard_shows(
    roost: Roost, prefix: Path, change: Callable[[Path], object], kind: str, name: str
) -> None:
    assert roost.json("cache", "verify")["findings"] == []
    change(prefix)
    done = roost.run("cache", "verify", "--json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert [each["change"] for each in finding["changes"]] == [kind]
    assert name in finding["files"][0]
    (finding,) = roost.json("cache", "verify", "--repair")["findings"]
    value, path = run(roost)
    assert (value, str(path)) == ("1.0", finding["replaced_by"])
    assert roost.json("cache", "verify")["findings"] == []


def test_verify_makes_folders_read_only_again(roost: Roost, prefix: Path) -> None:
    writable(prefix / "bin")
    done = roost.run("cache", "verify")
    assert done.returncode == 1
    assert f"{prefix / 'bin'}: writable, and should be read-only" in done.stdout
    (finding,) = roost.json("cache", "verify", "--repair")["findings"]
    assert (finding["protected_again"], finding["replaced_by"]) == (True, None)
    assert mode(prefix / "bin") == 0o555
    assert run(roost) == ("1.0", prefix)
    assert roost.json("cache", "verify")["findings"] == []


def test_byte_code_that_python_rewrote_is_no_alteration(roost: Roost, prefix: Path) -> None:
    """Whether it was linked before the prefix was ready, as of the second one, or later."""
    roost.write("requirements.txt", "greet==1.0\nother\n")
    roost.ok("build")
    wait_until_complete(roost.root)
    cut = [next(site_of(each).glob("__pycache__/greet.*")) for each in (prefix, prefix_of(roost))]
    content = cut[0].read_bytes()
    for path in cut:
        path.unlink()
        path.write_bytes(content[:-1])  # with a valid header
    answer = roost.json("cache", "verify")
    assert (answer["findings"], answer["rewritten"], answer["deleted"]) == ([], 2, 0)
    assert roost.json("cache", "verify", "--repair")["deleted"] == 2
    wait_until_complete(roost.root)
    assert all(path.stat().st_size == len(content) for path in cut)
    assert run(roost)[0] == "1.0"


def test_byte_code_that_was_changed_in_place_is_compiled_again(roost: Roost, prefix: Path) -> None:
    edit(next(site_of(prefix).glob("__pycache__/greet.*")), "broken for every prefix, and in the store")
    roost.json("cache", "verify", "--repair")
    value, path = run(roost)
    assert value == "1.0"
    assert next(site_of(path).glob("__pycache__/greet.*")).read_bytes()[:6] != b"broken"


@pytest.mark.parametrize(
    "command",
    [
        ["pip", "install", "other"],
        ["python", "-m", "pip", "install", "other"],
        [UV, "pip", "install", "other"],
        ["uv", "pip", "uninstall", "greet"],
        ["conda", "install", "other"],
    ],
)
@pytest.mark.parametrize("way", ["exec", "run"])
def test_an_installer_is_refused_before_it_runs(roost: Roost, prefix: Path, way: str, command: list[str]) -> None:
    assert run(roost) == ("1.0", prefix)  # a launch plan for commands that are no script
    done = roost.run(way, "--", *command, variables={"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"})
    assert done.returncode == 125, done.stderr
    assert "was not run: every project with the same lock shares this environment" in done.stderr
    assert re.search(rf"`roost (add|remove) (other|greet)` \w+ it \w+ {roost.folder}/requirements.txt", done.stderr)
    assert run(roost) == ("1.0", prefix)
    assert roost.json("runs", "list")["runs"] == []


def test_a_detached_run_of_an_installer_is_refused_before_anything_is_built(roost: Roost) -> None:
    roost.write("requirements.txt", "greet==1.0\n")
    body = roost.failed(125, "run", "--detach", "--", "uv", "pip", "install", "other")
    assert body["code"] == "environment-shared"
    assert not list((roost.root / "prefixes").iterdir())


@pytest.mark.parametrize("command", [[UV, "--version"], [UV, "pip", "list"], [UV, "venv", "own"]])
def test_harmless_forms_pass(roost: Roost, prefix: Path, command: list[str]) -> None:
    assert roost.run("exec", "--", *command).returncode == 0
    assert run(roost) == ("1.0", prefix)


def test_a_virtual_environment_on_top_can_be_changed(roost: Roost, prefix: Path, pip_index: PipIndex) -> None:
    roost.ok("exec", "--", "python", "-m", "venv", "--without-pip", "--system-site-packages", "own")
    python = str(roost.folder / "own/bin/python")
    roost.ok("exec", "--", UV, "pip", "install", "--index-url", pip_index.url, "--python", python, "other")
    assert run(roost) == ("1.0", prefix)


def test_conda_prefixes_too(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    roost.write("environment.yml", "dependencies: [python=3.11, six=1.17]\n")
    roost.ok("build")
    prefix = prefix_of(roost)
    assert {mode(folder) for folder in guarded(prefix)} == {0o555}
    writable(prefix / "conda-meta")
    next(prefix.glob("conda-meta/six-*.json")).unlink()
    path = roost.ok("exec", "--", "python", "-c", "import six, sys; print(sys.prefix)").strip()
    assert path != str(prefix)
    assert path == str(prefix_of(roost))


def test_a_record_of_conda_that_is_edited_or_added(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    roost.write("environment.yml", "dependencies: [python=3.11, six=1.17]\n")
    roost.ok("build")
    prefix = prefix_of(roost)
    record = next(prefix.glob("conda-meta/six-*.json"))
    edit(record, " ")
    done = roost.run("cache", "verify", "--json")
    assert [each["change"] for each in json.loads(done.stdout)["findings"][0]["changes"]] == ["changed"]
    shutil.copy(record, prefix / "aside.json")
    writable(record.parent)
    (prefix / "aside.json").rename(record)
    assert roost.ok("exec", "--", "python", "-c", "import sys; print(sys.prefix)").strip() != str(prefix)


def test_pip_of_a_conda_prefix(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    roost.write("environment.yml", "dependencies: [python=3.11, six=1.17, pip]\n")
    roost.ok("build")
    prefix = prefix_of(roost)
    undo = "python -m pip uninstall -y --break-system-packages six"
    done = roost.run("exec", "--", "sh", "-c", undo)
    assert (done.returncode == 0) == (os.geteuid() == 0), done.stderr
    version, path = roost.ok(
        "exec", "--", "python", "-c", "import six, sys; print(six.__version__, sys.prefix)"
    ).split()
    assert version == "1.17.0"
    assert (path == str(prefix)) == (os.geteuid() != 0)
