"""Names and documents of OCI registries: references, descriptors, manifests, indexes, platforms. Pure.

Sources: OCI image specification 1.1 (descriptor.md, manifest.md, image-index.md), OCI distribution specification 1.1,
Docker's reference grammar (distribution/reference) and its rule for what is a host (``splitDockerDomain``), Docker
image manifest V2 schema 2. Docker's and OCI's types are read alike, since registries hold both.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from roost.wire.plans import Reason

Value = TypeVar("Value")


class Yes(msgspec.Struct, Generic[Value], frozen=True):
    """It is there."""

    value: Value


class No(msgspec.Struct, frozen=True):
    """The registry said, in so many words, that it is not there."""

    reason: Reason | None = None
    """Where there is more to say: an image that is there for other platforms only."""


class Unknown(msgspec.Struct, frozen=True):
    """Neither: refused, broken, too slow, or not to be believed. Never to be taken for ``No``."""

    reason: Reason


Answer = Yes[Value] | No | Unknown
"""What asking a registry gives: ``Answer[int]`` and so on."""
