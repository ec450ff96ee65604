"""An export or an import as a stream: its end, its error, and a client that leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from roost.daemon.bundles.errors import BundleInvalidError
from roost.daemon.bundles.session import EnvironmentUnbuiltError, run_stoppable, stream_bundle
from roost.daemon.bundles.tar_writer import WritingStoppedError
from roost.wire.builds import Message
from roost.wire.bundles import BundleResult
from roost.wire.protocol import ErrorBody

RESULT = BundleResult(digest="sha256:a", path="/b", bytes=1, files=0, environments=[])


async def test_progress_comes_before_the_result() -> None:
    async def work(publish: Callable[[Message], None]) -> BundleResult:
        publish(Message(event="step", step="pack", state="started"))
        publish(Message(event="heartbeat"))
        return RESULT

    found = [(each.event, each.step, each.result) async for each in stream_bundle(work, "export")]
    assert found == [("step", "pack", None), ("result", None, RESULT)]


async def test_an_error_is_the_last_message() -> None:
    body = ErrorBody(code="solve-failed", message="no", hint="", retryable=False, fields={}, location=None)
    for error, code in (
        (BundleInvalidError("x"), "bundle-invalid"),
        (EnvironmentUnbuiltError(body), "solve-failed"),
        (ValueError("x"), "build-failed"),
    ):

        async def work(publish: Callable[[Message], None], error: Exception = error) -> BundleResult:
            raise error

        (message,) = [each async for each in stream_bundle(work, "import")]
        assert message.error is not None
        assert message.error.code == code


async def test_a_client_that_leaves_stops_the_thread_first() -> None:
    began, ended, removed = threading.Event(), threading.Event(), []

    def write(stop: threading.Event) -> None:
        began.set()
        assert stop.wait(30)
        ended.set()
        raise WritingStoppedError

    async def work(publish: Callable[[Message], None]) -> BundleResult:
        publish(Message(event="step", step="unpack", state="started"))
        try:
            await run_stoppable(write)
        finally:
            removed.append(ended.is_set())
        return RESULT

    messages = stream_bundle(work, "import")
    await anext(messages)
    await asyncio.to_thread(began.wait)
    await messages.aclose()
    assert removed == [True]
