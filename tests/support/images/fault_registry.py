"""A registry that does what a test tells it to: an aiohttp server with just enough of the protocol, and faults.

``faults`` maps ``METHOD path-ending`` to what is done instead; every request is noted with its headers.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from roost.daemon.engines.registry.engine import RegistryClient

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OCI = "application/vnd.oci.image.manifest.v1+json"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class OneEngine:
    """Of all engines, a client of registries."""

    def __init__(self, registry: RegistryClient) -> None:
        self._registry = registry

    async def registry(self) -> RegistryClient:
        return self._registry


class FaultRegistry:
    """One server on loopback."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.faults: dict[str, Handler] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.uploads: dict[str, bytearray] = {}
        self.host = ""

    def count(self, method: str, ending: str = "") -> int:
        return sum(1 for m, path, _ in self.requests if m == method and path.endswith(ending))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.headers)))
        for key, fault in self.faults.items():
            method, _, ending = key.partition(" ")
            if request.method == method and request.path.endswith(ending):
                return await fault(request)
        return await self.honest(request)

    async def honest(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/v2/":
            return web.json_response({})
        if "/manifests/" in path:
            return await self._manifest(request, path.rpartition("/")[2])
        if "/blobs/uploads/" in path:
            return await self._upload(request)
        if "/blobs/" in path:
            return self._blob(request, path.rpartition("/")[2])
        return web.Response(status=404)

    async def _manifest(self, request: web.Request, name: str) -> web.Response:
        if request.method == "PUT":
            data = self.manifests[name] = await request.read()
            return web.Response(status=201, headers={"Docker-Content-Digest": digest(data)})
        if name not in self.manifests:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no"}]}, status=404)
        data = self.manifests[name]
        return web.Response(body=data, headers={"Content-Type": OCI, "Docker-Content-Digest": digest(data)})

    def _blob(self, request: web.Request, name: str) -> web.Response:
        if name not in self.blobs:
            return web.json_response({"errors": [{"code": "BLOB_UNKNOWN"}]}, status=404)
        data, headers, status = self.blobs[name], {}, 200
        if "Range" in request.headers:
            start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return web.Response(status=416)
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data, status = data[start:], 206
        return web.Response(body=data, headers=headers, status=status)

    async def _upload(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            name = f"u{len(self.uploads)}"
            self.uploads[name] = bytearray()
            return self._progress(name)
        name = request.path.rpartition("/")[2]
        if name not in self.uploads:
            return web.json_response({"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}, status=404)
        if request.method == "DELETE":
            del self.uploads[name]
            return web.Response(status=204)
        held = self.uploads[name]
        if request.method == "PATCH":
            start, _, _ = request.headers.get("Content-Range", f"{len(held)}-").partition("-")
            if int(start) != len(held):
                return web.Response(status=416)
            held += await request.read()
            return self._progress(name)
        if request.method == "GET":
            return self._progress(name, status=204)
        wanted, data = request.query["digest"], bytes(held)
        if digest(data) != wanted:
            return web.json_response({"errors": [{"code": "DIGEST_INVALID"}]}, status=400)
        self.blobs[wanted] = data
        return web.Response(status=201)

    def _progress(self, name: str, status: int = 202) -> web.Response:
        held = len(self.uploads[name])
        headers = {"Location": f"/v2/x/blobs/uploads/{name}", "Range": f"0-{max(0, held - 1)}"}
        return web.Response(status=status, headers=headers)


def status(number: int, **headers: str) -> Handler:
    """Always that status."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=number, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def times(count: int, first: Handler, then: Handler) -> Handler:
    """``first`` so many times, and ``then`` from there on."""
    left = [count]

    async def answer(request: web.Request) -> web.StreamResponse:
        left[0] -= 1
        return await (first if left[0] >= 0 else then)(request)

    return answer


async def hang(request: web.Request) -> web.Response:
    """Say nothing for long."""
    await asyncio.sleep(60)
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def truncated(data: bytes, length: int, *, told: int | None = None) -> Handler:
    """Say ``told`` bytes (all), send ``length`` and hang up; what a range asks for is heeded."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(told or len(data))})
        await response.prepare(request)
        await response.write(data[:length])
        assert request.transport is not None
        await asyncio.sleep(0.05)
        request.transport.close()
        return response

    return answer


def broken_off(server: FaultRegistry, length: int) -> Handler:
    """Take ``length`` bytes of what is sent, and hang up."""

    async def answer(request: web.Request) -> web.StreamResponse:
        held = server.uploads[request.path.rpartition("/")[2]]
        held += await request.content.readexactly(length)
        return await cut(request)

    return answer


def stuck(server: FaultRegistry, otherwise: Handler | None = None) -> Handler:
    """Honest but for ``Range``, which stays where it was when it was first told of an upload, as Amazon ECR's does."""
    told: dict[str, str] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await (otherwise or server.honest)(request)
        if "Range" in response.headers:
            response.headers["Range"] = told.setdefault(request.path, response.headers["Range"])
        return response

    return answer


def whole_only(server: FaultRegistry) -> Handler:
    """No part of a blob is taken, nor anything behind one, as Google Artifact Registry has it."""
    begun: set[str] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "Content-Range" in request.headers or request.path in begun:
            return web.json_response({"errors": [{"code": "UNSUPPORTED"}]}, status=400)
        begun.add(request.path)
        return await server.honest(request)

    return answer


def at_most(server: FaultRegistry, length: int) -> Handler:
    """No larger body, as a proxy in front of a registry has it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if int(request.headers["Content-Length"]) > length:
            return web.Response(status=413)
        return await server.honest(request)

    return answer


@asynccontextmanager
async def fault_registry() -> AsyncIterator[FaultRegistry]:
    """A running one, empty and honest."""
    made = FaultRegistry()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    made.host = f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        await runner.cleanup()
