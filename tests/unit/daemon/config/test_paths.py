"""Root, socket path, and what is left of the starter's variables."""

from __future__ import annotations

import hashlib

import pytest

from roost.daemon.config.paths import SOCKET_LIMIT, SocketPathError, find_root, sanitize_environment, socket_path


def test_the_root_is_roost_home_made_absolute() -> None:
    assert find_root({"ROOST_HOME": "/a/../b/"}) == "/b"


def test_the_root_without_it_is_the_user_data_folder() -> None:
    assert find_root({"XDG_DATA_HOME": "/data"}) == "/data/roost"


def test_a_short_root_has_its_socket_inside() -> None:
    assert socket_path("/r", {}) == "/r/roost.sock"


def test_the_boundary_between_inside_and_tmp() -> None:
    fits = "/" + "r" * (SOCKET_LIMIT - len("//roost.sock"))
    assert socket_path(fits, {}) == f"{fits}/roost.sock"
    assert len(socket_path(fits, {})) == SOCKET_LIMIT
    longer = fits + "r"
    digest = hashlib.sha256(longer.encode()).hexdigest()[:16]
    assert socket_path(longer, {}, uid=7) == f"/tmp/roost-7/{digest}.sock"


def test_length_counts_bytes() -> None:
    assert socket_path("/" + "é" * 48, {}, uid=7).startswith("/tmp/roost-7/")


def test_two_long_roots_never_meet() -> None:
    assert socket_path("/a" * 60, {}) != socket_path("/b" * 60, {})


def test_the_named_socket_wins_and_is_refused_if_too_long() -> None:
    assert socket_path("/r", {"ROOST_SOCKET": "/s"}) == "/s"
    with pytest.raises(SocketPathError) as caught:
        socket_path("/r", {"ROOST_SOCKET": "/" + "s" * 200})
    assert caught.value.fields["limit"] == SOCKET_LIMIT
    assert "ROOST_SOCKET" in caught.value.hint


GONE = [
    "CONDA_PREFIX",
    "CONDA_EXE",
    "_CONDA_ROOT",
    "_CE_M",
    "CONDARC",
    "MAMBA_ROOT_PREFIX",
    "RATTLER_CACHE_DIR",
    "PIXI_HOME",
    "PIP_INDEX_URL",
    "PIP_CONFIG_FILE",
    "UV_CACHE_DIR",
    "UV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "VIRTUAL_ENV",
    "VIRTUAL_ENV_PROMPT",
    "PYENV_VERSION",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "DYLD_INSERT_LIBRARIES",
    "SOURCE_DATE_EPOCH",
]
KEPT = [
    "HOME",
    "PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "USER",
    "http_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "XDG_CONFIG_HOME",
    "ROOST_HOME",
    "ROOST_CONFIG",
    "PIPELINE",
    "UVLOOP",
    "LDAP_URL",
    "PIPEWIRE_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "DOCKER_HOST",
]


@pytest.mark.parametrize("name", GONE)
def test_what_other_tools_would_read_goes(name: str) -> None:
    environ = {name: "x", "HOME": "/h"}
    assert sanitize_environment(environ) == [name]
    assert environ == {"HOME": "/h"}


@pytest.mark.parametrize("name", KEPT)
def test_the_rest_stays(name: str) -> None:
    environ = {name: "x"}
    assert sanitize_environment(environ) == []
    assert environ == {name: "x"}
