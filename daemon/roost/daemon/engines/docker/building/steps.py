"""Docker steps and Dockerfiles, parsed before an engine gets them. Pure.

Each step is one instruction: a generated Dockerfile holds exactly the listed steps, whatever text they contain.
Source: Docker's "Dockerfile reference" (format, parser directives, here-documents, ``RUN --mount``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from roost.daemon.engines.docker.errors import StepInvalidError
from roost.model.documents.dockerfile import (
    CONTINUED,
    INSTRUCTION_NAME,
    find_documents,
    is_ignored,
    join_first_instruction,
    parse_arg,
    parse_directives,
    split_instructions,
    substitute_arguments,
)

INSTRUCTIONS = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD"}
    | {"RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u0085\u2028\u2029]")
_BUILDKIT_FLAGS = re.compile(
    r"^(?:RUN\s+(?:--\S+\s+)*--(?:mount|network|security)|(?:COPY|ADD)\s+(?:--\S+\s+)*--(?:chmod|link|parents|exclude|checksum|keep-git-dir))\b",
    re.I,
)
AUTOMATIC = frozenset(f"{side}{what}" for side in ("BUILD", "TARGET") for what in ("PLATFORM", "OS", "ARCH", "VARIANT"))
"""Arguments that only BuildKit sets; with the classic builder they are silently empty."""
_AUTOMATIC_USE = re.compile(rf"(?<!\\)\$\{{?({'|'.join(sorted(AUTOMATIC))})\b")


@dataclass(frozen=True)
class CheckedSteps:
    """Checked steps: the lines of a Dockerfile, and why they need BuildKit (``None``: they don't)."""

    text: str
    buildkit: str | None = None


def parse_steps(steps: Sequence[str]) -> CheckedSteps:
    """Check that each step is one instruction.

    Raises: StepInvalidError, which names the step and what is wrong, if one is not.
    """
    texts: list[str] = []
    buildkit: str | None = None
    for number, step in enumerate(steps, 1):
        text = step.replace("\r\n", "\n").strip()
        buildkit = _check_step(number, text) or buildkit
        texts.append(text)
    return CheckedSteps(text="".join(f"{text}\n" for text in texts), buildkit=buildkit)


def _check_step(number: int, text: str) -> str | None:
    """Return why the step needs BuildKit, if it does. Raises: StepInvalidError."""
    if control := _CONTROL.search(text):
        raise _step_error(number, text, f"contains the control character {control[0]!r}")
    name = INSTRUCTION_NAME.match(text)
    if text.startswith("#"):
        raise _step_error(number, text, "is a comment or a parser directive, not an instruction")
    if name is None or name[1].upper() not in INSTRUCTIONS:
        hint = "the base image belongs under `image`" if name and name[1].upper() == "FROM" else ""
        raise _step_error(
            number, text, f"does not begin with an instruction that a step can have{f': {hint}' if hint else ''}"
        )
    instruction, rest = join_first_instruction(text.split("\n"))
    if _ends_in_continuation(text.split("\n")):
        raise _step_error(number, text, "ends in a continuation, which would swallow the next step")
    documents = find_documents(name[1], instruction)
    if left := _find_text_after_documents(number, text, rest, documents):
        raise _step_error(number, text, f"continues after its instruction with {left[:40]!r}")
    return _find_instruction_need(instruction, documents)


def _ends_in_continuation(lines: Sequence[str]) -> bool:
    """Return whether the first instruction expects another line when the text ends."""
    significant = [line for position, line in enumerate(lines) if not position or not is_ignored(line)]
    return all(CONTINUED.search(line) for line in significant)


def _find_text_after_documents(number: int, text: str, lines: list[str], documents: Iterable[tuple[bool, str]]) -> str:
    """Return the first line after the last here-document that is not ignored; empty if there is none.

    Raises: StepInvalidError if a here-document does not end.
    """
    rest = iter(lines)
    for tabs, mark in documents:
        if not any((line.lstrip("\t") if tabs else line) == mark for line in rest):
            raise _step_error(number, text, f"has a here-document without its end: {mark}")
    return next((line for line in rest if not is_ignored(line)), "")


def _find_instruction_need(
    instruction: str, documents: Sequence[tuple[bool, str]], arguments: Collection[str] = AUTOMATIC
) -> str | None:
    """Return why an instruction needs BuildKit, if it does.

    ``arguments``: those of ``AUTOMATIC`` to which the Dockerfile gives no default.
    """
    if documents:
        return "a here-document"
    if flags := _BUILDKIT_FLAGS.match(instruction.strip()):
        return f"`{flags[0]}`"
    declared = [name for name, default in parse_arg(instruction) if default is None and name in arguments]
    return f"`ARG {declared[0]}`" if declared else None


def _step_error(number: int, text: str, what: str) -> StepInvalidError:
    first_line = text.split("\n")[0][:60]
    return StepInvalidError(
        f"Docker step {number} ({first_line!r}) {what}",
        hint="Write one instruction for each step (RUN, ENV, COPY, …); continue its lines with a backslash.",
        fields={"step": number},
    )


def find_buildkit_need(dockerfile: str) -> str | None:
    """Return why a complete Dockerfile needs BuildKit; ``None`` if the classic builder can build it."""
    text = dockerfile.replace("\r\n", "\n")
    if any(name == "syntax" for name, _ in parse_directives(text)):
        return "`# syntax=`"
    arguments, above_stages = set(AUTOMATIC), True
    for name, instruction, _, documents in split_instructions(text):
        above_stages = above_stages and name == "ARG"
        if above_stages or name == "FROM":
            used = [each for each in _AUTOMATIC_USE.findall(instruction) if each in arguments]
            if used:
                return f"`${used[0]}`"
        need = _find_instruction_need(instruction, documents, arguments)
        if need:
            return need
        if above_stages:  # a default that is declared here also holds in the stages that declare the argument
            arguments -= {each for each, default in parse_arg(instruction) if default is not None}
    return None


class ParentImage(NamedTuple):
    """An image that a Dockerfile builds on or copies from."""

    reference: str
    platform: str | None = None
    """The platform that the Dockerfile itself names."""


def find_parent_images(dockerfile: str) -> list[ParentImage]:
    """Return the images that a Dockerfile builds on or copies from.

    Its own stages are left out, and names that depend on arguments without a default.
    """
    parents: list[ParentImage] = []
    stages, defaults, above_stages = {"scratch"}, dict[str, str](), True
    for _, instruction, _, _ in split_instructions(dockerfile.replace("\r\n", "\n")):
        name, *rest = instruction.split() or [""]
        above_stages = above_stages and name.upper() == "ARG"
        if above_stages:
            arguments = parse_arg(instruction)
            defaults |= {each: substitute_arguments(text, defaults) for each, text in arguments if text is not None}
        elif name.upper() in ("FROM", "COPY"):
            options = dict(
                _parse_option(substitute_arguments(word, defaults)) for word in rest if word.startswith("--")
            )
            words = [substitute_arguments(word, defaults) for word in rest if not word.startswith("--")]
            is_from = name.upper() == "FROM"
            image = (words or [""])[0] if is_from else options.get("from", "")
            if image and image.lower() not in stages and not image.isdigit() and "$" not in image:
                platform = options.get("platform", "") if is_from else ""
                parents.append(ParentImage(image, platform if platform and "$" not in platform else None))
            if is_from and len(words) == 3 and words[1].upper() == "AS":
                stages.add(words[2].lower())
    return list(dict.fromkeys(parents))


def _parse_option(word: str) -> tuple[str, str]:
    name, _, value = word[2:].partition("=")
    return name.lower(), value
