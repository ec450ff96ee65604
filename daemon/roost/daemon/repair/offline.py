"""The process ``roostd --repair``: repairs the root while no daemon has it, and prints the result as JSON.

Separate from ``repair``, so that tests repair a root in their own process.
"""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec

from roost.daemon.caller.current import remove_own_variables
from roost.daemon.config.paths import find_root, sanitize_environment, settle_home
from roost.daemon.jobs.views import error_body
from roost.daemon.repair.repair import repair_root
from roost.model.errors import CodedError
from roost.wire.installation import VERSION


def run_repair() -> int:
    """Repair the root, print a ``RepairView`` on standard output, and return the exit status. An error is one line of
    JSON on standard error, as of a daemon that can't start."""
    os.umask(0o077)
    try:
        sanitize_environment(os.environ)
        remove_own_variables()
        root = find_root()
        settle_home(os.environ, root)
        view = asyncio.run(repair_root(root, VERSION))
    except CodedError as error:
        print(msgspec.json.encode(error_body(error)).decode(), file=sys.stderr)
        return error.exit_status
    print(msgspec.json.encode(view).decode())
    return 1 if view.left else 0
