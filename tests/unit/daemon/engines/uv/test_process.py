"""Secrets, and the environment that uv gets."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from roost.daemon.engines.uv import process as uv_process
from roost.daemon.engines.uv.process import Process, Secrets
from roost.daemon.engines.uv.terminal import open_terminal


def test_secrets_are_taken_out_of_text_in_each_of_their_forms() -> None:
    secrets = Secrets({"https://h": "user:p%40ss", "https://t": "/t/tokentoken", "https://s/x": "?sig=abcdef"})
    text = "user:p%40ss p@ss https://t/t/tokentoken/simple https://s/x?sig=abcdef"
    redacted = secrets.redact(text)
    assert not any(word in redacted for word in ("p%40ss", "p@ss", "tokentoken", "abcdef"))


def test_tokens_and_signatures_come_and_go() -> None:
    secrets = Secrets({"https://t": "/t/abc", "https://s/x.whl": "?sig=1"})
    for bare, full in {
        "https://t/simple": "https://t/t/abc/simple",
        "https://s/x.whl#a": "https://s/x.whl?sig=1#a",
        "https://other/simple": "https://other/simple",
        "https://tt/simple": "https://tt/simple",
    }.items():
        assert secrets.reveal(bare) == full
        assert secrets.conceal(full) == bare


def test_netrc_quotes_and_names_each_host_once() -> None:
    text = Secrets({"//h": "other:p", "https://h:8443": "some%20body:p%22q", "//own:1": "a:b"}).netrc()
    assert text == 'machine h login "some body" password "p\\"q"\nmachine own login a password b\n'


def test_credentials_of_a_host_count_where_a_url_has_none_of_its_own() -> None:
    secrets = Secrets({"//h": "a:b", "//h:2": "c:d", "https://h": "e:f"})
    urls = ("https://h/x", "http://h/x", "https://h:2/x", "https://h:3/x", "https://other/x")
    assert [secrets.pair(url) for url in urls] == [("e", "f"), ("a", "b"), ("c", "d"), ("a", "b"), None]


async def test_uv_gets_a_scrubbed_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "uv"
    script.write_text('#!/bin/sh\nenv\npwd\ncat "$NETRC"\nfind .. -name netrc\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    for name in ("UV_INDEX", "PIP_INDEX_URL", "PYTHONPATH", "CONDA_PREFIX", "VIRTUAL_ENV", "MYSECRET"):
        monkeypatch.setenv(name, "ambient")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("SSL_CERT_FILE", str(script))
    process = Process(str(script), str(tmp_path / "cache"), str(tmp_path / "tmp"), timeout=7, retries=1)
    async with process.folder() as folder:
        outcome = await process.run(["x"], folder, secrets=Secrets({"https://h": "u:p"}))
        lines = outcome.stdout.splitlines()
        assert os.path.join(folder, "cwd") in lines
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
    environ = Process("uv", "/cache", str(tmp_path), timeout=7, retries=1)._environ(str(tmp_path), Secrets({}))
    assert ("UV_SYSTEM_CERTS" in environ) == wanted


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux tells which descriptors are open")
async def test_a_cancellation_leaves_no_descriptor_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that comes while a slow machine opens them."""
    process = Process("/bin/true", str(tmp_path / "cache"), str(tmp_path / "scratch"))
    opening = threading.Event()

    def open_slowly() -> tuple[int, int]:
        opening.set()
        time.sleep(0.1)
        return open_terminal()

    async def run() -> None:
        async with process.folder() as folder:
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
