from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.model.documents.dockerfile import find_context_uses, split_instructions, substitute_arguments
from roost.model.syntax.bounds import MAX_TEXT

USES = [
    "COPY . /app",
    "copy a /b",
    "COPY a b /c/",
    'COPY ["a", "/b"]',
    "COPY --chown=1:1 a /b",
    "COPY --link --chmod=755 a /b",
    "COPY $FILE /b",
    "COPY \\\n  # a comment\n  a \\\n  /b",
    "ADD a.tar.gz /",
    "ADD https://host.example/a b /c/",
    'ADD ["a", "/b"]',
    "ADD file.git /x",
    "COPY --from= a /b",
    "RUN --mount=type=bind,source=requirements.txt,target=/r pip install -r /r",
    "RUN --mount=target=/src ls /src",
    "RUN --mount=type=cache,target=/c --mount=type=bind,target=/src ls",
    "RUN --network=none --mount=type=bind,target=/src ls",
    "COPY a <<EOF /x/\ntext\nEOF",
]
NONE = [
    "COPY --from=build /a /b",
    "COPY --from=0 a /b",
    "COPY --chown=1 --from=docker.io/library/busybox /bin/sh /sh",
    "COPY <<EOF /x\nCOPY . /y\nEOF",
    "COPY <<-'END' <<B /x/\n\tCOPY . /y\n\tEND\nADD a /b\nB",
    "ADD https://host.example/a.tar.gz /",
    "ADD --checksum=sha256:0 https://host.example/a /b",
    "ADD git@github.com:a/b.git#main /src",
    "ADD https://github.com/a/b.git /src",
    "ADD github.com/a/b /src",
    "ADD ssh://git@host.example/a /src",
    'ADD ["https://host.example/a", "/b"]',
    "ARG URL=https://host.example/a\nADD $URL /b",
    "ARG HOST=https://host.example\nARG URL=${HOST}/a\nADD ${URL} /b",
    "ADD $UNKNOWN /b",
    "RUN --mount=type=bind,from=build,target=/src ls",
    "RUN --mount=type=cache,target=/c --mount=type=secret,id=a --mount=type=ssh ls",
    "RUN --mount=type=tmpfs,target=/t ls",
    "RUN echo COPY . /app",
    "RUN <<EOF\nCOPY . /app\nEOF",
    "# COPY . /app",
    "ONBUILD COPY . /app",
    "ENV COPY=.",
    'LABEL a="COPY . /b"',
]


@pytest.mark.parametrize("instruction", USES)
def test_what_reads_the_build_context_is_found_where_it_begins(instruction):
    text = f"# syntax=docker/dockerfile:1\nFROM a\nRUN true\n  {instruction}\nRUN true\n"
    (found,) = find_context_uses(text)
    assert text[found.offset :].startswith(instruction.split("\n")[0].rstrip("\\").rstrip()[:4])
    assert text.count("\n", 0, found.offset) == 3


@pytest.mark.parametrize("instruction", NONE)
def test_what_reads_something_else_is_not(instruction):
    assert find_context_uses(f"FROM a AS build\n{instruction}\nRUN true\n") == []


def test_an_escape_directive_changes_what_continues_a_line():
    text = "# escape=`\nFROM a\nRUN a `\n  COPY . /x\nCOPY . C:\\\nRUN b\n"
    assert [found.shown for found in find_context_uses(text)] == ["COPY . C:\\"]
    assert [each.name for each in split_instructions(text)] == ["FROM", "RUN", "COPY", "RUN"]


def test_arguments_that_double_each_other_are_bounded():
    doubling = "".join(f"ARG A{n + 1}=$A{n}$A{n}\n" for n in range(100))
    assert find_context_uses(f"ARG A0=x\n{doubling}FROM a\nADD $A100 /x\n") == []
    assert len(substitute_arguments("$A" * 3000, {"A": "xxxx"})) <= MAX_TEXT


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "FROM a",
                "RUN a \\",
                "COPY . /x",
                "ADD a /b",
                "RUN <<EOF",
                "EOF",
                "# a",
                "",
                "\\",
                "  COPY a \\",
                "ARG A=b",
            ]
        ),
        st.text(max_size=20).filter(lambda text: "\n" not in text),
    ),
    max_size=12,
)


@given(LINES)
def test_instructions_begin_where_their_offset_says_and_in_order(lines):
    text = "\n".join(lines)
    offsets = [each.offset for each in split_instructions(text)]
    assert offsets == sorted(set(offsets))
    for each in split_instructions(text):
        assert text.startswith((each.name[:1], each.name[:1].lower(), "\\"), each.offset), "a line may begin with one"
        assert each.offset == 0 or not text[text.rfind("\n", 0, each.offset) + 1 : each.offset].strip()
