"""A root that the version before the packages wrote, unpacked where it lay, as if it had lain there all the time.

``tests/data/root-format-1.tar.xz`` holds the root, its config, the folder that was worked in, the channel, a base image
for ``docker load``, and what the older version answered (``expected/*.json``). Paths are part of prefixes, so it
always lies at the same place, and one test at a time has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.roost_process import Roost

from roost.daemon.definitions.stamps import stamp
from roost.store.disk.file_ops import remove_tree

ARCHIVE = Path(__file__).parents[1] / "data" / "root-format-1.tar.xz"
PLACE = Path("/tmp")
ROOT = PLACE / "roost-root-1"
WORK = PLACE / "roost-work-1"


@contextlib.contextmanager
def root_of_format_1(config: str = "") -> Iterator[Roost]:
    """The root and its working folder, with ``config`` added to its config file."""
    with open(PLACE / "roost-root-1.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove()
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(PLACE)
        roost = Roost(ROOT, WORK)
        if config:
            roost.config.write_text(roost.config.read_text() + config)
        _stamp_again()
        try:
            yield roost
        finally:
            roost.end()
            _remove()


def expected(name: str) -> Any:
    """What the older version answered to the command ``name`` (its words joined by dashes), as JSON."""
    with tarfile.open(ARCHIVE) as archive:
        member = archive.extractfile(f"expected/{name}.json")
        assert member is not None
        return json.load(member)


def base_image() -> bytes:
    """The base of the archive's image, as ``docker load`` takes it."""
    with tarfile.open(ARCHIVE) as archive:
        member = archive.extractfile("tiny-base.tar")
        assert member is not None
        return member.read()


def _remove() -> None:
    for name in ("roost-root-1", "roost-work-1", "roost-channel-1", "expected"):
        remove_tree(str(PLACE / name))
    for name in ("roost-root-1.toml", "tiny-base.tar"):
        (PLACE / name).unlink(missing_ok=True)


def _stamp_again() -> None:
    """Write the present state of the files wherever the root remembers their state: unpacking gives every file another
    inode and another ctime, which nothing did to the user's own root."""
    with contextlib.closing(sqlite3.connect(ROOT / "index.db")) as index, index:
        for row, guards in index.execute("SELECT id, guards FROM artifacts WHERE kind = 'prefix'").fetchall():
            stamps = [{**each, "identity": stamp(each["path"])} for each in json.loads(guards)]
            index.execute("UPDATE artifacts SET guards = ? WHERE id = ?", (json.dumps(stamps).encode(), row))
    for plan in (ROOT / "launch").rglob("@*"):
        text = plan.read_text()
        (asked,) = re.findall(r"^_roost_seen=.* -- (.*) 2>/dev/null\)$", text, re.MULTILINE)
        (head, old, tail) = re.split(r"(?s)(?<=case \"\$_roost_seen\" in\n)(.*?)(?=\n\*\) return 1)", text)
        states = [stamp(path) for path in re.findall("'([^']*)'", asked)]
        quoted = "''\n''".join(f"{state}:" if state.count(":") == 1 else state for state in states)
        wildcard = "*" if states[-1].count(":") == 1 else ""
        assert old.endswith(f"'{wildcard}) ;;")
        plan.write_text(f"{head}'{quoted}'{wildcard}) ;;{tail}")
