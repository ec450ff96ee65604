"""What people read: errors, progress, tables, completion of variables."""

from __future__ import annotations

import io

import pytest

from roost.client import paths
from roost.client.errors import ClientError, render
from roost.client.launch import hot, shells
from roost.client.launch.activate import CommandError, environment, resolve
from roost.client.terminal import text as terminal
from roost.client.terminal.progress import Display
from roost.client.transport import connection
from roost.wire import protocol


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_an_error_is_two_lines_with_the_place_first():
    body = {
        "code": "x",
        "message": "bad\nthing",
        "hint": "mend it",
        "location": {"path": "a.yml", "line": 3, "column": 7},
    }
    assert render(body) == "roost: a.yml:3:7: bad thing\n  mend it"
    assert render({"message": "m", "location": {"path": "a", "line": None, "column": None}}).startswith(
        "roost: a: m\n  Correct that place"
    )
    assert render({"message": "m"}).startswith("roost: m\n  `roost daemon logs`")
    twice = {"message": "/w/a.yml and /w/a.yaml both lie there", "location": {"path": "/w/a.yml"}}
    assert render(twice).startswith("roost: /w/a.yml and")


def test_both_halves_of_the_client_speak_one_protocol():
    assert hot.PROTOCOL == connection.PROTOCOL == protocol.PROTOCOL


def test_variables_are_sent_only_when_asked_for_and_only_once(monkeypatch):
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("TWO", "2")
    error = ClientError({"code": "variable-missing", "fields": {"variables": ["ONE", "NOT_SET_ANYWHERE"]}})
    first = connection.with_variables({"what": {"cwd": "/"}}, error)
    assert first == {"what": {"cwd": "/", "environ": {"ONE": "1"}}}
    assert connection.with_variables(first, error) is None
    more = ClientError({"code": "variable-missing", "fields": {"variables": ["TWO"]}})
    assert connection.with_variables(first, more)["what"]["environ"] == {"ONE": "1", "TWO": "2"}
    assert connection.with_variables(first, ClientError({"code": "other"})) is None


def messages():
    yield {"event": "plan", "plan": {"steps": [{"kind": "download", "seconds": 4.0}, {"kind": "link", "seconds": 2.0}]}}
    yield {"event": "step", "step": "download", "state": "started", "total": 2_000_000}
    yield {"event": "progress", "step": "download", "done": 1_000_000, "total": 2_000_000}
    yield {"event": "log", "line": "a line"}
    yield {"event": "heartbeat"}
    yield {"event": "something-new"}
    yield {"event": "step", "step": "download", "state": "finished"}


def test_progress_elsewhere_is_plain_lines():
    stream = io.StringIO()
    display = Display(stream)
    for message in messages():
        display.show(message)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "roost: downloading …"
    assert lines[1].startswith("roost: done downloading (1.0 MB, ")
    assert list(display.log) == ["a line"]


