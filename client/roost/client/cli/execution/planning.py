"""``plan``, ``digest`` and ``lock``: what would happen, and why. They change nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_what, what
from roost.client.errors import usage_error
from roost.client.terminal.text import format_duration, format_size, paint

Json = dict[str, Any]
FORMATS = {".yml": "conda-lock", ".yaml": "conda-lock", ".txt": "explicit", "pixi.lock": "pixi"}
"""What a lock is written as, by the file's extension or name."""


def add(subparsers: Subparsers) -> None:
    """The three commands."""
    plan = add_command(
        subparsers, "plan", plan_command, "The decision for each target; changes nothing.", "roost plan -t local"
    )
    add_what(plan, many_targets=True)
    plan.add_argument("--solve", action="store_true", help="solve if no lock is known, to say what would be built")
    shown = add_command(
        subparsers,
        "digest",
        digest_command,
        "The definition digest and what went into it.",
        "roost digest -f environment.yml",
    )
    add_what(shown)
    shown.add_argument("--canonical", action="store_true", help="print the canonical form, which is what is digested")
    lock = add_command(
        subparsers, "lock", lock_command, "The lock, in a format of other tools.", "roost lock -o conda-lock.yml"
    )
    add_what(lock)
    lock.add_argument("--platform", metavar="P", help="such as linux-64, osx-arm64 or linux-64+cuda12")
    lock.add_argument(
        "--format", choices=("conda-lock", "pixi", "explicit"), help="without it, told by the file's name"
    )
    lock.add_argument("-o", dest="output", metavar="FILE", help="write FILE instead of standard output")


def plan_command(context: Context) -> int:
    request: Json = {"what": what(context), "targets": context.options.target or ["auto"]}
    request.update({"solve": True} if context.options.solve else {})
    answer = context.request("POST", "/v1/plans", request)
    context.note_source(answer.get("source"))
    context.note_warnings(answer.get("warnings", []))
    if context.json:
        context.print_json(answer)
        return 0
    for plan in answer["plans"]:
        context.print("\n".join(_plan_lines(plan)))
    context.print(f"definition  {answer['definition_digest']}")
    managed = all(plan["action"] == "use-interpreter" for plan in answer["plans"])
    unlocked = "none: roost installs nothing" if managed else "not known yet"
    context.print(f"lock        {answer['lock_digest'] or unlocked}")
    return 0


def _plan_lines(plan: Json) -> Iterator[str]:
    artifact = plan.get("artifact") or {}
    place = artifact.get("path") or artifact.get("reference")
    action = paint(plan["action"], "bold", sys.stdout)
    yield f"{plan['target']} ({plan['platform']}): {action}" + (f" {place}" if place else "")
    for reason in plan["reasons"]:
        yield f"  why    {reason['message']} [{reason['code']}]"
    for step in plan["steps"]:
        known = [format_duration(step["seconds"])] if step.get("seconds") is not None else []
        known += [format_size(step["bytes"])] if step.get("bytes") is not None else []
        yield f"  step   {step['kind']}" + (f" ({', '.join(known)})" if known else "")
    yield from _nearest_lines(plan.get("nearest"))


def _nearest_lines(nearest: Json | None) -> Iterator[str]:
    if nearest is None:
        return
    place = nearest.get("source") or nearest.get("name")
    yield f"  near   {nearest['definition_digest']}" + (f" ({place})" if place else "") + ", which differs in"
    for difference in nearest["differences"]:
        before, after = (json.dumps(difference.get(key), ensure_ascii=False) for key in ("before", "after"))
        yield f"           {difference['field']}: {before} -> {after}"


def digest_command(context: Context) -> int:
    answer = context.request("POST", "/v1/digests", {"what": what(context)})
    context.note_warnings(answer.get("warnings", []))
    if context.json:
        context.print_json(answer)
    elif context.options.canonical:
        context.print(json.dumps(answer["canonical"], sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    else:
        context.print("\n".join(_digest_lines(answer)))
    return 0


def _digest_lines(answer: Json) -> Iterator[str]:
    yield answer["definition_digest"]
    source = answer.get("source") or {}
    if source.get("path"):
        yield f"  read   {source['path']} ({source.get('format')})"
    for found in answer.get("inputs", []):
        yield f"  input  {found['path']} {found['digest']}"
    for name, value in sorted(answer["canonical"].items()):
        if value not in (None, [], {}, ""):
            yield f"  {name} = {json.dumps(value, ensure_ascii=False)}"


def lock_command(context: Context) -> int:
    options = context.options
    request: Json = {"what": what(context), "format": _format(options.format, options.output)}
    request.update({"platform": options.platform} if options.platform else {})
    answer = context.request("POST", "/v1/locks", request)
    if options.output:
        _write(options.output, answer["text"])
        context.note(f"wrote {options.output} ({answer['lock_digest']})")
    if context.json:
        context.print_json(answer)
    elif not options.output:
        sys.stdout.write(answer["text"])
    return 0


def _format(named: str | None, output: str | None) -> str:
    """What is asked for, else what the file's name tells; what is no plain file (``/dev/stdout``) has no such name."""
    if named or output is None or (os.path.exists(output) and not os.path.isfile(output)):
        return named or "conda-lock"
    name = os.path.basename(output).lower()
    found = FORMATS.get(name) or FORMATS.get(os.path.splitext(name)[1])
    if found is None:
        raise usage_error(
            f"-o {output}: the name tells no format.",
            "Name it *.yml for conda-lock, pixi.lock or *.txt for explicit, or add --format.",
        )
    return found


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise usage_error(f"{path}: {error.strerror}", "Name a file that can be written with -o.") from error
