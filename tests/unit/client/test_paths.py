"""The root and the socket, as the client and the daemon find them."""

from __future__ import annotations

import pwd

import platformdirs
import pytest

from roost.client import paths
from roost.daemon.config import paths as daemon_places
from roost.store.disk.home import HomeUnknownError


def test_the_socket_moves_where_the_root_is_too_deep(monkeypatch):
    monkeypatch.delenv("ROOST_SOCKET", raising=False)
    monkeypatch.setenv("ROOST_HOME", "/short")
    assert paths.socket_path() == "/short/roost.sock"
    monkeypatch.setenv("ROOST_HOME", "/" + "x" * 100)
    assert paths.socket_path().startswith("/tmp/roost-")
    assert len(paths.socket_path()) < 100
    monkeypatch.setenv("ROOST_SOCKET", "/other.sock")
    assert paths.socket_path() == "/other.sock"


@pytest.mark.parametrize("home", ["/short", "/" + "y" * 120])
def test_the_daemon_works_out_the_same_places(monkeypatch, home):
    monkeypatch.delenv("ROOST_SOCKET", raising=False)
    for variables in (
        {"ROOST_HOME": home},
        {"ROOST_HOME": "", "XDG_DATA_HOME": "/data"},
        {"ROOST_HOME": "", "XDG_DATA_HOME": " "},
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert daemon_places.find_root() == paths.root()
        assert daemon_places.socket_path(paths.root()) == paths.socket_path()


@pytest.mark.parametrize("variables", [{"HOME": "/tmp"}, {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/config"}, {}])
def test_the_places_are_those_of_platformdirs(monkeypatch, variables):
    from roost.daemon.config.config import find_config_path

    for name in ("ROOST_HOME", "ROOST_CONFIG", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert paths.root() == daemon_places.find_root() == platformdirs.user_data_dir("roost")
    assert find_config_path() == platformdirs.user_config_dir("roost") + "/config.toml"


@pytest.mark.parametrize("home", ["", "rel", None])
def test_a_root_is_never_relative(monkeypatch, home):
    def no_entry(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    for name in ("ROOST_HOME", "ROOST_SOCKET", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "rel/data")  # ignored, as the XDG specification has it
    if home is not None:
        monkeypatch.setenv("HOME", home)
    for find in (paths.root, paths.socket_path):
        with pytest.raises(paths.NoHomeError):
            find()
    with pytest.raises(HomeUnknownError):
        daemon_places.find_root()
    environ = {"HOME": home or ""}
    daemon_places.settle_home(environ, "/the/root")
    assert environ["HOME"] == "/the/root"
    monkeypatch.setenv("HOME", "/h")
    assert paths.root() == "/h/.local/share/roost"
