"""The caller's shell, completion in it, and the `roost` that it starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from roost.client.cli.administration import shells
from roost.client.cli.administration.shells import SHELLS, check_shell


def check(home: Path, **variables: str) -> dict[str, dict[str, Any]]:
    found = list(check_shell({"HOME": str(home), "PATH": str(home), **variables}))
    return {each["name"]: each for each in found}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_found_and_else_explained(shell: str, tmp_path: Path):
    before = check(tmp_path, SHELL=f"/usr/bin/{shell}")["shell"]
    assert before["state"] == "ok"
    files = SHELLS[shell]
    assert files.line in before["hint"]
    start = tmp_path / files.start[0].removeprefix("~/")
    start.parent.mkdir(parents=True, exist_ok=True)
    start.write_text(f"x=1\n{files.line}\n")
    assert f"by {files.start[0]}" in check(tmp_path, SHELL=f"/usr/bin/{shell}")["shell"]["message"]
    start.unlink()
    own = tmp_path / files.completions[0].removeprefix("~/")
    own.parent.mkdir(parents=True, exist_ok=True)
    own.touch()
    assert files.completions[0] in check(tmp_path, SHELL=shell)["shell"]["message"]


def test_zsh_reads_its_own_folder(tmp_path: Path):
    (tmp_path / "zsh").mkdir()
    (tmp_path / "zsh" / ".zshrc").write_text(SHELLS["zsh"].line)
    assert "with completion" in check(tmp_path, SHELL="zsh", ZDOTDIR=str(tmp_path / "zsh"))["shell"]["message"]


def test_a_shell_that_is_unknown_or_unset_is_no_fault(tmp_path: Path):
    assert "tcsh" in check(tmp_path, SHELL="/bin/tcsh")["shell"]["message"]
    assert "SHELL is not set" in check(tmp_path)["shell"]["message"]


def test_a_hook_of_another_version_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".bashrc").write_text('# eval "$(roost hook bash)"\n\neval "$(roost hook bash)"\n')
    monkeypatch.setattr(shells, "MODULES", {"x": ("run",)})
    assert "~/.bashrc:3 runs" in check(tmp_path, SHELL="bash")["hook"]["message"]
    monkeypatch.setattr(shells, "MODULES", {"x": ("hook",)})
    assert "hook" not in check(tmp_path, SHELL="bash")


def test_what_is_no_file_is_not_read(tmp_path: Path):
    os.mkfifo(tmp_path / ".bashrc")
    (tmp_path / ".profile").mkdir()
    (tmp_path / ".bash_profile").write_bytes(b"\xff\xfe roost completion bash")
    assert "~/.bash_profile" in check(tmp_path, SHELL="bash")["shell"]["message"]


def test_another_roost_on_path_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "roost").write_text("#!/bin/sh\n")
        (tmp_path / folder / "roost").chmod(0o755)
    monkeypatch.setattr(shells.sys, "argv", [str(tmp_path / "a" / "roost-client")])
    assert check(tmp_path, PATH=str(tmp_path / "a"))["command"]["state"] == "ok"
    assert check(tmp_path, PATH=str(tmp_path / "b"))["command"]["state"] == "warning"
    assert check(tmp_path, PATH=str(tmp_path))["command"]["state"] == "ok"
