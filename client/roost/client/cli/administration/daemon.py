"""``daemon`` and ``doctor``: the daemon's process, its log, and checks of this machine."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from typing import Any

from roost.client import paths
from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.errors import ClientError, unreachable_error
from roost.client.terminal.text import format_count, format_table, paint
from roost.client.transport import autostart
from roost.client.transport.connection import Daemon
from roost.client.transport.patience import PROBE_SECONDS, DaemonSilentError, raise_silent
from roost.client.transport.root_holder import RootHolder, find_holder
from roost.client.transport.stopping import stop

Json = dict[str, Any]
COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def add(subparsers: Subparsers) -> None:
    """Add the family ``daemon``, and ``doctor``."""
    family = add_family(subparsers, "daemon", "The daemon; the other commands start it.", "roost daemon status")
    add_command(family, "start", start_command, "Start it, if it is not running.", "roost daemon start")
    add_command(family, "stop", stop_command, "Stop it; detached runs continue.", "roost daemon stop")
    add_command(
        family, "status", status_command, "Show whether it is running, and where.", "roost daemon status --json"
    )
    logs = add_command(family, "logs", logs_command, "Show the end of its log.", "roost daemon logs -n 100")
    logs.add_argument("-n", dest="count", type=int, default=50, metavar="N", help="number of lines (50)")
    doctor = add_command(
        subparsers,
        "doctor",
        doctor_command,
        "Check this machine for problems, and show how to fix them.",
        "roost doctor --repair",
    )
    doctor.add_argument("--repair", action="store_true", help="repair the root: index, modes, left-overs")


def start_command(context: Context) -> int:
    return _print_status(context, autostart.find_serving(context.session.daemon) or {})


def status_command(context: Context) -> int:
    """Return 5 if no daemon runs, or if it does not answer. None is started."""
    holder = find_holder(paths.root())
    try:
        if holder is not None and holder.is_suspended:
            return _print_silence(context, holder)
        version = autostart.find_serving(Daemon(paths.socket_path(), raise_silent, PROBE_SECONDS))
    except DaemonSilentError:
        return _print_silence(context, holder)
    if version is not None:
        return _print_status(context, version)
    if holder is not None:
        return _print_missing_socket(context, holder)
    if context.json:
        context.print_json({"running": False, "socket": paths.socket_path(), "root": paths.root()})
    else:
        context.print(f"not running; it would serve {paths.root()} on {paths.socket_path()}")
    return 5


def _print_silence(context: Context, holder: RootHolder | None) -> int:
    if context.json:
        pid = holder.pid if holder else None
        context.print_json({"running": True, "answers": False, **_describe_place(), "pid": pid})
    else:
        suspended = ", suspended" if holder and holder.is_suspended else ""
        process = f"process {holder.pid}{suspended}, " if holder else ""
        context.print(f"does not answer: {process}root {paths.root()}, socket {paths.socket_path()}")
        context.print("`roost daemon stop` ends it; the next command starts another one")
    return 5


def _print_missing_socket(context: Context, holder: RootHolder) -> int:
    """Print the state of a daemon that holds the root and has no socket: it starts or stops, or its socket was
    removed."""
    if context.json:
        fields = {"running": True, "answers": False, **_describe_place(), "pid": holder.pid, "phase": holder.phase}
        context.print_json(fields)
    else:
        phase = holder.phase if holder.phase in ("starting", "stopping") else "has no socket"
        context.print(f"{phase}: process {holder.pid}, root {paths.root()}, socket {paths.socket_path()}")
    return 5


def _describe_place() -> Json:
    return {"socket": paths.socket_path(), "root": paths.root()}


def _print_status(context: Context, version: Json) -> int:
    if context.json:
        context.print_json({"running": True, "socket": paths.socket_path(), **version})
    else:
        context.print(
            f"running: version {version.get('version')}, pid {version.get('pid')}, root {version.get('root')}"
        )
        context.print(f"socket {paths.socket_path()}, config {version.get('config') or 'none'}")
    return 0


def stop_command(context: Context) -> int:
    stopped = stop(Daemon(paths.socket_path()))
    if context.json:
        context.print_json({"stopped": stopped is not None, **(stopped._asdict() if stopped else {})})
    elif stopped is None:
        context.note("the daemon was not running")
    elif stopped.signal:
        context.note(f"the daemon did not stop on request, and was ended by {stopped.signal}")
    else:
        context.note("the daemon stopped")
    return 0


def logs_command(context: Context) -> int:
    path = os.path.join(paths.root(), "logs", "daemon.log")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip("\n") for line in deque(file, maxlen=context.options.count)]
    except OSError as error:
        hint = "There is no log before the daemon's first start."
        raise unreachable_error(f"{path}: {error.strerror}", hint) from error
    context.print_json({"path": path, "lines": lines}) if context.json else context.print_lines(lines)
    return 0


def doctor_command(context: Context) -> int:
    """Return 1 if a fault is left."""
    repaired = _repair(context) if context.options.repair else None
    answer = context.request("GET", "/v1/doctor")
    if context.json:
        context.print_json(answer if repaired is None else {"repair": repaired, **answer})
    else:
        if repaired is not None:
            _print_repair(context, repaired)
        _print_checks(context, answer)
    left = repaired["left"] if repaired else []
    return 1 if left or any(check["state"] == "error" for check in answer["checks"]) else 0


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
        if check["state"] != "ok" and check.get("hint"):
            context.print(f"  {check['hint']}")
    rows = ((setting["name"], _setting_text(setting["value"]), setting["origin"]) for setting in answer["settings"])
    context.print_text(format_table(("SETTING", "VALUE", "FROM"), rows))


def _setting_text(value: object) -> str | None:
    """Return a value as the config file writes it, ``None`` if it is empty."""
    if value in (None, [], {}):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
