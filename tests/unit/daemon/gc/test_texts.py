"""Every reason for which a removal is refused is said in words."""

from __future__ import annotations

import pytest

from roost.daemon.gc.texts import describe_protection


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("prefix:p-1", "its files are in prefix p-1"),
        ("base:sha256:1", "part of base image sha256:1"),
        ("build", "needed by a build"),
        ("run:r1", "used by run r1"),
        ("lock", "a lock names it, and no index has it"),
        ("locked", "locked by a process"),
        ("locked:uv", "locked by uv"),
        ("process:12", "used by process 12"),
        ("recent", "stored a moment ago"),
        ("unmovable:Read-only file system", "it can't be moved: Read-only file system"),
        ("version", "part of a version of an environment"),
        ("gone", "it no longer exists"),
    ],
)
def test_reasons_of_removals_are_words(reason: str, text: str) -> None:
    assert describe_protection((reason,)) == text
