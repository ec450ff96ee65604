"""The pip engine: uv locks the pip part of a definition, creates virtual environments and installs locked wheels.

Resolving runs no code of any package; building does, and happens only if the request allows it. Installing takes
exactly the locked wheels, checks each by its sha256, and works offline if uv's cache has them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

import msgspec
from uv import find_uv_bin

from roost.daemon.background.code import KnownCode
from roost.daemon.background.work import make_way
from roost.daemon.engines.host_python import interpreters
from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.engines.uv.install import AttemptLog, InstallProgress, check_complete, install_arguments
from roost.daemon.engines.uv.lock import PipLockSession, flatten_items
from roost.daemon.engines.uv.parts.files import PartsPlace
from roost.daemon.engines.uv.parts.linking import LinkedWheels, link_wheels
from roost.daemon.engines.uv.prefix import mark_venv
from roost.daemon.engines.uv.process import ProcessResult, UvProcess
from roost.daemon.engines.uv.pylock import render_pylock
from roost.daemon.engines.uv.request import InstallResult, PipLock, PipLockRequest, PythonFacts
from roost.daemon.engines.uv.requirements import RequirementsTranslator, find_line_indexes, split_credentials
from roost.daemon.engines.uv.resolve import Resolver
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.sources.build_requirements import (
    BuildRequirements,
    LockRequirements,
    read_build_requirements,
)
from roost.daemon.engines.uv.sources.code import list_editable_code, source_code
from roost.daemon.engines.uv.translation import is_backend_failure, translate_failure
from roost.daemon.engines.uv.unpacked.cache import find_absent, find_damaged, list_unfinished
from roost.daemon.engines.uv.unpacked.checks import UnpackedChecks, UnpackedFaultsError, check_beside
from roost.daemon.engines.uv.venvs.known import KnownVenvs
from roost.daemon.engines.uv.venvs.siteless import write_siteless
from roost.daemon.engines.uv.wheels import WheelFiles, WheelStore
from roost.daemon.jobs.holds import Holds
from roost.daemon.jobs.progress import Progress, Silent
from roost.daemon.jobs.unpacking import UNPACKED_BYTES
from roost.daemon.oci.target_platforms import local_platform
from roost.model.definition import BASELINE_GLIBC, Defaults, PipItem
from roost.model.locks.lock import Wheel
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.index.cache_keys import file_key, wheel_key


class PipConfig(msgspec.Struct, frozen=True, kw_only=True):
    """roost's own settings for pip packages."""

    index_url: str | None = None
    """The default index, with credentials if it needs any; ``None``: uv's own."""
    timeout: int = 30
    """Seconds without a byte after which a download is given up."""
    retries: int = 3
    unpacked_bytes: int = UNPACKED_BYTES
    """Largest size of one package when it is unpacked."""


