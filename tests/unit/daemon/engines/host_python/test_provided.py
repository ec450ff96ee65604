"""Pythons that came with bundles: found by their links, which follow their prefixes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roost.daemon.engines.host_python import provided


def make_prefix(folder: Path, name: str) -> Path:
    prefix = folder / name
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python3.12").touch(0o755)
    (prefix / "bin/python").symlink_to("python3.12")
    return prefix


def test_a_link_follows_the_prefix_that_takes_the_place_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provided, "_folders", [])
    links = tmp_path / "pythons"
    provided.use_folder(str(links))
    provided.use_folder(str(links))
    provided.follow_prefix(str(links), "/nothing/there")
    assert list(provided.list_provided()) == []
    first, second = (make_prefix(tmp_path, name) for name in ("0a1b2c3d-aaaaaaaa", "0a1b2c3d-bbbbbbbb"))
    other = make_prefix(tmp_path, "ffffffff-aaaaaaaa")
    provided.link_python(str(links), str(first), "python-3.12")
    assert list(provided.list_provided()) == [str(first / "bin/python3.12")]
    provided.follow_prefix(str(links), str(other))
    assert list(provided.list_provided()) == [str(first / "bin/python3.12")]
    provided.follow_prefix(str(links), str(second))
    assert list(provided.list_provided()) == [str(second / "bin/python3.12")]
    os.unlink(second / "bin/python3.12")
    assert list(provided.list_provided()) == []
    assert os.listdir(links) == ["python-3.12"]
