"""Export: environments, and everything that they need, into one file."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from roost.daemon.builds.builds import Builds
from roost.daemon.builds.credentials import download_credentials
from roost.daemon.builds.job import BuildJob
from roost.daemon.bundles.collect import CollectedFile, collect_base, collect_packages
from roost.daemon.bundles.contents import (
    BundleContents,
    BundledEnvironment,
    encode_contents,
    list_origins,
    make_portable_body,
    make_portable_lock,
)
from roost.daemon.bundles.errors import BundleOutputError, BundleUnportableError
from roost.daemon.bundles.format import create_index
from roost.daemon.bundles.pythons import PythonEnvironments
from roost.daemon.bundles.session import EnvironmentUnbuiltError, run_stoppable
from roost.daemon.bundles.tar_writer import write_bundle
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import TargetedDefinition, target_definition
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.holds import LAYERS
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.planning.locking import find_or_solve_lock
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.locks.lock import HostPython, Lock, digest_lock
from roost.model.names import derive_name
from roost.model.records import BaseRecord, EnvironmentBody, Generation
from roost.store.disk.file_ops import remove_tree
from roost.store.store import Store
from roost.wire.builds import Message
from roost.wire.bundles import BundledView, BundleExportRequest, BundleResult
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import WarningView


class _Selected(msgspec.Struct, frozen=True, kw_only=True):
    """One environment that was selected, with its lock."""

    targeted: TargetedDefinition
    selector: EnvironmentSelector
    lock: Lock
    generation: Generation | None = None
    is_python: bool = False


class BundleExporter:
    """Writes bundles."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        resolver: EnvironmentResolver,
        planner: Planner,
        builds: Builds,
        on_cached: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_cached`` is called when files have come into the caches."""
        self._store = store
        self._engines = engines
        self._resolver = resolver
        self._planner = planner
        self._builds = builds
        self._on_cached = on_cached
        self._pythons = PythonEnvironments(store, engines, planner)

    async def export(self, request: BundleExportRequest, publish: Callable[[Message], None]) -> BundleResult:
        """Write a bundle. Raises BundleUnportableError, BundleOutputError, StoreFullError, EnvironmentUnbuiltError, and
        what resolving, solving and fetching raise."""
        _check_output(request.output)
        selected: list[_Selected] = []
        warnings: list[WarningView] = []
        for selector in request.environments:
            complete = msgspec.structs.replace(selector, environ={**request.environ, **selector.environ})
            each = await self._select(complete, request, publish)
            selected.append(each)
            warnings += each.targeted.warnings
            if isinstance(each.lock.provider, HostPython):
                if request.python:
                    selected.append(await self._select_python(each, each.lock.provider, publish))
                else:
                    warnings.append(_python_warning(each, each.lock.provider))
        async with AsyncExitStack() as stack:
            for each in selected:
                await self._hold(each, stack)
            stack.callback(self._on_cached)
            folder = await stack.enter_async_context(self._staging_folder())
            return await self._write(request.output, selected, folder, publish, warnings)

    async def _hold(self, each: _Selected, stack: AsyncExitStack) -> None:
        """Let nothing be collected that the bundle needs, until it is written."""
        if each.lock.conda:
            await stack.enter_async_context((await self._engines.conda()).hold_packages(each.lock.conda))
        if each.lock.wheels:
            await stack.enter_async_context((await self._engines.pip()).hold_wheels(each.lock.wheels))
        if each.targeted.is_image:
            await stack.enter_async_context(self._engines.holds.hold([LAYERS]))

    # ---------------------------------------------------------------- which lock
    async def _select(
        self, what: EnvironmentSelector, request: BundleExportRequest, publish: Callable[[Message], None]
    ) -> _Selected:
        """Return the environment of ``what`` with its lock: 1. that of its generation; 2. on this machine's platform
        one that a build makes; 3. on another platform one that is solved for."""
        resolved = msgspec.structs.replace(await self._resolver.resolve(what), project=None)  # it stays in its folder
        publish(Message(event="log", line="", source=resolved.source))
        if resolved.definition.python.user_managed:
            raise BundleUnportableError(
                "A user-managed environment can't go into a bundle: roost installs nothing of it",
                hint="Bring its interpreter or its image (`docker save`) to the other machine.",
            )
        plan = Request(definition=resolved.definition, target=request.target, ignore_image=what.ignore_image)
        targeted = target_definition(resolved, plan)
        if request.platform not in (None, targeted.platform):
            return await self._select_foreign(targeted, what, request.platform or "")
        targeted, selector = await self._resolver.target(resolved, plan, what)
        facts = await self._planner.find_lock(targeted, plan, selector)
        is_complete = facts.generation is not None and (not targeted.is_image or facts.generation.base_digest)
        if not is_complete:
            await self._build(BuildJob(resolved=targeted, request=plan, selector=selector), publish)
            facts = await self._planner.find_lock(targeted, plan, selector)
        lock = await self._store.index.locks.find(facts.digest or "")
        assert lock is not None  # of a generation
        return _Selected(targeted=targeted, selector=selector, lock=lock, generation=facts.generation)

    async def _select_foreign(
        self, targeted: TargetedDefinition, what: EnvironmentSelector, platform: str
    ) -> _Selected:
        baseline_packages(platform, targeted.definition.system)  # raises if it is not a platform
        if targeted.is_image:
            raise BundleUnportableError(
                f"The image of this environment is for {targeted.platform}, and --platform says {platform}",
                hint="Its [base] platform decides; leave out --platform.",
            )
        if targeted.uses_host_python:
            raise BundleUnportableError(
                f"A Python of this machine can't lock an environment of pip packages only for {platform}",
                hint="Add python to its conda dependencies, or export on a machine of that platform.",
            )
        found = await find_or_solve_lock(self._planner, self._store.index, self._engines, targeted, what, platform)
        return _Selected(targeted=msgspec.structs.replace(targeted, platform=platform), selector=what, lock=found.lock)

    async def _build(self, job: BuildJob, publish: Callable[[Message], None]) -> None:
        async for message in self._builds.stream(job):
            if message.event == "error" and message.error is not None:
                raise EnvironmentUnbuiltError(message.error)
            publish(message)

    async def _select_python(
        self, each: _Selected, provider: HostPython, publish: Callable[[Message], None]
    ) -> _Selected:
        progress = BuildProgress(publish, each.selector.environ)
        targeted, lock = await self._pythons.lock(provider, each.lock.platform, progress)
        return _Selected(targeted=targeted, selector=each.selector, lock=lock, is_python=True)

    # ---------------------------------------------------------------- what goes into the file
    async def _write(
        self,
        output: str,
        selected: list[_Selected],
        folder: str,
        publish: Callable[[Message], None],
        warnings: list[WarningView],
    ) -> BundleResult:
        bundled: dict[tuple[str, str, str], BundledEnvironment] = {}
        files: list[CollectedFile] = []
        for each in selected:
            name = _choose_name(each)
            key = (name, each.targeted.digest, each.targeted.generation_scope)
            if key not in bundled:
                bundled[key], more = await self._collect(each, name, folder, publish)
                files += more
        contents = await asyncio.to_thread(encode_contents, BundleContents(environments=tuple(bundled.values())))
        index = await asyncio.to_thread(create_index, contents, [file.blob for file in files])
        progress = BuildProgress(publish)
        progress.start("pack", index.content_size)
        paths = {file.blob.digest: file.path for file in files}
        await run_stoppable(
            lambda stop: write_bundle(
                output, index, contents, paths, lambda done: progress.advance("pack", done, index.content_size), stop
            )
        )
        progress.finish("pack")
        return BundleResult(
            digest=index.digest,
            path=output,
            bytes=index.size,
            files=len(index.files),
            environments=[view_environment(each) for each in bundled.values()],
            warnings=warnings,
        )

    async def _collect(
        self, each: _Selected, name: str, folder: str, publish: Callable[[Message], None]
    ) -> tuple[BundledEnvironment, list[CollectedFile]]:
        targeted, environ = each.targeted, each.selector.environ
        lock = make_portable_lock(each.lock, name)
        progress = BuildProgress(publish, environ)
        credentials = await download_credentials(self._engines, targeted, environ, lock)
        files = await collect_packages(self._engines, lock, environ, credentials, progress)
        base: BaseRecord | None = None
        generation = each.generation
        if targeted.is_image and generation is not None:
            top = await self._store.index.bases.find(generation.steps_digest or generation.base_digest or "")
            assert top is not None  # recorded with the generation
            base, layers = await collect_base(self._planner.bases, top, folder, progress)
            files += layers
        body = EnvironmentBody(definition=targeted.definition, settings=targeted.settings, defaults=targeted.defaults)
        environment = BundledEnvironment(
            name=name,
            version=targeted.environment[1] if targeted.environment is not None else None,
            definition_digest=targeted.digest,
            scope=targeted.generation_scope,
            body=make_portable_body(body),
            lock=lock,
            is_image=targeted.is_image,
            is_python=each.is_python,
            base=base,
            base_digest=generation.base_digest if base is not None and generation is not None else None,
            steps_digest=generation.steps_digest if base is not None and generation is not None else None,
        )
        return environment, files

    @asynccontextmanager
    async def _staging_folder(self) -> AsyncIterator[str]:
        path = os.path.join(self._store.layout.stage, f"bundle-{secrets.token_hex(6)}")
        await asyncio.to_thread(os.makedirs, path, 0o700)
        try:
            yield path
        finally:
            await asyncio.shield(asyncio.to_thread(remove_tree, path))


def _choose_name(each: _Selected) -> str:
    if each.targeted.environment is not None:
        return each.targeted.environment[0]
    return derive_name(each.targeted.source.name)


def _check_output(output: str) -> None:
    if not os.path.isabs(output) or "\0" in output:
        raise BundleOutputError(f"{output[:200]!r} is not an absolute path", hint="Send the client's own path.")


def _python_warning(each: _Selected, provider: HostPython) -> WarningView:
    text = (
        f"{_choose_name(each)} needs a Python {provider.version} of the machine that it is imported on; "
        "--with-python brings one along"
    )
    return WarningView(code="python-needed", message=text)


def view_environment(bundled: BundledEnvironment) -> BundledView:
    """Return the wire form of an environment of a bundle."""
    lock = bundled.lock
    return BundledView(
        name=bundled.name,
        version=bundled.version,
        definition_digest=bundled.definition_digest,
        lock_digest=digest_lock(lock),
        platform=lock.platform,
        target="docker" if bundled.is_image else "local",
        packages=len(lock.conda) + len(lock.wheels),
        origins=sorted(set(list_origins(lock))),
    )
