"""Running uv: a scrubbed environment, a neutral working folder, and no process left behind.

Each invocation is a process group of its own, so that cancelling it ends uv, a build backend and a compiler alike.
Secrets reach uv through a netrc in memory and git's own environment, never through arguments; every line that comes
back has them taken out.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from roost.daemon.engines.uv.errors import UvCrashedError
from roost.daemon.engines.uv.terminal import TerminalLines, connect, is_drawing, open_terminal, read_some
from roost.store.cancellation import finish_despite_cancel

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
PASSED = (
    *("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "SSH_AUTH_SOCK"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
"""The variables that uv is given from the daemon's own environment: how to reach the network, and nothing that
changes what is chosen."""

_LINE_LIMIT = 1 << 24
_GRACE = 1.0


class ProcessResult(msgspec.Struct, frozen=True, kw_only=True):
    """How an invocation ended. ``stderr`` has secrets taken out; ``stdout`` is for parsing, and never shown."""

    status: int
    stdout: str
    stderr: str


class Secrets:
    """Credentials for one request, as ``roost.model.syntax.urls`` takes them out of URLs: ``scheme://host[:port]`` to
    ``user:password`` or ``/t/TOKEN``, or a URL to its signed ``?query``; and ``//host[:port]`` to ``user:password``,
    where that is for whatever lies on the host and has no other."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self._all = dict(credentials)
        self.credentials = {place: value for place, value in credentials.items() if not _is_apart(place, value)}
        passwords = [value.partition(":")[2] for value in credentials.values()]
        # A shorter password is taken out with its user only: alone it would garble what it merely looks like.
        words = [*credentials.values(), *(word for word in passwords if len(unquote(word)) > 3)]
        self._words = sorted({form for word in words for form in (word, unquote(word)) if word}, key=len, reverse=True)

    def with_more(self, credentials: Mapping[str, str]) -> Secrets:
        """These and others."""
        return Secrets({**self._all, **credentials})

    def reveal(self, url: str) -> str:
        """``url`` with the token or signature that belongs to it."""
        bare, mark, fragment = url.partition("#")
        for place, value in self._all.items():
            if value.startswith("?") and bare == place:
                return bare + value + mark + fragment
            if value.startswith("/") and (bare + "/").startswith(place + "/"):
                return place + value + bare[len(place) :] + mark + fragment
        return url

    def is_secret(self, url: str) -> bool:
        """Whether more than its user and password may not be written down: see ``expansion.hidden_places``."""
        return self.reveal(url) != url or any("${" in place and value == url for place, value in self._all.items())

    def conceal(self, url: str) -> str:
        """The opposite of ``reveal``."""
        for value in self._all.values():
            url = url.replace(value, "", 1) if value[:1] in ("/", "?") else url
        return url

    def redact(self, text: str) -> str:
        """``text`` with every known secret replaced."""
        for word in self._words:
            text = text.replace(word, "****")
        return text

    def pair(self, url: str) -> tuple[str, str] | None:
        """User and password for ``url``, where there are some."""
        split = urlsplit(url)
        host = split.netloc.rpartition("@")[2]
        places = (f"{split.scheme}://{host}", f"//{host.lower()}", f"//{split.hostname}")
        found = next((self.credentials[place] for place in places if place in self.credentials), None)
        if found is None:
            return None
        user, _, password = found.partition(":")
        return unquote(user), unquote(password)

    def headers(self, url: str) -> dict[str, str]:
        """The ``Authorization`` header for ``url`` (RFC 7617), where there are credentials for it."""
        pair = self.pair(url)
        if pair is None:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(":".join(pair).encode()).decode()}

    def netrc(self) -> str:
        """A netrc text with these credentials, each host once: it knows no ports."""
        lines: dict[str, str] = {}
        for origin in sorted(self.credentials, key=lambda place: place.startswith("//")):
            user, password = self.pair(origin) or ("", "")
            host = urlsplit(origin).hostname or ""
            lines.setdefault(host, f"machine {host} login {_quoted(user)} password {_quoted(password)}\n")
        return "".join(lines.values())

    def git_variables(self) -> dict[str, str]:
        """git's own way to take configuration from its environment: a header for each origin."""
        variables: dict[str, str] = {}
        for number, origin in enumerate(self.credentials):
            place = f"https:{origin}" if origin.startswith("//") else origin
            variables[f"GIT_CONFIG_KEY_{number}"] = f"http.{place}/.extraHeader"
            variables[f"GIT_CONFIG_VALUE_{number}"] = f"Authorization: {self.headers(origin)['Authorization']}"
        return {**variables, "GIT_CONFIG_COUNT": str(len(self.credentials))} if self.credentials else {}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if set(text) & set(' \t"\\#') else text


