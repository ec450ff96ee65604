"""Bundles over the socket, in this process: nothing of an export or an import blocks the event loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import Served
from tests.support.pip_index import PipIndex

from roost.daemon.config.config import Config, parse_config


@pytest.fixture
def index() -> Iterator[PipIndex]:
    made = PipIndex()
    made.wheel("greet", "1.0")
    yield made
    made.close()


@pytest.fixture
def config(index: PipIndex) -> Config:
    return parse_config(f'[pip]\nindex_url = "{index.url}"\n'.encode(), "/c.toml")


async def stream(served: Served, path: str, body: object) -> list[dict[str, Any]]:
    async with served.session.post(f"http://roost{path}", json=body) as response:
        assert response.status == 200
        assert response.content_type == "application/x-ndjson"
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def test_an_export_and_an_import(served: Served, index: PipIndex, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"--index-url {index.url}\ngreet\n")
    output = str(tmp_path / "b.roost")
    request = {"environments": [{"cwd": str(tmp_path)}, {"cwd": str(tmp_path)}], "output": output}
    messages = await stream(served, "/v1/bundles/export", request)
    assert [each["source"]["format"] for each in messages if each.get("source")] == ["requirements"] * 2
    steps = [(each["step"], each["state"]) for each in messages if each["event"] == "step"]
    assert steps[-2:] == [("pack", "started"), ("pack", "finished")]
    exported = messages[-1]["result"]
    (environment,) = exported["environments"]
    assert (exported["files"], exported["bytes"]) == (1, Path(output).stat().st_size)
    messages = await stream(served, "/v1/bundles/import", {"path": output, "expect": exported["digest"]})
    imported = messages[-1]["result"]
    expected = {**environment, "version": 1, "generation": 1, "current": True}
    assert (imported["digest"], imported["environments"]) == (exported["digest"], [expected])
    lock = await served.store.index.locks.find(environment["lock_digest"])
    assert lock is not None
    assert lock.bundle == "", "it was solved for here: the bundle's is the same, and adds nothing"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("export", {"environments": [], "output": "/tmp/x"}, "request-invalid"),
        ("export", {"environments": [{"cwd": "/"}]}, "request-invalid"),
        ("import", {"path": "/x", "expect": "sha256:abc"}, "request-invalid"),
    ],
)
async def test_what_is_not_a_request_is_refused_before_the_stream(
    served: Served, path: str, body: object, code: str
) -> None:
    status, answer = await served.request("POST", f"/v1/bundles/{path}", json=body)
    assert (status, answer["code"]) == (400, code)


async def test_paths_are_the_clients_own(served: Served) -> None:
    for path, body, code in (
        ("export", {"environments": [{"cwd": "/"}], "output": "x"}, "bundle-file"),
        ("import", {"path": "x"}, "bundle-file"),
        ("import", {"path": "/nothing/there"}, "not-found"),
    ):
        (message,) = await stream(served, f"/v1/bundles/{path}", body)
        assert (message["event"], message["error"]["code"]) == ("error", code)
