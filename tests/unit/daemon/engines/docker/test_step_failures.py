"""Failed docker steps: their number, their text, the line of the Dockerfile, and their own last lines."""

from __future__ import annotations

import pytest

from roost.daemon.engines.docker.building.buildx import BuildxOutput
from roost.daemon.engines.docker.building.classic import _BuildOutput
from roost.daemon.engines.docker.building.context import DockerBuild
from roost.daemon.engines.docker.building.failures import find_step_failure
from roost.daemon.engines.docker.errors import EngineError, EngineFullError, StepFailedError
from roost.daemon.jobs.progress import Silent

DOCKERFILE = """# a comment
ARG TAG=12
FROM debian:$TAG
ENV A=1

RUN echo one && \\
    echo 2; \\
    false
COPY x /x
"""
STEPS = "FROM base\nRUN true\nRUN echo unlucky; exit 7\nENV B=1\n"
NON_ZERO = "The command '/bin/sh -c echo unlucky; exit 7' returned a non-zero code: 7"
CLASSIC = [
    "Step 1/4 : FROM base\n",
    " ---> 0123\n",
    "Step 2/4 : RUN true\n",
    "old\n",
    "Step 3/4 : RUN echo unlucky; exit 7\n",
]
CLASSIC += [" ---> Running in 0123\n", "\x1b[91mline\x1b[0m\n", "unlucky\n"]
BUILDX = """#4 [1/2] FROM docker.io/library/debian:12
#4 DONE 0.0s
#5 [2/3] RUN echo one &&     echo 2;     false
#5 0.201 one
#5 0.202 2
#5 ERROR: process "/bin/sh -c echo one &&     echo 2;     false" did not complete successfully: exit code: 1
------
 > [2/3] RUN echo one &&     echo 2;     false:
0.201 one
0.202 2
------
Dockerfile:6
--------------------
   5 |
   6 | >>> RUN echo one && \\
--------------------
ERROR: failed to solve: process "/bin/sh -c echo one &&     false" did not complete successfully: exit code: 1"""


def test_a_step_on_a_base_has_the_number_that_the_user_gave_it() -> None:
    output = _BuildOutput(DockerBuild(STEPS, own=1), Silent())
    for text in CLASSIC:
        output.read_message({"stream": text})
    with pytest.raises(StepFailedError) as caught:
        output.read_message({"error": NON_ZERO})
    error = caught.value
    assert error.message == "Docker step 2 of 3 (`RUN echo unlucky; exit 7`) ended with status 7\nline\nunlucky"
    assert (error.fields["step"], error.fields["line"], error.exit_status) == (2, None, 4)
    assert error.is_logged


def test_an_instruction_of_a_dockerfile_has_its_line() -> None:
    output = BuildxOutput(Silent())
    for line in BUILDX.split("\n"):
        output.read_line(line)
    error = output.failure("`RUN --mount`", DockerBuild(DOCKERFILE))
    assert isinstance(error, StepFailedError)
    assert error.message == "Instruction 4 of 5 (`RUN echo one && echo 2; false`) ended with status 1\none\n2"
    assert error.fields["line"] == 6


def test_an_older_buildkit_does_not_say_the_line() -> None:
    output = BuildxOutput(Silent())
    for line in BUILDX.split("\n"):
        if not line.startswith("Dockerfile:"):
            output.read_line(line)
    error = output.failure("`RUN --mount`", DockerBuild(DOCKERFILE))
    assert isinstance(error, StepFailedError)
    assert error.fields["line"] == 6


@pytest.mark.parametrize(
    ("reason", "number", "line"),
    [
        ("COPY failed: file not found in build context: stat x: file does not exist", 5, 9),
        ('failed to compute cache key: failed to calculate checksum of ref 0::1: "/x": not found', 5, 9),
        ("The command '/bin/sh -c false' returned a non-zero code: 1", 4, 6),
    ],
)
def test_what_a_step_lacks_is_its_failure(reason: str, number: int, line: int) -> None:
    error = find_step_failure(DockerBuild(DOCKERFILE), reason, (), number=number)
    assert error is not None
    assert (error.fields["step"], error.fields["line"]) == (number, line)
    by_line = find_step_failure(DockerBuild(DOCKERFILE), reason, (), line=line)
    assert by_line is not None
    assert by_line.message == error.message


@pytest.mark.parametrize(
    ("reason", "lines"),
    [
        ("pull access denied for nowhere/none", ()),
        ("no space left on device", ()),
        (NON_ZERO, ("cp: error writing 'x': No space left on device",)),
        ("the --mount option requires BuildKit", ()),
        ("error committing x: driver failed", ()),
    ],
)
def test_what_the_engine_lacks_is_no_failure_of_a_step(reason: str, lines: tuple[str, ...]) -> None:
    assert find_step_failure(DockerBuild(STEPS, own=1), reason, lines, number=3) is None


def test_the_engines_failures_stay_the_engines() -> None:
    output = _BuildOutput(DockerBuild(STEPS, own=1), Silent())
    output.read_message({"stream": "Step 2/4 : RUN true\n"})
    for text, kind in (("no space left on device", EngineFullError), ("driver failed", EngineError)):
        with pytest.raises(kind):
            output.read_message({"error": text})
