"""Many clients that register versions of one environment at once: none is lost, and the numbers have no gap."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

CLIENTS = 8
EACH = 20


async def register(socket: str, client: int) -> list[int]:
    """The numbers that one client is told, over a connection of its own."""
    told = []
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session:
        for place in range(EACH):
            document = {"pip": {"requirements": [f"six=={client}.{place}"]}}
            body = {"what": {"cwd": "/", "document": document}, "name": "many", "labels": [f"client-{client}"]}
            async with session.post("http://roost/v1/environments", json=body) as response:
                answer = json.loads(await response.text())
            assert answer["created"], answer
            told.append(answer["environment"]["version"])
    return told


async def all_at_once(socket: str) -> list[list[int]]:
    return await asyncio.gather(*(register(socket, client) for client in range(CLIENTS)))


def test_versions_of_many_clients_are_all_there_and_count_up(daemons: Any) -> None:
    daemon = daemons.start()
    told = asyncio.run(all_at_once(daemon.socket))
    number = CLIENTS * EACH
    assert sorted(version for numbers in told for version in numbers) == list(range(1, number + 1))
    assert all(numbers == sorted(numbers) for numbers in told)
    versions = daemon.ask("/v1/environments/many/versions?limit=1000")["versions"]
    assert [row["version"] for row in versions] == list(range(number, 0, -1))
    assert len({row["definition_digest"] for row in versions}) == number
    labels = {label: row["version"] for row in versions for label in row["labels"] if label != "latest"}
    assert labels == {f"client-{client}": numbers[-1] for client, numbers in enumerate(told)}
    assert daemon.stop() == 0
