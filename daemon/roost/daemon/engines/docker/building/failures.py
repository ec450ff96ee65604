"""Failures of docker steps: of a command or a file that the user named, and not of the engine. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from roost.daemon.engines.docker.building.context import DockerBuild
from roost.daemon.engines.docker.errors import FULL, NEEDS_BUILDKIT, StepFailedError
from roost.model.documents.dockerfile import Instruction, split_instructions

LAST_LINES = 10
"""Lines of a failed step's output that its error has."""
_OF_A_STEP = re.compile(
    r"returned a non-zero code|did not complete successfully|executor failed running|^(?:COPY|ADD) failed"
    r"|failed to compute cache key|failed to calculate checksum|failed to solve: .*not found|unknown instruction"
    r"|dockerfile parse error|unable to find user|no such file",
    re.IGNORECASE,
)
_STATUS = re.compile(r"(?:non-zero code:|exit code:) (\d+)")
_QUOTED_COMMAND = re.compile(r"^(?:The command '.*' |process \".*\" )", re.DOTALL)


def find_step_failure(
    build: DockerBuild,
    reason: str,
    lines: Sequence[str],
    *,
    number: int | None = None,
    line: int | None = None,
    text: str | None = None,
) -> StepFailedError | None:
    """Return the error of a failed instruction; ``None`` if the engine failed, or nobody knows which one it was.

    ``reason``: what the builder says. ``lines``: the end of the instruction's own output. The instruction is known by
    its ``number`` in the Dockerfile or by a ``line`` of it, which count from 1, or by its ``text``.
    """
    if FULL in "\n".join((reason, *lines)).lower() or NEEDS_BUILDKIT in reason.lower() or not _OF_A_STEP.search(reason):
        return None
    instructions = list(split_instructions(build.text))
    if line is not None:
        number = _number_at(build.text, instructions, line)
    elif text is not None:
        texts = [" ".join(each.text.split()) for each in instructions]
        number = texts.index(" ".join(text.split())) + 1 if " ".join(text.split()) in texts else None
    if number is None or not 1 <= number <= len(instructions):
        return None
    instruction = instructions[number - 1]
    status = _STATUS.search(reason)
    ended = f"ended with status {status[1]}" if status else f"failed: {_QUOTED_COMMAND.sub('', reason).strip()}"
    what, of = ("Docker step", len(instructions) - build.own) if build.own else ("Instruction", len(instructions))
    first = f"{what} {number - build.own} of {of} (`{instruction.shown}`) {ended}"
    return StepFailedError(
        "\n".join([first, *lines[-LAST_LINES:]]),
        hint="Change the step, or what it needs.",
        fields={
            "step": number - build.own,
            "steps": of,
            "instruction": instruction.shown,
            "line": None if build.own else build.text.count("\n", 0, instruction.offset) + 1,
            "status": int(status[1]) if status else None,
        },
    )


def _number_at(text: str, instructions: Sequence[Instruction], line: int) -> int | None:
    """Return the number of the instruction that has a line of the Dockerfile."""
    starts = [text.count("\n", 0, each.offset) + 1 for each in instructions]
    return bisect_right(starts, line) or None
