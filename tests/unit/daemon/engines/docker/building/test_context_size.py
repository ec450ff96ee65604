"""A build context that would fill the disk is refused by the names of its largest files, before anything is copied."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from roost.daemon.engines.docker.building import context as module
from roost.daemon.engines.docker.building.context import DockerBuild, pack_context
from roost.daemon.engines.docker.errors import ContextTooLargeError


def test_a_context_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with (tmp_path / "data.bin").open("wb") as file:
        file.truncate(10**12)  # it takes no space here, and would in the copy
    (tmp_path / "small.txt").write_text("x")
    build, target = DockerBuild(text="FROM scratch\n", context=str(tmp_path)), io.BytesIO()
    with pytest.raises(ContextTooLargeError) as caught:
        pack_context(build, "Dockerfile", target, str(tmp_path))
    assert caught.value.code == "context-too-large"
    assert "data.bin (1,000,000,000,000 bytes)" in caught.value.message
    assert ".dockerignore" in caught.value.hint
    (tmp_path / ".dockerignore").write_text("*.bin\n")
    pack_context(build, "Dockerfile", target, str(tmp_path))
    monkeypatch.setattr(module, "UNPACKED_BYTES", 5)
    with pytest.raises(ContextTooLargeError):
        pack_context(build, "Dockerfile", target, str(tmp_path))
