"""Names of images in an engine, and their repositories and tags in a registry. Pure.

In the repository ``<registry>/images`` an image has two tags: one for its content (the image key), and one for the
definition and lock that it was built for, by which it is found before its base is known. The image that its layers were
put on has a tag for its own content in the same repository: whoever pulled the image may have to build it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from roost.daemon.oci.references import Reference, parse_reference

REPOSITORY = "images"
STEPS_REPOSITORY = "steps"
LABEL_KEY = "org.roost.image"
LABEL_BASE = "org.roost.base"
LABEL_STEPS = "org.roost.steps"
_KEY_DIGITS = 12
_LOCK_DIGITS = 32
_NAME_LIMIT = 100
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


def engine_reference(name: str | None, key: str) -> str:
    """Return ``roost/<name>:<12 hex of the key>``, with ``name`` in a form that Docker accepts."""
    valid_name = _NOT_IN_NAMES.sub("-", (name or "").lower()).strip("-")[:_NAME_LIMIT].strip("-")
    return f"roost/{valid_name or 'environment'}:{_digest_hex(key)[:_KEY_DIGITS]}"


def image_repository(location: str) -> Reference:
    """Return the repository of images in a registry (``registry.example.org/team``).

    Raises: ReferenceInvalidError if ``location`` is invalid.
    """
    return parse_reference(f"{location}/{REPOSITORY}")


def steps_repository(location: str) -> Reference:
    """Return the repository of docker steps' results in a registry. Raises: as ``image_repository``."""
    return parse_reference(f"{location}/{STEPS_REPOSITORY}")


def steps_tag(definition_digest: str, platform: str) -> str:
    """Return the tag of the first result of a definition's steps; ``+`` is not valid in tags."""
    return f"{_digest_hex(definition_digest)}-{platform.replace('+', '.')}"


def key_tag(key: str) -> str:
    """Return the tag of an image's content."""
    return _digest_hex(key)


def content_tag(digest: str) -> str:
    """Return the tag of a base image, or of a result of docker steps, by the digest of its config."""
    return _digest_hex(digest)


def definition_tag(definition_digest: str, lock_digest: str) -> str:
    """Return the tag of the image of a definition and a lock; the lock holds the platform."""
    return f"{_digest_hex(definition_digest)}-{_digest_hex(lock_digest)[:_LOCK_DIGITS]}"


def image_labels(definition_digest: str, lock: str | None, key: str, base: str, steps: str | None) -> dict[str, str]:
    """Return the labels of an image: the digests that it was built from."""
    labels = {
        "org.roost.definition": definition_digest,
        "org.roost.lock": lock,
        LABEL_KEY: key,
        LABEL_BASE: base,
        LABEL_STEPS: steps,
    }
    return {name: value for name, value in labels.items() if value is not None}


def count_shared_layers(one: Iterable[str], other: Iterable[str]) -> int:
    """Return how many layers two images share, from the bottom: engines identify a layer by those below it too."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count


def _digest_hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
