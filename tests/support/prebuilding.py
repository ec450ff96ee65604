"""The daemon's own parts in this process, on a root of their own, and prebuilds that are waited for."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from roost.daemon.background.threads import PriorityThreads
from roost.daemon.builds.job import BuildJob
from roost.daemon.caller.current import LastCaller
from roost.daemon.config.config import Config
from roost.daemon.config.schema import ConfigFile
from roost.daemon.decision.facts import Request
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.launch.folder import find_tools
from roost.daemon.prebuilding.prebuilds import PrebuildReport
from roost.daemon.services import Services, create_services
from roost.model.records import FileStamp
from roost.store.disk.file_ops import remove_tree
from roost.store.store import Store
from roost.wire.builds import BuildResult
from roost.wire.plans import EnvironmentSelector


@asynccontextmanager
async def open_services(config: ConfigFile) -> AsyncIterator[Services]:
    """The parts with ``config``; no file changes it."""
    asyncio.get_running_loop().set_default_executor(PriorityThreads())
    root = tempfile.mkdtemp(prefix="r", dir="/tmp")
    store = await Store.open(root)
    events = Events(store.index, keep=1000)
    await events.begin()
    made = create_services(
        store,
        Config(settings=config),
        FileStamp(path=f"{root}/none", identity="absent"),
        events,
        Lifecycle(0),
        "",
        find_tools(root),
        LastCaller(),
    )
    try:
        yield made
    finally:
        await made.stop()
        await store.close()
        remove_tree(root)


class Prebuilding:
    """Prebuilds and builds of definitions, by the text of their files."""

    def __init__(self, services: Services, folder: Path) -> None:
        self.services = services
        self._folder = folder
        self.reports: list[PrebuildReport] = []
        self._reported = asyncio.Event()
        services.prebuilds.listen(self._note)

    def _note(self, report: PrebuildReport) -> None:
        self.reports.append(report)
        self._reported.set()

    async def create_job(self, text: str, environ: Mapping[str, str] | None = None) -> BuildJob:
        """Return the job of a definition. ``text``: of an environment.yml if it has a colon, else of requirements."""
        name = "environment.yml" if "dependencies:" in text else "requirements.txt"
        (self._folder / name).write_text(text)
        what = EnvironmentSelector(cwd=str(self._folder), file=name, environ=dict(environ or {}))
        resolved = (await self.services.resolver.resolve(what)).for_prefix()
        return BuildJob(resolved=resolved, request=Request(definition=resolved.definition), selector=what)

    async def build(self, text: str) -> BuildResult:
        """Build as somebody who waits."""
        return await self.services.builds.wait(await self.create_job(text))

    def request(self, text: str) -> None:
        """Request a prebuild."""
        self.services.prebuilds.request(text, lambda: self.create_job(text))

    async def prebuild(self, text: str) -> PrebuildReport:
        """Return the end of a prebuild."""
        self.reports.clear()
        self.request(text)
        return await self.find_end(text)

    async def find_end(self, text: str) -> PrebuildReport:
        """Wait for the end of a request and return it."""
        while True:
            for report in self.reports:
                if report.key == text and (report.state in ("ready", "failed") or report.error is not None):
                    return report
            self._reported.clear()
            await asyncio.wait_for(self._reported.wait(), 120)
