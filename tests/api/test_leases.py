"""Leases over the socket: what they answer, that they survive a restart, and that they keep builds going."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEFINITION = "name = 'train'\n[pip]\nrequirements = []\n"


@pytest.fixture
async def environment(served: Any, short_folder: Path) -> str:
    """``train:1``, with a generation."""
    (short_folder / "roost.toml").write_text(DEFINITION)
    what = {"cwd": str(short_folder)}
    status, _ = await served.request("POST", "/v1/environments", json={"what": what, "name": "train"})
    assert status in (200, 201)
    async with served.session.post("http://roost/v1/builds", json={"what": what}) as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert lines[-1]["event"] == "result", lines[-1]
    return "train:1"


async def put(served: Any, lease_id: str, **body: Any) -> tuple[int, Any]:
    return await served.request("PUT", f"/v1/leases/{lease_id}", json={"holder": "kernel 1", **body})


async def find_artifact(served: Any) -> Any:
    _, answer = await served.get("/v1/artifacts")
    (row,) = answer["artifacts"]
    return row


async def test_a_lease_on_an_environment_is_listed_with_what_it_protects(served: Any, environment: str) -> None:
    artifact = await find_artifact(served)
    status, lease = await put(served, "kernel-1", kind="environment", subject=environment, seconds=60)
    assert status == 200
    assert (lease["id"], lease["kind"], lease["subject"], lease["holder"]) == (
        *("kernel-1", "environment", "train:1"),
        "kernel 1",
    )
    assert lease["protects"] == [artifact["key"]]
    assert (await served.get("/v1/leases"))[1] == {"leases": [lease]}
    assert (await served.get("/v1/leases/kernel-1"))[1] == lease
    assert (await find_artifact(served))["protected_by"] == ["lease:kernel-1"]
    assert not await served.store.artifacts.delete(artifact["id"])


@pytest.mark.parametrize("kind", ["generation", "prefix", "artifact"])
async def test_every_kind_protects(served: Any, environment: str, kind: str) -> None:
    artifact = await find_artifact(served)
    target = {"generation": {"subject": environment, "generation": 1}}
    body = target.get(kind, {"subject": artifact["id"]})
    assert (await put(served, "l", kind=kind, **body))[0] == 200
    assert (await find_artifact(served))["protected_by"] == ["lease:l"]


async def test_putting_and_releasing_are_idempotent(served: Any, environment: str) -> None:
    body = {"kind": "environment", "subject": environment, "expires": "2999-01-01T00:00:00Z"}
    assert (await put(served, "l", **body))[0] == 422
    body = {"kind": "environment", "subject": environment, "seconds": 60}
    (_, first), (_, second) = await put(served, "l", **body), await put(served, "l", **body)
    assert {**first, "expires": ""} == {**second, "expires": ""}
    assert second["expires"] >= first["expires"]
    assert (await served.request("DELETE", "/v1/leases/l"))[0] == 200
    status, body = await served.request("DELETE", "/v1/leases/l")
    assert (status, body["code"]) == (404, "not-found")
    assert (await served.get("/v1/leases"))[1] == {"leases": []}


@pytest.mark.parametrize(
    ("lease_id", "body", "status", "code"),
    [
        ("l", {"kind": "environment", "subject": "unknown"}, 404, "environment-unknown"),
        ("l", {"kind": "generation", "subject": "train:1", "generation": 9}, 404, "generation-unknown"),
        ("l", {"kind": "prefix", "subject": "sha256:0"}, 404, "lease-target-unknown"),
        ("l", {"kind": "image", "subject": "k"}, 404, "lease-target-unknown"),
        ("l", {"subject": "p-1"}, 404, "lease-target-unknown"),
        ("l", {"kind": "environment", "subject": "train:1", "seconds": 0}, 422, "lease-expiry-invalid"),
        ("l", {"kind": "environment", "subject": "train:1", "seconds": 1e9}, 422, "lease-expiry-invalid"),
        ("l", {"kind": "environment", "subject": "train:1", "expires": "soon"}, 422, "lease-expiry-invalid"),
        ("l", {"kind": "environment", "subject": "train:1", "generation": 1}, 400, "usage"),
        ("l", {"kind": "generation", "subject": "train:1"}, 400, "usage"),
        ("l", {"kind": "folder", "subject": "x"}, 400, "request-invalid"),
        ("l", {"kind": "environment", "subject": "train:1", "holder": ""}, 400, "request-invalid"),
        ("l", {"kind": "environment", "subject": "train:1", "holder": "build:1"}, 400, "usage"),
        ("build-p-1", {"kind": "environment", "subject": "train:1"}, 400, "usage"),
        ("%00", {"kind": "environment", "subject": "train:1"}, 400, "usage"),
    ],
)
async def test_what_can_not_be_leased_is_refused(
    served: Any, environment: str, lease_id: str, body: dict[str, Any], status: int, code: str
) -> None:
    got, answer = await put(served, lease_id, **body)
    assert (got, answer["code"]) == (status, code), answer
    assert answer["hint"]
    assert (await served.get("/v1/leases"))[1] == {"leases": []}


async def test_the_lease_of_another_holder_is_not_taken(served: Any, environment: str) -> None:
    body = {"kind": "environment", "subject": environment}
    await put(served, "l", **body)
    status, answer = await put(served, "l", **{**body, "holder": "editor"})
    assert (status, answer["code"]) == (409, "lease-taken")
    assert "kernel 1" in answer["message"]


class SilentIndex:
    """A package index that accepts connections and answers none of them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/simple/"
        self.accepted: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.accepted.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
        for connection in self.accepted:
            connection.close()


@pytest.fixture
def silent_index() -> Iterator[SilentIndex]:
    index = SilentIndex()
    yield index
    index.close()


async def wait_until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    return found


async def test_a_lease_is_interest_in_a_build(served: Any, short_folder: Path, silent_index: SilentIndex) -> None:
    (short_folder / "requirements.txt").write_text(f"--index-url {silent_index.url}\ndemo\n")
    what = {"cwd": str(short_folder)}
    await served.request("POST", "/v1/environments", json={"what": what, "name": "train"})

    async def latest() -> Any:
        _, answer = await served.get("/v1/builds")
        return answer["builds"][0]

    async def is_state(*states: str) -> bool:
        return (await latest())["state"] in states

    async def start_and_leave() -> None:
        before = len(silent_index.accepted)
        async with served.session.post("http://roost/v1/builds", json={"what": what}) as response:
            await response.content.readline()
            await wait_until(lambda: asyncio.sleep(0, len(silent_index.accepted) > before))

    await start_and_leave()
    await wait_until(lambda: is_state("cancelled"))

    assert (await put(served, "l", kind="environment", subject="train:1", seconds=60))[0] == 200
    await start_and_leave()
    await asyncio.sleep(1)
    assert await is_state("solving", "building")
    assert not served.lifecycle.is_idle
    await served.request("DELETE", "/v1/leases/l")
    await wait_until(lambda: is_state("cancelled"))


def test_leases_survive_the_daemon(daemons: Any, tmp_path: Path) -> None:
    daemon = daemons.start()
    (tmp_path / "roost.toml").write_text(DEFINITION)
    daemon.ask("/v1/environments", "POST", {"what": {"cwd": str(tmp_path)}, "name": "train"})
    body = {"kind": "environment", "subject": "train:1", "holder": "kernel 1", "seconds": 600}
    lease = daemon.ask("/v1/leases/l", "PUT", body)
    daemon.process.kill()
    daemon.process.wait()
    daemon = daemons.start()
    assert daemon.ask("/v1/leases") == {"leases": [lease]}
