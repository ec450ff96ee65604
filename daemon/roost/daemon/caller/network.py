"""Proxy and certificates of the caller, for the connections that the daemon opens itself.

The rules are those of the standard library, which reads them from the environment of its process.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from roost.daemon.caller.current import caller_variables
from roost.store.disk.regular_files import require_regular


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
    """Return the system's certificates, or those of the caller's SSL_CERT_FILE and SSL_CERT_DIR. Blocks."""
    file, folder = certificate_paths()
    if file is None and folder is None:
        return ssl.create_default_context()
    if file is not None:
        require_regular(file)
    defaults = ssl.get_default_verify_paths()  # of OpenSSL's two defaults, each variable replaces its own
    return ssl.create_default_context(cafile=file or defaults.cafile, capath=folder or defaults.capath)


def certificate_paths() -> tuple[str | None, str | None]:
    """Return the caller's SSL_CERT_FILE and SSL_CERT_DIR."""
    variables = caller_variables()
    return variables.get("SSL_CERT_FILE"), variables.get("SSL_CERT_DIR")
