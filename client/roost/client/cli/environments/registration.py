"""Changes of the workspace: ``register``, labels, clones, archiving, removal, wheels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.environments.references import request_version, route, split_reference
from roost.client.cli.selector import build_selector, working_folder
from roost.client.terminal.text import format_count, format_path, format_size

Json = dict[str, Any]
MAX_VERSIONS = 8
"""Removed versions that are listed; what is left is counted."""


def register_command(context: Context) -> int:
    options = context.options
    request = {"what": build_selector(context), "name": options.name, "labels": options.label}
    return register_environment(context, {key: value for key, value in request.items() if value is not None})


def register_environment(context: Context, request: Json) -> int:
    """Register a version, print it, and return the exit status. Raises: ClientError."""
    answer = context.request("POST", "/v1/environments", request)
    context.note_warnings(answer.get("warnings", []))
    context.print_json(answer) if context.json else context.print(format_registered(answer))
    return 0


def format_registered(answer: Json) -> str:
    """Return ``NAME:VERSION`` of a ``wire.RegisterResponse``, and whether it was registered before."""
    environment = answer["environment"]
    version = f"{environment['name']}:{environment['version']}"
    if answer["created"]:
        return version
    not_latest = "" if "latest" in environment["labels"] else ", and is not the latest"
    return f"{version} (was registered already{not_latest})"


def label_command(context: Context) -> int:
    options = context.options
    name, _ = split_reference(options.reference)
    if options.remove:
        answer = context.request("DELETE", route(name, "labels", options.label))
        outcome = f"{name} no longer has the label {options.label}"
    else:
        version = request_version(context, options.reference)["version"]
        answer = context.request("PUT", route(name, "labels", options.label), {"version": version})
        outcome = f"{name}@{options.label} is {name}:{version}"
    context.print_json(answer) if context.json else context.print(outcome)
    return 0


def clone_command(context: Context) -> int:
    options = context.options
    selector = {"cwd": working_folder(), "environment": options.reference}
    return register_environment(context, {"what": selector, "name": options.new})


def archive_command(context: Context) -> int:
    return _set_archived(context, "archive", "is hidden; runs, labels and {0} by number find it as before")


def restore_command(context: Context) -> int:
    return _set_archived(context, "restore", "is in the lists again")


def remove_command(context: Context) -> int:
    options = context.options
    force = "true" if options.force else None
    answer = context.request("DELETE", route(options.reference, force=force))
    context.print_json(answer) if context.json else context.print_lines(_removal_lines(answer))
    return 0


def _removal_lines(answer: Json) -> Iterator[str]:
    name, versions = answer["name"], answer["versions"]
    numbers = ", ".join(f"{name}:{number}" for number in versions[:MAX_VERSIONS])
    more = f" and {len(versions) - MAX_VERSIONS} more" if len(versions) > MAX_VERSIONS else ""
    yield f"removed {numbers}{more}; no other version gets such a number"
    if answer["labels"]:
        yield f"  labels that are gone: {', '.join(answer['labels'])}"
    if answer["latest"]:
        yield f"  the latest is {name}:{answer['latest']} now"
    if answer["runs"]:
        runs = format_count(answer["runs"], "run")
        yield f"  {runs} still named so: `roost runs rerun` repeats {'it' if answer['runs'] == 1 else 'them'} as before"
    for each in answer["artifacts"]:
        why = f"protected by {', '.join(each['protected_by'])}" if each["protected_by"] else "until space is needed"
        yield f"  stays: {each['kind']} {each['path']} ({format_size(each['bytes'])}), {why}"
    if answer["artifacts"]:
        yield "  `roost cache gc` removes what nothing needs"
    if answer["same_as"]:
        yield f"  the same definition is also {', '.join(answer['same_as'])}"
    following = "" if answer["same_as"] else "; its next run registers the next version"
    for path in answer["watched"]:
        yield f"  {format_path(path)} stays watched{following}"


def _set_archived(context: Context, action: str, outcome: str) -> int:
    """Archive or restore a version, or the environment if the reference is a name. ``{0}`` in ``outcome``: the name."""
    reference = context.options.reference
    name, chosen = split_reference(reference)
    version = request_version(context, reference)["version"] if chosen else None
    answer = context.request("POST", route(name, action), {"version": version} if version else {})
    context.print_json(answer) if context.json else context.print(f"{reference} {outcome.format(name)}")
    return 0


def add_wheel_command(context: Context) -> int:
    path = os.path.normpath(os.path.join(working_folder(), context.options.wheel))
    answer = context.request("POST", "/v1/wheels", {"path": path})
    context.print_json(answer) if context.json else context.print(answer["requirement"])
    return 0
