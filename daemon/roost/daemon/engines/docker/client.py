"""The Docker SDK in threads of its own: plain calls, and streams of progress that can be broken off.

A cancelled call is waited for (they are short); a cancelled stream has its connection cut, which is what tells the
engine to stop a build or a pull.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import docker
import requests
from docker.errors import create_api_error_from_http_exception
from docker.types import CancellableStream

from roost.daemon.engines.docker.address import Address, DockerConfig, find_engine
from roost.daemon.engines.docker.errors import translate, unreachable

T = TypeVar("T")
Json = dict[str, Any]
THREADS = 8
PIECE = 1 << 20
"""Bytes of a file that are sent at once."""
CALL_SECONDS = 60.0
"""Of silence, for a call that no stream answers."""


@dataclass(frozen=True)
class EngineRequest:
    """A request that is answered by a stream. ``body`` is made in the thread."""

    path: str
    doing: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Any] | None = None


class DockerClient:
    """One engine at a time, connected to when first asked for something."""

    def __init__(self, config: DockerConfig) -> None:
        self._config = config
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        self._making = threading.Lock()
        self._api: docker.APIClient | None = None
        self._address: Address | None = None

    def configure(self, config: DockerConfig) -> None:
        """Go by another config from now on."""
        if config != self._config:
            self._config, self._api, self._address = config, None, None

    def close(self) -> None:
        """Let go of connections and threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._api is not None:
            self._api.close()

    async def address(self) -> Address:
        """The engine's address. Raises what ``find_engine`` raises."""
        known = self._address
        return known if known is not None else await self._in_thread(self._find)

    async def call(self, action: Callable[[docker.APIClient], T], doing: str) -> T:
        """``action`` in a thread; ``doing`` is said if it fails. Raises errors of the roost tree only."""
        return await asyncio.shield(self._in_thread(lambda: self._guarded(action, doing)))

    async def stream(self, ask: EngineRequest, each: Callable[[Json], None]) -> None:
        """POST and hand each JSON object of the answer to ``each``, in a thread. Cutting off is cancelling."""
        await self.exchange(ask, lambda response: _objects(response, each))

    async def exchange(self, ask: EngineRequest, read: Callable[[requests.Response], T], method: str = "POST") -> T:
        """A request whose answer ``read`` reads as it comes, in a thread; cancelling cuts the connection."""
        cut = _Cut()
        work = asyncio.ensure_future(
            self._in_thread(lambda: self._guarded(lambda api: _exchange(api, method, ask, read, cut), ask.doing))
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            cut.now()
            with contextlib.suppress(Exception):
                await work
            raise

    async def _in_thread(self, action: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, action)

    def _guarded(self, action: Callable[[docker.APIClient], T], doing: str) -> T:
        address = self._find()
        try:
            return action(self._connected(address))
        except Exception as error:
            raise translate(error, address.url, doing) from error

    def _find(self) -> Address:
        if self._address is None:
            self._address = find_engine(self._config)
        return self._address

    def _connected(self, address: Address) -> docker.APIClient:
        with self._making:
            if self._api is None:
                _knock(address)
                self._api = _Api(
                    base_url=address.url, tls=address.tls or False, timeout=int(CALL_SECONDS), use_ssh_client=True
                )
        return self._api


class _Api(docker.APIClient):
    """The SDK, by the engine's address alone: ``REQUESTS_CA_BUNDLE`` would replace a context's own authority, and
    ``HTTP_PROXY`` lead elsewhere than the streams of our own go."""

    @property
    def trust_env(self) -> bool:
        return False

    @trust_env.setter
    def trust_env(self, _: bool) -> None:
        """requests sets it for each session."""


def _knock(address: Address) -> None:
    """The SDK tries again and again, and leaves a socket open each time: look first whether anybody is there."""
    if address.local:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            try:
                connection.connect(address.url.removeprefix("unix://"))
            except OSError as error:
                raise unreachable(address.url, error.strerror or str(error)) from error


class _Cut:
    """Cuts a response's connection, from another thread, before or after it has come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._response: requests.Response | None = None
        self.asked = False

    def take(self, response: requests.Response) -> None:
        with self._lock:
            self._response = response
            if self.asked:
                self._close()

    def now(self) -> None:
        with self._lock:
            self.asked = True
            self._close()

    def _close(self) -> None:
        if self._response is not None:
            with contextlib.suppress(Exception):
                CancellableStream(iter(()), self._response).close()


def _exchange(
    api: docker.APIClient, method: str, ask: EngineRequest, read: Callable[[requests.Response], T], cut: _Cut
) -> T:
    url = f"{api.base_url}/v{api.api_version}{ask.path}"
    body = ask.body() if ask.body else None
    data = _until(pieces(body), cut) if isinstance(body, Iterator) else body
    response = api.request(
        method, url, params=dict(ask.params), headers=dict(ask.headers), data=data, stream=True, timeout=None
    )
    cut.take(response)
    with contextlib.closing(response):
        _check(response)
        return read(response)


def _check(response: requests.Response) -> None:
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        raise create_api_error_from_http_exception(error) from error


def pieces(body: Iterator[bytes]) -> Iterator[bytes]:
    """A file in blocks: it would give its lines, of a byte or of all that it holds."""
    read = getattr(body, "read", None)
    return body if read is None else iter(lambda: read(PIECE), b"")


def _until(chunks: Iterable[bytes], cut: _Cut) -> Iterator[bytes]:
    for chunk in chunks:
        if cut.asked:
            raise ConnectionAbortedError("broken off")
        yield chunk


def _objects(response: requests.Response, each: Callable[[Json], None]) -> None:
    for line in response.iter_lines():
        if line.strip():
            each(json.loads(line))
