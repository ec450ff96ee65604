"""The root and the socket, as the client and the daemon find them."""

from __future__ import annotations

import pytest

from roost.client import paths


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
    from roost.daemon.config import paths as daemon_places

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
