"""Channels to URLs, mirrors, and the channel inside a match spec."""

from __future__ import annotations

import pytest

from roost.daemon.credentials.substitution import VariableMissingError
from roost.daemon.engines.conda.channels import (
    ChannelRoutes,
    canonical_urls,
    collect_secrets,
    expand_variables,
    mask_path,
    quote_braces,
    resolve_channels,
    split_channel,
)


@pytest.mark.parametrize(
    ("name", "urls"),
    [
        ("conda-forge", ["https://conda.anaconda.org/conda-forge"]),
        ("conda-forge/label/dev", ["https://conda.anaconda.org/conda-forge/label/dev"]),
        ("conda-forge/linux-64", ["https://conda.anaconda.org/conda-forge"]),
        ("https://host/team/noarch/", ["https://host/team"]),
        ("https://host/team/", ["https://host/team"]),
        ("/srv/channel", ["file:///srv/channel"]),
        ("defaults", ["https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"]),
        ("pkgs/main", ["https://repo.anaconda.com/pkgs/main"]),
    ],
)
def test_canonical_urls(name: str, urls: list[str]) -> None:
    assert canonical_urls(name) == urls


def test_channels_keep_their_order_and_lose_their_secrets() -> None:
    found = resolve_channels(
        ["https://${USER_}:pw@host/b", "https://host2/t/secret-1/a", "b", "https://host/b"],
        {"USER_": "me"},
        "https://alias",
    )
    assert found.urls == ("https://host/b", "https://host2/a", "https://alias/b")
    assert found.credentials == {"https://host": "me:pw", "https://host2": "/t/secret-1"}


def test_secrets_come_from_variables_too() -> None:
    given = {"https://a": "me:${PW}", "https://b": "me:pa$$word"}
    variables = {"PW": "hush", "TOKEN": "tok-1"}
    assert collect_secrets(["https://c/t/${TOKEN}/x", "numpy"], variables, given) == {
        "https://a": "me:hush", "https://b": "me:pa$$word", "https://c": "/t/tok-1",
    }  # fmt: skip


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(VariableMissingError, match="TOKEN") as caught:
        expand_variables("https://host/t/${TOKEN}/a", {})
    assert "Set TOKEN" in caught.value.hint
    assert caught.value.fields == {"variables": ["TOKEN"]}, "so that the client sends it"


def test_a_variable_in_a_path_is_hidden_and_one_in_a_host_is_not() -> None:
    given = {"TOKEN": "tok-en", "LONGER": "tok-en-too", "SHORT": "abc"}
    assert mask_path("https://tok-en.example/tok-en/abc/tok-en-too", given) == (
        "https://tok-en.example/${TOKEN}/abc/${LONGER}"
    )
    assert mask_path("conda-forge", given) == "conda-forge"
    assert quote_braces("https://h/${TOKEN}/x") == "https://h/$%7BTOKEN%7D/x"


def test_the_longest_mirror_that_is_there_counts() -> None:
    mirrors = {
        "https://conda.anaconda.org": ["file:///mirrors"],
        "conda-forge": ["file:///gone", "file:///srv/forge", "https://mirror/forge"],
    }
    routes = ChannelRoutes(mirrors, lambda path: path != "/gone")
    forge = "https://conda.anaconda.org/conda-forge"
    assert routes.fetch_url(forge + "/noarch/a-1-0.conda") == "file:///srv/forge/noarch/a-1-0.conda"
    assert routes.fetch_url("https://conda.anaconda.org/bioconda") == "file:///mirrors/bioconda"
    assert routes.fetch_url(forge + "-more") == "file:///mirrors/conda-forge-more"
    assert routes.fetch_url("https://elsewhere/a") == "https://elsewhere/a"
    assert routes.http_mirrors() == {forge: ["https://mirror/forge"]}


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("numpy>=1", ("", "numpy>=1")),
        ("a::numpy>=1", ("a", "numpy>=1")),
        ("https://host/a::numpy", ("https://host/a", "numpy")),
        ('numpy[channel="a"]', ("a", "numpy")),
        ("numpy[version='1', channel='a', build='0']", ("a", "numpy[version='1',build='0']")),
        ('numpy[channel="a", version="1"]', ("a", 'numpy[version="1"]')),
        ('numpy[version="1", channel=a]', ("a", 'numpy[version="1"]')),
    ],
)
def test_split_channel(spec: str, parts: tuple[str, str]) -> None:
    assert split_channel(spec) == parts
