"""``plan``, ``digest`` and ``lock``: what would happen, and why. They build nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector
from roost.client.errors import usage_error
from roost.client.terminal.text import format_count, format_duration, format_size, paint

Json = dict[str, Any]
_MOST_CHANGES = 10
"""Lines of changed packages; what is left is counted."""
LOCK_FORMATS = {".yml": "conda-lock", ".yaml": "conda-lock", ".txt": "explicit", "pixi.lock": "pixi"}
"""The format of a lock by the file's extension or name."""


def add(subparsers: Subparsers) -> None:
    """Add ``plan``, ``digest`` and ``lock``."""
    plan = add_command(
        subparsers, "plan", plan_command, "Show the decision for each target; changes nothing.", "roost plan -t local"
    )
    add_selector_options(plan, many_targets=True)
    plan.add_argument("--solve", action="store_true", help="solve if no lock is known, to show what would be built")
    digest = add_command(
        subparsers,
        "digest",
        digest_command,
        "Print the definition digest and its inputs.",
        "roost digest -f environment.yml",
    )
    add_selector_options(digest)
    digest.add_argument("--canonical", action="store_true", help="print the canonical form, which is what is digested")
    lock = add_command(
        subparsers, "lock", lock_command, "Write the lock in another tool's format.", "roost lock -o conda-lock.yml"
    )
    add_selector_options(lock)
    lock.add_argument("--platform", metavar="P", help="such as linux-64, osx-arm64 or linux-64+cuda12")
    lock.add_argument("--format", choices=("conda-lock", "pixi", "explicit"), help="default: by the file's name")
    lock.add_argument("-o", dest="output", metavar="FILE", help="write FILE instead of standard output")


def plan_command(context: Context) -> int:
    request: Json = {"what": build_selector(context), "targets": context.options.target or ["auto"]}
    request.update({"solve": True} if context.options.solve else {})
    answer = context.request("POST", "/v1/plans", request)
    context.note_source(answer.get("source"))
    context.note_warnings(answer.get("warnings", []))
    if context.json:
        context.print_json(answer)
        return 0
    for plan in answer["plans"]:
        context.print_lines(_plan_lines(plan))
    context.print(f"definition  {answer['definition_digest']}")
    is_user_managed = all(plan["action"] == "use-interpreter" for plan in answer["plans"])
    no_lock = "none: roost installs nothing" if is_user_managed else "not known yet"
    context.print(f"lock        {answer['lock_digest'] or no_lock}")
    return 0


def _plan_lines(plan: Json) -> Iterator[str]:
    artifact = plan.get("artifact") or {}
    location = artifact.get("path") or artifact.get("reference")
    action = paint(plan["action"], "bold", sys.stdout)
    yield f"{plan['target']} ({plan['platform']}): {action}" + (f" {location}" if location else "")
    for reason in plan["reasons"]:
        yield f"  why    {reason['message']} [{reason['code']}]"
    for step in plan["steps"]:
        yield f"  step   {step['kind']}" + _format_step(step)
    if plan.get("seconds") is not None:
        yield f"  time   about {format_duration(plan['seconds'])} in all"
    elif any(step["kind"] in ("solve", "lock-pip") for step in plan["steps"]):
        yield "  time   that of the other steps is known once the packages are chosen (`roost plan --solve`)"
    changes = plan.get("changes", [])
    yield from (f"  change {change['text']}" for change in changes[:_MOST_CHANGES])
    if len(changes) > _MOST_CHANGES:
        yield f"  change and {len(changes) - _MOST_CHANGES} more"
    nearest = plan.get("nearest")
    if nearest is not None:
        origin = nearest.get("source") or nearest.get("name")
        yield f"  near   {nearest['definition_digest']}" + (f" ({origin})" if origin else "") + ", which differs in"
        for difference in nearest["differences"]:
            before, after = (json.dumps(difference.get(key), ensure_ascii=False) for key in ("before", "after"))
            yield f"           {difference['field']}: {before} -> {after}"


def _format_step(step: Json) -> str:
    known = [format_duration(step["seconds"])] if step.get("seconds") is not None else []
    known += [format_size(step["bytes"])] if step.get("bytes") is not None else []
    known += [format_count(step["packages"], "package")] if step.get("packages") else []
    known += [format_count(step["files"], "file")] if step.get("files") else []
    return f" ({', '.join(known)})" if known else ""


def digest_command(context: Context) -> int:
    answer = context.request("POST", "/v1/digests", {"what": build_selector(context)})
    context.note_warnings(answer.get("warnings", []))
    if context.json:
        context.print_json(answer)
    elif context.options.canonical:
        context.print(json.dumps(answer["canonical"], sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    else:
        context.print_lines(_digest_lines(answer))
    return 0


def _digest_lines(answer: Json) -> Iterator[str]:
    yield answer["definition_digest"]
    source = answer.get("source") or {}
    if source.get("path"):
        yield f"  read   {source['path']} ({source.get('format')})"
    for each in answer.get("inputs", []):
        yield f"  input  {each['path']} {each['digest']}"
    for name, value in sorted(answer["canonical"].items()):
        if value not in (None, [], {}, ""):
            yield f"  {name} = {json.dumps(value, ensure_ascii=False)}"


def lock_command(context: Context) -> int:
    options = context.options
    request: Json = {"what": build_selector(context), "format": _lock_format(options.format, options.output)}
    request.update({"platform": options.platform} if options.platform else {})
    answer = context.request("POST", "/v1/locks", request)
    context.note_warnings(answer.get("warnings", []))
    if options.output:
        _write_lock(options.output, answer["text"])
        context.note(f"wrote {options.output} ({answer['lock_digest']})")
    if context.json:
        context.print_json(answer)
    elif not options.output:
        context.write_file(answer["text"])
    return 0


def _lock_format(requested: str | None, output: str | None) -> str:
    """Return the requested format, else the one of the file's name, else conda-lock.

    The name of anything but a plain file (``/dev/stdout``) says nothing.
    Raises: ClientError if the name has no format.
    """
    if requested or output is None or (os.path.exists(output) and not os.path.isfile(output)):
        return requested or "conda-lock"
    name = os.path.basename(output).lower()
    found = LOCK_FORMATS.get(name) or LOCK_FORMATS.get(os.path.splitext(name)[1])
    if found is None:
        raise usage_error(
            f"-o {output}: the name does not show the format.",
            "Name it *.yml for conda-lock, pixi.lock or *.txt for explicit, or add --format.",
        )
    return found


def _write_lock(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise usage_error(f"{path}: {error.strerror}", "Name a file that can be written with -o.") from error
