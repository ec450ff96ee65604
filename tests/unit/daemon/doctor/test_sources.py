"""Channels and package indexes, asked as builds ask them."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.pip_index import PipIndex

from roost.daemon.caller.current import use_caller
from roost.daemon.config.config import parse_config
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.sources import ask_any_clock, check_channels, check_indexes
from roost.daemon.doctor.surroundings import Surroundings
from roost.daemon.engines.uv import process


@pytest.fixture
def index() -> Iterator[PipIndex]:
    made = PipIndex()
    made.wheel("pip", "1.0")
    yield made
    made.close()


def surroundings(text: str, logins: dict[str, str] | None = None, **variables: str) -> Surroundings:
    async def find_credentials(*_: object) -> dict[str, str]:
        return logins or {}

    parts: Any = SimpleNamespace(find_credentials=find_credentials)
    config = parse_config(text.encode(), "/config.toml")
    return Surroundings(cast(Any, None), cast(Any, None), parts, config, cast(Any, None), variables)


async def check_index(url: str, logins: dict[str, str] | None = None, **variables: str) -> Check:
    [check] = await check_indexes(surroundings(f'[pip]\nindex_url = "{url}"\n', logins, **variables))
    return check


async def test_an_index_that_answers_and_one_that_does_not(index: PipIndex):
    assert (await check_index(index.url)).state == "ok"
    down = await check_index("http://127.0.0.1:1/simple")
    assert (down.state, "Connection refused" in down.message) == ("error", True)
    assert "0x" not in down.message


async def test_an_index_with_a_password_says_where_it_can_come_from(index: PipIndex):
    index.password = "s3cret"
    check = await check_index(index.url)
    assert (check.state, "HTTP 401" in check.message, "netrc" in check.hint) == ("error", True, True)
    host = index.origin.removeprefix("http://")
    assert (await check_index(index.url, {f"//{host}": "somebody:s3cret"})).state == "ok"
    with_variable = index.url.replace("://", "://somebody:${WORD}@")
    assert (await check_index(with_variable, WORD="s3cret")).state == "ok"
    missing = await check_index(with_variable)
    assert (missing.state, "WORD" in missing.message) == ("error", True)
    wrong = await check_index(with_variable, WORD="wr0ng-wr0ng")
    assert (wrong.state, "wr0ng" in wrong.message) == ("error", False)


async def test_an_index_without_a_list_may_still_be_one(index: PipIndex):
    check = await check_index(f"{index.origin}/elsewhere")
    assert (check.state, "HTTP 404" in check.message) == ("warning", True)


async def test_a_channel_by_its_mirrors(index: PipIndex, tmp_path: Path):
    (tmp_path / "forge" / "noarch").mkdir(parents=True)
    (tmp_path / "forge" / "noarch" / "repodata.json").write_text("{}")
    url = f"{index.origin}/forge"

    async def check(mirrors: list[str]) -> Check:
        text = f'[conda]\nchannels = ["{url}"]\n'
        text += f'[conda.mirrors]\n"{url}" = {mirrors}\n' if mirrors else ""
        [found] = await check_channels(surroundings(text.replace("'", '"')))
        return found

    absent = await check([])
    assert (absent.state, "HTTP 404" in absent.message, "no conda channel" in absent.hint) == ("error", True, True)
    good = await check(["http://127.0.0.1:1/x", f"file://{tmp_path}/forge"])
    assert (good.state, "by its mirror file://" in good.message) == ("ok", True)
    gone = await check([f"file://{tmp_path}/gone"])
    assert (gone.state, "does not exist" in gone.message) == ("error", True)


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path):
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"]
    subprocess.run([*make, *names, *files], check=True, capture_output=True)

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}/simple"
    try:
        check = await check_index(url)
        assert (check.state, "SSL_CERT_FILE" in check.hint) == ("error", True)
        assert "has no trusted certificate: self-signed certificate" in check.message
        with use_caller({"SSL_CERT_FILE": str(tmp_path / "ca.pem")}):
            assert (await check_index(url)).state == "ok"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_the_clock_of_a_server(index: PipIndex):
    assert await ask_any_clock(surroundings(f'[pip]\nindex_url = "{index.url}"\n')) is not None
    assert await ask_any_clock(surroundings("[conda]\nchannels = ['file:///x']\n")) is None


FAKE_UV = """#!/bin/sh
read name
test "$name" = pip && test -z "$UV_INDEX_URL" || exit 3
{end}
"""


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        ("exit 0", None),
        (
            "printf '  \\303\\227 Failed\\n  \\342\\225\\260\\342\\224\\200\\342\\226\\266 dns error\\n' >&2; exit 2",
            "dns error",
        ),
        ("exit 2", "uv ended with status 2"),
        ("exec sleep 60", "no answer within 0.5 s"),
    ],
)
async def test_uvs_default_index(end: str, fault: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    uv = tmp_path / "uv"
    uv.write_text(FAKE_UV.format(end=end))
    uv.chmod(0o755)
    monkeypatch.setattr(process, "find_uv_bin", lambda: str(uv))
    seconds = 0.5 if "sleep" in end else 30.0
    found = await process.ask_default_index("pip", seconds, str(tmp_path))
    assert found == (fault.replace("0.5", "0") if fault else None)
    assert [path.name for path in tmp_path.iterdir()] == ["uv"]
