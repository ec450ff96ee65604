"""Launch plans that a real daemon left: used while nothing has changed, and left aside by the very next exec when
anything did."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost

GREETING = ["exec", "--", "python", "-c", "import greet; print(greet.value)"]


def plans(roost: Roost) -> list[Path]:
    return [path for path in (roost.root / "launch").rglob("@*") if path.is_file()]


def warm(roost: Roost, cwd: Path | None = None) -> str:
    """Build, and exec until a plan lies there (not while the inputs are younger than a clock's tick); what it says."""
    roost.ok("build", cwd=cwd)
    deadline = time.monotonic() + 30
    while True:
        said = roost.ok(*GREETING, cwd=cwd).strip()
        if plans(roost):
            return said
        assert time.monotonic() < deadline, "no plan was ever left"
        time.sleep(0.05)


@pytest.fixture
def greeting(roost: Roost, pip_index: PipIndex) -> Roost:
    """Versions 1.0 and 2.0 of ``greet`` to choose from, and a file that wants the first."""
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("greet", "2.0")
    roost.write("requirements.txt", "greet==1.0\n")
    return roost


def test_a_plan_is_used_without_the_daemon_while_nothing_changed(greeting: Roost) -> None:
    assert warm(greeting) == "1.0"
    greeting.ok("daemon", "stop")
    assert plans(greeting), "the plans outlive the daemon"
    assert greeting.ok(*GREETING).strip() == "1.0"
    assert greeting.daemon_pid() is None, "nobody was asked"


def test_a_file_replaced_by_an_older_dated_one_is_noticed(greeting: Roost) -> None:
    assert warm(greeting) == "1.0"
    other = greeting.write("other.txt", "greet==2.0\n")
    os.utime(other, (10**9, 10**9))
    other.replace(greeting.folder / "requirements.txt")
    assert greeting.ok(*GREETING).strip() == "2.0"


def test_a_changed_nested_file_is_noticed(greeting: Roost) -> None:
    greeting.write("requirements.txt", "-r more.txt\n")
    greeting.write("more.txt", "greet==1.0\n")
    assert warm(greeting) == "1.0"
    greeting.write("more.txt", "greet==2.0\n")
    assert greeting.ok(*GREETING).strip() == "2.0"


def test_a_changed_local_wheel_is_noticed(greeting: Roost) -> None:
    name, content = wheel_bytes("greet", "3.0", code="value = 'one'\n")
    wheel = greeting.folder / name
    wheel.write_bytes(content)
    greeting.write("requirements.txt", f"./{name}\n")
    assert warm(greeting) == "one"
    before = wheel.stat()
    wheel.write_bytes(wheel_bytes("greet", "3.0", code="value = 'two'\n")[1])
    os.utime(wheel, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert wheel.stat().st_size == before.st_size
    assert greeting.ok(*GREETING).strip() == "two"


def test_a_new_generation_is_used_at_once(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    assert warm(roost) == "1.0"
    pip_index.wheel("greet", "2.0")
    assert roost.ok(*GREETING).strip() == "1.0"
    assert roost.json("build", "--rebuild")["build"]["generation"] == 2
    assert roost.ok(*GREETING).strip() == "2.0"


def test_an_edited_config_is_noticed(greeting: Roost) -> None:
    """Another default index is another definition, whose lock is not yet known."""
    greeting.write("requirements.txt", "greet\n")
    assert warm(greeting) == "2.0"
    first = greeting.json("plan")["definition_digest"]
    other = PipIndex()
    try:
        other.wheel("greet", "9.0")
        greeting.config.write_text(f'[pip]\nindex_url = "{other.url}"\n')
        assert greeting.ok(*GREETING).strip() == "9.0"
        assert greeting.json("plan")["definition_digest"] != first
    finally:
        other.close()


@pytest.mark.parametrize("folder", [".", "below"])
def test_a_new_file_of_higher_rank_is_noticed_by_the_next_exec(greeting: Roost, folder: str) -> None:
    """Beside the chosen file, or nearer to the working folder."""
    below = greeting.folder / "below"
    below.mkdir()
    assert warm(greeting, cwd=below) == "1.0"
    greeting.write(f"{folder}/roost.toml", '[pip]\nrequirements = ["greet==2.0"]\n')
    assert greeting.ok(*GREETING, cwd=below).strip() == "2.0"


def test_roosts_own_table_that_appears_in_a_pyproject_is_noticed(greeting: Roost) -> None:
    greeting.write("pyproject.toml", '[project]\nname = "p"\nversion = "1"\n')
    assert warm(greeting) == "1.0"
    table = '[tool.roost.pip]\nrequirements = ["greet==2.0"]\n'
    greeting.write("pyproject.toml", f'[project]\nname = "p"\nversion = "1"\n{table}')
    assert greeting.ok(*GREETING).strip() == "2.0"


def test_a_script_elsewhere_has_a_plan_that_watches_both_chains(greeting: Roost) -> None:
    """Called with -C from a third folder, which the plan is as good for."""
    script = greeting.write("there/sub/x.py", "import os, greet\nprint(greet.value, os.path.basename(os.getcwd()))\n")
    (greeting.folder / "requirements.txt").rename(greeting.folder / "there" / "requirements.txt")
    greeting.write("here/.git/HEAD", "ref: refs/heads/main\n")
    command = ("exec", "-C", "here", "--", "python", str(script))
    deadline = time.monotonic() + 30
    while not list((greeting.root / "launch").rglob("x.py")):
        assert greeting.ok(*command) == "1.0 here\n"
        assert time.monotonic() < deadline, "no plan was ever left"
    greeting.ok("daemon", "stop")
    assert greeting.ok(*command) == "1.0 here\n"
    assert greeting.ok(*command[:1], *command[3:], cwd=greeting.folder / "here") == "1.0 here\n"
    assert greeting.daemon_pid() is None, "nobody was asked"
    greeting.write("environment.yml", "nothing\n")  # above the repository
    assert greeting.ok(*command) == "1.0 here\n"
    greeting.write("there/sub/requirements.txt", "greet==2.0\n")
    assert greeting.ok(*command) == "2.0 here\n"
    greeting.write("here/requirements.txt", "greet==1.0\n")
    assert greeting.ok(*command) == "1.0 here\n"
    (greeting.folder / "here" / "requirements.txt").unlink()
    assert greeting.ok(*command) == "2.0 here\n"
    (greeting.folder / "here" / ".git" / "HEAD").unlink()
    (greeting.folder / "here" / ".git").rmdir()
    assert greeting.failed(125, *command[:3], "--json", *command[3:])["location"]["path"].endswith("/environment.yml")


def test_a_prefix_that_was_retired_is_not_started_again(greeting: Roost) -> None:
    assert warm(greeting) == "1.0"
    edited = next((greeting.root / "prefixes").rglob("greet.py"))
    with edited.open("a") as file:
        file.write("value = 'edited'\n")
    assert greeting.ok(*GREETING).strip() == "edited", "no launch reads every file"
    assert greeting.json("cache", "verify", "--repair")["findings"]
    assert greeting.ok(*GREETING).strip() == "1.0"
