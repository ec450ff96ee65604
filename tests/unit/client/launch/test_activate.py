"""Variables after activation, and the program of a command."""

from __future__ import annotations

import pytest

from roost.client.launch.activate import CommandError, activated_environment, resolve_command


def launch(*changes, **variables):
    return {"changes": list(changes), "variables": variables}


def test_activation_is_replayed_in_order_and_variables_come_last():
    entered = activated_environment(
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
    assert resolve_command(["python", "-V"], "/p/python", environ) == ["/p/python", "-V"]
    assert resolve_command(["x.py", "1"], "/p/python", environ, str(tmp_path)) == ["/p/python", "x.py", "1"]
    assert resolve_command(["tool"], "/p/python", environ) == [str(tool)]
    assert resolve_command(["./any", "1"], None, environ) == ["./any", "1"]
    for name, status in (("plain", 126), ("nosuch", 127), ("nosuch.py", 127)):
        with pytest.raises(CommandError) as caught:
            resolve_command([name], "/p/python", environ)
        assert caught.value.status == status
