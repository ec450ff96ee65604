"""Which Pythons this machine has, and what each one is."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

import pytest
from tests.support.fake_python import probe_answer, write_fake_python

from roost.daemon.engines.host_python import interpreters

OWN = ".".join(map(str, sys.version_info[:3]))


def test_the_own_interpreter_is_below_the_virtual_environment() -> None:
    own = interpreters.own_interpreter()
    assert os.path.isabs(own)
    assert not (Path(own).parent.parent / "pyvenv.cfg").exists()


def test_shims_and_virtual_environments_are_not_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shim = write_fake_python(tmp_path / "shims" / "python3", "3.99.0")
    venv.create(tmp_path / "v", symlinks=True)
    folders = [str(shim.parent), str(tmp_path / "v" / "bin"), "relative/bin"]
    monkeypatch.setenv("PATH", os.pathsep.join([*folders, os.environ["PATH"]]))
    found = list(interpreters.list_interpreters())
    assert interpreters.own_interpreter() in found
    assert not any(path.startswith(str(tmp_path)) for path in found)
    assert len(found) == len(set(found))


def test_a_probe_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "python"
    count = tmp_path / "count"
    path.write_text(f"#!/bin/sh\necho x >> {count}\necho '{probe_answer('3.99.0')}'\n")
    path.chmod(0o755)
    for _ in range(2):
        probed = interpreters.probe_interpreter(str(path))
        assert probed is not None
        assert probed.version == "3.99.0"
    assert count.read_text() == "x\n"
    write_fake_python(path, "3.99.1")
    changed = interpreters.probe_interpreter(str(path))
    assert changed is not None
    assert changed.version == "3.99.1"


@pytest.mark.parametrize("body", ["exit 3", "echo nothing", "echo '[1]'"])
def test_what_does_not_answer_is_no_interpreter(tmp_path: Path, body: str) -> None:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    assert interpreters.probe_interpreter(str(path)) is None
    assert interpreters.probe_interpreter(str(tmp_path / "absent")) is None


def test_prereleases_and_other_implementations_are_not_usable() -> None:
    for probed in (
        interpreters.Interpreter(version="3.12.0", executable="/a", final=False),
        interpreters.Interpreter(version="3.12.0", executable="/a", implementation="pypy"),
        interpreters.Interpreter(version="3.12.0", executable="/a", free_threaded=True),
    ):
        assert not probed.is_usable


def test_ambient_variables_do_not_reach_the_probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(interpreters.own_interpreter())
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    interpreters._probed.clear()
    probed = interpreters.probe_interpreter(str(link))
    assert probed is not None
    assert (probed.version, probed.executable) == (OWN, interpreters.own_interpreter())
