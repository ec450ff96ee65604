"""Credentials by reference: each is resolved, and none is shown."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from roost.daemon.config.config import parse_config
from roost.daemon.credentials.host import find_credentials
from roost.daemon.doctor import credentials
from roost.daemon.doctor.credentials import check_credentials
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.surroundings import Surroundings, list_needed_variables

WORD = "s3cret-s3cret"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


async def check(text: str, **variables: str) -> dict[str, Check]:
    config = parse_config(text.encode(), "/config.toml")

    async def find(urls: Any, environ: Any) -> dict[str, str]:
        return await find_credentials(urls, config, environ)

    parts: Any = SimpleNamespace(find_credentials=find)
    around = Surroundings(cast(Any, None), cast(Any, None), parts, config, cast(Any, None), variables)
    found = await check_credentials(around)
    assert WORD not in repr(found)
    assert all(each.hint for each in found if each.state != "ok")
    return {each.subject: each for each in found}


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


async def test_nothing_is_referred_to():
    assert {each.state for each in (await check("")).values()} == {"ok"}


async def test_variables_of_the_caller():
    text = '[credentials."h"]\nusername_variable = "WHO"\npassword_variable = "WORD"\n'
    assert list_needed_variables(parse_config(text.encode(), "/c")) == ["WHO", "WORD"]
    missing = (await check(text, WHO="me"))["h"]
    assert (missing.state, "WORD" in missing.message, "WHO" in missing.message) == ("error", True, False)
    assert (await check(text, WHO="me", WORD=WORD))["h"].state == "ok"


async def test_a_keyring_that_has_it_has_it_not_or_is_absent(home: Path):
    text = f'[network]\nkeyring = "{home}/ring"\n[credentials."h"]\nusername = "me"\nkeyring = true\n'
    assert "No such file" in (await check(text))["h"].message
    program(home / "ring", f"echo {WORD}")
    assert (await check(text))["h"].state == "ok"
    program(home / "ring", "exit 1")
    assert "no password for me" in (await check(text))["h"].message


async def test_a_keyring_that_waits_hides_no_other(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(credentials, "_SECONDS", 0.2)
    program(home / "ring", "exec sleep 60")
    text = f'[network]\nkeyring = "{home}/ring"\n[credentials."h"]\nusername = "me"\nkeyring = true\n'
    found = await check(text + '[credentials."i"]\nusername = "me"\npassword_variable = "WORD"\n', WORD=WORD)
    assert ("unlock" in found["h"].hint, found["i"].state) == (True, "ok")


async def test_sources_for_registries(home: Path, monkeypatch: pytest.MonkeyPatch):
    table = '[registries.credentials."h:5000"]\n'
    (home / "config.json").write_text(json.dumps({"auths": {"h:5000": {"auth": "bWU6czNjcmV0LXMzY3JldA=="}}}))
    assert (await check(f'{table}docker_config = "{home}"\n'))["h:5000"].state == "ok"
    (home / "config.json").write_text("{}")
    assert "has no entry" in (await check(f'{table}docker_config = "{home}"\n'))["h:5000"].message
    assert (await check(f'{table}docker_config = "{home}/gone"\n'))["h:5000"].state == "error"
    assert (await check(f'{table}helper = "gone"\n'))["h:5000"].state == "error"
    variables = f'{table}username_variable = "RW"\npassword_variable = "RP"\n'
    assert "RW and RP" in (await check(variables))["h:5000"].message
    monkeypatch.setenv("RW", "me")
    monkeypatch.setenv("RP", WORD)
    assert (await check(variables))["h:5000"].state == "ok"


async def test_files_with_credentials(home: Path):
    named = f'[conda]\nauth_file = "{home}/auth.json"\n[network]\nnetrc = "{home}/netrc"\n'
    found = await check(named)
    assert [each.state for each in found.values()] == ["error", "error"]
    (home / "auth.json").write_text(json.dumps({"h": {"BearerToken": WORD}}))
    (home / "netrc").write_text(f"machine h login me password {WORD}\n")
    for path in ("auth.json", "netrc"):
        await asyncio.to_thread((home / path).chmod, 0o600)
    assert [each.state for each in (await check(named)).values()] == ["ok", "ok"]
    (home / "netrc").chmod(0o644)
    assert (await check(named))[f"{home}/netrc"].state == "warning"
    (home / "netrc").write_text(f"machine h login {WORD} {WORD}\n")
    assert "line " in (await check(named))[f"{home}/netrc"].message
    (home / "auth.json").write_text("[]")
    assert (await check(named))[f"{home}/auth.json"].state == "error"
