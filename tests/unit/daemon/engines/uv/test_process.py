"""The environment that uv gets, and what a cancelled start leaves open."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from roost.daemon.caller.current import use_caller
from roost.daemon.engines.uv import process as uv_process
from roost.daemon.engines.uv.process import UvProcess
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.terminal import open_terminal


async def test_uv_gets_a_scrubbed_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "uv"
    script.write_text('#!/bin/sh\nenv\npwd\ncat "$NETRC"\nfind .. -name netrc\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    for name in ("UV_INDEX", "PIP_INDEX_URL", "PYTHONPATH", "CONDA_PREFIX", "VIRTUAL_ENV", "MYSECRET"):
        monkeypatch.setenv(name, "ambient")
    monkeypatch.setenv("https_proxy", "http://ambient.example:3128")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/ambient")
    caller = {"https_proxy": "http://proxy.example:3128", "GIT_SSH_COMMAND": "ssh -i key", "PATH": "/caller"}
    process = UvProcess(str(script), str(tmp_path / "cache"), str(tmp_path / "tmp"), timeout=7, retries=1)
    async with process.temporary_folder() as folder:
        with use_caller(caller):
            outcome = await process.run(["x"], folder, secrets=Secrets({"https://h": "u:p"}))
        lines = outcome.stdout.splitlines()
        assert os.path.join(folder, "cwd") in lines
    assert "GIT_SSH_COMMAND=ssh -i key" in lines
    assert "PATH=/caller" not in lines, "compilers and the like are not the caller's"
    assert lines[-1] == "machine h login u password p", "and it is in no file"
    assert "ambient" not in outcome.stdout
    assert "https_proxy=http://proxy.example:3128" in lines
    assert "UV_HTTP_TIMEOUT=7" in lines
    assert {line.partition("=")[0] for line in lines if line.startswith(("UV_", "PIP_"))} == {
        "UV_HTTP_TIMEOUT",
        "UV_HTTP_RETRIES",
        "UV_SYSTEM_CERTS",
    }
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize(("there", "wanted"), [("file", True), ("folder", True), ("nothing", False)])
def test_the_systems_certificates_are_trusted_where_there_are_any(
    there: str, wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = tmp_path / "cert.pem", tmp_path / "certs"
    folder.mkdir()
    if there != "nothing":
        (file if there == "file" else folder / "one.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    environ = UvProcess("uv", "/cache", str(tmp_path), timeout=7, retries=1)._make_environment(
        str(tmp_path), Secrets({})
    )
    assert ("UV_SYSTEM_CERTS" in environ) == wanted


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux tells which descriptors are open")
async def test_a_cancellation_leaves_no_descriptor_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that comes while a slow machine opens them."""
    process = UvProcess("/bin/true", str(tmp_path / "cache"), str(tmp_path / "scratch"))
    opening = threading.Event()

    def open_slowly() -> tuple[int, int]:
        opening.set()
        time.sleep(0.1)
        return open_terminal()

    async def run() -> None:
        async with process.temporary_folder() as folder:
            await process.run([], folder, secrets=Secrets({}), on_frame=lambda frame: None)

    await run()
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(uv_process, "open_terminal", open_slowly)
    task = asyncio.create_task(run())
    await asyncio.to_thread(opening.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.3)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
