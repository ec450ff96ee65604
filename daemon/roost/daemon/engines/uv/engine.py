"""The pip engine: uv locks the pip part of a definition, makes virtual environments and installs what was locked.

Solving runs no code of any package; building does, and happens only where ``allow_builds`` says so. Installing takes
exactly the locked wheels, each checked by its sha256, and works offline as far as uv's cache goes.
"""

from __future__ import annotations

import asyncio
import glob
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
from uv import find_uv_bin

from roost.daemon.engines.host_python import engine, interpreters
from roost.daemon.engines.uv import prefix as uv_prefix
from roost.daemon.engines.uv.choose import Choice, PythonFacts, ResolutionRequest
from roost.daemon.engines.uv.errors import translate
from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.engines.uv.install import InstallProgress, check_complete, damaged
from roost.daemon.engines.uv.lock import Locking, PipLock, flat
from roost.daemon.engines.uv.process import Process, Secrets
from roost.daemon.engines.uv.pylock import render
from roost.daemon.engines.uv.requirements import Translator, split_credentials
from roost.daemon.engines.uv.wheel_files import WheelFiles
from roost.daemon.engines.uv.wheels import WheelStore
from roost.daemon.jobs.progress import Progress, Silent
from roost.model.definition import Defaults, PipItem
from roost.model.locks.lock import HostPython, Wheel

__all__ = ["PipConfig", "PipEngine", "PipLock", "PythonFacts"]

BASELINE_GLIBC = "2.28"


class PipConfig(msgspec.Struct, frozen=True, kw_only=True):
    """roost's own settings for pip packages. ``index_url`` ``None`` is uv's default."""

    index_url: str | None = None
    timeout: int = 30
    """Seconds without a byte before a download is given up."""
    retries: int = 3


