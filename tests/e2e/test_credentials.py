"""Private indexes and channels: credentials from a netrc, variables, the keyring or rattler's auth file, never kept."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.support.conda_tools import HttpChannel, http_channel
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

USER, PASSWORD = "somebody", "p4ss:w/rd@of%some#body"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
FORMS = (PASSWORD, BASIC.removeprefix("Basic "), "p4ss%3Aw%2Frd%40of%25some%23body")
HOST = "127.0.0.1"
SAY = ("--", "python", "-c", "import greet; print(greet.value)")
WAYS = ["netrc", "another netrc", "variables", "a variable and a user", "keyring", "auth file", "rattler's own file"]


def nowhere(roost: Roost) -> None:
    """Nothing under the root holds the password, while the daemon lives and after it has stopped."""
    for _ in range(2):
        read = 0
        for path in [path for path in roost.root.rglob("*") if path.is_file()]:
            with suppress(FileNotFoundError):  # the daemon goes on: a log is taken over by its index
                content = path.read_bytes()
                assert [form for form in FORMS if form.encode() in content] == [], path
                read += 1
        assert read
        roost.ok("daemon", "stop")


@pytest.fixture
def home(roost: Roost, tmp_path: Path) -> Iterator[Path]:
    """A home folder of the tests' own."""
    roost.variables["HOME"] = str(tmp_path)
    yield tmp_path
    roost.ok("daemon", "stop")


def configure(roost: Roost, text: str) -> None:
    """Add to the config."""
    roost.config.write_text(roost.config.read_text() + text)


def give(roost: Roost, home: Path, way: str) -> None:
    """Put the credentials where ``way`` says."""
    netrc = f'machine elsewhere login x password y\nmachine {HOST} login {USER} password "{PASSWORD}"\n'
    basic = json.dumps({HOST: {"BasicHTTP": {"username": USER, "password": PASSWORD}}})
    if way == "netrc":
        (home / ".netrc").write_text(netrc)
    elif way == "another netrc":
        (home / "mine").write_text(netrc)
        configure(roost, f'[network]\nnetrc = "{home}/mine"\n')
    elif way == "variables":
        roost.variables |= {"THE_USER": USER, "THE_PASSWORD": PASSWORD}
        variables = 'username_variable = "THE_USER"\npassword_variable = "THE_PASSWORD"\n'
        configure(roost, f'[credentials."{HOST}"]\n{variables}')
    elif way == "a variable and a user":
        roost.variables["THE_PASSWORD"] = PASSWORD
        configure(roost, f'[credentials."{HOST}"]\nusername = "{USER}"\npassword_variable = "THE_PASSWORD"\n')
    elif way == "keyring":
        command = home / "keyring"
        command.write_text(f'#!/bin/sh\n[ "$*" = "get {HOST} {USER}" ] && echo \'{PASSWORD}\'\n')
        command.chmod(0o755)
        table = f'[credentials."{HOST}"]\nusername = "{USER}"\nkeyring = true\n'
        configure(roost, f'[network]\nkeyring = "{command}"\n{table}')
    elif way == "auth file":
        (home / "auth.json").write_text(basic)
        text = roost.config.read_text().replace("[conda]\n", f'[conda]\nauth_file = "{home}/auth.json"\n')
        roost.config.write_text(text if "[conda]" in text else f'[conda]\nauth_file = "{home}/auth.json"\n{text}')
    else:
        (home / ".rattler").mkdir()
        (home / ".rattler" / "credentials.json").write_text(basic)


@pytest.fixture
def private_index(pip_index: PipIndex, home: Path) -> PipIndex:
    """An index that wants credentials, for its pages and its files."""
    pip_index.wheel("greet", "1.0")
    pip_index.password = PASSWORD
    return pip_index


def everything_said(roost: Roost, *names: str) -> str:
    """What roost tells of itself, of its builds and runs, and of environments."""
    said = roost.ok("events", "--json") + roost.ok("builds", "list", "--json") + roost.ok("doctor", "--json")
    said += roost.ok("daemon", "logs") + roost.ok("runs", "list", "--json")
    for build in json.loads(roost.ok("builds", "list", "--json"))["builds"]:
        said += roost.ok("builds", "logs", build["id"])
    for name in names:
        said += roost.ok("env", "show", name) + roost.ok("env", "show", name, "--json")
        said += roost.ok("env", "versions", name, "--json")
        for form in ("roost", "requirements", "conda", "azure"):
            roost.run("env", "export", name, "--format", form, "-o", f"out-{form}")  # some can't say what a lock has
        said += "".join(path.read_text() for path in roost.folder.rglob("out-*/**/*") if path.is_file())
    return said


