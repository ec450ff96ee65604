"""Leases: protection of environments, generations, prefixes and images from deletion until a time."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

LeaseTargetKind = Literal["environment", "generation", "prefix", "image", "artifact"]


class LeaseRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Protect a target for ``seconds`` from now, or until ``expires``; at most a week. The same id again renews the
    lease."""

    subject: str
    """By ``kind``. ``environment``, ``generation``: ``NAME[:VERSION|@LABEL]`` or a definition digest. ``prefix``: a
    lock digest, the path of a prefix, or the id of its artifact. ``image``: an image key, a config digest, or the
    name or id of its artifact. ``artifact``: the id of an artifact of any kind, or a lock digest."""
    holder: Annotated[str, Meta(min_length=1, max_length=200)]
    """Who needs it, for people: ``kernel 4711 of train.ipynb``. A lease is renewed by its holder only."""
    kind: LeaseTargetKind = "artifact"
    generation: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    """Number of the generation, for ``kind`` ``generation``."""
    seconds: float | None = None
    expires: str | None = None
    """RFC 3339, with a time zone. Without ``seconds`` and ``expires``, the lease is for an hour."""


class LeaseView(msgspec.Struct, kw_only=True):
    """A lease that has not expired."""

    id: str
    kind: LeaseTargetKind
    subject: str
    generation: int | None
    holder: str
    created: str
    expires: str
    definition_digest: str | None
    """Of an environment: generations of this definition that become current are protected too."""
    protects: list[str]
    """Ids and keys of artifacts, lock digests, and ``<lock digest>@<base digest>`` for all images of the two."""


class LeasesResponse(msgspec.Struct, kw_only=True):
    """Leases that have not expired, by id."""

    leases: list[LeaseView]