class PipEngine:
    """``cache_dir`` is uv's, ``wheels_dir`` keeps wheels that were built or given; both in one root, on one file
    system with the prefixes. One engine for each root: making it removes what a killed uv left behind. Blocks."""

    def __init__(self, cache_dir: str, wheels_dir: str, config: PipConfig, *, uv_binary: str | None = None) -> None:
        scratch = os.path.join(wheels_dir, "tmp")
        cache = glob.escape(cache_dir)
        for left in [scratch, *glob.glob(f"{cache}/.tmp*"), *glob.glob(f"{cache}/*/.tmp*")]:
            shutil.rmtree(left, ignore_errors=True)
        self._config = config
        self._cache_dir = cache_dir
        self._wheels_dir = wheels_dir
        self._store = WheelStore(wheels_dir)
        binary = uv_binary or os.fsdecode(find_uv_bin())
        self._process = Process(binary, cache_dir, scratch, timeout=config.timeout, retries=config.retries)

    def configure(self, config: PipConfig) -> None:
        """Go by ``config`` from the next call on."""
        self._config = config
        self._process.timeout, self._process.retries = config.timeout, config.retries

    def conda_python(self, version: str) -> PythonFacts:
        """The Python that conda will provide."""
        return PythonFacts(version=version)

    async def find_interpreter(self, requires: str | None) -> HostPython:
        """See ``interpreters.choose``."""
        return await engine.find_interpreter(requires)

    async def lock(
        self,
        items: Sequence[PipItem],
        *,
        python: PythonFacts | HostPython,
        platform: str,
        provided: Mapping[str, str] | None = None,
        as_of: datetime | None = None,
        allow_builds: bool = False,
        credentials: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        glibc: str = BASELINE_GLIBC,
        index: str | None = None,
        editables_as_wheels: bool = False,
        progress: Progress | None = None,
    ) -> PipLock:
        """The wheels for ``items`` on ``python`` and ``platform``, beside what conda provides (name to version).

        ``index``: the one that the definition was digested with (``Defaults.index``); by default the config's.
        ``editables_as_wheels``: of an editable folder a wheel of its content is made, for where the folder is not.
        ``variables`` fill in ``${NAME}`` in URLs. Raises PipUnsatisfiableError, ConflictError, LockNeedsBuildError,
        IndexUnreachableError, IndexDeniedError, DigestMismatchError, StoreFullError, UvCrashedError,
        InvalidDefinitionError.
        """
        progress = progress or Silent()
        index_url, own = self._index(index)
        request = ResolutionRequest(
            items=items,
            python=await _facts(python),
            platform=platform,
            provided=provided or {},
            as_of=as_of,
            allow_builds=allow_builds,
            credentials={**own, **(credentials or {})},
            variables=variables or {},
            glibc=glibc,
            index_url=index_url,
            timeout=self._config.timeout,
            editables_as_wheels=editables_as_wheels,
        )
        progress.start("lock-pip")
        async with self._process.folder() as folder:
            locked = await Locking(self._for(request, folder), self._store, folder, request, progress).run()
        progress.finish("lock-pip")
        return locked

    async def listed(
        self,
        items: Sequence[PipItem],
        wheels: Sequence[Wheel],
        *,
        python: PythonFacts,
        platform: str,
        credentials: Mapping[str, str],
        variables: Mapping[str, str],
        glibc: str = BASELINE_GLIBC,
        index: str | None = None,
    ) -> dict[str, frozenset[str]]:
        """Name to the sha256s (hex) of all files that the indexes named in ``items`` list for the versions of
        ``wheels``. Raises as ``lock``."""
        index_url, own = self._index(index)
        options = [item for item in flat(items) if item.kind == "option"]
        pins = [PipItem(kind="requirement", text=f"{wheel.name}=={wheel.version}") for wheel in wheels]
        request = ResolutionRequest(
            items=[*options, *pins],
            python=python,
            platform=platform,
            provided={},
            as_of=None,
            allow_builds=False,
            credentials={**own, **credentials},
            variables=variables,
            glibc=glibc,
            index_url=index_url,
            timeout=self._config.timeout,
        )
        secrets = Secrets(request.credentials)
        translated = Translator(variables, lambda item: "", secrets.reveal).add(request.items)
        secrets = secrets.with_more(translated.credentials)
        async with self._process.folder() as folder:
            process = self._for(request, folder)
            return await Choice(process, folder, request, translated, secrets, Silent()).digests()

    def _index(self, default: str | None) -> tuple[str | None, dict[str, str]]:
        """The URL of a definition's default index, ``None`` for uv's own, and credentials by origin. The config may
        name another by now; it lends its credentials all the same."""
        configured, own = _index_and_credentials(self._config.index_url)
        if default is None:
            return configured, own
        named, more = _index_and_credentials(None if default == Defaults().index else default)
        return named, {**own, **more}

    def _for(self, request: ResolutionRequest, folder: str) -> Process:
        """Where secrets may stand in paths or queries, not just before an ``@``, uv's cache lasts for the request."""
        in_urls = bool(request.variables) or any(value[:1] in ("/", "?") for value in request.credentials.values())
        return self._process.apart(folder) if in_urls else self._process

    async def create_venv(self, prefix: str, interpreter: HostPython, progress: Progress | None = None) -> None:
        """A virtual environment at ``prefix`` (new, or an empty folder) on a Python of this machine, without pip.

        Raises InterpreterChangedError where that Python is not what it was.
        """
        await asyncio.to_thread(engine.check_unchanged, interpreter)
        arguments = ["venv", "--no-project", "--allow-existing", "--python", interpreter.executable, prefix]
        await self._run(arguments, "making a virtual environment for", Secrets({}), progress or Silent())
        await asyncio.to_thread(uv_prefix.freeze, prefix)

    async def install(
        self,
        wheels: Sequence[Wheel],
        *,
        prefix: str,
        python_path: str,
        progress: Progress | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Put exactly ``wheels`` into ``prefix``, whose Python is ``python_path``.

        Returns the names of those whose unpacked files had been changed and were fetched anew: other prefixes share
        the changed files.

        Raises DigestMismatchError, WheelMissingError, WheelCorruptError, IndexUnreachableError, StoreFullError.
        """
        told = InstallProgress(progress or Silent(), wheels)
        index, own = _index_and_credentials(self._config.index_url)
        secrets = Secrets({**own, **(credentials or {})})
        told.begin()
        changed = await self._drop_damaged(wheels, thorough=False)
        hidden = [wheel for wheel in wheels if wheel.url and secrets.is_secret(wheel.url)]
        here = await self.wheel_files(hidden, progress=progress, credentials=credentials) if hidden else {}
        async with self._process.folder() as folder:
            pylock = os.path.join(folder, "pylock.toml")
            await asyncio.to_thread(self._write_pylock, pylock, wheels, here)
            arguments = ["pip", "install", "--python", python_path, "--no-deps", "--link-mode", "hardlink"]
            arguments += ["--break-system-packages", "--preview-features", "pylock", "-r", pylock]
            # First from the cache alone: an index that sends no caching headers would be asked each time.
            # Only the build requirements of an editable folder are looked up in an index now.
            arguments += ["--default-index", index] if index else []
            outcome = await self._process.run([*arguments, "--offline"], folder, secrets=secrets)
            if outcome.status == 0:
                told.all_at_once(outcome.stderr)
            else:
                outcome = await self._process.run(
                    arguments, folder, secrets=secrets, on_line=told.line, on_frame=told.frame
                )
        if outcome.status != 0:
            raise translate(outcome.stderr, outcome.status, "installing")
        await asyncio.to_thread(check_complete, prefix, wheels)
        told.end()
        return changed

    async def wheel_files(
        self,
        wheels: Sequence[Wheel],
        *,
        progress: Progress | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """sha256 to the path of each wheel's file, fetched where it is not kept yet; of any platform, none editable.

        Raises as :meth:`install`.
        """
        _, own = _index_and_credentials(self._config.index_url)
        fetcher = Fetcher(Secrets({**own, **(credentials or {})}), self._config.timeout)
        return await WheelFiles(self._wheels_dir, self._store, fetcher).paths(wheels, progress or Silent())

    async def keep_built(self, path: str) -> None:
        """Take in the wheel at ``path``, which another machine built; its sha256 is the caller's to check."""
        await asyncio.to_thread(self._store.keep, path, built=True)

    async def kept_path(self, wheel: Wheel) -> str:
        """Where a built or given wheel is, its sha256 checked. Raises WheelMissingError, DigestMismatchError."""
        return await asyncio.to_thread(self._store.locked, wheel)

    async def repair_cache(self, wheels: Sequence[Wheel]) -> list[str]:
        """Compare uv's unpacked copies of ``wheels`` with their RECORDs, every file, and drop the packages that differ
        (their names): the next install fetches them anew."""
        return await self._drop_damaged(wheels, thorough=True)

    async def _drop_damaged(self, wheels: Sequence[Wheel], *, thorough: bool) -> list[str]:
        names = {wheel.name for wheel in wheels}
        bad = await asyncio.to_thread(damaged, self._cache_dir, names, thorough=thorough)
        if bad:
            await self._run(["cache", "clean", *sorted(bad)], "mending the cache of", Secrets({}), Silent())
        return sorted(bad)

    def _write_pylock(self, path: str, wheels: Sequence[Wheel], here: Mapping[str, str]) -> None:
        """``here``: sha256 to the file of each wheel whose URL uv may not see, for it keeps what it sees."""
        rows = [
            (wheel, self._store.locked(wheel) if wheel.kind in ("built", "local") else here.get(wheel.sha256))
            for wheel in wheels
        ]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(render(rows))

    async def _run(self, arguments: Sequence[str], doing: str, secrets: Secrets, progress: Progress) -> None:
        async with self._process.folder() as folder:
            outcome = await self._process.run(arguments, folder, secrets=secrets, on_line=progress.log)
        if outcome.status != 0:
            raise translate(outcome.stderr, outcome.status, doing)


async def _facts(python: PythonFacts | HostPython) -> PythonFacts:
    if isinstance(python, PythonFacts):
        return python
    await asyncio.to_thread(engine.check_unchanged, python)
    probed = await asyncio.to_thread(interpreters.probe_interpreter, python.executable)
    libc = probed.libc if probed else ""
    return PythonFacts(version=python.version, executable=python.executable, libc=libc)


def _index_and_credentials(url: str | None) -> tuple[str | None, dict[str, str]]:
    """The configured index without its credentials, and these by origin."""
    if url is None:
        return None, {}
    bare, pair = split_credentials(url)
    split = urlsplit(bare)
    return bare, {f"{split.scheme}://{split.netloc}": pair} if pair else {}
