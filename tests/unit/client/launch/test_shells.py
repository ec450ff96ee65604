"""Interactive shells and their generated start-up files."""

from __future__ import annotations

from roost.client.launch import shells


def launch(*changes, **variables):
    return {"changes": list(changes), "variables": variables}


def test_fish_and_zsh_are_entered_after_their_own_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    change = launch({"name": "PATH", "action": "prepend", "value": "/it's/bin"}, A="1")
    command, _ = shells.shell_command_line("/usr/bin/fish", change, {}, "x")
    assert command[:3] == ["/usr/bin/fish", "--interactive", "--init-command"]
    assert r"set -gx -p PATH '/it\\'s/bin'".replace("\\\\", "\\") in command[3]
    command, environ = shells.shell_command_line("/bin/zsh", change, {"ZDOTDIR": "/mine"}, "x")
    assert command == ["/bin/zsh", "-i"]
    with open(environ["ZDOTDIR"] + "/.zshrc") as file:
        text = file.read()
    assert text.index('. "${ZDOTDIR:-$HOME}/.zshrc"') < text.index("export PATH=") < text.index("rm -rf")
