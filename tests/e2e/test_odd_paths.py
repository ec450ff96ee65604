"""Projects in folders with any names: read, locked, built, run, listed. One daemon, real builds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.support.pip_index import backend_files, wheel_bytes
from tests.support.roost_process import Roost

NAMES = ["a #%20?b ${X} {y} 100%", 'it\'s "q" --pre ; x[1]', "café\n\t*`$(x)\\\x1b[31m🐍", "-e@b:c==1~&|<>!"]
LINES = "--no-index\n--find-links 'my links'\n./six-1.16.0-py3-none-any.whl\nattrs\n-e .\n-r 'm#re.txt'\n-c c%20.txt\n"
SCRIPT = "import six, attrs, proj, sys\nprint(six.value, attrs.value, proj.value, sys.argv[1:])\n"


def make_project(folder: Path) -> None:
    for path, (name, version) in {"": ("six", "1.16.0"), "my links": ("attrs", "23.1.0")}.items():
        (folder / path).mkdir(parents=True, exist_ok=True)
        file_name, content = wheel_bytes(name, version)
        (folder / path / file_name).write_bytes(content)
    for name, text in backend_files("proj", "1", os.devnull, static=True).items():
        (folder / name).write_text(text)
    (folder / "requirements.txt").write_text(LINES)
    (folder / "m#re.txt").write_text("# nothing\n")
    (folder / "c%20.txt").write_text("six<2\n")
    (folder / "s $x.py").write_text(SCRIPT)


@pytest.mark.parametrize("name", NAMES)
def test_a_project_in_a_folder_of_any_name(roost: Roost, name: str) -> None:
    folder = Path(roost.folder) / name
    make_project(folder)
    expected = "1.16.0 23.1.0 1 built ['a b']\n"
    command = ("python", "s $x.py", "a b")
    assert roost.ok("run", "--", *command, cwd=folder) == expected
    for _ in range(2):  # the second one by a launch plan
        assert roost.ok("exec", "--", *command, cwd=folder) == expected
    named = str(folder / "requirements.txt")
    assert roost.ok("exec", "-f", named, "--", *command, cwd=folder) == expected
    (run,) = roost.json("runs", "list")["runs"]
    assert run["command"] == list(command)
    shown = roost.run("runs", "list").stdout + roost.run("plan", "-f", named).stdout
    assert "\x1b" not in shown
    inputs = roost.json("digest", "-f", named)["inputs"]
    assert str(folder / "m#re.txt") in [each["path"] for each in inputs]
    assert [json.loads(line)["seq"] for line in roost.ok("events", "--json").splitlines()] != []


def test_bytes_that_are_not_utf8_are_refused_with_the_path_or_work(roost: Roost) -> None:
    folder = os.fsencode(roost.folder) + b"/caf\xe9"
    os.makedirs(folder)
    Path(os.fsdecode(folder), "requirements.txt").write_text("")
    refused = roost.run("digest", cwd=folder)
    assert refused.returncode == 2
    assert "is not valid UTF-8" in refused.stderr
    assert "caf\\xe9" in refused.stderr
    refused = roost.run("digest", "-f", os.fsdecode(folder) + "/requirements.txt")
    assert refused.returncode == 2
    assert "caf\\xe9" in refused.stderr

    roost.write("r.txt", "six\nfile:./caf%E9\n")
    error = roost.failed(3, "digest", "-f", "r.txt")
    assert "caf\\xe9 is not valid UTF-8" in error["message"]
    assert (error["location"]["line"], error["location"]["column"]) == (2, 1)

    os.symlink(folder + b"/deep", os.fsencode(roost.folder) + b"/link")
    os.mkdir(folder + b"/deep")
    roost.write("r.txt", "-e link/..\n")
    error = roost.failed(3, "digest", "-f", "r.txt")
    assert "caf\\xe9 is not valid UTF-8" in error["message"]

    roost.write("r.txt", "")
    script = Path(roost.folder, os.fsdecode(b"s\xe9.py"))
    script.write_text("print('ran')\n")
    assert roost.ok("exec", "-f", "r.txt", "--", "python", str(script)) == "ran\n"
    assert roost.ok("run", "-f", "r.txt", "--", "python", str(script)) == "ran\n"
    assert roost.json("runs", "list")["runs"][0]["state"] == "succeeded"
    for more in (["-t", "docker"], ["--detach"]):
        refused = roost.run("run", *more, "-f", "r.txt", "--", "python", str(script))
        assert refused.returncode == 125, "the daemon would start another command"
        assert "A word of the command is not valid UTF-8" in refused.stderr
        assert "s\\xe9.py" in refused.stderr
    script.write_text("# /// script\n# dependencies = []\n# ///\nprint('ran')\n")
    refused = roost.run("exec", "--", "python", str(script))
    assert refused.returncode == 125, "another environment would be used"
    assert "The name of a script with metadata is not valid UTF-8" in refused.stderr


def test_names_that_are_not_utf8_inside_a_project_are_content(roost: Roost) -> None:
    folder = Path(roost.folder) / "p"
    make_project(folder)
    (folder / "requirements.txt").write_text("--no-index\n./p2\n")
    (folder / "p2").mkdir()
    for name, text in backend_files("proj", "1", os.devnull, static=True).items():
        (folder / "p2" / name).write_text(text)
    Path(folder, "p2", os.fsdecode(b"d\xe9.txt")).write_text("x")
    before = roost.json("digest", "-f", "requirements.txt", cwd=folder)["definition_digest"]
    run = ("run", "-f", "requirements.txt", "--", "python", "-c", "import proj; print(proj.value)")
    assert roost.ok(*run, cwd=folder) == "1 built\n"
    Path(folder, "p2", os.fsdecode(b"d\xe9.txt")).write_text("y")
    assert roost.json("digest", "-f", "requirements.txt", cwd=folder)["definition_digest"] != before
