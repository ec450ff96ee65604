"""Each docker step is one instruction, whatever stands in it; what needs BuildKit is told apart."""

from __future__ import annotations

import pytest

from roost.daemon.engines.docker.building.steps import find_buildkit_need, parse_steps
from roost.daemon.engines.docker.errors import StepInvalidError


@pytest.mark.parametrize(
    "step",
    [
        "RUN apt-get update && apt-get install -y libgomp1",
        "run echo lower case",
        "RUN echo a \\\n  && echo b",
        "RUN echo a \\\n# a comment in between\n\n  && echo b",
        'ENV A=\'x"y\' B="c d"',
        "RUN echo $((1<<2)) <<<x",
        "RUN a # not a comment",
        "COPY --from=busybox /bin/sh /bin/other",
        "ARG TARGETARCH=amd64 TARGETOS=",
        "ARG A='ARG TARGETARCH'",
        "RUN echo $TARGETARCH",
        "\n  WORKDIR /x  \n",
    ],
)
def test_one_instruction_is_taken_as_it_is(step: str):
    checked = parse_steps([step])
    assert checked.text == step.strip() + "\n"
    assert checked.buildkit is None


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("RUN a\nRUN b", "continues"),
        ("ENV A=b\nFROM scratch", "continues"),
        ("RUN a\r\nUSER root", "continues"),
        ("RUN a\rUSER root", "control character"),
        ("RUN a\u2028USER root", "control character"),
        ("RUN a\x0bb", "control character"),
        ("RUN a \\", "continuation"),
        ("RUN a \\\n# comment", "continuation"),
        ("RUN a \\\n\n", "continuation"),
        ("FROM scratch", "not begin with an instruction"),
        ("from scratch", "not begin with an instruction"),
        ("# escape=`", "directive"),
        ("# syntax=docker/dockerfile:1", "directive"),
        ("", "not begin with an instruction"),
        ("echo hello", "not begin with an instruction"),
        ("RUN <<EOF\na\n", "without its end"),
        ("RUN <<EOF\na\nEOF\nUSER root", "continues"),
        ("ENV A=<<EOF\na\nEOF", "continues"),
    ],
)
def test_nothing_is_smuggled_in(step: str, what: str):
    with pytest.raises(StepInvalidError, match=what) as caught:
        parse_steps(["RUN true", step])
    assert caught.value.fields == {"step": 2}


@pytest.mark.parametrize(
    "step",
    [
        "RUN <<EOF\na\nFROM b\nEOF",
        "RUN --mount=type=cache,target=/c true",
        "COPY <<-'X' /a\n\tb\n\tX",
        "COPY --chown=1 --chmod=755 a /b",
        "add --chmod=0644 a /b",
        "ARG TARGETARCH",
        "ARG A='x y' \\\n  TARGETOS B=1",
    ],
)
def test_steps_that_need_buildkit_are_told_apart(step: str):
    assert parse_steps(["RUN true", step, "RUN true"]).buildkit


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("FROM a\nRUN b\n", None),
        ("# a comment\nFROM a\nRUN b \\\n c\n", None),
        ("# syntax=docker/dockerfile:1\nFROM a\n", "`# syntax=`"),
        ("FROM a\n# syntax=late\n", None),
        ("FROM a\nRUN --mount=type=secret,id=x true\n", "`RUN --mount`"),
        ("FROM a\nRUN <<EOF\nb\nEOF\n", "a here-document"),
        ("FROM a\nCOPY --chmod=755 b /c\n", "`COPY --chmod`"),
        ("FROM --platform=$BUILDPLATFORM a AS b\n", "`$BUILDPLATFORM`"),
        ("from a-${TARGETARCH}\n", "`$TARGETARCH`"),
        ("ARG BASE=a-${TARGETARCH:-x}\nFROM $BASE\n", "`$TARGETARCH`"),
        ("FROM a\nARG TARGETARCH\nRUN echo $TARGETARCH\n", "`ARG TARGETARCH`"),
        ("ARG TARGETARCH\nFROM a-$TARGETARCH\n", "`ARG TARGETARCH`"),
        ("ARG TARGETARCH=arm64\nFROM a-$TARGETARCH\nARG TARGETARCH\nRUN echo $TARGETARCH\n", None),
        ("FROM a\nARG TARGETARCH=arm64\nRUN echo $TARGETARCH\n", None),
        ("FROM a\nARG TARGETARCH=arm64\nFROM b\nARG TARGETARCH\n", "`ARG TARGETARCH`"),
        ("FROM a\nENV TARGETARCH=x\nRUN echo $TARGETARCH \\$BUILDOS $TARGETARCHIVE\n", None),
    ],
)
def test_a_dockerfile_tells_what_it_needs(text: str, needs: str | None):
    assert find_buildkit_need(text) == needs
