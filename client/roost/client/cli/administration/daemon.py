"""``daemon``: the daemon's process and its log."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from roost.client import paths
from roost.client.cli.context import Context
from roost.client.cli.paging import row_limit
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.errors import unreachable_error
from roost.client.transport import autostart
from roost.client.transport.connection import Daemon
from roost.client.transport.patience import PROBE_SECONDS, DaemonSilentError, raise_silent
from roost.client.transport.root_holder import RootHolder, find_holder
from roost.client.transport.stopping import stop

Json = dict[str, Any]
COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def add(subparsers: Subparsers) -> None:
    """Add the family ``daemon``."""
    family = add_family(subparsers, "daemon", "The daemon; the other commands start it.", "roost daemon status")
    add_command(family, "start", start_command, "Start it, if it is not running.", "roost daemon start")
    add_command(family, "stop", stop_command, "Stop it; detached runs continue.", "roost daemon stop")
    add_command(
        family, "status", status_command, "Show whether it is running, and where.", "roost daemon status --json"
    )
    logs = add_command(family, "logs", logs_command, "Show the end of its log.", "roost daemon logs --tail 100")
    count = "only the last N lines (50)"
    logs.add_argument("-n", "--tail", dest="count", type=row_limit(), default=50, metavar="N", help=count)


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
