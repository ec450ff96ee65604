"""Which Python of this machine fits, and whether it is unchanged."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.support.fake_python import write_fake_python

from roost.daemon.engines.host_python import engine, interpreters
from roost.daemon.engines.host_python.errors import InterpreterMissingError, NoInterpreterError
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.model.errors import InvalidDefinitionError

OWN = ".".join(map(str, sys.version_info[:3]))


def test_roosts_own_is_preferred_where_it_fits() -> None:
    for requires in (None, ">=3.8", f"=={OWN}"):
        chosen = engine.choose_interpreter(requires)
        assert (chosen.version, chosen.executable) == (OWN, interpreters.own_interpreter())


def test_the_newest_fitting_is_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = {"/a": "3.98.1", "/b": "3.98.2", "/c": "3.99.0", "/candidate": "3.98.3"}
    monkeypatch.setattr(interpreters, "list_interpreters", lambda: iter(answers))
    known = interpreters.probe_interpreter

    def probe(path: str) -> interpreters.Interpreter | None:
        return (
            interpreters.Interpreter(version=answers[path], executable=path, final=path != "/candidate")
            if path in answers
            else known(path)
        )

    monkeypatch.setattr(interpreters, "probe_interpreter", probe)
    assert engine.choose_interpreter("==3.98.*").executable == "/b"


def test_nothing_fits() -> None:
    with pytest.raises(NoInterpreterError, match="found:") as caught:
        engine.choose_interpreter("<3")
    assert caught.value.exit_status == 4
    with pytest.raises(InvalidDefinitionError, match="not a valid version specifier"):
        engine.choose_interpreter("three")


def test_a_run_records_path_version_and_mtime(tmp_path: Path) -> None:
    described = engine.describe_interpreter(sys.executable)
    assert described == {
        "path": sys.executable,
        "version": OWN,
        "mtime": os.stat(sys.executable).st_mtime,
        "executable": os.path.realpath(sys.executable),
    }
    with pytest.raises(InterpreterMissingError) as caught:
        engine.describe_interpreter(str(tmp_path / "absent"))
    assert caught.value.exit_status == 7


def test_a_bare_name_is_looked_for_past_shims(tmp_path: Path) -> None:
    write_fake_python(tmp_path / "shims" / "python", "3.99.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(interpreters.own_interpreter())
    path = os.pathsep.join(["", "relative", str(tmp_path / "shims"), str(tmp_path / "bin")])
    described = engine.describe_interpreter("python", path)
    assert (described["path"], described["version"]) == (str(tmp_path / "bin" / "python"), OWN)
    with pytest.raises(InterpreterMissingError):
        engine.describe_interpreter("python", str(tmp_path / "shims"))


def test_the_error_lists_what_was_found_with_paths_and_why_it_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "/a": Interpreter(version="3.9.1", executable="/a"),
        "/b": Interpreter(version="3.99.0", executable="/b", free_threaded=True),
        "/c": Interpreter(version="3.99.1", executable="/c", implementation="pypy"),
        "/d": Interpreter(version="3.99.2", executable="/d", final=False),
        **{f"/e{n}": Interpreter(version=f"3.1.{n}", executable=f"/e{n}") for n in range(10)},
    }
    monkeypatch.setattr(interpreters, "list_interpreters", lambda: list(answers))
    monkeypatch.setattr(interpreters, "probe_interpreter", lambda path: answers.get(path))
    with pytest.raises(NoInterpreterError) as caught:
        engine.choose_interpreter(">=3.10")
    message = caught.value.message
    assert message.startswith("No Python on this machine fits >=3.10; found:\n3.99.2 (a pre-release")
    assert "\n3.99.0 (free-threaded, which is not chosen) at /b\n3.9.1 at /a\n" in message
    assert "(pypy, which" in message
    assert message.endswith("\nand 4 more")
