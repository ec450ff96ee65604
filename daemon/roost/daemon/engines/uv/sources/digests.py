"""Which digests a file must have: those of its line, of its URL and of its index. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from urllib.parse import parse_qsl, urlsplit

import msgspec

from roost.daemon.engines.uv.errors import WheelDigestMismatchError
from roost.daemon.engines.uv.pylock import Archive, PylockPackage, without_credentials

ALGORITHMS = ("sha256", "sha384", "sha512", "sha224", "sha1", "md5")
"""Of digests in the fragment of a URL, as pip accepts them."""


class DigestRules(msgspec.Struct, frozen=True, kw_only=True):
    """The digests that the lines of a definition allow."""

    by_name: Mapping[str, Set[str]] = {}
    """Name to ``sha256:…``; one of them must match."""
    by_url: Mapping[str, Set[str]] = {}
    """URL without credentials and fragment to the digests of the line that names it."""
    required: bool = False
    """Whether every package needs a digest (``--require-hashes``)."""

    def find_expected(self, package: PylockPackage, archive: Archive | None) -> list[Set[str]]:
        """Return sets of digests (``algorithm:hex``), of each of which ``archive``, the source of ``package``, must
        have one. ``None`` in place of an archive: a commit.

        Raises: WheelDigestMismatchError if a digest is required and there is none, or none can be compared.
        """
        url = without_credentials(archive.url) if archive and archive.url else ""
        by_line = [digests for digests in (self.by_name.get(package.name), self.by_url.get(url)) if digests]
        if self.required and not by_line:
            raise missing_digest(package.name, package.version)
        if archive is None:
            if by_line:
                raise WheelDigestMismatchError(
                    f"{package.name} comes from a repository, and its line allows only files with certain digests",
                    hint="Remove --hash from the line, and pin the commit instead.",
                    fields={"package": package.name},
                )
            return []
        own: list[Set[str]] = [{f"sha256:{archive.sha256}"}] if archive.sha256 else []
        return [*by_line, *own, *([{digest} for digest in archive.digests])]


def missing_digest(name: str, version: str) -> WheelDigestMismatchError:
    """Return the error for a package without a digest where one is required."""
    return WheelDigestMismatchError(
        f"{name} {version} has no digest in the requirements, and --require-hashes is set",
        hint=f"Add {name}=={version} --hash=sha256:…, as its index lists it, or remove --require-hashes.",
        fields={"package": name},
    )


def wrong_digest(what: str, expected: Set[str], found: str) -> WheelDigestMismatchError:
    """Return the error for a file that has ``found`` instead of one of ``expected``; nothing of it was used."""
    listed = " or ".join(sorted(expected))
    return WheelDigestMismatchError(
        f"{what}: expected {listed}, received {found}; nothing of it was run",
        hint="The index or a cache in between is faulty, or the file was replaced. Correct the digest only if you know "
        "why it differs.",
        fields={"package": what, "expected": sorted(expected), "found": found},
    )


def parse_direct_source(url: str, name: str = "") -> PylockPackage:
    """Return the source behind a direct URL, as PEP 508 and pip write it: a commit, or a file."""
    split = urlsplit(url)
    fragment = dict(parse_qsl(split.fragment))
    subdirectory = fragment.get("subdirectory")
    if url.startswith("git+"):
        repository = url.removeprefix("git+").partition("#")[0]
        head, slash, last = repository.rpartition("/")
        path, at, revision = last.partition("@")
        return PylockPackage(name=name, git=(f"{head}{slash}{path}", revision if at else "HEAD", subdirectory))
    digests = tuple(f"{key}:{value.lower()}" for key, value in fragment.items() if key in ALGORITHMS)
    sha256 = fragment.get("sha256", "").lower()
    plain = url.partition("#")[0]
    return PylockPackage(
        name=name, direct=Archive(url=plain, sha256=sha256, digests=digests, subdirectory=subdirectory)
    )
