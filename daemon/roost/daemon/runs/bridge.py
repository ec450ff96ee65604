"""The bridge between an attached client and its container: input, output, signals and the window's size.

bridge = Bridge(engine, container, streams, channel, at_terminal=…)
status = await bridge.run(status_of)    # raises ClientGoneError
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from roost.daemon.runs.attach import Channel
from roost.model.errors import CodedError
from roost.wire.runs import Frame

if TYPE_CHECKING:  # the SDK is loaded when an engine is first used
    from roost.daemon.engines.docker.containers import DockerContainers
    from roost.daemon.engines.docker.values import ContainerStreams

CHUNK = 2**16


class ClientGoneError(Exception):
    """It closed its stream before the command ended."""


class Bridge:
    """Passes everything both ways, for one run. Neither way waits for the other, and signals wait for none."""

    def __init__(
        self,
        engine: DockerContainers,
        container: str,
        streams: ContainerStreams,
        channel: Channel,
        *,
        at_terminal: bool,
    ) -> None:
        self._engine = engine
        self._container = container
        self._streams = streams
        self._channel = channel
        self._at_terminal = at_terminal

    async def resize(self, rows: int, columns: int) -> None:
        """Give the container's terminal that size, if the engine is there."""
        with suppress(CodedError):
            await self._engine.resize(self._container, rows, columns)

    async def run(self, status_of: Callable[[str], Awaitable[int]]) -> int:
        """Until the command ends: its exit status, which ``status_of`` gets of the container once that says no more.

        Raises ClientGoneError where the client goes first, and what ``status_of`` raises.
        """
        up, down = asyncio.create_task(self._upstream()), asyncio.create_task(self._downstream(status_of))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            if not down.done():
                raise ClientGoneError
            return down.result()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.wait([up, down])

    async def _downstream(self, status_of: Callable[[str], Awaitable[int]]) -> int:
        """What the command prints. A terminal's stream has no frames of its own."""
        while chunk := await self._printed():
            try:
                if self._at_terminal:
                    await self._channel.send(Frame.STDOUT, chunk)
                else:
                    await self._channel.pass_on(chunk)
            except ConnectionError as error:
                raise ClientGoneError from error
        return await status_of(self._container)

    async def _printed(self) -> bytes:
        """Empty at the end, also of a stream that breaks off: an engine may restart under a container."""
        try:
            return await self._streams.reader.read(CHUNK)
        except OSError:
            return b""

    async def _upstream(self) -> None:
        """What the client sends; returns when it has gone. Input waits for the command in a task of its own, for all
        else must not: a command that reads nothing can still be interrupted."""
        typed: asyncio.Queue[bytes] = asyncio.Queue()
        feeding = asyncio.create_task(self._feed(typed))
        try:
            while (frame := await self._channel.receive()) is not None:
                kind, data = frame
                if kind in (Frame.STDIN, Frame.STDIN_END):
                    typed.put_nowait(data)
                elif kind == Frame.RESIZE:
                    await self.resize(*map(int, data.split()))
                elif kind == Frame.SIGNAL:
                    with suppress(CodedError):  # the engine is away for a moment: the command goes on
                        await self._engine.kill(self._container, data.decode("ascii"))
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])

    async def _feed(self, typed: asyncio.Queue[bytes]) -> None:
        """Hand the command its input as it takes it, and let the client know; empty is the end. What the command does
        not read any more is let go."""
        while data := await typed.get():
            with suppress(OSError):
                self._streams.writer.write(data)
                await self._streams.writer.drain()
            with suppress(OSError):
                await self._channel.send(Frame.STDIN_TAKEN, b"")
        with suppress(OSError):
            self._streams.end_input()
