"""A client of a newer version, and the daemon that an older one left."""

from __future__ import annotations

import signal
import time

import pytest
from tests.support.roost_process import Roost

from roost.client.transport import autostart
from roost.wire.installation import VERSION, is_older

pytestmark = pytest.mark.starts_daemon


@pytest.fixture
def here(roost: Roost, monkeypatch: pytest.MonkeyPatch) -> Roost:
    """This process's client talks to the daemon of ``roost``, and takes it for an older one."""
    for name, value in roost.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(autostart, "is_older", lambda version: is_older(version, "99.0"))
    return roost


def pid(roost: Roost) -> int:
    return int(roost.json("daemon", "status")["pid"])


def test_an_idle_older_daemon_makes_room(here: Roost) -> None:
    here.ok("env", "list")
    before = pid(here)
    autostart.connect()
    assert pid(here) != before


def test_a_busy_older_daemon_serves_on(here: Roost) -> None:
    here.ok("env", "list")
    before = pid(here)
    follower = here.start("events", "-f")
    deadline = time.monotonic() + 20
    while here.json("daemon", "status")["idle"] and time.monotonic() < deadline:
        time.sleep(0.05)
    autostart.connect()
    assert pid(here) == before
    follower.send_signal(signal.SIGINT)
    follower.wait(20)


def test_releases_are_compared_by_their_numbers() -> None:
    assert is_older("0.1.0", "0.1.1")
    assert is_older("0.9", "0.10")
    assert is_older("0.1.0", "0.1.0.1")
    assert not is_older(VERSION)
    assert not is_older("0.2.0", "0.1.9")
    assert not is_older("0.2.0rc1", "0.2")
    assert not is_older("unknown")
    assert not is_older(None)
