"""Variables that a shell drops, and descriptors above 2, reach the command on every local path."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from tests.support.installed import Installed

SHELLS = [path for path in ("/bin/dash", "/bin/bash") if os.path.exists(path)]
FUNCTION = '() {  echo "it\'s\n$1"\n}'
ODD = {"a.b": "dotted", "BASH_FUNC_module%%": FUNCTION, "-": "dash", "é": "é\udcff", "1x": "digit", "x ": "blank"}
SHOW = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(k + b'=' + v for k, v in os.environb.items()))"
PRINT = ("python", "-c", SHOW)
WAYS = ("plan", "exec", "run", "detached", "shell")


@pytest.fixture(scope="module", params=SHELLS)
def roost(request: pytest.FixtureRequest) -> Iterator[Installed]:
    made = Installed(forks_daemon=True)
    launcher = made.bin / "roost"
    launcher.write_text(launcher.read_text().replace("#!/bin/sh", f"#!{request.param}", 1))
    assert made("build").returncode == 0
    yield made
    made.remove()


def _environ(roost: Installed, more: dict[str, str]) -> dict[str, str]:
    return {**roost.environ, **more}


def _words(roost: Installed, way: str, command: tuple[str, ...]) -> list[str]:
    words = {"plan": ["exec"], "detached": ["run", "--detach"]}.get(way, [way])
    return [str(roost.bin / "roost"), *words, *([] if way == "shell" else ["--", *command])]


def _start(roost: Installed, way: str, environ: dict[str, str], command: tuple[str, ...] = PRINT, **options) -> bytes:
    if way == "plan":
        assert roost("exec", "--", "python", "-c", "").returncode == 0
        assert roost.plans() != []
    elif way == "exec":
        environ = {**environ, "ROOST_SOCKET": str(roost.root / "roost.sock")}
    elif way == "shell":
        environ = {**environ, "SHELL": shutil.which("bash") or "/bin/sh"}
        options["input"] = f"{shlex.join(command)}\n".encode()
    done = subprocess.run(
        _words(roost, way, command), cwd=roost.work, env=environ, capture_output=True, check=True, timeout=60, **options
    )
    if way == "detached":
        return roost("runs", "logs", "-f", done.stdout.decode().strip()).stdout.encode()
    return done.stdout


def _variables(printed: bytes) -> dict[str, str]:
    return {os.fsdecode(k): os.fsdecode(v) for k, _, v in (line.partition(b"=") for line in printed.split(b"\0"))}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [*ODD, "all"])
def test_variables_that_are_not_valid_in_sh_reach_the_command(roost: Installed, way: str, name: str) -> None:
    odd = ODD if name == "all" else {name: ODD[name]}
    if way == "detached":  # whose variables travel as JSON
        odd = {name: value for name, value in odd.items() if "\udcff" not in value}
    got = _variables(_start(roost, way, _environ(roost, odd)))
    assert {name: got.get(name) for name in odd} == odd


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [20, 4_000, 9_000, 30_000, 100_000])
def test_environments_of_every_size_reach_the_command(roost: Installed, way: str, size: int) -> None:
    quotes = {"QUOTES": "'" * (size // 2), "LONG": "a\n" * (size // 4), "a.b": "dotted"}
    for odd in (quotes, {name: value for name, value in quotes.items() if name != "a.b"}):
        got = _variables(_start(roost, way, _environ(roost, odd)))
        assert {name: got.get(name) for name in odd} == odd


def test_an_exported_function_of_bash_can_be_called(roost: Installed) -> None:
    caller = 'module() { echo "loaded $1"; }; export -f module; exec "$@"'
    for words in (_words(roost, way, ("bash", "-c", "module x")) for way in ("plan", "run")):
        done = subprocess.run(
            ["bash", "-c", caller, "bash", *words], cwd=roost.work, env=roost.environ, capture_output=True, text=True
        )
        assert (done.stdout, done.returncode) == ("loaded x\n", 0), done.stderr


def test_the_way_through_a_plan_needs_no_client_unless_something_is_lost(roost: Installed) -> None:
    _start(roost, "plan", roost.environ)
    client = roost.bin / "roost-client"
    client.rename(roost.bin / "aside")
    try:
        bare = {name: value for name, value in roost.environ.items() if name != "PWD"}
        for environ in ({}, {"EMPTY": ""}, {"A": "'\n\"$`\\"}, {"A": "é"}, {"PWD": str(roost.work)}):
            got = _start_again(roost, {**bare, **environ})
            assert {name: got.get(name) for name in environ} == environ
    finally:
        (roost.bin / "aside").rename(client)


def _start_again(roost: Installed, environ: dict[str, str]) -> dict[str, str]:
    words = _words(roost, "plan", PRINT)
    return _variables(subprocess.run(words, cwd=roost.work, env=environ, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("way", ["plan", "exec", "run", "shell"])
@pytest.mark.parametrize("numbers", [[3], [9], [63], [3, 4, 5, 6, 7, 8, 9], list(range(3, 20))])
def test_descriptors_of_the_caller_reach_the_command(
    roost: Installed, way: str, numbers: list[int], lost: bool
) -> None:
    command = ("python", "-c", f"import os; print([os.read(n, 9).decode() for n in {numbers}])")
    environ = _environ(roost, {"a.b": "1"} if lost else {})

    def open_all() -> None:
        for number in numbers:
            reader, writer = os.pipe()
            os.write(writer, b"%d" % number)
            os.close(writer)
            os.dup2(reader, 200 + number)
            os.close(reader)
        for number in numbers:
            os.dup2(200 + number, number)
            os.close(200 + number)

    printed = _start(roost, way, environ, command, preexec_fn=open_all, close_fds=False)
    assert printed.decode().strip() == str([str(number) for number in numbers])


@pytest.mark.parametrize("way", ["plan", "exec", "run"])
def test_a_process_substitution_can_be_read(roost: Installed, way: str) -> None:
    words = shlex.join(_words(roost, way, ("cat",)))
    done = subprocess.run(
        ["bash", "-c", f"{words} <(echo hi)"], cwd=roost.work, env=roost.environ, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("hi\n", 0), done.stderr


def test_nothing_that_the_launcher_started_is_left(roost: Installed) -> None:
    script = "import os; print(open(f'/proc/self/task/{os.getpid()}/children').read())"
    command = ("python", "-c", script)
    for way in ("exec", "plan"):
        assert _start(roost, way, _environ(roost, {"a.b": "1"}), command).strip() == b""


@pytest.mark.parametrize("way", ["plan", "exec"])
def test_exec_stays_the_process_that_was_started(roost: Installed, way: str) -> None:
    _start(roost, "plan", roost.environ)
    words = _words(roost, way, ("python", "-c", "import os; print(os.getpid())"))
    environ = _environ(roost, {"a.b": "1"})
    with subprocess.Popen(words, cwd=roost.work, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid


@pytest.mark.parametrize("shell", ["/bin/busybox sh", "/bin/ksh93"])
def test_other_shells_lose_nothing_either(shell: str) -> None:
    if not os.path.exists(shell.split()[0]):
        pytest.skip(f"{shell} is not on this machine")
    made = Installed(forks_daemon=True)
    launcher = made.bin / "roost"
    launcher.write_text(launcher.read_text().replace("#!/bin/sh", f"#!{shell}", 1))
    try:
        assert made("build").returncode == 0
        for way in ("exec", "plan", "run"):
            for odd in ({}, {"a.b": "dotted"}, {"BASH_FUNC_module%%": FUNCTION}):
                got = _variables(_start(made, way, _environ(made, odd)))
                assert {name: got.get(name) for name in odd} == odd, way
    finally:
        made.remove()
