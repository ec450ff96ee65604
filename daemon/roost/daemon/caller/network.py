"""Proxy and certificates of the caller, for the connections that the daemon opens itself.

The rules are those of the standard library, which reads them from the environment of its process.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import threading
from collections.abc import Hashable, Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from roost.daemon.caller.current import caller_variables
from roost.store.disk.regular_files import require_regular

_OBJECT = re.compile(r" ssl:(?:<[^>]*>|\w+)")
_MOST_CONTEXTS = 2
"""Each has the certificates parsed: half a megabyte."""
_contexts: dict[Hashable, ssl.SSLContext] = {}
"""By what they were made of. A context is changed by nobody."""
_contexts_lock = threading.Lock()


def find_proxy(url: str) -> str | None:
    """Return the URL of the caller's proxy for ``url``; ``None`` without one, or if ``no_proxy`` excludes the host.

    SOCKS proxies are left to uv and rattler: connections of the daemon itself do not go through them.
    """
    proxies = _proxies(caller_variables())
    split = urlsplit(url)
    proxy = proxies.get(split.scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(split.netloc.rpartition("@")[2], proxies):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    return proxy if proxy.lower().startswith(("http://", "https://")) else None


def _proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """Return scheme to proxy, as ``urllib.request.getproxies_environment`` does: lower case takes precedence."""
    found: dict[str, str] = {}
    for name, value in sorted(variables.items(), key=lambda item: item[0].islower()):
        scheme, mark, rest = name.lower().rpartition("_")
        if mark and rest == "proxy":
            found[scheme] = value
    return found


def create_tls_context() -> ssl.SSLContext:
    """Return the system's certificates, or those of the caller's SSL_CERT_FILE and SSL_CERT_DIR. Blocks.

    Parsing them takes as long as a small solve, so a context is used again until one of its files changes.
    """
    file, folder = certificate_paths()
    if file is not None:
        require_regular(file)
    defaults = ssl.get_default_verify_paths()  # of OpenSSL's two defaults, each variable replaces its own
    cafile, capath = file or defaults.cafile, folder or defaults.capath
    key = (file, folder, _find_state(cafile), *(_find_state(path) for path in _list_certificates(capath)))
    with _contexts_lock:
        context = _contexts.pop(key, None)
        if context is None:
            is_own = file is not None or folder is not None
            context = ssl.create_default_context(cafile=cafile if is_own else None, capath=capath if is_own else None)
        _contexts[key] = context  # the last one is the one that was used last
        if len(_contexts) > _MOST_CONTEXTS:
            del _contexts[next(iter(_contexts))]
    return context


def _list_certificates(folders: str | None) -> list[str]:
    """Return the paths of all files in ``folders``, which are separated as in PATH."""
    found = []
    for folder in (folders or "").split(os.pathsep):
        with contextlib.suppress(OSError):  # without a folder there are no files in it, either
            found += [entry.path for entry in os.scandir(folder)]
    return sorted(found)


def _find_state(path: str | None) -> tuple[object, ...]:
    """Return what changes with the content of a file."""
    try:
        found = os.stat(path or "")
    except OSError:
        return (path,)
    return path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def describe_failure(error: BaseException) -> str:
    """Return why a connection failed, in one line without addresses of objects, which aiohttp puts into its texts."""
    # aiohttp's ClientConnectorCertificateError and ClientConnectorError have what happened in these
    error = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "verify_message", "") or error.reason or error)[:200]
    if isinstance(error, OSError) and error.strerror:
        # asyncio's own text has the address again; the resolver's numbers are negative, and no errno.
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    text = _OBJECT.sub("", next(iter(str(error).splitlines()), ""))
    return text[:200] or type(error).__name__


def certificate_paths() -> tuple[str | None, str | None]:
    """Return the caller's SSL_CERT_FILE and SSL_CERT_DIR."""
    variables = caller_variables()
    return variables.get("SSL_CERT_FILE"), variables.get("SSL_CERT_DIR")