def _is_apart(place: str, value: str) -> bool:
    """No user and password: a token, a signature, or the URL behind one that names variables."""
    return value[:1] in ("/", "?") or "${" in place


class Process:
    """The uv binary with the options that every invocation shares."""

    def __init__(self, binary: str, cache_dir: str, scratch: str, *, timeout: int = 30, retries: int = 3) -> None:
        self._binary = binary
        self._cache_dir = cache_dir
        self._scratch = scratch
        self.timeout = timeout
        self.retries = retries

    @contextlib.asynccontextmanager
    async def folder(self) -> AsyncIterator[str]:
        """A temporary folder of mode 0700 inside the root, gone afterwards."""
        path = await asyncio.to_thread(self._make_folder)
        try:
            yield path
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, True))

    def apart(self, folder: str) -> Process:
        """The same with a cache of its own in ``folder``: uv writes the URLs that it asks into its cache."""
        cache = os.path.join(folder, "cache")
        return Process(self._binary, cache, self._scratch, timeout=self.timeout, retries=self.retries)

    def _make_folder(self) -> str:
        os.makedirs(self._scratch, mode=0o700, exist_ok=True)
        return tempfile.mkdtemp(dir=self._scratch)

    async def run(
        self,
        arguments: Sequence[str],
        folder: str,
        *,
        secrets: Secrets,
        on_line: Callable[[str], None] | None = None,
        program: str | None = None,
        on_frame: Callable[[str], None] | None = None,
    ) -> ProcessResult:
        """Run uv (or ``program``) with ``arguments`` in an empty folder under ``folder``. With ``on_frame`` it writes
        to a terminal, and its progress bars go there.

        Raises UvCrashedError where it can't be started. A cancellation ends its whole process group first.
        """
        environ = await asyncio.to_thread(self._environ, folder, secrets)
        environ |= {"TERM": "xterm"} if on_frame is not None else {}
        command = [program, *arguments] if program else [self._binary, *arguments, *self._common()]
        try:
            async with _inherited(folder, secrets, drawing=on_frame is not None) as (netrc, terminal):
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=terminal[1] if terminal else asyncio.subprocess.PIPE,
                    cwd=os.path.join(folder, "cwd"),
                    env={**environ, "NETRC": netrc.path},
                    start_new_session=True,
                    limit=_LINE_LIMIT,
                    pass_fds=(netrc.memory.fileno(),) if netrc.memory else (),
                )
        except OSError as error:
            raise _not_started(command[0], error) from error
        try:
            if terminal and on_frame:
                return await _follow_terminal(process, terminal[0], secrets, on_line, on_frame)
            return await _follow(process, secrets, on_line)
        except BaseException:
            await asyncio.shield(_end_group(process))
            raise

    def _common(self) -> list[str]:
        return ["--no-config", "--cache-dir", self._cache_dir, "--no-python-downloads", "--color", "never"]

    def _environ(self, folder: str, secrets: Secrets) -> dict[str, str]:
        os.makedirs(os.path.join(folder, "cwd"), exist_ok=True)
        os.makedirs(os.path.join(folder, "tmp"), exist_ok=True)
        environ = {name: os.environ[name] for name in PASSED if name in os.environ}
        environ |= {"PATH": PATH, "TMPDIR": os.path.join(folder, "tmp"), "GIT_TERMINAL_PROMPT": "0"}
        environ |= {"UV_HTTP_TIMEOUT": str(self.timeout), "UV_HTTP_RETRIES": str(self.retries)}
        environ |= {"UV_SYSTEM_CERTS": "1"} if _has_certificates() else {}
        return environ | secrets.git_variables()


