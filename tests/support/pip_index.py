"""A package index on loopback (PEP 503), with tiny distributions of its own making and faults on command."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
import time
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BACKEND = """
import os, pathlib, zipfile
def _traces():
    with open({trace!r}, "a") as file:
        file.write("ran\\n")
_traces()
def _wheel(folder):
    exec(open("extra.py").read()) if os.path.exists("extra.py") else None
    name = "{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        info = "{module}-{version}.dist-info"
        wheel.writestr(zipfile.ZipInfo("{module}.py", (2020, 1, 1, 0, 0, 0)), "value = '{version} built'\\n")
        wheel.writestr(zipfile.ZipInfo(info + "/METADATA", (2020, 1, 1, 0, 0, 0)),
            "Metadata-Version: 2.1\\nName: {module}\\nVersion: {version}\\n")
        wheel.writestr(zipfile.ZipInfo(info + "/WHEEL", (2020, 1, 1, 0, 0, 0)),
            "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(zipfile.ZipInfo(info + "/RECORD", (2020, 1, 1, 0, 0, 0)),
            "{module}.py,,\\n" + info + "/METADATA,,\\n" + info + "/WHEEL,,\\n" + info + "/RECORD,,\\n")
    return name
def build_wheel(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder)
def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder)
def get_requires_for_build_wheel(config_settings=None):
    return {dynamic!r}
"""


def backend_files(
    name: str,
    version: str,
    trace: str,
    *,
    static: bool = False,
    build_requires: tuple[str, ...] = (),
    dynamic: tuple[str, ...] = (),
) -> dict[str, str]:
    """A project that appends a line to ``trace`` each time its code runs.

    Its build needs ``build_requires``, and ``dynamic`` once its backend is asked.
    """
    project = f'[project]\nname = "{name}"\nversion = "{version}"\n' if static else ""
    build = (
        f'[build-system]\nrequires = {json.dumps(build_requires)}\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    backend = BACKEND.format(trace=trace, module=name.replace("-", "_"), version=version, dynamic=list(dynamic))
    return {"pyproject.toml": project + build, "backend.py": backend}


def wheel_bytes(name: str, version: str, requires: tuple[str, ...] = (), code: str = "") -> tuple[str, bytes]:
    """File name and content of a wheel with one module."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{module}.py": code or f"value = {version!r}\n",
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {line}\n" for line in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in files.items())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
    return f"{module}-{version}-py3-none-any.whl", buffer.getvalue()


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def sdist_bytes(
    name: str,
    version: str,
    trace: str,
    *,
    requires: tuple[str, ...] | None = None,
    build_requires: tuple[str, ...] = (),
    dynamic: tuple[str, ...] = (),
    tampered: str = "",
) -> tuple[str, bytes]:
    """File name and content of an sdist that has to be built; with ``requires`` its metadata is static."""
    stem = f"{name}-{version}"
    files = backend_files(name, version, trace, build_requires=build_requires, dynamic=dynamic)
    files["PKG-INFO"] = f"Metadata-Version: {'2.1' if requires is None else '2.2'}\nName: {name}\nVersion: {version}\n"
    files["PKG-INFO"] += "".join(f"Requires-Dist: {line}\n" for line in requires or ())
    files |= {"tampered.txt": tampered} if tampered else {}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"{stem}.tar.gz", buffer.getvalue()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # of more connections at once than five, the sixth would wait a second
    daemon_threads = True


class PipIndex:
    """Serves ``/simple/<name>/`` and ``/files/<file>``; ``text`` are further paths (remote requirements files)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.projects: dict[str, list[str]] = {}
        self.uploaded: dict[str, str] = {}
        """File to the time of its upload; with any, pages are in JSON (PEP 691), since others have no times."""
        self.text: dict[str, str] = {}
        self.wrong_digests: set[str] = set()
        self.truncated: set[str] = set()
        self.hanging: set[str] = set()
        self.password: str | None = None
        self.below = ""
        """What each path must begin with, such as ``/token``."""
        self.asked: Counter[str] = Counter()
        self.let_go = threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def do_HEAD(self) -> None:
                index.answer(self)

            def log_message(self, *_: object) -> None: ...

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/simple"

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, name: str, made: tuple[str, bytes]) -> str:
        """Offer a file; its sha256."""
        self.projects.setdefault(name, []).append(made[0])
        self.files[made[0]] = made[1]
        return hashlib.sha256(made[1]).hexdigest()

    def wheel(self, name: str, version: str, *requires: str) -> str:
        return self.add(name, wheel_bytes(name, version, requires))

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked[request.path] += 1
        if not request.path.startswith(self.below):
            request.send_error(404)
            return
        kind, _, name = request.path.removeprefix(self.below).strip("/").partition("/")
        if self.password is not None and not self._allowed(request):
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="index"')
            request.send_header("Content-Length", "0")
            request.end_headers()
        elif request.path in self.text:
            self._send(request, self.text[request.path].encode(), "text/plain")
        elif kind == "simple" and self._hangs(f"/simple/{name}/"):
            return
        elif kind == "simple" and name in self.projects and self.uploaded:
            self._send(request, self._json_page(name).encode(), "application/vnd.pypi.simple.v1+json")
        elif kind == "simple" and name in self.projects:
            self._send(request, self._page(name).encode(), "text/html")
        elif kind == "files" and name in self.files:
            self._file(request, name)
        else:
            request.send_error(404)

    def _allowed(self, request: BaseHTTPRequestHandler) -> bool:
        expected = base64.b64encode(f"somebody:{self.password}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {expected}"

    def _page(self, name: str) -> str:
        lines = []
        for file in self.projects[name]:
            sha256 = "0" * 64 if file in self.wrong_digests else hashlib.sha256(self.files[file]).hexdigest()
            lines.append(f'<a href="{self.below}/files/{file}#sha256={sha256}">{file}</a><br>')
        return f"<!DOCTYPE html><html><body>{''.join(lines)}</body></html>"

    def _json_page(self, name: str) -> str:
        files = [
            {
                "filename": file,
                "url": f"{self.below}/files/{file}",
                "hashes": {"sha256": hashlib.sha256(self.files[file]).hexdigest()},
                "upload-time": self.uploaded.get(file, "2020-01-01T00:00:00Z"),
            }
            for file in self.projects[name]
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files})

    def _hangs(self, name: str) -> bool:
        """Wait as long as ``name`` hangs; return whether it still does when the waiting ends."""
        deadline = time.monotonic() + 60
        while name in self.hanging and not self.let_go.is_set() and time.monotonic() < deadline:
            time.sleep(0.02)
        return name in self.hanging

    def _file(self, request: BaseHTTPRequestHandler, name: str) -> None:
        if self._hangs(name):
            return
        content = self.files[name]
        self._send(
            request, content, "application/octet-stream", cut=len(content) // 2 if name in self.truncated else None
        )

    def _send(self, request: BaseHTTPRequestHandler, content: bytes, kind: str, cut: int | None = None) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        if kind == "application/octet-stream":  # as the large indexes do: a file never changes
            request.send_header("Cache-Control", "max-age=365000000, immutable")
            request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content[:cut])
