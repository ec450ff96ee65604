"""Checks of the Pythons of this machine: which were found, by which rule, and which don't run.

Separate since it starts each of them.
"""

from __future__ import annotations

import contextvars
import os
from concurrent.futures import ThreadPoolExecutor

from roost.daemon.doctor.deadlines import run_apart
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.surroundings import Surroundings
from roost.daemon.doctor.verdicts import judge_pythons
from roost.daemon.engines.host_python.interpreters import (
    FoundPython,
    Interpreter,
    probe_interpreter,
    survey_interpreters,
)

_AT_ONCE = 4


async def check_interpreters(around: Surroundings) -> list[Check]:
    """Check for Pythons that a definition with only pip packages can be built on."""
    return await run_apart(_judge_interpreters)


def _judge_interpreters() -> list[Check]:
    found = list(survey_interpreters())
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="doctor-pythons") as pool:
        contexts = [contextvars.copy_context() for _ in found]
        probing = [
            pool.submit(context.run, probe_interpreter, each.path)
            for context, each in zip(contexts, found, strict=True)
        ]
        answers = [each.result() for each in probing]
    pairs = list(zip(found, answers, strict=True))
    usable = [_describe(each, answer) for each, answer in pairs if answer is not None and answer.is_usable]
    others = [_describe(each, answer) for each, answer in pairs if answer is not None and not answer.is_usable]
    broken = [_describe_broken(each) for each, answer in pairs if answer is None]
    return judge_pythons(usable, others, broken)


def _describe(found: FoundPython, python: Interpreter) -> str:
    kind = "" if python.implementation == "cpython" else f" ({python.implementation})"
    kind = " (free-threaded)" if python.free_threaded else kind
    kind = kind if python.final else " (pre-release)"
    return f"{python.version}{kind} at {python.executable} ({found.rule})"


def _describe_broken(found: FoundPython) -> str:
    real = os.path.realpath(found.path)
    leads = f", a link to {real}" if real != found.path else ""
    why = "" if os.path.exists(real) else ", which does not exist"
    return f"{found.path} ({found.rule}{leads}{why})"
