"""What a Dockerfile builds on, for which the engine is given credentials."""

from __future__ import annotations

import pytest

from roost.daemon.engines.docker_builds import built_on


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM debian:12\n", ["debian:12"]),
        ("# syntax\nARG V=1\nfrom --platform=linux/amd64 r.example.org/a:1 as one\nFROM one\n", ["r.example.org/a:1"]),
        ("FROM scratch\nCOPY a b\n", []),
        ("ARG BASE\nFROM ${BASE}\nFROM r/x@sha256:1 AS Two\nFROM two\n", ["r/x@sha256:1"]),
        ("FROM\n", []),
    ],
)
def test_what_a_dockerfile_builds_on(text: str, found: list[str]):
    assert built_on(text) == found
