"""Repair of a root by ``roostd --repair``, while no daemon has it.

Apart from ``autostart``: a single command needs it, and it imports ``subprocess``.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from roost.client.errors import ClientError, unreachable_error
from roost.client.transport.daemon_process import daemon_environ, find_error_line
from roost.wire.installation import isolated_command

REPAIRABLE_CODES = ("index-missing", "index-damaged", "index-unusable", "root-shared")
"""Codes of errors of a daemon that can't start, about which a repair can do something."""
REPAIRABLE_CHECKS = ("index", "content")
"""Names of checks of ``doctor`` whose errors a repair can end."""


def repair_root() -> dict[str, Any]:
    """Run the repair and return its result (``wire.repairs.RepairView``). Raises: ClientError."""
    command = isolated_command("roost.daemon.main", "--repair")
    done = subprocess.run(command, cwd="/", env=daemon_environ(), stdin=subprocess.DEVNULL, capture_output=True)
    try:
        view = json.loads(done.stdout)
    except ValueError:
        view = None
    if isinstance(view, dict):
        return view
    body = find_error_line(done.stderr.decode(errors="replace"))
    if body is not None:
        raise ClientError({**body, "exit_status": 5})
    words = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
    raise unreachable_error(
        f"The repair ended with status {done.returncode}: {words[0]}", "Run `roost doctor --repair` again: it goes on."
    )