def test_progress_on_a_terminal_has_bytes_rate_and_time_left(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("roost.client.terminal.progress.REDRAW_SECONDS", -1)
    stream = Terminal()
    display = Display(stream)
    for message in messages():
        display.show(message)
    display.close()
    shown = stream.getvalue()
    assert "downloading 0 B of 2.0 MB" in shown
    assert "downloading 1.0 MB of 2.0 MB, " in shown
    assert "/s · about " in shown
    assert shown.index("about") < shown.index("done")


def test_quiet_shows_nothing():
    stream = Terminal()
    for message in messages():
        Display(stream, quiet=True).show(message)
    assert stream.getvalue() == ""


def test_colour_only_on_a_terminal_and_not_against_the_users_will(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.paint("x", "red", Terminal()) == "\033[31mx\033[0m"
    assert terminal.paint("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.paint("x", "red", Terminal()) == "x"


def test_sizes_durations_and_tables():
    assert [terminal.size(n) for n in (0, 999, 1000, 2_500_000, 10**15, None)] == [
        "0 B", "999 B", "1.0 kB", "2.5 MB", "1000.0 TB", "?",
    ]  # fmt: skip
    assert [terminal.duration(s) for s in (0.04, 59.9, 61, 3700)] == ["0.0 s", "59.9 s", "1 min 1 s", "1 h 1 min"]
    assert [terminal.count(1, "prefix"), terminal.count(2, "prefix"), terminal.count(0, "file")] == [
        "1 prefix", "2 prefixes", "0 files",
    ]  # fmt: skip
    assert terminal.moment("2026-11-23T08:05:36.147455Z") == "2026-11-23T08:05:36Z"
    assert terminal.moment(None) is None
    assert terminal.table(("A", "BB"), [("xyz", None), ("", 1)]) == "A    BB\nxyz  -\n-    1"


def launch(*changes, **variables):
    return {"changes": list(changes), "variables": variables}


def test_activation_is_replayed_in_order_and_variables_come_last():
    entered = environment(
        launch(
            {"name": "PATH", "action": "prepend", "value": "/p/bin"},
            {"name": "NEW", "action": "prepend", "value": "x"},
            {"name": "TAIL", "action": "append", "value": "z", "separator": ";"},
            {"name": "GONE", "action": "unset"},
            {"name": "A", "action": "set", "value": "activation"},
            A="settings",
        ),
        {"PATH": "/usr/bin", "NEW": "", "TAIL": "y", "GONE": "1"},
        {"B": "extra"},
    )
    assert entered == {"PATH": "/p/bin:/usr/bin", "NEW": "x", "TAIL": "y;z", "A": "settings", "B": "extra"}


def test_the_first_word_of_a_command(tmp_path):
    (tmp_path / "x.py").touch()
    tool = tmp_path / "tool"
    tool.touch(0o755)
    (tmp_path / "plain").touch(0o644)
    environ = {"PATH": f"/nosuch:{tmp_path}"}
    assert resolve(["python", "-V"], "/p/python", environ) == ["/p/python", "-V"]
    assert resolve(["x.py", "1"], "/p/python", environ, str(tmp_path)) == ["/p/python", "x.py", "1"]
    assert resolve(["tool"], "/p/python", environ) == [str(tool)]
    assert resolve(["./any", "1"], None, environ) == ["./any", "1"]
    for name, status in (("plain", 126), ("nosuch", 127), ("nosuch.py", 127)):
        with pytest.raises(CommandError) as caught:
            resolve([name], "/p/python", environ)
        assert caught.value.status == status


def test_the_socket_moves_where_the_root_is_too_deep(monkeypatch):
    monkeypatch.delenv("ROOST_SOCKET", raising=False)
    monkeypatch.setenv("ROOST_HOME", "/short")
    assert paths.socket_path() == "/short/roost.sock"
    monkeypatch.setenv("ROOST_HOME", "/" + "x" * 100)
    assert paths.socket_path().startswith("/tmp/roost-")
    assert len(paths.socket_path()) < 100
    monkeypatch.setenv("ROOST_SOCKET", "/other.sock")
    assert paths.socket_path() == "/other.sock"


@pytest.mark.parametrize("home", ["/short", "/" + "y" * 120])
def test_the_daemon_works_out_the_same_places(monkeypatch, home):
    from roost.daemon.config import paths as daemon_places

    monkeypatch.delenv("ROOST_SOCKET", raising=False)
    for variables in (
        {"ROOST_HOME": home},
        {"ROOST_HOME": "", "XDG_DATA_HOME": "/data"},
        {"ROOST_HOME": "", "XDG_DATA_HOME": " "},
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert daemon_places.find_root() == paths.root()
        assert daemon_places.socket_path(paths.root()) == paths.socket_path()


def test_fish_and_zsh_are_entered_after_their_own_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    change = launch({"name": "PATH", "action": "prepend", "value": "/it's/bin"}, A="1")
    command, _ = shells.interactive("/usr/bin/fish", change, {}, "x")
    assert command[:3] == ["/usr/bin/fish", "--interactive", "--init-command"]
    assert r"set -gx -p PATH '/it\\'s/bin'".replace("\\\\", "\\") in command[3]
    command, environ = shells.interactive("/bin/zsh", change, {"ZDOTDIR": "/mine"}, "x")
    assert command == ["/bin/zsh", "-i"]
    with open(environ["ZDOTDIR"] + "/.zshrc") as file:
        text = file.read()
    assert text.index('. "${ZDOTDIR:-$HOME}/.zshrc"') < text.index("export PATH=") < text.index("rm -rf")
