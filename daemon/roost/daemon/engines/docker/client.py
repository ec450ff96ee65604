"""The Docker SDK in a thread pool: plain calls, and streamed responses that can be cancelled.

A cancelled call is awaited (calls are short). A cancelled stream has its connection cut, which makes the engine stop a
build or a pull.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import docker
import requests
from docker.errors import create_api_error_from_http_exception
from docker.types import CancellableStream

from roost.daemon.caller.current import process_environment
from roost.daemon.engines.docker.address import Address, find_engine
from roost.daemon.engines.docker.errors import unreachable_error
from roost.daemon.engines.docker.translation import translate_error
from roost.daemon.engines.docker.values import DockerConfig, EngineFacts, Json

T = TypeVar("T")
THREADS = 8
PIECE = 1 << 20
"""Bytes of a file that are sent at once."""
CALL_SECONDS = 60.0
"""Seconds without a byte after which a plain call fails; streams have no such limit."""


@dataclass(frozen=True)
class EngineRequest:
    """A request whose response is a stream. ``doing`` describes it for errors; ``body`` is called in the thread."""

    path: str
    doing: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Any] | None = None


class DockerClient:
    """Connection to the configured engine, opened at the first request."""

    def __init__(self, config: DockerConfig) -> None:
        self.config = config
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        self._connect_lock = threading.Lock()
        self._api: docker.APIClient | None = None
        self._address: Address | None = None
        self._facts: tuple[str, EngineFacts] | None = None

    def configure(self, config: DockerConfig) -> None:
        """Use ``config`` from the next request on."""
        if (config.host, config.context, config.variables) != (
            self.config.host,
            self.config.context,
            self.config.variables,
        ):
            self._api, self._address = None, None
        self.config = config

    def close(self) -> None:
        """Close connections and threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._api is not None:
            self._api.close()

    async def address(self) -> Address:
        """Return the engine's address. Raises: the errors of ``find_engine``."""
        known = self._address
        return known if known is not None else await self._run_in_thread(self._find_address)

    async def facts(self) -> EngineFacts:
        """Return the engine's version and properties, requested once for each address.

        Raises: EngineUnreachableError.
        """
        address = await self.address()
        if self._facts is None or self._facts[0] != address.url:
            self._facts = address.url, await self.call(_read_facts, "asking what it is")
        return self._facts[1]

    async def call(self, action: Callable[[docker.APIClient], T], doing: str) -> T:
        """Run ``action`` in a thread. ``doing`` describes it for errors. Raises: errors of the roost tree only."""
        return await asyncio.shield(self._run_in_thread(lambda: self._run_translated(action, doing)))

    async def stream(self, request: EngineRequest, each: Callable[[Json], None]) -> None:
        """Send a POST request and call ``each`` in a thread with each JSON object of the response.

        Cancelling cuts the connection.
        """
        await self.exchange(request, lambda response: _read_objects(response, each))

    async def exchange(self, request: EngineRequest, read: Callable[[requests.Response], T], method: str = "POST") -> T:
        """Send a request and read its response with ``read``, in a thread. Cancelling cuts the connection."""
        cut = _ConnectionCut()
        work = asyncio.ensure_future(
            self._run_in_thread(
                lambda: self._run_translated(lambda api: _exchange(api, method, request, read, cut), request.doing)
            )
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            cut.cut()
            with contextlib.suppress(Exception):
                await work
            raise

    async def _run_in_thread(self, action: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, contextvars.copy_context().run, action)

    def _run_translated(self, action: Callable[[docker.APIClient], T], doing: str) -> T:
        address = self._find_address()
        try:
            return action(self._connect(address))
        except Exception as error:
            raise translate_error(error, address.url, doing) from error

    def _find_address(self) -> Address:
        if self._address is None:
            self._address = find_engine(self.config)
        return self._address

    def _connect(self, address: Address) -> docker.APIClient:
        with self._connect_lock:
            if self._api is None:
                _check_socket(address)
                if address.url.startswith("ssh://"):
                    _use_callers_ssh()
                self._api = _Api(
                    base_url=address.url, tls=address.tls or False, timeout=int(CALL_SECONDS), use_ssh_client=True
                )
        return self._api


class _Api(docker.APIClient):
    """The SDK's client without requests' environment variables.

    ``REQUESTS_CA_BUNDLE`` would replace the authority of a Docker context, and ``HTTP_PROXY`` would lead elsewhere than
    the streams that roost opens itself.
    """

    @property
    def trust_env(self) -> bool:
        return False

    @trust_env.setter
    def trust_env(self, _: bool) -> None:
        """Ignore the assignment that requests makes for each session."""


def _use_callers_ssh() -> None:
    """Let the SDK start ssh with the variables of the caller, for their agent: it has no option for them."""
    from docker.transport import sshconn

    if sshconn.SSHSocket.__name__ == "CallersSSHSocket":
        return

    class CallersSSHSocket(sshconn.SSHSocket):
        """The SDK's socket, which starts ``ssh`` with the variables of its own process."""

        def connect(self, **_: object) -> None:  # type: ignore[override]
            options = [*(("-l", self.user) if self.user else ()), *(("-p", str(self.port)) if self.port else ())]
            self.proc = subprocess.Popen(
                ["ssh", *options, "--", self.host, "docker system dial-stdio"],
                env=process_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )

    setattr(sshconn, "SSHSocket", CallersSSHSocket)  # noqa: B010 - mypy takes an assignment for one to a type


def _check_socket(address: Address) -> None:
    """Raise EngineUnreachableError if no process listens on a local socket.

    The SDK would retry many times and leak a socket each time.
    """
    if address.local:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            try:
                connection.connect(address.url.removeprefix("unix://"))
            except OSError as error:
                raise unreachable_error(address.url, error.strerror or str(error)) from error


def _read_facts(api: docker.APIClient) -> EngineFacts:
    version, info = api.version(), api.info()
    return EngineFacts(
        version=version["Version"],
        api=version["ApiVersion"],
        os=version["Os"],
        architecture=version["Arch"],
        driver=info.get("Driver", ""),
        containerd=["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or []),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or []),
    )


class _ConnectionCut:
    """Cuts a response's connection from another thread, whether the response has arrived yet or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._response: requests.Response | None = None
        self.requested = False

    def attach(self, response: requests.Response) -> None:
        """Set the response to cut; cut it at once if that was requested before."""
        with self._lock:
            self._response = response
            if self.requested:
                self._close()

    def cut(self) -> None:
        """Cut the connection now, or as soon as there is a response."""
        with self._lock:
            self.requested = True
            self._close()

    def _close(self) -> None:
        if self._response is not None:
            with contextlib.suppress(Exception):
                CancellableStream(iter(()), self._response).close()


def _exchange(
    api: docker.APIClient,
    method: str,
    request: EngineRequest,
    read: Callable[[requests.Response], T],
    cut: _ConnectionCut,
) -> T:
    url = f"{api.base_url}/v{api.api_version}{request.path}"
    body = request.body() if request.body else None
    data = _until_cut(split_body(body), cut) if isinstance(body, Iterator) else body
    response = api.request(
        method, url, params=dict(request.params), headers=dict(request.headers), data=data, stream=True, timeout=None
    )
    cut.attach(response)
    with contextlib.closing(response):
        try:
            response.raise_for_status()
        except requests.HTTPError as error:
            raise create_api_error_from_http_exception(error) from error
        return read(response)


def split_body(body: Iterator[bytes]) -> Iterator[bytes]:
    """Return ``body`` in pieces; a file in blocks, since iterating it would yield lines of any size."""
    read = getattr(body, "read", None)
    return body if read is None else iter(lambda: read(PIECE), b"")


def _until_cut(chunks: Iterable[bytes], cut: _ConnectionCut) -> Iterator[bytes]:
    for chunk in chunks:
        if cut.requested:
            raise ConnectionAbortedError("interrupted")
        yield chunk


def _read_objects(response: requests.Response, each: Callable[[Json], None]) -> None:
    for line in response.iter_lines():
        if line.strip():
            each(json.loads(line))
