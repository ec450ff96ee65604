"""Package URLs (purl-spec, https://github.com/package-url/purl-spec) and download addresses without secrets. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from packageurl import PackageURL

from roost.daemon.credentials.redaction import redact
from roost.model.locks.lock import CondaPackage, Jar, RPackage, Wheel
from roost.model.syntax.urls import strip_credentials
from roost.wire.visible import make_visible

_SCHEMES = ("http", "https", "ftp")
_UNRESERVED = "%/:?#[]@!$&'()*+,;=~-._"
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def public_url(url: str | None) -> str:
    """Return an address as others may read it: without credentials, in ASCII; empty if it is a file of this machine, or
    no address that somebody else can open."""
    if not url or "${" in url:
        return ""
    bare = redact(strip_credentials(make_visible(url))[0])
    try:
        parts = urlsplit(bare)
    except ValueError:
        return ""
    if parts.scheme.lower() not in _SCHEMES or not _HOST.fullmatch(parts.netloc):
        return ""
    return quote(bare, safe=_UNRESERVED)


def source_reference(url: str | None, commit: str) -> str:
    """Return ``git+URL@COMMIT`` for a repository, as SPDX and pip write it; empty without a public address."""
    address = public_url((url or "").removeprefix("git+"))
    return f"git+{address}@{quote(commit, safe='')}" if address and commit else ""


def conda_purl(package: CondaPackage) -> str:
    """Return ``pkg:conda/NAME@VERSION?build=…&channel=…&subdir=…&type=…``."""
    return _format_purl(
        "conda",
        package.name.lower(),
        package.version,
        build=package.build,
        channel=channel_name(package),
        subdir=package.subdir,
        type="conda" if package.file_name.endswith(".conda") else "tar.bz2",
    )


def channel_name(package: CondaPackage) -> str:
    """Return the last part of the channel's address: ``conda-forge``, ``main``; empty if there is none."""
    path = strip_credentials(package.url)[0].partition("://")[2].partition("?")[0]
    _, *parts = path.split("/")
    return redact(parts[-3]) if len(parts) > 2 else ""


def wheel_purl(wheel: Wheel) -> str:
    """Return ``pkg:pypi/NAME@VERSION``, with the file of a wheel, and where it came from if that is no index."""
    source = wheel.source
    vcs = source_reference(source.url, source.commit) if source is not None and source.kind == "git" else ""
    direct = wheel.kind == "url" or (source is not None and source.kind == "sdist" and wheel.kind != "index")
    address = wheel.url or (source.url if source is not None else None)
    return _format_purl(
        "pypi",
        wheel.name,
        wheel.version,
        vcs_url=vcs,
        download_url=public_url(address) if direct and not vcs else "",
        file_name="" if vcs else wheel.file_name,
    )


def jar_purl(jar: Jar) -> str:
    return _format_purl("maven", jar.name, jar.version, namespace=jar.group, classifier=jar.classifier)


def r_purl(package: RPackage) -> str:
    return _format_purl("cran", package.name, package.version)


def image_purl(reference: str, digest: str) -> str:
    """Return ``pkg:oci/NAME@DIGEST?repository_url=…&tag=…`` for an image whose config has ``digest``."""
    place, _, tag = reference.partition("@")[0].rpartition(":")
    if not place or "/" in tag:
        place, tag = reference.partition("@")[0], ""
    return _format_purl("oci", place.rpartition("/")[2].lower(), digest, repository_url=place.lower(), tag=tag)


def python_purl(implementation: str, version: str) -> str:
    return _format_purl("generic", implementation, version)


def _format_purl(ecosystem: str, name: str, version: str, /, *, namespace: str = "", **qualifiers: str) -> str:
    """Return a package URL; empty if the name can't be in one."""
    chosen = {key: make_visible(value) for key, value in qualifiers.items() if value}
    try:
        purl = PackageURL(
            ecosystem, make_visible(namespace) or None, make_visible(name), make_visible(version) or None, chosen
        )
        return str(purl.to_string())
    except (ValueError, TypeError):  # the latter for a name of which its normal form leaves nothing
        return ""