def _has_certificates() -> bool:
    """Whether the system says whom to trust: an index behind a company's own authority is then reached by uv as it is
    by everything else. Elsewhere (a bare container) uv has a list of its own."""
    places = ssl.get_default_verify_paths()
    return places.cafile is not None or (places.capath is not None and bool(os.listdir(places.capath)))


class _Netrc(NamedTuple):
    """What uv is told to read, and what it has to inherit for that."""

    path: str
    memory: BinaryIO | None = None


Terminal = tuple[int, int]


@contextlib.asynccontextmanager
async def _inherited(folder: str, secrets: Secrets, *, drawing: bool) -> AsyncIterator[tuple[_Netrc, Terminal | None]]:
    """What uv inherits, until it has: opened in a thread, and closed also where the caller is cancelled meanwhile. Our
    end of the terminal stays open, unless the block fails."""
    opening = asyncio.create_task(asyncio.to_thread(_open_all, folder, secrets, drawing))
    try:
        yield await asyncio.shield(opening)
    except BaseException:
        _, terminal = await finish_despite_cancel(opening)
        if terminal:
            os.close(terminal[0])
        raise
    finally:
        netrc, terminal = await finish_despite_cancel(opening)
        if netrc.memory:
            netrc.memory.close()
        if terminal:
            os.close(terminal[1])


def _open_all(folder: str, secrets: Secrets, drawing: bool) -> tuple[_Netrc, Terminal | None]:
    return _open_netrc(folder, secrets), open_terminal() if drawing else None


def _open_netrc(folder: str, secrets: Secrets) -> _Netrc:
    """In memory where the system can: a daemon that is killed leaves nothing of it behind. There always is one, for
    without it uv would read the user's own, and what counts of that is among the credentials already."""
    content = secrets.netrc().encode()
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        memory = open(os.memfd_create("netrc"), "wb", buffering=0)  # noqa: SIM115 - until uv has inherited it
        memory.write(content)
        return _Netrc(f"/proc/self/fd/{memory.fileno()}", memory)
    path = os.path.join(folder, "netrc")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    return _Netrc(path)


async def _follow(
    process: asyncio.subprocess.Process, secrets: Secrets, on_line: Callable[[str], None] | None
) -> ProcessResult:
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = await asyncio.gather(process.stdout.read(), _lines(process.stderr, secrets, on_line))
    status = await process.wait()
    return ProcessResult(status=status, stdout=stdout.decode("utf-8", "replace"), stderr=stderr)


async def _follow_terminal(
    process: asyncio.subprocess.Process,
    ours: int,
    secrets: Secrets,
    on_line: Callable[[str], None] | None,
    on_frame: Callable[[str], None],
) -> ProcessResult:
    assert process.stdout is not None
    lines: list[str] = []

    def take(line: str) -> None:
        if is_drawing(line):
            on_frame(line)
            return
        lines.append(secrets.redact(line))
        if on_line is not None:
            on_line(lines[-1])

    reader, transport = await connect(ours)
    try:
        stdout, _ = await asyncio.gather(process.stdout.read(), _frames(reader, take))
        status = await process.wait()
    finally:
        transport.close()
    return ProcessResult(status=status, stdout=stdout.decode("utf-8", "replace"), stderr="\n".join(lines))


async def _frames(reader: asyncio.StreamReader, take: Callable[[str], None]) -> None:
    frames = TerminalLines()
    while data := await read_some(reader):
        for line in frames.feed(data):
            take(line)
    take(frames.rest())


def _not_started(program: str, error: OSError) -> UvCrashedError:
    return UvCrashedError(
        f"{program} can't be started: {error.strerror}", hint="Reinstall roost: `pip install --force-reinstall uv`."
    )


async def _lines(stream: asyncio.StreamReader, secrets: Secrets, on_line: Callable[[str], None] | None) -> str:
    lines = []
    while raw := await stream.readline():
        line = secrets.redact(raw.decode("utf-8", "replace").rstrip())
        lines.append(line)
        if on_line is not None and line:
            on_line(line)
    return "\n".join(lines)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """SIGTERM for the group, a moment's grace for uv to take its locks back, then SIGKILL for whatever is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(process.wait()), _GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
