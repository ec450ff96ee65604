"""`run --keep-output`: programs behave as ever, and what they print can be read later."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.installed import Installed
from tests.support.terminals import Terminal

RUN = "roost run -q --keep-output"
ASKS = """\
import os, signal, sys, threading
def follow_size():  # a handler would wait for input if the signal came between the prompt and the read
    while signal.sigwait([signal.SIGWINCH]):
        print("size", *os.get_terminal_size(), flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
threading.Thread(target=follow_size, daemon=True).start()
print("terminals", [os.isatty(n) for n in (0, 1, 2)], "size", *os.get_terminal_size(), flush=True)
try:
    while True:
        print("got", input("> "), flush=True)
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.fixture(scope="module")
def roost() -> Iterator[Installed]:
    """One daemon with an environment that is ready."""
    made = Installed(forks_daemon=True)
    try:
        assert made("build").returncode == 0
        (made.work / "asks.py").write_text(ASKS)
        yield made
    finally:
        made.remove()


@pytest.fixture
def terminal(roost: Installed) -> Iterator[Terminal]:
    opened = Terminal(roost.work, roost.environ)
    try:
        opened.expect("$ ")
        yield opened
    finally:
        opened.close()


def logs(roost: Installed) -> str:
    """The stored output, with line feeds only."""
    return str(roost("runs", "logs", "latest").stdout)


def test_at_a_terminal_programs_see_one_of_the_same_size_and_are_stopped_and_continued(
    roost: Installed, terminal: Terminal
) -> None:
    terminal.type(f"{RUN} python asks.py\n")
    terminal.expect("terminals [True, True, True] size 90 30")
    terminal.expect("> ")
    terminal.type("hello\n")
    terminal.expect("got hello\r\n> ")
    terminal.resize(20, 70)
    terminal.expect("size 70 20")
    terminal.type("\x1a")  # Ctrl-Z
    terminal.expect("Stopped")
    terminal.type("stty -a | grep -o -e '-*icanon'; echo shell-is-back\n")
    assert "-icanon" not in terminal.expect("\r\nshell-is-back")
    terminal.type("fg\n")
    terminal.expect("asks.py\r\n")
    terminal.type("again\n")
    terminal.expect("got again")
    terminal.type("\x03")  # Ctrl-C
    terminal.expect("$ ")
    terminal.type("echo status $?\n")
    terminal.expect("\r\nstatus 7\r\n")
    assert "got hello\n" in logs(roost)
    assert "got again\n" in logs(roost)
    run = roost.json("runs", "show", "latest")
    assert (run["state"], run["exit_status"], run["output_kept"]) == ("failed", 7, True)


def test_in_the_background_it_stops_when_it_reads(roost: Installed, terminal: Terminal) -> None:
    terminal.type(f"{RUN} python asks.py &\n")
    terminal.expect("> ")
    terminal.type("\n")  # the shell reports a job at its next prompt
    while "Stopped" not in terminal.expect("$ "):
        terminal.type("\n")
    terminal.type("fg\n")
    terminal.expect("asks.py\r\n")
    terminal.type("now\n")
    terminal.expect("got now")
    terminal.type("\x03")
    terminal.expect("$ ")


def test_a_pipe_and_a_terminal_beside_it(roost: Installed, terminal: Terminal) -> None:
    code = "import os; print([os.isatty(n) for n in (0, 1, 2)], flush=True); os.system('echo to-errors >&2')"
    terminal.type(f'{RUN} python -c "{code}" | tr , ";"; echo the-end\n')
    shown = terminal.expect("\r\nthe-end\r\n")
    assert "\r\n[True; False; True]" in shown
    assert "\r\nto-errors" in shown
    assert "[True, False, True]\n" in logs(roost)
    assert "to-errors\n" in logs(roost)


def test_a_program_that_is_piped_to_can_ask_at_the_terminal(roost: Installed, terminal: Terminal) -> None:
    terminal.type(f"echo from-pipe | {RUN} sh -c 'cat; echo ask; head -1 < /dev/tty'\n")
    terminal.expect("\r\nfrom-pipe\r\nask\r\n")
    terminal.type("typed\n")
    terminal.expect("typed\r\ntyped\r\n")
    terminal.expect("$ ")


def test_pipes_pass_every_byte_and_both_streams_are_stored(roost: Installed) -> None:
    code = "import os; os.write(1, bytes(range(256)) * 999); os.write(2, b'errors'); raise SystemExit(3)"
    done = subprocess.run(
        [roost.bin / "roost", *RUN.split()[1:], "python", "-c", code],
        cwd=roost.work,
        env=roost.environ,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, bytes(range(256)) * 999, b"errors")
    stored = (roost.root / "runs" / latest(roost) / "output").read_bytes()
    assert sorted(stored) == sorted(bytes(range(256)) * 999 + b"errors")


def test_one_pipe_for_both_keeps_their_order(roost: Installed) -> None:
    code = "import os\nfor n in range(500): os.write(1 + n % 2, b'%d ' % n)"
    done = subprocess.run(
        [roost.bin / "roost", *RUN.split()[1:], "python", "-c", code],
        cwd=roost.work,
        env=roost.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.stdout == b"".join(b"%d " % n for n in range(500))


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_file_stays_that_very_file_and_is_stored_afterwards(roost: Installed, mode: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("before\n")
    code = "import os, stat; assert stat.S_ISREG(os.fstat(1).st_mode); print('to the file')"
    with path.open(mode) as file:
        words = [roost.bin / "roost", *RUN.split()[1:], "python", "-c", code]
        subprocess.run(words, cwd=roost.work, env=roost.environ, stdout=file, check=True)
    assert path.read_text() == ("before\n" if mode == "ab" else "") + "to the file\n"
    assert logs(roost) == "to the file\n"


def test_a_reader_that_leaves_ends_the_command_as_ever(roost: Installed) -> None:
    shell = f"{RUN} sh -c 'while echo line; do :; done' | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=roost.work, env=roost.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "line\n141\n"


def test_signals_reach_a_command_whose_reader_reads_nothing(roost: Installed) -> None:
    words = [roost.bin / "roost", *RUN.split()[1:], "yes"]
    known = set((roost.root / "runs").glob("*/output"))
    with subprocess.Popen(words, cwd=roost.work, env=roost.environ, stdout=subprocess.PIPE) as process:
        while not (new := set((roost.root / "runs").glob("*/output")) - known):
            time.sleep(0.01)
        stored = new.pop()
        while stored.stat().st_size < 65536:  # more than the pipe of this process holds: what is passed on waits
            time.sleep(0.01)
        process.terminate()
        assert process.wait(60) == 143


def test_without_a_terminal_of_its_own_the_whole_job_stops_and_goes_on(roost: Installed, terminal: Terminal) -> None:
    os.mkfifo(roost.work / "fifo")
    terminal.type(f"{RUN} sh -c 'echo begun; read -r line <fifo; echo $line' </dev/null 2>&1 | cat\n")
    terminal.expect("\r\nbegun")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    # The shell's prompt may come before the output of the job: what is typed is not what is expected.
    terminal.type("bg; echo fur''ther >fifo; wait; echo ov''er\n")
    terminal.expect("further")
    terminal.expect("over")


def test_if_the_client_is_killed_the_command_is_told_and_the_terminal_is_as_before(
    roost: Installed, terminal: Terminal
) -> None:
    killer = "import os, signal, time; os.kill(CLIENT, signal.SIGKILL); time.sleep(60)"
    client = "int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])"
    (roost.work / "killer.py").write_text(killer.replace("CLIENT", client))
    # A script's shell restores nothing by itself.
    script = f"{RUN} python killer.py; while pgrep -f '[k]iller.py' >/dev/null; do sleep 0.1; done; stty -a"
    (roost.work / "script.sh").write_text(script)
    terminal.type("sh ./script.sh\n")
    terminal.expect("Killed")
    assert "-icanon" not in terminal.expect("iexten")


def test_the_stored_output_is_bounded(roost: Installed) -> None:
    config = roost.base / "config.toml"
    config.write_text("[runs]\noutput_bytes = 100_000\n")
    environ = {"ROOST_CONFIG": str(config)}
    assert roost("daemon", "stop").returncode == 0
    code = "for _ in range(10_000): print('y' * 99)"
    done = roost("run", "-q", "--keep-output", "python", "-c", code, environ=environ)
    assert len(done.stdout) == 1_000_000
    stored = roost("runs", "logs", "latest", environ=environ).stdout
    assert len(stored) < 110_000
    assert "are left out here" in stored
    assert roost("runs", "logs", "--tail", "2", "latest", environ=environ).stdout == ("y" * 99 + "\n") * 2
    assert roost("daemon", "stop").returncode == 0


def test_a_command_that_does_not_exist(roost: Installed, terminal: Terminal) -> None:
    terminal.type(f"{RUN} no-such-program; echo status $?\n")
    terminal.expect("no such command")
    terminal.expect("\r\nstatus 127\r\n")


def test_without_the_option_nothing_is_stored_and_the_reason_is_said(roost: Installed) -> None:
    assert roost("run", "-q", "python", "-c", "print(1)").returncode == 0
    done = roost("runs", "logs", "latest")
    assert done.stdout == ""
    assert "--keep-output" in done.stderr


def latest(roost: Installed) -> str:
    return str(roost("runs", "list", "--limit", "1").stdout.splitlines()[1].split()[0])
