"""The variables of a caller: what is taken from a request, what may be kept, and what the client sends."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client import caller as client_caller
from roost.daemon.caller.current import LastCaller, caller_variables, process_environment, search_path, use_caller
from roost.daemon.caller.variables import (
    DOCKER,
    HEADER,
    NAMES,
    NETWORK,
    find_differences,
    parse_variables,
    select_docker,
    select_network,
    without_secrets,
)
from roost.model.errors import InvalidRequestError


def test_client_and_daemon_name_the_same_variables():
    assert client_caller.NAMES == NAMES
    assert client_caller.HEADER == HEADER


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_what_the_client_sends_arrives(variables: dict[str, str]):
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        header = client_caller.caller_header()
    assert header.isascii()
    assert "\n" not in header
    assert "\r" not in header
    expected = {
        name: os.path.abspath(value) if name in client_caller._PATHS else value for name, value in variables.items()
    }
    assert parse_variables(header) == expected


def test_bytes_that_are_not_text_arrive_as_they_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", os.fsdecode(b"/bin:/caf\xe9"))
    assert os.fsencode(parse_variables(client_caller.caller_header())["PATH"]) == b"/bin:/caf\xe9"


def test_other_names_and_empty_values_are_ignored():
    assert parse_variables(json.dumps({"LD_PRELOAD": "/x", "https_proxy": "", "PATH": "/bin"})) == {"PATH": "/bin"}
    assert parse_variables(json.dumps({"PATH": "/bin\0/x"})) == {}


@pytest.mark.parametrize("header", ["", "x", "[]", '{"PATH": 1}', '{"PATH": null}', "[" * 100_000])
def test_what_is_no_object_of_texts_is_refused(header: str):
    with pytest.raises(InvalidRequestError, match=HEADER):
        parse_variables(header)


@pytest.mark.parametrize(
    ("proxy", "kept"),
    [
        ("http://user:secret@proxy:3128", "http://proxy:3128"),
        ("user:secret@proxy:3128", "proxy:3128"),
        ("http://token@proxy:3128/", "http://proxy:3128/"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("proxy", "proxy"),
    ],
)
def test_no_user_and_no_password_of_a_proxy_is_kept(proxy: str, kept: str):
    assert without_secrets({"HTTPS_PROXY": proxy, "no_proxy": "a,b"}) == {"HTTPS_PROXY": kept, "no_proxy": "a,b"}


def test_neither_agents_nor_commands_are_kept():
    variables = dict.fromkeys(NAMES, "x")
    assert set(variables) - set(without_secrets(variables)) == {"SSH_AUTH_SOCK", "GIT_SSH_COMMAND"}
    last = LastCaller()
    last.note(variables)
    assert "SSH_AUTH_SOCK" not in last.variables


def test_processes_get_what_they_need():
    variables = {name: name.lower() for name in NAMES}
    assert set(select_network(variables)) == set(NETWORK)
    assert set(select_docker(variables)) == set(DOCKER)
    with use_caller({"PATH": "/caller", "DOCKER_HOST": "unix:///x"}):
        assert search_path() == "/caller"
        assert process_environment()["DOCKER_HOST"] == "unix:///x"
    assert caller_variables() == {}
    assert search_path() == os.environ["PATH"]


def test_differences_are_named_and_path_is_none():
    one = {"PATH": "/a", "https_proxy": "a", "DOCKER_HOST": "x"}
    assert find_differences(one, {"PATH": "/b", "https_proxy": "b"}) == ["https_proxy", "DOCKER_HOST"]
    assert find_differences(one, {**one, "PATH": "/c"}) == []
