"""The bridge between an attached client and its container: input, output, signals and the size of the terminal.

bridge = Bridge(engine, container, streams, channel, at_terminal=…)
status = await bridge.run(wait_exit)    # raises ClientGoneError
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
SIGNAL_STEP = 0.05
"""Seconds between attempts to signal a container that takes no signal yet."""


class ClientGoneError(Exception):
    """The client closed its stream before the command ended."""


class Bridge:
    """Passes everything in both directions, for one run. Neither direction waits for the other, and signals wait for
    none."""

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
        """Set the size of the container's terminal, if the engine is reachable."""
        with suppress(CodedError):
            await self._engine.resize(self._container, rows, columns)

    async def run(self, wait_exit: Callable[[str], Awaitable[int]]) -> int:
        """Pass everything on until the command ends, and return its exit status. ``wait_exit`` is awaited for it, with
        the container's id, once the output has ended.

        Raises ClientGoneError if the client leaves first, and what ``wait_exit`` raises.
        """
        up, down = asyncio.create_task(self._upstream()), asyncio.create_task(self._downstream(wait_exit))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            if not down.done():
                raise ClientGoneError
            return down.result()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.wait([up, down])

    async def _downstream(self, wait_exit: Callable[[str], Awaitable[int]]) -> int:
        """Send what the command prints. A terminal's stream has no frames of its own."""
        while chunk := await self._read_output():
            try:
                if self._at_terminal:
                    await self._channel.send(Frame.STDOUT, chunk)
                else:
                    await self._channel.send_framed(chunk)
            except ConnectionError as error:
                raise ClientGoneError from error
        return await wait_exit(self._container)

    async def _read_output(self) -> bytes:
        """Return the next output, empty at the end. A stream that breaks off has ended too: an engine may restart under
        a container."""
        try:
            return await self._streams.reader.read(CHUNK)
        except OSError:
            return b""

    async def _upstream(self) -> None:
        """Pass on what the client sends until it leaves. Input waits for the command in a task of its own, since
        nothing else may wait: a command that reads nothing can still be interrupted. So do signals: the container may
        just be about to start."""
        input_queue: asyncio.Queue[bytes] = asyncio.Queue()
        signals: asyncio.Queue[str] = asyncio.Queue()
        tasks = [asyncio.create_task(self._feed(input_queue)), asyncio.create_task(self._signal(signals))]
        try:
            while (frame := await self._channel.receive()) is not None:
                kind, data = frame
                if kind in (Frame.STDIN, Frame.STDIN_END):
                    input_queue.put_nowait(data)
                elif kind == Frame.RESIZE:
                    await self.resize(*map(int, data.split()))
                elif kind == Frame.SIGNAL:
                    signals.put_nowait(data.decode("ascii"))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _signal(self, signals: asyncio.Queue[str]) -> None:
        """Send signals in their order, each until the container takes it: it may not have started yet. When it has
        ended, the bridge ends, and this with it."""
        while True:
            signal = await signals.get()
            with suppress(CodedError):  # the engine is unreachable for a moment: the command goes on
                while True:
                    if await self._engine.kill(self._container, signal):
                        break
                    await asyncio.sleep(SIGNAL_STEP)

    async def _feed(self, input_queue: asyncio.Queue[bytes]) -> None:
        """Write input as the command reads it, and acknowledge it to the client; empty input is the end. What the
        command does not read any more is dropped."""
        while data := await input_queue.get():
            with suppress(OSError):
                self._streams.writer.write(data)
                await self._streams.writer.drain()
            with suppress(OSError):
                await self._channel.send(Frame.STDIN_TAKEN, b"")
        with suppress(OSError):
            self._streams.end_input()
