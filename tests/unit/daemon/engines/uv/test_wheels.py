"""Wheels in the store, each under its sha256."""

from __future__ import annotations

import os
from pathlib import Path

from roost.daemon.engines.uv.wheels import WheelStore


def test_a_wheel_is_kept_once_under_its_sha256(tmp_path: Path) -> None:
    store = WheelStore(str(tmp_path / "wheels"))
    made = tmp_path / "a-1-py3-none-any.whl"
    made.write_bytes(b"content")
    first = store.add(str(made), built=True, source_key="source")
    assert store.add(str(made), built=True) == first
    assert store.find_built("source") == first
    assert store.find_built("another") is None
    assert Path(store.path(first)).read_bytes() == b"content"
    assert os.listdir(tmp_path / "wheels" / "tmp") == []
    Path(store.path(first)).unlink()
    assert store.find_built("source") is None