class PipEngine:
    """pip packages for definitions and prefixes.

    ``cache_dir`` is uv's, ``wheels_dir`` has the wheels that were built or given; both are in one root, on one file
    system with the prefixes. There must be only one engine for a root: creating it blocks and deletes what a killed uv
    left behind.
    """

    def __init__(
        self,
        cache_dir: str,
        wheels_dir: str,
        config: PipConfig,
        *,
        uv_binary: str | None = None,
        holds: Holds | None = None,
        known_code: KnownCode | None = None,
    ) -> None:
        self._known_code = known_code or KnownCode()
        scratch = os.path.join(wheels_dir, "tmp")
        for leftover in [scratch, *list_unfinished(cache_dir)]:
            shutil.rmtree(leftover, ignore_errors=True)
        self._config = config
        self._built_with: dict[tuple[str, ...], tuple[Wheel, ...]] = {}
        """Folder of a project, Python and indexes to what its last build installed."""
        self._holds = holds or Holds()
        self.cache_dir = cache_dir
        self._wheels_dir = wheels_dir
        self._marks = os.path.join(wheels_dir, "checked")
        self._store = WheelStore(wheels_dir)
        binary = uv_binary or os.fsdecode(find_uv_bin())
        self._process = UvProcess(binary, cache_dir, scratch, timeout=config.timeout, retries=config.retries)
        self._process.unpacked_bytes = config.unpacked_bytes
        self._venvs = KnownVenvs(binary)
        self.parts = PartsPlace(folder=os.path.join(wheels_dir, "parts"), cache_dir=cache_dir, binary=binary)
        """What is known of uv's installations."""

    def configure(self, config: PipConfig) -> None:
        """Use ``config`` from the next call on."""
        self._config = config
        self._process.timeout, self._process.retries = config.timeout, config.retries
        self._process.unpacked_bytes = config.unpacked_bytes

    # ------------------------------------------------------------------ locking
    async def lock(self, request: PipLockRequest, progress: Progress | None = None) -> PipLock:
        """Return the wheels for ``request``.

        Raises:
            PipUnsatisfiableError, ConflictError: if no set of versions fits, by itself or with what conda provides.
            LockNeedsBuildError: if a package must be built and builds are not allowed.
            WheelBuildError: if a build fails.
            IndexUnreachableError, IndexDeniedError, UrlGoneError: if an index or a URL does not answer as it should.
            WheelDigestMismatchError, InvalidDefinitionError, StoreFullError, UvCrashedError.
        """
        progress = progress or Silent()
        request = self._resolve_index(request)
        progress.start("lock-pip")
        async with self._process.temporary_folder() as folder:
            process = self._choose_process(request, folder)
            locked = await PipLockSession(process, self._store, folder, request, progress, self._known_code).run()
        progress.finish("lock-pip")
        return locked

    async def list_digests(self, request: PipLockRequest, wheels: Sequence[Wheel]) -> dict[str, frozenset[str]]:
        """Return, by name, the sha256s (hex) of all files that the indexes list for the versions of ``wheels``.

        Of the items of ``request`` only the options count, which name the indexes. Raises as :meth:`lock`.
        """
        options = [item for item in flatten_items(request.items) if item.kind == "option"]
        indexes = find_line_indexes(flatten_items(request.items))
        pins = [
            PipItem(kind="requirement", text=f"{wheel.name}=={wheel.version}{indexes.get(wheel.name, '')}")
            for wheel in wheels
        ]
        request = self._resolve_index(msgspec.structs.replace(request, items=[*options, *pins]))
        secrets = Secrets(request.credentials)
        inputs = RequirementsTranslator(request.variables, lambda item: "", secrets.substitute).add(request.items)
        secrets = secrets.with_more(inputs.credentials)
        async with self._process.temporary_folder() as folder:
            process = self._choose_process(request, folder)
            return await Resolver(process, folder, request, inputs, secrets, Silent()).list_digests()

    def _resolve_index(self, request: PipLockRequest) -> PipLockRequest:
        """Return ``request`` with the URL of its default index (``None``: uv's own) and the credentials of the config.

        The config may name another index than the definition was digested with; its credentials apply all the same.
        """
        index, own = _split_index(self._config.index_url)
        if request.index is not None:
            index, more = _split_index(None if request.index == Defaults().index else request.index)
            own = {**own, **more}
        return msgspec.structs.replace(request, index=index, credentials={**own, **request.credentials})

    def _choose_process(self, request: PipLockRequest, folder: str) -> UvProcess:
        """Return uv with a cache in ``folder`` if paths or queries of URLs may contain secrets."""
        in_urls = bool(request.variables) or any(value[:1] in ("/", "?") for value in request.credentials.values())
        return self._process.with_private_cache(folder) if in_urls else self._process

    # ------------------------------------------------------------------ prefixes
    async def create_venv(self, prefix: str, executable: str, progress: Progress | None = None) -> None:
        """Create a virtual environment of the Python ``executable``, without pip, at ``prefix`` (new, or an empty
        folder)."""
        if not await asyncio.to_thread(self._venvs.write, prefix, executable):
            arguments = ["venv", "--no-project", "--allow-existing", "--python", executable, prefix]
            await self._run(arguments, "creating a virtual environment for", progress or Silent())
            await asyncio.to_thread(self._venvs.learn, prefix, executable)
        await asyncio.to_thread(mark_venv, prefix)

    async def install(
        self,
        wheels: Sequence[Wheel],
        *,
        prefix: str,
        python_path: str,
        progress: Progress | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> InstallResult:
        """Install exactly ``wheels`` into ``prefix``, whose Python is ``python_path``.

        Raises:
            WheelDigestMismatchError, WheelMissingError, WheelCorruptError, IndexUnreachableError, StoreFullError.
            CodeNotAllowedError: in background work, if an editable folder has not been built here as it is.
        """
        async with self.hold_wheels(wheels):
            return await self._install(wheels, prefix, python_path, progress, credentials)

    async def _install(
        self,
        wheels: Sequence[Wheel],
        prefix: str,
        python_path: str,
        progress: Progress | None,
        credentials: Mapping[str, str] | None,
    ) -> InstallResult:
        editable = await asyncio.to_thread(list_editable_code, wheels)
        await self._known_code.require(editable)
        installation = InstallProgress(progress or Silent(), wheels)
        index, own = _split_index(self._config.index_url)
        secrets = Secrets({**own, **(credentials or {})})
        installation.start()
        modified = await self._drop_damaged(wheels, thorough=False)
        checks = await asyncio.to_thread(self._open_checks, wheels)
        # uv writes the URLs that it sees into its cache: wheels whose URLs are secret are installed from files.
        secret = [wheel for wheel in wheels if wheel.url and secrets.is_secret(wheel.url)]
        files = await self.fetch_wheel_files(secret, progress=progress, credentials=credentials) if secret else {}
        async with self._process.temporary_folder() as folder:
            pylock = os.path.join(folder, "pylock.toml")
            await asyncio.to_thread(self._write_pylock, pylock, wheels, files)
            is_venv = await asyncio.to_thread(os.path.exists, os.path.join(prefix, "pyvenv.cfg"))
            is_asked = is_venv and not editable  # whose build backends run in the Python itself
            write_command = self._venvs.write_command if is_asked else write_siteless
            python = await asyncio.to_thread(write_command, folder, prefix, python_path)
            # First from the cache alone: an index that sends no caching headers would be asked each time.
            # Only the build requirements of an editable folder are looked up in an index now.
            arguments = install_arguments(python, pylock)
            arguments += ["--default-index", index] if index else []
            cached, outcome = [*arguments, "--offline"], ProcessResult(status=1, stdout="", stderr="")
            is_cached = bool(editable) or not await asyncio.to_thread(find_absent, self.cache_dir, wheels, files)
            if is_cached:  # else it is in vain
                outcome = await self._process.run(cached, folder, secrets=secrets)
            if outcome.status != 0 and (stored := await self._wheel_files(secrets).find_fetched(wheels)):
                # What uv's cache lacks may be here as files: those of a bundle, or of an image.
                await asyncio.to_thread(self._write_pylock, pylock, wheels, {**stored, **files})
                outcome = await self._process.run(cached, folder, secrets=secrets)
            if outcome.status == 0:
                installation.add_text(outcome.stderr)
            elif any(wheel.kind == "editable" for wheel in wheels):
                lock = self._build_requirements_lock(python_path, index, secrets, folder, progress or Silent())
                requirements = BuildRequirements(lock, self._store, folder, self._known_code)
                outcome = await self._install_editables(
                    arguments, folder, secrets, requirements, installation.add_line, on_frame=installation.add_frame
                )
            else:
                running = self._process.run(
                    arguments, folder, secrets=secrets, on_line=installation.add_line, on_frame=installation.add_frame
                )
                outcome = await check_beside(running, checks)
                if outcome.status != 0 and not is_cached:  # what is unpacked under another name than it has is enough
                    retried = await self._process.run(cached, folder, secrets=secrets)
                    outcome = retried if retried.status == 0 else outcome
            if is_asked and outcome.status == 0:
                await asyncio.to_thread(self._venvs.learn_answer, folder, prefix, python_path)
        if outcome.status != 0:
            raise translate_failure(outcome.stderr, outcome.status, "installing")
        await asyncio.to_thread(check_complete, prefix, wheels)
        await self._check_unpacked(checks, progress or Silent())
        await self._known_code.record(editable)
        installation.finish()
        return InstallResult(modified=modified, content=checks.content)

    async def install_project(
        self, project: Wheel, request: PipLockRequest, *, prefix: str, progress: Progress | None = None
    ) -> None:
        """Install the project in the folder of ``project``, an editable wheel, on top of what ``prefix`` has.

        Its build gets what it needs under the conditions of ``request``, whose Python is that of ``prefix``. Its
        backend runs, whatever was built of it before: of the build files uv knows some only.

        Raises as :meth:`lock`, and CodeNotAllowedError in background work that may not run all code: after each change
        of its build files it is code that has not run yet.
        """
        progress = progress or Silent()
        await self._known_code.require(source_code("build-backend", project.name, ""))
        request = self._resolve_index(request)
        async with self._process.temporary_folder() as folder:
            process = self._choose_process(request, folder)
            session = PipLockSession(process, self._store, folder, request, progress, self._known_code)
            build = await session.prepare_build()
            pylock = os.path.join(folder, "pylock.toml")
            await asyncio.to_thread(self._write_pylock, pylock, [project], {})
            arguments = install_arguments(request.python.executable or "", pylock)
            arguments += [*build.options, "--refresh-package", project.name, "--reinstall-package", project.name]
            key = (project.path or "", request.python.version, *build.options)
            before = BuildRequirements(build.lock, self._store, folder, self._known_code, self._built_with.get(key, ()))
            outcome = None
            if before.wheels:  # with what its last build had: uv needs one call, and what is cached will do
                checked = await asyncio.to_thread(before.options, "--require-build-hashes")
                outcome = await process.run([*arguments, *checked[1:]], folder, secrets=build.secrets)
            if outcome is None or not (outcome.status == 0 or is_backend_failure(outcome.stderr)):
                before = BuildRequirements(build.lock, self._store, folder, self._known_code)
                # uv would name them by failing; what only the backend knows, it names so.
                await before.add(await asyncio.to_thread(read_build_requirements, project.path or ""))
                outcome = await self._install_editables(arguments, folder, build.secrets, before, progress.log, process)
            else:
                AttemptLog(progress.log).add_failure(outcome.stderr)
        if outcome.status != 0:
            raise translate_failure(outcome.stderr, outcome.status, "installing")
        self._built_with[key] = tuple(before.wheels.values())
        await asyncio.to_thread(check_complete, prefix, [project])

    def _open_checks(self, wheels: Sequence[Wheel]) -> UnpackedChecks:
        names = {wheel.name for wheel in wheels}
        return UnpackedChecks(self.cache_dir, self._marks, names, self._config.unpacked_bytes)

    async def _check_unpacked(self, checks: UnpackedChecks, progress: Progress) -> None:
        """Check what was unpacked. A package that fails leaves the cache, so that it is checked again."""
        try:
            await asyncio.to_thread(checks.check_all, progress)
        except UnpackedFaultsError as faults:
            await self._clean_cache(faults.packages)
            raise faults.error from None

    async def _install_editables(
        self,
        arguments: Sequence[str],
        folder: str,
        secrets: Secrets,
        requirements: BuildRequirements,
        on_line: Callable[[str], None],
        process: UvProcess | None = None,
        on_frame: Callable[[str], None] | None = None,
    ) -> ProcessResult:
        """Run uv until it has all build requirements of the editable folders, each locked before uv fetches it."""
        while True:
            checked = await asyncio.to_thread(requirements.options, "--require-build-hashes")
            attempt = AttemptLog(on_line)
            outcome = await (process or self._process).run(
                [*arguments, *checked[1:]],
                folder,
                secrets=secrets,
                on_line=attempt.add_line,
                on_frame=on_frame,
            )
            if outcome.status == 0:
                await requirements.record_code()
            if outcome.status == 0 or not await requirements.add_needed(outcome.stderr):
                attempt.fail()
                return outcome

    def _build_requirements_lock(
        self, python_path: str, index: str | None, secrets: Secrets, folder: str, progress: Progress
    ) -> LockRequirements:
        """Return what locks requirements for builds by the Python of a prefix, from the default index."""

        async def lock(lines: Sequence[str]) -> Sequence[Wheel]:
            probed = await asyncio.to_thread(interpreters.probe_interpreter, python_path)
            request = PipLockRequest(
                items=[PipItem(kind="requirement", text=line) for line in lines],
                python=PythonFacts(
                    version=probed.version if probed else "3",
                    executable=python_path,
                    libc=probed.libc if probed else "",
                ),
                platform=local_platform({}),
                glibc=BASELINE_GLIBC,
                allow_builds=True,
                credentials=secrets.all,
                index=index,
            )
            below = os.path.join(folder, "editables")
            await asyncio.to_thread(os.makedirs, below, exist_ok=True)
            session = PipLockSession(self._process, self._store, below, request, progress, self._known_code)
            return (await session.run()).wheels

        return lock

    def _write_pylock(self, path: str, wheels: Sequence[Wheel], files: Mapping[str, str]) -> None:
        """Write a pylock.toml for ``wheels``; ``files`` are sha256 to path of those that uv must not fetch. Blocks."""
        rows = [
            (wheel, self._store.verified_path(wheel) if wheel.kind in ("built", "local") else files.get(wheel.sha256))
            for wheel in wheels
        ]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(render_pylock(rows))

    async def link_known(self, wheels: Sequence[Wheel], prefix: str) -> LinkedWheels:
        """Link those of ``wheels`` that are known parts into the venv ``prefix``, which has no package yet."""
        async with self.hold_wheels(wheels):
            return await finish_thread_despite_cancel(link_wheels, self.parts, prefix, wheels)

    # ------------------------------------------------------------------ wheels and uv's cache
    def hold_wheels(self, wheels: Sequence[Wheel]) -> AbstractAsyncContextManager[None]:
        """While it is held, none of ``wheels`` is removed to free space: not its files, nor what uv unpacked of it."""
        keys = [wheel_key(wheel.name, wheel.version) for wheel in wheels]
        return self._holds.hold([*keys, *(file_key(wheel.sha256) for wheel in wheels if wheel.sha256)])

    async def fetch_wheel_files(
        self,
        wheels: Sequence[Wheel],
        *,
        progress: Progress | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Return the path of the file of each of ``wheels`` by sha256; those that are not stored yet are fetched.

        They may be for any platform, but not editable. Raises as :meth:`install`.
        """
        _, own = _split_index(self._config.index_url)
        files = self._wheel_files(Secrets({**own, **(credentials or {})}))
        return await files.fetch_missing(wheels, progress or Silent())

    async def add_wheel_file(self, path: str, wheel: Wheel) -> None:
        """Move the file of ``wheel`` at ``path`` into the store. The caller has checked its sha256 and synced it."""
        await asyncio.to_thread(self._wheel_files(Secrets({})).add, path, wheel)

    def _wheel_files(self, secrets: Secrets) -> WheelFiles:
        return WheelFiles(self._wheels_dir, self._store, Fetcher(secrets, self._config.timeout))

    async def store_built_wheel(self, path: str) -> None:
        """Store the wheel at ``path``, which another machine built. The caller has checked its sha256."""
        await asyncio.to_thread(self._store.add, path, built=True)

    async def stored_wheel_path(self, wheel: Wheel) -> str:
        """Return the path of a built or given wheel. Raises WheelMissingError, WheelDigestMismatchError."""
        return await asyncio.to_thread(self._store.verified_path, wheel)

    async def repair_cache(self, wheels: Sequence[Wheel]) -> list[str]:
        """Compare every file of uv's unpacked copies of ``wheels`` with its RECORD and drop packages that differ.

        Returns their names; the next installation fetches them again.
        """
        return await self._drop_damaged(wheels, thorough=True)

    async def _drop_damaged(self, wheels: Sequence[Wheel], *, thorough: bool) -> list[str]:
        names = {wheel.name for wheel in wheels}
        damaged = await asyncio.to_thread(find_damaged, self.cache_dir, self._marks, names, thorough=thorough)
        if damaged:
            await self._clean_cache(sorted(damaged))
        return sorted(damaged)

    async def _clean_cache(self, packages: Sequence[str]) -> None:
        """Drop packages from uv's cache. uv waits for all that use it: background work gives way."""
        make_way()
        await self._run(["cache", "clean", *packages], "repairing the cache of", Silent())

    async def _run(self, arguments: Sequence[str], doing: str, progress: Progress) -> None:
        async with self._process.temporary_folder() as folder:
            outcome = await self._process.run(arguments, folder, secrets=Secrets({}), on_line=progress.log)
        if outcome.status != 0:
            raise translate_failure(outcome.stderr, outcome.status, doing)


def _split_index(url: str | None) -> tuple[str | None, dict[str, str]]:
    """Return the URL of an index without its credentials, and these by origin."""
    if url is None:
        return None, {}
    bare, pair = split_credentials(url)
    split = urlsplit(bare)
    return bare, {f"{split.scheme}://{split.netloc}": pair} if pair else {}
