"""What a Dockerfile builds on, for which the engine is given credentials."""

from __future__ import annotations

import pytest

from roost.daemon.engines.docker.building.steps import ParentImage, find_parent_images


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM debian:12\n", ["debian:12"]),
        ("# syntax\nARG V=1\nfrom --platform=linux/amd64 r.example.org/a:1 as one\nFROM one\n", ["r.example.org/a:1"]),
        ("FROM scratch\nCOPY a b\n", []),
        ("ARG BASE\nFROM ${BASE}\nFROM r/x@sha256:1 AS Two\nFROM two\n", ["r/x@sha256:1"]),
        ("FROM\n", []),
        (
            "ARG V=1\nARG BASE='r.example.org/a':$V\nFROM ${BASE}\nARG BASE=other\nFROM \"$BASE\" AS x\n",
            ["r.example.org/a:1"],
        ),
        (
            "FROM \\\n  a AS b\nCOPY --from=B /x /y\nCOPY --from=0 /x /y\nCOPY --chown=1 --from=c:1 /x /y\n",
            ["a", "c:1"],
        ),
        ("FROM a\nRUN <<EOF\nFROM b\nEOF\nFROM c\nFROM c\n", ["a", "c"]),
        ("FROM ${A:-b}\n", []),
    ],
)
def test_what_a_dockerfile_builds_on(text: str, found: list[str]):
    assert [below.reference for below in find_parent_images(text)] == found


def test_the_platform_that_a_dockerfile_asks_for_is_known():
    text = "ARG P=linux/arm64\nFROM --platform=$P a\nFROM --platform=$BUILDPLATFORM b\n"
    assert find_parent_images(text) == [ParentImage("a", "linux/arm64"), ParentImage("b")]
