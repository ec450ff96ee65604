"""Docker steps and Dockerfiles, looked at before an engine sees them. Pure.

Each step is one instruction: what a generated Dockerfile holds is exactly what was listed, whatever stands in a field.
Source: Docker's "Dockerfile reference" (format, parser directives, here-documents, ``RUN --mount``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from roost.model.errors import InvalidDefinitionError

INSTRUCTIONS = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD"}
    | {"RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
DOCUMENTS = frozenset({"ADD", "COPY", "RUN"})
"""Instructions that take here-documents."""
_WORD = re.compile(r"\s*([A-Za-z]+)(?=\s|$)")
_CONTINUED = re.compile(r"\\[ \t]*$")
_DOCUMENT = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([A-Za-z0-9_.]+)\2(?=\s|$)")
_DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(\S.*)$")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u0085\u2028\u2029]")
_KIT_FLAGS = re.compile(
    r"^(?:RUN\s+(?:--\S+\s+)*--(?:mount|network|security)|(?:COPY|ADD)\s+(?:--\S+\s+)*--(?:chmod|link|parents|exclude|checksum|keep-git-dir))\b",
    re.I,
)
AUTOMATIC = frozenset(f"{side}{what}" for side in ("BUILD", "TARGET") for what in ("PLATFORM", "OS", "ARCH", "VARIANT"))
"""Arguments that BuildKit alone sets; for the classic builder they are silently empty."""
_USED = re.compile(rf"(?<!\\)\$\{{?({'|'.join(sorted(AUTOMATIC))})\b")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-[^}]*)?\}|(\w+))")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'")


class StepInvalidError(InvalidDefinitionError):
    """A docker step that is not exactly one instruction; ``fields["step"]`` counts from 1."""

    code = "docker-step-invalid"


@dataclass(frozen=True)
class CheckedSteps:
    """Checked steps: the lines of a Dockerfile, and why it needs BuildKit (``None``: it does not)."""

    text: str
    buildkit: str | None = None


def parse_steps(steps: Sequence[str]) -> CheckedSteps:
    """Check that each step is one instruction. Raises StepInvalidError, which names the step and what is wrong."""
    texts: list[str] = []
    buildkit: str | None = None
    for number, step in enumerate(steps, 1):
        text = step.replace("\r\n", "\n").strip()
        buildkit = _check(number, text) or buildkit
        texts.append(text)
    return CheckedSteps(text="".join(f"{text}\n" for text in texts), buildkit=buildkit)


def _check(number: int, text: str) -> str | None:
    """Why the step needs BuildKit, if it does."""
    if found := _CONTROL.search(text):
        raise _refusal(number, text, f"holds the control character {found[0]!r}")
    word = _WORD.match(text)
    if text.startswith("#"):
        raise _refusal(number, text, "is a comment or a parser directive, not an instruction")
    if word is None or word[1].upper() not in INSTRUCTIONS:
        hint = "the base image stands under `image`" if word and word[1].upper() == "FROM" else ""
        raise _refusal(number, text, f"begins with no instruction that a step can be{f': {hint}' if hint else ''}")
    instruction, rest = _instruction(text.split("\n"))
    if _ends_open(text.split("\n")):
        raise _refusal(number, text, "ends in a continuation, which would swallow the next step")
    names = _documents(word[1], instruction)
    if left := _after_documents(number, text, rest, names):
        raise _refusal(number, text, f"goes on after its instruction with {left[:40]!r}")
    return _needs(instruction, names)


def _instruction(lines: Sequence[str]) -> tuple[str, list[str]]:
    """The first instruction with its continuation lines joined, and the lines behind it."""
    joined = ""
    for position, line in enumerate(lines):
        if position and (not line.strip() or line.lstrip().startswith("#")):
            continue  # comments and empty lines inside of a continuation
        joined += _CONTINUED.sub("", line)
        if not _CONTINUED.search(line):
            return joined, list(lines[position + 1 :])
    return joined, []


def _ends_open(lines: Sequence[str]) -> bool:
    """Whether the first instruction is still waiting for its next line when the text ends."""
    said = [line for position, line in enumerate(lines) if not position or not _silent(line)]
    return all(_CONTINUED.search(line) for line in said)


def _silent(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _documents(word: str, instruction: str) -> list[tuple[bool, str]]:
    if word.upper() not in DOCUMENTS:
        return []
    return [(bool(dash), name) for dash, _, name in _DOCUMENT.findall(instruction)]


def _after_documents(number: int, text: str, lines: list[str], names: Iterable[tuple[bool, str]]) -> str:
    """What stands behind the last here-document; only comments and nothing may."""
    rest = iter(lines)
    for tabs, name in names:
        if not any((line.lstrip("\t") if tabs else line) == name for line in rest):
            raise _refusal(number, text, f"has a here-document that nothing ends: {name}")
    return next((line for line in rest if not _silent(line)), "")


def _needs(instruction: str, names: Sequence[tuple[bool, str]], arguments: Collection[str] = AUTOMATIC) -> str | None:
    """``arguments``: those of ``AUTOMATIC`` that have no default by the text itself."""
    if names:
        return "a here-document"
    found = _KIT_FLAGS.match(instruction.strip())
    declared = [name for name, default in _arguments(instruction) if default is None and name in arguments]
    return f"`{found[0]}`" if found else f"`ARG {declared[0]}`" if declared else None


def _arguments(instruction: str) -> list[tuple[str, str | None]]:
    """What ``ARG`` declares, with the defaults; nothing for other instructions."""
    word, _, rest = instruction.strip().partition(" ")
    if word.upper() != "ARG":
        return []
    parts = (part.partition("=") for part in _QUOTED.sub(_in_one, rest).split())
    return [(name, default if equals else None) for name, equals, default in parts]


def _in_one(quoted: re.Match[str]) -> str:
    """What is quoted as one word."""
    return "_".join(quoted[0][1:-1].split())


def _refusal(number: int, text: str, what: str) -> StepInvalidError:
    shown = text.split("\n")[0][:60]
    return StepInvalidError(
        f"Docker step {number} ({shown!r}) {what}",
        hint="Write one instruction for each step (RUN, ENV, COPY, …); continue its lines with a backslash.",
        fields={"step": number},
    )


def find_buildkit_need(dockerfile: str) -> str | None:
    """Why a whole Dockerfile needs BuildKit; ``None`` where the classic builder can take it."""
    lines = dockerfile.replace("\r\n", "\n").split("\n")
    if any(name.lower() == "syntax" for name in _directives(lines)):
        return "`# syntax=`"
    arguments, above = set(AUTOMATIC), True
    for instruction in _instructions(lines):
        word = _WORD.match(instruction)
        name = word[1].upper() if word else ""
        above = above and name == "ARG"
        if (above or name == "FROM") and (used := [each for each in _USED.findall(instruction) if each in arguments]):
            return f"`${used[0]}`"
        needs = _needs(instruction, _documents(name, instruction), arguments)
        if needs:
            return needs
        if above:  # what has a default there keeps it in the stages that declare it
            arguments -= {each for each, default in _arguments(instruction) if default is not None}
    return None


class ParentImage(NamedTuple):
    """An image that a Dockerfile builds on or copies from."""

    reference: str
    platform: str | None = None
    """Where the text itself asks for one."""


def find_parent_images(dockerfile: str) -> list[ParentImage]:
    """The images that a Dockerfile builds on, but for stages of its own and what only arguments without a default
    tell."""
    found: list[ParentImage] = []
    stages, defaults, above = {"scratch"}, dict[str, str](), True
    for instruction in _instructions(dockerfile.replace("\r\n", "\n").split("\n")):
        name, *rest = instruction.split() or [""]
        above = above and name.upper() == "ARG"
        if above:
            defaults |= {each: _filled(text, defaults) for each, text in _arguments(instruction) if text is not None}
        elif name.upper() in ("FROM", "COPY"):
            options = dict(_option(_filled(word, defaults)) for word in rest if word.startswith("--"))
            words = [_filled(word, defaults) for word in rest if not word.startswith("--")]
            from_here = name.upper() == "FROM"
            image = (words or [""])[0] if from_here else options.get("from", "")
            if image and image.lower() not in stages and not image.isdigit() and "$" not in image:
                platform = options.get("platform", "") if from_here else ""
                found.append(ParentImage(image, platform if platform and "$" not in platform else None))
            if from_here and len(words) == 3 and words[1].upper() == "AS":
                stages.add(words[2].lower())
    return list(dict.fromkeys(found))


def _option(word: str) -> tuple[str, str]:
    name, _, value = word[2:].partition("=")
    return name.lower(), value


def _filled(word: str, defaults: Mapping[str, str]) -> str:
    """``word`` with the values of arguments in it; what has none stays as it is."""
    return _VARIABLE.sub(lambda found: defaults.get(found[1] or found[2], found[0]), word.strip("\"'"))


def _instructions(lines: list[str]) -> Iterator[str]:
    """With their continuation lines joined, and without their here-documents."""
    while lines:
        if _silent(lines[0]):
            lines = lines[1:]
            continue
        instruction, lines = _instruction(lines)
        yield instruction
        word = _WORD.match(instruction)
        for tabs, name in _documents(word[1], instruction) if word else ():
            ends = [at for at, line in enumerate(lines, 1) if (line.lstrip("\t") if tabs else line) == name]
            lines = lines[ends[0] :] if ends else []


def _directives(lines: Iterable[str]) -> Iterator[str]:
    """Parser directives stand above everything else."""
    for line in lines:
        found = _DIRECTIVE.match(line.strip())
        if found is None:
            return
        yield found[1]
