"""Files with credentials that other tools keep: what counts of them, and what is said of those that can't be read."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from roost.daemon.config.config import Config
from roost.daemon.config.schema import CondaSettings, ConfigFile, HostCredentials, NetworkSettings
from roost.daemon.credentials.auth_files import (
    AuthFileError,
    access_hint,
    load_auth_entries,
    read_auth_file,
    read_netrc,
)
from roost.daemon.credentials.host import (
    dropped_credentials_warnings,
    find_credentials,
    find_solve_urls,
    find_url_credentials,
    require_host_variables,
)
from roost.daemon.credentials.substitution import VariableMissingError
from roost.daemon.engines.conda.native.client import ChannelCredentials
from roost.model.definition import Conda, Definition, Pip, PipItem

ENTRIES = {
    "basic.example": {"BasicHTTP": {"username": "u", "password": "p:w@"}},
    "*.bearer.example": {"BearerToken": "b"},
    "token.example": {"CondaToken": "tk"},
}


def config(folder: Path, netrc: str = "", **hosts: HostCredentials) -> Config:
    (folder / "netrc").write_text(netrc)
    (folder / "auth.json").write_text(json.dumps(ENTRIES))
    settings = ConfigFile(
        conda=CondaSettings(auth_file=str(folder / "auth.json")),
        network=NetworkSettings(netrc=str(folder / "netrc")),
        credentials={name.replace("_", "."): host for name, host in hosts.items()},
    )
    return Config(settings=settings)


def test_a_netrc_with_everything_in_it(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text(
        'machine A.example login me password "p w"\nmachine b.example account x password y\n# said\n'
        "macdef init\ncd /tmp\n\ndefault login anonymous password z\n"
    )
    assert read_netrc(str(path)) == {"a.example": "me:p%20w", "b.example": "x:y"}
    assert read_netrc(str(tmp_path / "absent")) == {}


@pytest.mark.parametrize("content", [b"machine", b"what is this\n", b"machine a login b password \xff\n"])
def test_a_netrc_that_cant_be_read_is_told_without_its_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "netrc"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_netrc(str(path)) == {}
    assert str(path) in caplog.text


@pytest.mark.parametrize("content", ["[]", '"x"', '{"h": 1}', '{"h": {"BasicHTTP": {"username": "s3cret"}}}', "{"])
def test_an_auth_file_that_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "auth.json"
    path.write_text(content)
    with pytest.raises(AuthFileError) as caught:
        read_auth_file(str(path))
    assert "s3cret" not in caught.value.message + caught.value.hint


def test_entries_of_other_kinds_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({**ENTRIES, "s3.example": {"S3Credentials": {"access_key_id": "k"}}, "none": {}}))
    assert read_auth_file(str(path)) == ENTRIES


def test_rattlers_own_place_counts_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_auth_entries(None) == {}
    own = tmp_path / ".rattler" / "credentials.json"
    own.parent.mkdir()
    own.write_text(json.dumps(ENTRIES))
    assert load_auth_entries(None) == ENTRIES
    own.write_text("no JSON")
    assert load_auth_entries(None) == {}
    assert "is ignored" in caplog.text
    with pytest.raises(AuthFileError):
        load_auth_entries(str(own))


def test_what_the_conda_engine_sends_to_whom(tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text(json.dumps(ENTRIES))
    given = {"https://own.example": "a:b", "//own.example": "no:no", "//more.example:8443": "c:d"}
    credentials = ChannelCredentials(str(tmp_path / "auth.json"), given)
    assert credentials.request_headers("x.bearer.example", "/") == {"Authorization": "Bearer b"}
    assert credentials.request_headers("own.example", "/") == {"Authorization": "Basic YTpi"}
    assert credentials.request_headers("more.example", "/") == {"Authorization": "Basic Yzpk"}
    assert credentials.request_headers("elsewhere.example", "/") is None
    assert credentials.with_token("https://token.example/main") == "https://token.example/t/tk/main"


async def test_the_order_of_sources(tmp_path: Path) -> None:
    netrc = "".join(
        f"machine {host} login n password n\n" for host in ("basic.example", "mine.example", "plain.example")
    )
    mine = HostCredentials(username="me", password_variable="WORD")
    settings = config(tmp_path, netrc, mine_example=mine)
    found = await find_credentials(["https://Mine.Example/x"], settings, {"WORD": "w/"})
    assert found == {"//basic.example": "u:p%3Aw%40", "//mine.example": "me:w%2F", "//plain.example": "n:n"}
    assert (await find_credentials([], settings, {}))["//mine.example"] == "n:n"


async def test_a_host_without_its_variable(tmp_path: Path) -> None:
    mine = HostCredentials(username_variable="WHO", password_variable="WORD")
    settings = config(tmp_path, mine_example=mine)
    with pytest.raises(VariableMissingError) as caught:
        await find_credentials(["https://mine.example:8443/x"], settings, {"WHO": "me", "OTHER": "x"})
    assert caught.value.fields["variables"] == ["OTHER", "WHO", "WORD"]
    require_host_variables(["https://else.example/x", "file:///x", "https://[broken"], settings, {})


def test_urls_of_a_definition(tmp_path: Path) -> None:
    lines = ("--index-url https://i.example/simple", "x @ git+https://g.example/x@main", "y")
    pip = Pip(requirements=tuple(PipItem(kind="option", text=line) for line in lines))
    conda = Conda(channels=("https://c.example/a", "conda-forge"), dependencies=("python",))
    found = find_solve_urls(Definition(conda=conda, pip=pip), config(tmp_path))
    assert {"https://i.example/simple", "git+https://g.example/x@main", "https://c.example/a"} <= found
    assert "https://conda.anaconda.org" in found


def test_credentials_that_pip_lines_name_by_variables() -> None:
    line = PipItem(kind="option", text="--index-url https://${WHO}:${WORD}@i.example/simple")
    definition = Definition(pip=Pip(requirements=(line,)))
    assert find_url_credentials(definition, {"WHO": "me", "WORD": "w"}) == {"https://i.example": "me:w"}


def test_what_to_do_names_the_host() -> None:
    assert '[credentials."h.example:1"]' in access_hint("the index http://h.example:1/simple, which")
    assert "[credentials]" in access_hint("the channel")
    [warning] = dropped_credentials_warnings({"https://h.example": "me:s3cret"})
    assert "s3cret" not in warning.message
    assert "https://h.example" in warning.message


def test_nothing_of_a_netrc_that_cant_be_read_is_logged_but_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "netrc").write_text("machine a.example\nlogin me hunter2\n")
    assert read_netrc(str(tmp_path / "netrc")) == {}
    assert "(line" in caplog.text
    assert "hunter2" not in caplog.text
