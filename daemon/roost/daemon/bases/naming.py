"""Where images are: their names in an engine, their repository and tags in a registry. Pure.

In the repository ``<registry>/images`` an image has two tags: one of its content (the image key), and one of the
definition and lock that it was made for, under which it is found before its base is known. What its layers went on lies
beside it, under a tag of its own content: whoever pulled the image may have to make it again.
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
    """``roost/<name>:<12 hex of the key>``, with a name that Docker takes."""
    plain = _NOT_IN_NAMES.sub("-", (name or "").lower()).strip("-")[:_NAME_LIMIT].strip("-")
    return f"roost/{plain or 'environment'}:{_hex(key)[:_KEY_DIGITS]}"


def image_repository(location: str) -> Reference:
    """Where the images of a registry (``registry.example.org/team``) are. Raises ReferenceInvalidError."""
    return parse_reference(f"{location}/{REPOSITORY}")


def steps_repository(location: str) -> Reference:
    """Where a registry has what docker steps made. Raises ReferenceInvalidError."""
    return parse_reference(f"{location}/{STEPS_REPOSITORY}")


def steps_tag(definition_digest: str, platform: str) -> str:
    """The tag of what a definition's steps made first; ``+`` is no character of tags."""
    return f"{_hex(definition_digest)}-{platform.replace('+', '.')}"


def key_tag(key: str) -> str:
    """The tag of an image's content."""
    return _hex(key)


def content_tag(digest: str) -> str:
    """The tag of a base image, or of what docker steps made, by the digest of its config."""
    return _hex(digest)


def definition_tag(definition_digest: str, lock_digest: str) -> str:
    """The tag of what a definition and a lock became; the platform is in the lock."""
    return f"{_hex(definition_digest)}-{_hex(lock_digest)[:_LOCK_DIGITS]}"


def image_labels(definition_digest: str, lock: str | None, key: str, base: str, steps: str | None) -> dict[str, str]:
    """What an image says of itself."""
    said = {
        "org.roost.definition": definition_digest,
        "org.roost.lock": lock,
        LABEL_KEY: key,
        LABEL_BASE: base,
        LABEL_STEPS: steps,
    }
    return {name: value for name, value in said.items() if value is not None}


def count_shared_layers(one: Iterable[str], other: Iterable[str]) -> int:
    """How many layers two images share, from the bottom: engines tell layers by what lies below them too."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