@pytest.mark.parametrize("way", WAYS)
def test_an_index_takes_credentials_from_everywhere(
    roost: Roost, private_index: PipIndex, home: Path, way: str
) -> None:
    roost.write("requirements.txt", f"--index-url {private_index.url}\ngreet\n")
    give(roost, home, way)
    said = roost.ok("env", "register", "--name", "private")
    said += roost.ok("run", "-e", "private", *SAY)
    assert "1.0" in said
    said += roost.ok("plan", "--json") + roost.ok("digest", "--canonical") + roost.ok("lock")
    said += everything_said(roost, "private")
    assert PASSWORD not in said
    nowhere(roost)


@pytest.mark.parametrize("way", WAYS)
async def test_a_channel_takes_credentials_from_everywhere(
    roost: Roost, home: Path, channels_folder: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(HttpChannel, "answer", _guarded(HttpChannel.answer))

    def use(url: str) -> str:
        roost.write("environment.yml", f"channels: ['{url}/conda-forge']\ndependencies: [dated]\n")
        give(roost, home, way)
        said = roost.ok("env", "register", "--name", "private")
        built = roost.json("build", "-e", "private")
        assert built["build"]["state"] == "succeeded"
        said += json.dumps(built) + roost.ok("plan", "--json") + roost.ok("lock")
        return said + everything_said(roost, "private")

    async with http_channel(channels_folder) as served:
        said = await asyncio.to_thread(use, served.url)
        assert served.requests
    assert PASSWORD not in said
    await asyncio.to_thread(nowhere, roost)


def _guarded(answer: Any) -> Any:
    async def guarded(self: HttpChannel, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != BASIC:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="channel"'})
        response: web.StreamResponse = await answer(self, request)
        return response

    return guarded


def test_an_index_that_refuses_is_named_with_every_way_to_give_credentials(
    roost: Roost, private_index: PipIndex
) -> None:
    roost.write("requirements.txt", "greet\n")
    error = roost.failed(6, "build")
    assert error["code"] == "index-denied"
    assert private_index.origin in error["message"]
    for way in (".netrc", f'[credentials."{private_index.origin[7:]}"]', "keyring", "auth_file", "${USER}"):
        assert way in error["hint"]


async def test_a_channel_that_refuses_is_named_with_every_way_to_give_credentials(
    roost: Roost, home: Path, channels_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HttpChannel, "answer", _guarded(HttpChannel.answer))
    async with http_channel(channels_folder) as served:
        roost.write("environment.yml", f"channels: ['{served.url}/conda-forge']\ndependencies: [dated]\n")
        error = await asyncio.to_thread(roost.failed, 6, "build")
        assert error["code"] == "channel-refused"
        assert served.url in error["message"]
        assert f'[credentials."{served.url[7:]}"]' in error["hint"]


def test_a_variable_that_is_not_there_is_asked_for_before_anything_is_begun(
    roost: Roost, private_index: PipIndex, home: Path
) -> None:
    roost.write("requirements.txt", "greet\n")
    give(roost, home, "variables")
    password = roost.variables.pop("THE_PASSWORD")
    for detach in ((), ("--detach",)):
        error = roost.failed(3, "build", *detach)
        assert (error["code"], error["fields"]["host"]) == ("variable-missing", HOST)
        assert "THE_PASSWORD=" in error["hint"]
    assert roost.failed(125, "run", "--detach", *SAY)["code"] == "variable-missing"
    assert roost.json("builds", "list")["builds"] == []
    assert roost.json("runs", "list")["runs"] == []
    roost.variables["THE_PASSWORD"] = password
    run = roost.ok("run", "--detach", *SAY).strip()
    assert roost.ok("runs", "logs", "-f", run) == "1.0\n"
    nowhere(roost)


def test_a_keyring_that_has_nothing_is_named(roost: Roost, private_index: PipIndex, home: Path) -> None:
    roost.write("requirements.txt", "greet\n")
    give(roost, home, "keyring")
    (home / "keyring").write_text("#!/bin/sh\nexit 1\n")
    error = roost.failed(6, "build")
    assert error["code"] == "keyring-failed"
    assert f"set {HOST} {USER}" in error["hint"]
    os.unlink(home / "keyring")
    assert roost.failed(6, "build")["code"] == "keyring-failed"


def test_credentials_of_a_url_count_before_those_of_files(roost: Roost, private_index: PipIndex, home: Path) -> None:
    (home / ".netrc").write_text(f"machine {HOST} login wrong password wrong\n")
    roost.variables |= {"USER_OF": USER, "PASSWORD_OF": "p4ss%3Aw%2Frd%40of%25some%23body"}
    url = private_index.url.replace("://", "://${USER_OF}:${PASSWORD_OF}@")
    roost.write("requirements.txt", f"--index-url {url}\ngreet\n")
    assert roost.ok("run", *SAY) == "1.0\n"
    nowhere(roost)


def test_a_netrc_that_is_none_and_a_default_entry_change_nothing(roost: Roost, pip_index: PipIndex, home: Path) -> None:
    pip_index.wheel("greet", "1.0")
    (home / ".netrc").write_text("machine\n")
    roost.write("requirements.txt", "greet\n")
    assert roost.ok("run", *SAY) == "1.0\n"
    assert ".netrc can't be read" in roost.ok("daemon", "logs")
    (home / ".netrc").write_text(f'default login {USER} password "{PASSWORD}"\n')
    pip_index.password = PASSWORD
    assert roost.failed(6, "build", "--rebuild")["code"] == "index-denied"


def test_registering_literal_credentials_says_that_they_are_not_kept(
    roost: Roost, private_index: PipIndex, home: Path
) -> None:
    url = private_index.url.replace("://", f"://{USER}:{FORMS[2]}@")
    roost.write("requirements.txt", f"--index-url {url}\ngreet\n")
    answer = roost.json("env", "register", "--name", "private")
    assert [warning["code"] for warning in answer["warnings"]] == ["credentials-not-kept"]
    assert roost.json("env", "import", "requirements.txt", "--name", "other")["warnings"] == answer["warnings"]
    assert private_index.origin in answer["warnings"][0]["message"]
    assert ".netrc" in answer["warnings"][0]["message"]
    assert roost.failed(6, "build", "-e", "private")["code"] == "index-denied"
    give(roost, home, "netrc")
    assert roost.ok("run", "-e", "private", *SAY) == "1.0\n"
    assert PASSWORD not in everything_said(roost, "private")
    nowhere(roost)


def test_a_rerun_fetches_again_with_the_variables_of_whoever_asks(
    roost: Roost, private_index: PipIndex, home: Path
) -> None:
    """Years later: the prefix was collected, and so were the caches."""
    roost.write("requirements.txt", "greet\n")
    give(roost, home, "variables")
    assert roost.ok("run", *SAY) == "1.0\n"
    [run] = roost.json("runs", "list")["runs"]
    prefix = Path(roost.json("cache", "df")["artifacts"][0]["path"])
    roost.ok("daemon", "stop")
    shutil.rmtree(prefix)
    shutil.rmtree(roost.root / "wheels" / "uv")
    password = roost.variables.pop("THE_PASSWORD")
    assert roost.failed(3, "runs", "rerun", run["id"])["code"] == "variable-missing"
    roost.variables["THE_PASSWORD"] = password
    assert roost.ok("runs", "rerun", run["id"]) == "1.0\n"
    nowhere(roost)


def test_a_daemon_that_is_killed_while_it_fetches_leaves_no_credentials(
    roost: Roost, private_index: PipIndex, home: Path
) -> None:
    roost.write("requirements.txt", "greet\n")
    give(roost, home, "netrc")
    private_index.hanging.add("greet-1.0-py3-none-any.whl")
    client = roost.start("build")
    deadline = time.monotonic() + 30
    while not any("greet-1.0" in path for path in private_index.asked):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid = roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    client.communicate(timeout=60)
    files = [path for path in roost.root.rglob("*") if path.is_file()]
    assert [str(path) for path in files for form in FORMS if form.encode() in path.read_bytes()] == []
    assert (roost.root / "wheels" / "tmp").is_dir()
    roost.ok("daemon", "start")
    assert not (roost.root / "wheels" / "tmp").exists()
    nowhere(roost)
