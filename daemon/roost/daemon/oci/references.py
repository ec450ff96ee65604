"""References to images, and digests. Pure.

Sources: Docker's reference grammar (distribution/reference) and its rule for what is a host (``splitDockerDomain``),
OCI distribution specification 1.1, OCI image specification 1.1 (descriptor.md).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re

import msgspec

from roost.model.errors import InvalidDefinitionError

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_HOST = "index.docker.io"
_OFFICIAL = "library/"
_NAME_LIMIT = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?", re.ASCII)
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)


class ReferenceInvalidError(InvalidDefinitionError):
    """Text is not a valid image reference, digest or platform."""

    code = "reference-invalid"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A repository on a host, with a tag, a digest, both (the digest takes precedence) or neither (``latest``)."""

    host: str
    """With the port, if one is given."""
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def tag_or_digest(self) -> str:
        """Last part of the manifest's URL: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or DEFAULT_TAG

    def with_tag(self, tag: str) -> Reference:
        """Return the reference to ``tag`` in the same repository. Raises: ReferenceInvalidError if it is invalid."""
        if not _TAG.fullmatch(tag):
            raise ReferenceInvalidError(f"{tag!r} is not a valid tag", hint="Up to 128 of A-Z a-z 0-9 _ . and -.")
        return Reference(host=self.host, repository=self.repository, tag=tag)

    def with_digest(self, digest: str) -> Reference:
        """Return the reference to ``digest`` in the same repository. Raises: ReferenceInvalidError if it is invalid."""
        check_digest(digest)
        return Reference(host=self.host, repository=self.repository, digest=digest)

    def __str__(self) -> str:
        """Return the complete reference; ``parse_reference`` parses it to an equal one."""
        tag = f":{self.tag}" if self.tag else ""
        return self.name + tag + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Parse ``text`` as ``docker pull`` does. Raises: ReferenceInvalidError, with the fault, if it is invalid."""
    rest, at, digest = text.partition("@")
    if at:
        check_digest(digest, text)
    name, tag = _split_tag(rest)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _invalid(text, f"{tag!r} is not a valid tag")
    if re.fullmatch(r"[0-9a-f]{64}", name):
        raise _invalid(text, "64 hex digits are an image's id, not a name")
    host, repository = split_host(name)
    if not _HOST.fullmatch(host):
        raise _invalid(text, f"{host!r} is not a valid host")
    if not _REPOSITORY.fullmatch(repository):
        raise _invalid(text, _repository_fault(repository))
    if len(repository) > _NAME_LIMIT:
        raise _invalid(text, f"the name is longer than {_NAME_LIMIT} characters")
    return Reference(host=host, repository=repository, tag=tag, digest=digest or None)


def _repository_fault(repository: str) -> str:
    if repository != repository.lower():
        return f"repository {repository!r} has upper case letters"
    return f"{repository!r} is not a valid repository" if repository else "no repository is named"


def _split_tag(rest: str) -> tuple[str, str | None]:
    """Split a tag off: a colon after the last slash begins a tag, one before it a port."""
    head, colon, tag = rest.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (rest, None)


def split_host(name: str) -> tuple[str, str]:
    """Split a name without tag and digest into host and repository.

    Docker's rule: the first part is a host if it has a dot, a colon or an upper case letter, or is ``localhost``; else
    the host is Docker's own.
    """
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and (any(c in first for c in ".:[") or first == "localhost" or first != first.lower())
    host, repository = (first, rest) if is_host else (DEFAULT_HOST, name)
    if host == _LEGACY_HOST:
        host = DEFAULT_HOST
    if host == DEFAULT_HOST and "/" not in repository and repository:
        repository = _OFFICIAL + repository
    return host, repository


def is_loopback(host: str) -> bool:
    """Return whether ``host`` (with or without port) can only be this machine; such registries use plain http."""
    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def familiar_name(reference: Reference) -> str:
    """Return the short form that people write (``debian:12``)."""
    name = reference.name
    if reference.host == DEFAULT_HOST:
        # a first part that looks like a host must keep the real one in front
        short = reference.repository.removeprefix(_OFFICIAL)
        name = short if split_host(short) == (DEFAULT_HOST, reference.repository) else name
    return str(reference).replace(reference.name, name, 1)


def _invalid(text: str, fault: str) -> ReferenceInvalidError:
    return ReferenceInvalidError(
        f"{text!r} is not a valid image reference: {fault}", hint="Write [HOST[:PORT]/]NAME[:TAG][@sha256:…]."
    )


def check_digest(digest: str, text: str | None = None) -> str:
    """Return ``digest`` if it is valid. ``text``: the reference to show in the error.

    Raises: ReferenceInvalidError if it is not.
    """
    if not is_digest(digest):
        raise _invalid(text or digest, f"{digest!r} is not a valid digest")
    return digest


def is_digest(text: str) -> bool:
    """Return whether ``text`` is ``sha256:`` and 64 lower-case hex digits, or ``sha512:`` and 128."""
    return _DIGEST.fullmatch(text) is not None


def digest_of(data: bytes) -> str:
    """Return ``sha256:…`` of ``data``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_like(expected: str, data: bytes) -> str:
    """Return the digest of ``data`` by the algorithm of the digest ``expected``.

    An algorithm that is not in the specification gives a sha256, which is never equal to ``expected``.
    """
    return "sha512:" + hashlib.sha512(data).hexdigest() if expected.startswith("sha512:") else digest_of(data)
