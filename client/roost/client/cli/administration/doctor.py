"""``doctor``: checks of this machine, their remedies, the settings in force, and the repair of the root."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from roost.client import paths
from roost.client.cli.administration.shells import check_shell
from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.errors import ClientError
from roost.client.terminal.text import format_count, format_table, paint
from roost.client.transport.stopping import stop

Json = dict[str, Any]
LONGEST_SETTING = 32
"""Characters of a name or value that a column has room for; longer ones take what they need in their own line."""
COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}
STATES = ("error", "warning", "ok")


def add(subparsers: Subparsers) -> None:
    """Add ``doctor``."""
    text = "Check this machine for problems, and show how to fix them, and every setting in force."
    doctor = add_command(subparsers, "doctor", doctor_command, text, "roost doctor --repair")
    doctor.add_argument("--repair", action="store_true", help="repair the root: index, modes, left-overs")


def doctor_command(context: Context) -> int:
    """Return 1 if a fault is left."""
    repaired = _repair(context) if context.options.repair else None
    answer = _examine(context)
    if context.json:
        context.print_json(answer if repaired is None else {"repair": repaired, **answer})
    else:
        if repaired is not None:
            _print_repair(context, repaired)
        _print_checks(context, answer)
    left = repaired["left"] if repaired else []
    return 1 if left or any(check["state"] == "error" for check in answer["checks"]) else 0


def _examine(context: Context) -> Json:
    """Return what the daemon finds, and what is about the caller's shell. A daemon that can't be started, or does not
    answer as it should, is a fault like any other."""
    try:
        needed = context.request("GET", "/v1/doctor/needs")["variables"]
        variables = {name: os.environ[name] for name in needed if name in os.environ}
        answer = context.request("POST", "/v1/doctor", {"variables": variables})
    except ClientError as error:
        answer = {"checks": [_describe_failure(error)], "settings": []}
    checks = [*answer["checks"], *check_shell(os.environ)]
    return {**answer, "checks": sorted(checks, key=lambda check: STATES.index(check["state"]))}


def _describe_failure(error: ClientError) -> Json:
    location = error.body.get("location") or {}
    place = ":".join(str(location[key]) for key in ("path", "line", "column") if location.get(key) is not None)
    message = f"{place}: {error.body['message']}" if place else str(error.body["message"])
    hint = error.body.get("hint") or "`roost daemon logs` may say more."
    return {"name": "daemon", "state": "error", "message": message, "hint": hint, "subject": "", "code": error.code}


def _repair(context: Context) -> Json:
    """Repair the root if it needs it, in a process of its own while no daemon has it. Raises: ClientError; with code
    ``daemon-busy`` if the daemon has something to do."""
    from roost.client.transport import repair  # no other command needs it

    try:
        checks = context.request("GET", "/v1/doctor")["checks"]
    except ClientError as error:
        if error.code not in repair.REPAIRABLE_CODES:
            raise
    else:
        if all(check["state"] != "error" for check in checks if check["name"] in repair.REPAIRABLE_CHECKS):
            return {"root": paths.root(), "done": [], "lost": [], "prefixes": [], "kept": [], "left": []}
        _stop_idle(context)
    return repair.repair_root()


def _stop_idle(context: Context) -> None:
    """Stop the daemon. Raises: ClientError, if it has something to do."""
    try:
        stop(context.session.daemon, if_idle=True)
    except ClientError as error:
        if error.code != "daemon-busy":
            raise
        held = ", ".join(f"{count} {kind}" for kind, count in error.body["fields"].items())
        message = f"The daemon has something to do ({held}), and a repair needs the root to itself."
        hint = "Try again when that has ended, or stop the daemon first: `roost daemon stop`."
        raise ClientError({**error.body, "message": message, "hint": hint}) from error


def _print_repair(context: Context, repaired: Json) -> None:
    for line in repaired["left"]:
        context.print(f"{paint('left', COLOURS['error'], sys.stdout)}  {line}")
    for line in repaired["lost"]:
        context.print(f"{paint('lost', COLOURS['warning'], sys.stdout)}  {line}")
    for line in repaired["done"]:
        context.print(f"{paint('done', COLOURS['ok'], sys.stdout)}  {line}")
    if repaired["prefixes"]:
        count = format_count(len(repaired["prefixes"]), "prefix")
        context.print(f"{count} compared byte by byte with what was built, and in use again")
    if not any(repaired[key] for key in ("left", "lost", "done")):
        context.print(f"nothing to repair in {repaired['root']}")


def _print_checks(context: Context, answer: Json) -> None:
    for check in answer["checks"]:
        state = paint(check["state"], COLOURS[check["state"]], sys.stdout)
        context.print(f"{state}  {check['name']}: {check['message']}")
        if check.get("hint"):
            context.print(f"  {check['hint']}")
    rows = ((setting["name"], _setting_text(setting["value"]), setting["origin"]) for setting in answer["settings"])
    if not answer["settings"]:
        return
    context.print_text(format_table(("SETTING", "VALUE", "FROM"), rows, longest=LONGEST_SETTING))
    if counts := _count_faults(answer["checks"]):  # they come first, and may have left the screen by now
        context.note(f"{counts}: see above")


def _count_faults(checks: Sequence[Json]) -> str:
    """Return how many errors and warnings there are, with the names of the checks; an empty text if there are none."""
    named = {state: [check["name"] for check in checks if check["state"] == state] for state in STATES[:-1]}
    counted = ((format_count(len(names), state), dict.fromkeys(names)) for state, names in named.items() if names)
    return ", ".join(f"{count} ({', '.join(names)})" for count, names in counted)


def _setting_text(value: object) -> str | None:
    """Return a value as the config file writes it, ``None`` if it is empty."""
    if value in (None, [], {}):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
