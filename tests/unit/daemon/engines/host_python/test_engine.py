"""Pythons of this machine."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

import pytest

from roost.daemon.engines.host_python import engine
from roost.model.errors import InvalidDefinitionError
from roost.model.locks.lock import HostPython

OWN = ".".join(map(str, sys.version_info[:3]))


def fake(path: Path, version: str, *, level: str = "final", implementation: str = "cpython") -> Path:
    """An executable that answers the probe (no script in disguise: those are taken for shims)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho \'["{version}", "{level}", "{implementation}", "", false]\'\n')
    path.chmod(0o755)
    return path


def test_roosts_own_is_preferred_where_it_fits() -> None:
    for requires in (None, ">=3.8", f"=={OWN}"):
        assert engine.choose(requires) == HostPython(version=OWN, executable=engine.own_interpreter())


def test_the_own_interpreter_is_below_the_virtual_environment() -> None:
    own = engine.own_interpreter()
    assert os.path.isabs(own)
    assert not (Path(own).parent.parent / "pyvenv.cfg").exists()


def test_the_newest_fitting_is_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = {"/a": "3.98.1", "/b": "3.98.2", "/c": "3.99.0"}
    monkeypatch.setattr(engine, "candidates", lambda: iter(answers))
    known = engine.probe

    def probe(path: str) -> engine.Probed | None:
        return engine.Probed(version=answers[path], executable=path) if path in answers else known(path)

    monkeypatch.setattr(engine, "probe", probe)
    assert engine.choose("==3.98.*").executable == "/b"


def test_nothing_fits() -> None:
    with pytest.raises(engine.NoInterpreterError, match="there is") as caught:
        engine.choose("<3")
    assert caught.value.exit_status == 4
    with pytest.raises(InvalidDefinitionError, match="no version specifier"):
        engine.choose("three")


def test_shims_and_virtual_environments_are_no_candidates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shim = fake(tmp_path / "shims" / "python3", "3.99.0")
    venv.create(tmp_path / "v", symlinks=True)
    folders = [str(shim.parent), str(tmp_path / "v" / "bin"), "relative/bin"]
    monkeypatch.setenv("PATH", os.pathsep.join([*folders, os.environ["PATH"]]))
    found = list(engine.candidates())
    assert engine.own_interpreter() in found
    assert not any(path.startswith(str(tmp_path)) for path in found)
    assert len(found) == len(set(found))


def test_a_probe_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "python"
    count = tmp_path / "count"
    path.write_text(f'#!/bin/sh\necho x >> {count}\necho \'["3.99.0", "final", "cpython", "", false]\'\n')
    path.chmod(0o755)
    for _ in range(2):
        probed = engine.probe(str(path))
        assert probed is not None
        assert probed.version == "3.99.0"
    assert count.read_text() == "x\n"
    fake(path, "3.99.1")
    changed = engine.probe(str(path))
    assert changed is not None
    assert changed.version == "3.99.1"


@pytest.mark.parametrize("body", ["exit 3", "echo nothing", "echo '[1]'"])
def test_what_does_not_answer_is_no_interpreter(tmp_path: Path, body: str) -> None:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    assert engine.probe(str(path)) is None
    assert engine.probe(str(tmp_path / "absent")) is None


def test_candidates_and_other_implementations_do_not_fit() -> None:
    for probed in (
        engine.Probed(version="3.12.0", executable="/a", final=False),
        engine.Probed(version="3.12.0", executable="/a", implementation="pypy"),
        engine.Probed(version="3.12.0", executable="/a", free_threaded=True),
    ):
        assert not engine._fits(probed, engine._specifier(None))


def test_ambient_variables_do_not_reach_the_probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(engine.own_interpreter())
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    engine._probed.clear()
    probed = engine.probe(str(link))
    assert probed is not None
    assert (probed.version, probed.executable) == (OWN, engine.own_interpreter())


def test_a_run_records_path_version_and_mtime(tmp_path: Path) -> None:
    described = engine.describe_interpreter(sys.executable)
    assert described == {
        "path": sys.executable,
        "version": OWN,
        "mtime": os.stat(sys.executable).st_mtime,
        "executable": os.path.realpath(sys.executable),
    }
    with pytest.raises(engine.InterpreterMissingError) as caught:
        engine.describe_interpreter(str(tmp_path / "absent"))
    assert caught.value.exit_status == 7


def test_a_bare_name_is_looked_for_past_shims(tmp_path: Path) -> None:
    fake(tmp_path / "shims" / "python", "3.99.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(engine.own_interpreter())
    path = os.pathsep.join(["", "relative", str(tmp_path / "shims"), str(tmp_path / "bin")])
    described = engine.describe_interpreter("python", path)
    assert (described["path"], described["version"]) == (str(tmp_path / "bin" / "python"), OWN)
    with pytest.raises(engine.InterpreterMissingError):
        engine.describe_interpreter("python", str(tmp_path / "shims"))
