"""Cancelling an addition at each of its steps: the file is as it was, or complete and with its lock."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.e2e.test_cancelling import Steps, work
from tests.support.pip_index import PipIndex

from roost.daemon.services import Services
from roost.wire.builds import Message
from roost.wire.edits import EditRequest, EditResult
from roost.wire.plans import EnvironmentSelector

__all__ = ["work"]


class CancelledAt:
    """An addition that is cancelled at its step ``at``."""

    def __init__(self, work: Services, folder: Path, package: str, at: int) -> None:
        self.count = 0
        self._at = at
        what = EnvironmentSelector(cwd=str(folder), file="requirements.txt")
        self.task = asyncio.create_task(self._run(work, EditRequest(what=what, add=[package])))

    async def _run(self, work: Services, request: EditRequest) -> EditResult:
        return await Steps(work.editor.edit(request, ignore), self._tell)  # type: ignore[no-any-return]

    def _tell(self) -> None:
        self.count += 1
        if self.count == self._at:
            asyncio.get_running_loop().call_soon(self.task.cancel)


def ignore(message: Message) -> None: ...


async def test_cancelled_at_every_step(work: Services, pip_index: PipIndex, short_folder: Path) -> None:
    file, old = short_folder / "requirements.txt", "# mine\n"
    ends = set()
    for at in range(1, 500):
        pip_index.wheel(f"greet{at}", "1.0")
        file.write_text(old)
        edit = CancelledAt(work, short_folder, f"greet{at}", at)
        await asyncio.wait([edit.task])
        is_new = file.read_text() != old
        assert file.read_text() == (f"{old}greet{at}\n" if is_new else old), at
        assert [each.name for each in short_folder.iterdir()] == [file.name], at
        if is_new:
            what = EnvironmentSelector(cwd=str(short_folder), file="requirements.txt")
            resolved = (await work.resolver.resolve(what)).for_prefix()
            key = resolved.digest, resolved.generation_scope
            assert await work.store.index.generations.find_current(*key) is not None, at
        ends.add((is_new, edit.task.cancelled()))
        if edit.count < at:
            break
    assert 10 < at < 499
    assert ends >= {(False, True), (True, False)}
