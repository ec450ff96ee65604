"""``Workspace.lease``: held while the block runs, renewed in time, released at its end."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.support.roost_process import Roost

from roost.client import Environment, NotFoundError, UsageError, Workspace


@pytest.fixture
def workspace(roost: Roost, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name, value in roost.environ.items():
        monkeypatch.setenv(name, value)
    roost.write("roost.toml", "name = 'train'\n[pip]\nrequirements = []\n")
    roost.ok("env", "register")
    roost.ok("build")
    return Workspace()


def protected_by(roost: Roost) -> list[str]:
    (row,) = roost.json("cache", "df")["artifacts"]
    return list(row["protected_by"])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_environment_is_protected_while_the_block_runs(roost: Roost, workspace: Workspace) -> None:
    with workspace.lease(Environment.get(workspace, "train"), holder="notebook") as lease:
        assert protected_by(roost) == [f"lease:{lease.id}"]
        assert lease.get_details()["holder"] == "notebook"
    assert protected_by(roost) == []
    lease.release()


def test_it_is_renewed_in_time(workspace: Workspace) -> None:
    with workspace.lease("train", seconds=3) as lease:
        first = lease.get_details()["expires"]
        wait_until(lambda: lease.get_details()["expires"] > first)
        time.sleep(3)
        lease.renew()
        assert lease.get_details()["created"] < first, "it has never expired"


def test_generations_and_prefixes_are_leased_too(roost: Roost, workspace: Workspace) -> None:
    with workspace.lease("train:1", kind="generation", generation=1) as lease:
        (lock,) = lease.get_details()["protects"]
        with workspace.lease(lock, kind="prefix") as other:
            assert sorted(protected_by(roost)) == sorted([f"lease:{lease.id}", f"lease:{other.id}"])


def test_it_ends_with_an_error_in_the_block(roost: Roost, workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), workspace.lease("train"):
        _ = 1 / 0
    assert protected_by(roost) == []


def test_what_can_not_be_leased_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError), workspace.lease("unknown"):
        pass
    with pytest.raises(UsageError), workspace.lease("train", seconds=1e9):
        pass
    with pytest.raises(UsageError):
        workspace.lease(Environment("new"))
    with pytest.raises(UsageError):
        workspace.lease(7)  # type: ignore[arg-type]
