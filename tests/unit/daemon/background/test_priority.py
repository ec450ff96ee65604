"""Threads and processes of background work have the lowest priority, and nobody else's ever get it."""

from __future__ import annotations

import asyncio
import os
import sys

from roost.daemon.background.priority import niced_command, read_priority
from roost.daemon.background.threads import PriorityThreads
from roost.daemon.background.work import BackgroundWork

_PRINT = "import os; print(os.getpriority(os.PRIO_PROCESS, 0), os.getppid())"


async def test_threads_of_background_work_are_lowered_and_no_others() -> None:
    threads = PriorityThreads()
    asyncio.get_running_loop().set_default_executor(threads)

    async def in_threads() -> set[tuple[int, bool]]:
        return set(await asyncio.gather(*(asyncio.to_thread(read_priority) for _ in range(8))))

    own = read_priority()
    assert await BackgroundWork().run(in_threads) == {(19, True)}
    assert await in_threads() == {own}


async def test_a_niced_command_keeps_its_process_and_its_output() -> None:
    command = niced_command([sys.executable, "-I", "-c", _PRINT])
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.decode().split() == ["19", str(os.getpid())]


async def test_a_niced_command_that_does_not_exist_fails() -> None:
    process = await asyncio.create_subprocess_exec(
        *niced_command(["/nonexistent/program"]), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode not in (0, None)
    assert b"/nonexistent/program" in errors
