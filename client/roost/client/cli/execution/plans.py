"""``plan`` and ``digest``: what would happen, and why. They build nothing."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector
from roost.client.terminal.text import format_count, format_duration, format_size, paint

Json = dict[str, Any]
_MOST_CHANGES = 10
"""Lines of changed packages; what is left is counted."""


def add(subparsers: Subparsers) -> None:
    """Add ``plan`` and ``digest``."""
    plan = add_command(
        subparsers, "plan", plan_command, "Show the decision for each target; changes nothing.", "roost plan -t local"
    )
    add_selector_options(plan, "a target to plan for, as often as you like (auto)", many_targets=True)
    plan.add_argument("--solve", action="store_true", help="solve if no lock is known, to show what would be built")
    digest = add_command(
        subparsers,
        "digest",
        digest_command,
        "Print the definition digest and its inputs.",
        "roost digest -f environment.yml",
    )
    add_selector_options(digest, argparse.SUPPRESS)  # no target changes a digest
    digest.add_argument("--canonical", action="store_true", help="print the canonical form, which is what is digested")


def plan_command(context: Context) -> int:
    request: Json = {"what": build_selector(context), "targets": context.options.target or ["auto"]}
    request.update({"solve": True} if context.options.solve else {})
    answer = context.request("POST", "/v1/plans", request)
    context.note_source(answer.get("source"))
    told = set() if context.json else {reason["message"] for plan in answer["plans"] for reason in plan["reasons"]}
    context.note_warnings(each for each in answer.get("warnings", []) if each["message"] not in told)
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
        yield f"  input  {each['path']} {each['digest'] or '(missing)'}"
    for name, value in sorted(answer["canonical"].items()):
        if value not in (None, [], {}, ""):
            yield f"  {name} = {json.dumps(value, ensure_ascii=False)}"
