"""An HTTP proxy on loopback that records what is requested through it, with or without a password."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from urllib.request import ProxyHandler as NoProxies
from urllib.request import Request, build_opener


class RecordingProxy:
    """Forwards ``GET`` and ``HEAD`` of http, and tunnels ``CONNECT``. Hosts named ``*.test`` are this machine."""

    def __init__(self, password: str | None = None) -> None:
        self.requested: list[str] = []
        self.refused: list[str] = []
        self.password = password
        self.failing: threading.Event | None = None
        """If set, wheels wait for the event, and fail then."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _create_handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        user = f"user:{self.password}@" if self.password else ""
        return f"http://{user}{host!s}:{port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def recording_proxy(password: str | None = None) -> Iterator[RecordingProxy]:
    """A proxy while the block runs."""
    made = RecordingProxy(password)
    try:
        yield made
    finally:
        made.close()


def _create_handler(proxy: RecordingProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: object) -> None: ...

        def do_GET(self) -> None:
            if not self._is_allowed():
                return
            proxy.requested.append(self.path)
            if proxy.failing is not None and self.path.endswith(".whl"):
                proxy.failing.wait(60)
                self.send_error(502)
                return
            split = urlsplit(self.path)
            url = f"http://127.0.0.1:{split.port or 80}{split.path}"
            headers = {name: value for name, value in self.headers.items() if name.lower() in ("accept", "range")}
            request = Request(url, headers=headers, method=self.command)
            try:
                with build_opener(NoProxies({})).open(request, timeout=30) as answer:
                    status, found, data = answer.status, answer.headers, answer.read()
            except OSError as error:
                status, found, data = getattr(error, "code", 502), {}, b""
            self.send_response(status)
            for name in ("Content-Type", "Content-Range", "Accept-Ranges", "ETag"):
                if found.get(name):
                    self.send_header(name, found[name])
            self.send_header("Content-Length", found.get("Content-Length") or str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_HEAD = do_GET

        def do_CONNECT(self) -> None:
            if not self._is_allowed():
                return
            proxy.requested.append(self.path)
            port = int(self.path.rpartition(":")[2])
            with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as other:
                self.send_response(200)
                self.end_headers()
                _relay(self.connection, other)
            self.close_connection = True

        def _is_allowed(self) -> bool:
            wanted = "Basic " + base64.b64encode(f"user:{proxy.password}".encode()).decode()
            if proxy.password is None or self.headers.get("Proxy-Authorization") == wanted:
                return True
            proxy.refused.append(self.path)
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False

    return Handler


def _relay(one: socket.socket, other: socket.socket) -> None:
    pairs = {one: other, other: one}
    while True:
        for ready in select.select(list(pairs), [], [], 30)[0] or [None]:
            data = ready.recv(65536) if ready is not None else b""
            if not data:
                return
            pairs[ready].sendall(data)
