"""Connections are accepted while there are few enough; the others wait, and none is refused."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path
from typing import Any, ClassVar

import pytest

from roost.daemon.server import accepting as accepting_module
from roost.daemon.server.accepting import ConnectionUse, accept_connections
from roost.daemon.server.sockets import bind_socket


class Echo(asyncio.Protocol):
    open: ClassVar[set[Echo]] = set()
    most: ClassVar = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.open.add(self)
        Echo.most = max(Echo.most, len(self.open))

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.open.discard(self)


@pytest.fixture
def listener(short_folder: Path) -> socket.socket:
    return bind_socket(str(short_folder / "s"), own_folder=True)


async def ask(path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    await asyncio.sleep(0.02)
    writer.write(b"word")
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_hundred_clients_are_served_ten_at_a_time(listener: socket.socket):
    Echo.most = 0
    accepting = asyncio.create_task(accept_connections(listener, Echo, lambda: len(Echo.open), lambda: None, 10))
    answers = await asyncio.gather(*(ask(listener.getsockname()) for _ in range(100)))
    accepting.cancel()
    listener.close()
    assert answers == [b"word"] * 100
    assert Echo.most == 10


async def test_without_descriptors_it_tries_again(listener: socket.socket, monkeypatch: pytest.MonkeyPatch):
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, [errno.EMFILE, errno.ECONNABORTED, errno.ENFILE]

    async def scarce(sock: socket.socket):
        if failures:
            raise OSError(failures.pop(), "none left")
        return await accept(sock)

    monkeypatch.setattr(loop, "sock_accept", scarce)
    accepting = asyncio.create_task(accept_connections(listener, Echo, lambda: len(Echo.open), lambda: None, 10))
    assert await ask(listener.getsockname()) == b"word"
    accepting.cancel()
    listener.close()
    assert failures == []


async def test_a_long_lack_of_descriptors_is_two_lines_of_log(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    loop = asyncio.get_running_loop()
    accept, left, idle_closed = loop.sock_accept, [500], []

    async def scarce(sock: socket.socket):
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EMFILE, "none left")
        return await accept(sock)

    monkeypatch.setattr(loop, "sock_accept", scarce)
    monkeypatch.setattr(accepting_module, "_PAUSE", 0)
    accepting = asyncio.create_task(
        accept_connections(listener, Echo, lambda: len(Echo.open), lambda: idle_closed.append(1), 10)
    )
    assert await ask(listener.getsockname()) == b"word"
    accepting.cancel()
    listener.close()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "No connection can be accepted until something is closed: [Errno 24] none left",
        "Connections are accepted again, after 500 attempts",
    ]
    assert len(idle_closed) == 500  # what is only kept for further requests gives way


class Connection:
    """A connection of a server, as far as it is closed."""

    def __init__(self) -> None:
        self.transport, self.closed = self, 0

    def close(self) -> None:
        self.closed += 1


def test_a_connection_is_closed_after_it_was_idle_many_times_and_not_after_a_stall() -> None:
    use: Any = ConnectionUse()
    idle, answered = Connection(), Connection()
    for look in range(11):
        assert (idle.closed, answered.closed) == (0, 0)
        if look == 5:
            with use.use(answered):
                use.close_idle([idle, answered])
        else:
            use.close_idle([idle, answered])
    assert (idle.closed, answered.closed) == (1, 0)
