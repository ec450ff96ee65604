"""Odd but honest uses of the command line: what is not there yet, what is no UTF-8, what only the client can know."""

from __future__ import annotations

import os
import sys
import time

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost


def test_a_detached_build_prints_its_id_and_goes_on_by_itself(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    build_id = roost.ok("build", "--detach").strip()
    deadline = time.monotonic() + 30
    while (build := roost.json("builds", "show", build_id)["build"])["state"] != "succeeded":
        assert build["state"] in ("solving", "building")
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert roost.json("build", "--detach")["build"]["state"] == "not-needed"


def test_a_script_that_was_not_there_brings_its_own_environment_later(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("other", "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.ok("build")
    assert roost.run("exec", "--", "python", "task.py").returncode == 2
    time.sleep(0.1)  # a plan may be left once the tick of the file's last change is over
    assert roost.run("exec", "--", "python", "task.py").returncode == 2
    assert [*roost.root.rglob("launch/**/@script/task.py")], "else this would prove nothing"
    roost.write("task.py", "# /// script\n# dependencies = ['other']\n# ///\nimport other; print(other.value)\n")
    assert roost.ok("exec", "--", "python", "task.py").strip() == "1.0"


def test_a_user_managed_name_is_looked_for_on_the_clients_path(roost: Roost) -> None:
    roost.ok("daemon", "start")
    tools = roost.folder / "tools"
    tools.mkdir()
    (tools / "my-python").symlink_to(sys.executable)
    roost.write("roost.toml", '[python]\nuser_managed = true\ninterpreter = "my-python"\n')
    body = roost.failed(125, "exec", "--", "python", "-c", "pass")
    assert body["code"] == "interpreter-missing"
    path = {"PATH": f"{tools}:{os.environ['PATH']}"}
    for command in ("exec", "run"):
        said = roost.ok(command, "--", "python", "-c", "import sys; print(sys.executable)", variables=path)
        assert said.strip() == str(tools / "my-python")
    assert roost.json("runs", "list")["runs"][0]["interpreter"]["path"] == str(tools / "my-python")


def test_what_lies_above_a_link_is_what_the_system_takes_it_for(roost: Roost, pip_index: PipIndex) -> None:
    """``link/..`` is the folder above where the link leads to, for files named and for scripts."""
    for version in ("1.0", "2.0"):
        pip_index.wheel("greet", version)
    roost.write("far/inner/file", "")
    (roost.folder / "link").symlink_to("far/inner")
    for folder, version in ((".", "1.0"), ("far", "2.0")):
        roost.write(f"{folder}/needs.txt", f"greet=={version}\n")
        block = f'# /// script\n# dependencies = ["greet=={version}"]\n# ///\n'
        roost.write(f"{folder}/task.py", block + f"import greet; print({folder!r}, greet.value)\n")
    for _ in range(3):
        said = roost.ok("exec", "-f", "link/../needs.txt", "--", "python", "-c", "import greet; print(greet.value)")
        assert said == "2.0\n"
        assert roost.ok("exec", "--", "python", "link/../task.py") == "far 2.0\n"


def test_words_that_are_no_utf8_reach_the_command_as_they_are(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    odd = os.fsdecode(b"a\xffb")
    code = "import os, sys; print(os.fsencode(sys.argv[1]))"
    for command in ("run", "exec"):
        assert roost.ok(command, "--", "python", "-c", code, odd).strip() == repr(b"a\xffb")
    assert roost.json("runs", "list")["runs"][0]["command"][-1] == "a\N{REPLACEMENT CHARACTER}b"
    assert roost.failed(125, "run", "--detach", "--", "python", "-c", code, odd)["code"] == "usage"
    done = roost.run("run", "--detach", "--", "python", "-c", "pass", variables={"ODD": odd})
    assert done.returncode == 0
    assert "ODD is not valid UTF-8" in done.stderr
    folder = roost.folder / odd
    folder.mkdir()
    assert roost.failed(125, "exec", "--", "python", "-c", "pass", cwd=folder)["code"] == "usage"


def test_a_new_generation_and_an_older_one_exclude_each_other(roost: Roost) -> None:
    roost.write("requirements.txt", "greet\n")
    assert roost.failed(2, "build", "--rebuild", "--generation", "1")["code"] == "usage"
    assert roost.failed(2, "build", "--as-of", "2026-01-01", "--lock", "sha256:" + "0" * 64)["code"] == "usage"
