"""What a build reports of what it does."""

from __future__ import annotations

import asyncio

from roost.daemon.jobs.reporter import BuildProgress
from roost.wire.builds import Message


def test_a_text_of_several_lines_is_a_line_each() -> None:
    async def report() -> list[Message]:
        messages: list[Message] = []
        progress = BuildProgress(messages.append)
        progress.log("one\n   two\n\nthree")
        progress.log("")
        progress.note("four\nfive")
        await asyncio.sleep(0)
        return messages

    sent = asyncio.run(report())
    assert [message.line for message in sent] == ["one", "   two", "", "three", "", "four", "five"]
    assert [bool(message.note) for message in sent] == [False] * 5 + [True] * 2
