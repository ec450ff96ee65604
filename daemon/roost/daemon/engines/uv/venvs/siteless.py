"""The Python that uv asks about a prefix, without running code of packages.

Separate from ``answers``, which is about venvs: it knows background work.
"""

from __future__ import annotations

import os
import shlex

from roost.daemon.background.work import is_background


def write_siteless(folder: str, prefix: str, python_path: str) -> str:
    """Return the Python that uv asks about ``prefix``: its own, or in background work a command in ``folder`` that runs
    it without ``site``. uv runs it with ``site``, and so code in ``.pth`` files of conda packages. Blocks.

    A virtual environment is found by ``site``; it has no package yet.
    """
    if not is_background() or os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        return python_path
    command = os.path.join(folder, "python")
    with open(os.open(command, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700), "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {shlex.quote(python_path)} -S "$@"\n')
    return command
