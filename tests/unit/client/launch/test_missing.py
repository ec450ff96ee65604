"""What is said of a command that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.client.launch.activate import CommandError, resolve_command
from roost.client.launch.missing import explain_missing

SCRIPTS = '[project]\nname = "x"\nscripts = { serve = "x:main" }\n'
BUILD = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


@pytest.mark.parametrize(
    ("tables", "reason", "hint"),
    [
        ("", "it has no [build-system]", "Add a table [build-system]"),
        (BUILD + "[tool.uv]\npackage = false\n", "`package = false`", "Take `package = false` out"),
        (
            "[tool.uv]\npackage = true\n[tool.roost]\nproject = false\n",
            "`project = false`",
            "Take `project = false` out",
        ),
        (BUILD, "is not installed here", "without --no-project"),
        ("[tool.uv]\npackage = true\n", "is not installed here", "without --no-project"),
    ],
)
def test_a_command_of_the_project_is_known(tables: str, reason: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SCRIPTS + tables)
    (tmp_path / "src").mkdir()
    with pytest.raises(CommandError) as caught:
        resolve_command(["serve"], None, {"PATH": "/nowhere"}, str(tmp_path / "src"))
    assert caught.value.status == 127
    assert str(caught.value).startswith(f"serve: a command of the project in {tmp_path}, which is not installed here")
    assert reason in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize("content", [SCRIPTS + BUILD, "not toml", "project = 1\ntool = []\n", "\udcff"])
def test_a_slip_of_the_keyboard_and_files_that_say_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(content, errors="surrogateescape")
    (tmp_path / "pytest").touch()
    environ = {"PATH": f"{tmp_path}:/bin"}
    assert explain_missing("pyest", str(tmp_path), environ)[1].startswith("Did you mean pytest? Name it")
    said, hint = explain_missing("srve", str(tmp_path), environ)
    assert (said, "mean serve?" in hint) == ("no such command in the environment or on PATH", "serve" in content)
    assert explain_missing("quite-another", str(tmp_path), {}) == (said, hint.partition("? ")[2] or hint)
