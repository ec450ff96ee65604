"""The files in a prefix that keep people, pip and conda from changing it by hand.

``EXTERNALLY-MANAGED`` is PyPA's (PEP 668), ``conda-meta/frozen`` conda's (CEP 22). Separate because images
get the same marks in a layer.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import time
from collections.abc import Iterable, Sequence

from roost.model.locks.lock import CondaPackage

INSTEAD = (
    "This prefix belongs to roost, and others with the same lock share it. Add packages to the environment's "
    "definition instead and run `roost build`."
)
EXTERNALLY_MANAGED = f"[externally-managed]\nError={INSTEAD}\n"
"""Content of ``EXTERNALLY-MANAGED``."""


def history_lines(packages: Iterable[CondaPackage]) -> list[str]:
    """Return the line of ``conda-meta/history`` for each of ``packages``."""
    return [f"+{p.url.rsplit('/', 1)[0]}::{p.name}-{p.version}-{p.build}\n" for p in packages]


def write_marks(prefix: str, packages: Sequence[CondaPackage]) -> None:
    """Write ``conda-meta/history``, ``conda-meta/frozen`` and ``EXTERNALLY-MANAGED`` into ``prefix``. Blocks."""
    meta = os.path.join(prefix, "conda-meta")
    os.makedirs(meta, exist_ok=True)
    head = f"==> {time.strftime('%Y-%m-%d %H:%M:%S')} <==\n# cmd: roost build\n"
    _write_mark(os.path.join(meta, "history"), head + "".join(history_lines(packages)))
    _write_mark(os.path.join(meta, "frozen"), json.dumps({"message": INSTEAD}) + "\n")
    for module in glob.glob(os.path.join(glob.escape(prefix), "lib", "python3.*", "os.py")):
        _write_mark(os.path.join(os.path.dirname(module), "EXTERNALLY-MANAGED"), EXTERNALLY_MANAGED)


def _write_mark(path: str, text: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # never write through a hard link into the cache
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
