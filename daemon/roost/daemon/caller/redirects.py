"""Redirects that lead where a server must not send this machine: to itself, to its neighbours, or out of TLS.

A registry, channel or index that others run may redirect to ``http://127.0.0.1/…`` or to a cloud's metadata service,
which answers with credentials whoever asks from this machine (CWE-918). A server that is itself there may.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from roost.daemon.caller.network import find_proxy
from roost.model.errors import ServiceUnreachableError

_METADATA = frozenset(map(ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")))
"""Metadata services of clouds that are not at link-local addresses: Alibaba's, Oracle's, Amazon's and Google's."""
_METADATA_NAMES = frozenset(("metadata.google.internal", "metadata"))
_NAT64 = IPv6Network("64:ff9b::/96")


class RedirectRefusedError(ServiceUnreachableError):
    """A server redirects to an address of this machine, to a metadata service, or from https to something else."""

    code = "redirect-refused"
    retryable = False


async def check_redirect(source: str, target: str) -> None:
    """Raise RedirectRefusedError if the server of the URL ``source`` must not redirect to the URL ``target``.

    A target behind the caller's proxy is judged by its name, since the proxy resolves it. Resolving a name may take
    seconds; one that does not resolve fails later.
    """
    here, there = urlsplit(source), urlsplit(target)
    place = f"{there.scheme}://{there.hostname or ''}"
    if there.scheme != "https" and not (there.scheme == "http" and here.scheme == "http"):
        raise RedirectRefusedError(
            f"{here.hostname} redirects to {place}, which is not https",
            hint="The server, or a proxy in front of it, is wrongly configured: it must redirect to https.",
        )
    if await _is_inward(target) and not await _is_inward(source):
        raise RedirectRefusedError(
            f"{here.hostname} redirects to {place}, which is this machine or a neighbour that only it should reach",
            hint="Do not use that server, unless you run it: then name the address itself.",
        )


async def _is_inward(url: str) -> bool:
    split = urlsplit(url)
    host, port = (split.hostname or "").rstrip("."), split.port or 0
    if host == "localhost" or host.endswith(".localhost") or host in _METADATA_NAMES:
        return True
    numeric_only = socket.AI_NUMERICHOST if find_proxy(url) else 0
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=numeric_only)
    except (OSError, UnicodeError):
        return False
    return any(is_inward_address(str(each[4][0])) for each in found)


def is_inward_address(text: str) -> bool:
    """Return whether an IP address is a loopback, link-local or unspecified one, or that of a metadata service; also if
    it is written as IPv6 (RFC 4291, 2.5.5; RFC 6052)."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in _NAT64:
            address = IPv4Address(int(address) & 0xFFFFFFFF)
    return address.is_loopback or address.is_link_local or address.is_unspecified or address in _METADATA
