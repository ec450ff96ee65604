"""A small prefix of this interpreter with one wheel, whose byte-code is completed; as a process, to be killed.

python -m tests.support.bytecode_prefix FOLDER
"""

from __future__ import annotations

import asyncio
import hashlib
import marshal
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from roost.daemon.prefixes.compilation import BytecodeTask, complete_bytecode
from roost.model.locks.lock import HostPython, Lock, Wheel

KEY = "1" * 64
MODULES = {f"part/module_{number}.py": f"VALUE = {number}\n" for number in range(6)} | {"part/__init__.py": ""}
BROKEN = "part/template.py"
SITE = f"lib/python3.{sys.version_info[1]}/site-packages"
LOCK = Lock(
    platform="linux-64",
    provider=HostPython(version=f"3.{sys.version_info[1]}"),
    wheels=(Wheel(name="part", version="1.0", file_name="part-1.0-py3-none-any.whl", sha256=KEY),),
)


def make_prefix(folder: Path, name: str = "a") -> BytecodeTask:
    """A prefix at ``folder/prefixes/name`` with seven modules and a template that does not compile."""
    prefix = folder / "prefixes" / name
    site = prefix / SITE
    for each in (site / "part/__pycache__", site / "part-1.0.dist-info", prefix / "bin", folder / "packages/bytecode"):
        each.mkdir(parents=True, exist_ok=True)
    (prefix / "bin/python").symlink_to(sys.executable)
    for path, text in {**MODULES, BROKEN: "this is {no} Python\n"}.items():
        (site / path).write_text(text)
        os.utime(site / path, (1_700_000_000, 1_700_000_000))
    (site / "part-1.0.dist-info/RECORD").write_text("".join(f"{path},,\n" for path in [*MODULES, BROKEN]))
    (folder / "prefixes" / f"{name}.lease").touch()
    return task_of(folder, name)


def task_of(folder: Path, name: str = "a") -> BytecodeTask:
    prefix = folder / "prefixes" / name
    return BytecodeTask(
        prefix=str(prefix),
        lease_path=f"{prefix}.lease",
        lock=LOCK,
        digests={
            f"{SITE}/{path}": hashlib.sha256(text.encode()).hexdigest()
            for path, text in {**MODULES, BROKEN: "this is {no} Python\n"}.items()
        },
        store=str(folder / "packages/bytecode"),
    )


async def complete_prefix(prefix: Path, lock: Lock, store: str) -> int:
    """Complete a prefix that was filled and never published; the number of files that were compiled."""
    sources = [path for path in prefix.rglob("*.py") if not path.is_symlink()]
    for path in sources:
        (path.parent / "__pycache__").mkdir(exist_ok=True)
    lease = Path(f"{prefix}.lease")
    lease.touch()
    digests = {str(path.relative_to(prefix)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}
    task = BytecodeTask(prefix=str(prefix), lease_path=str(lease), lock=lock, digests=digests, store=store)
    return await complete_bytecode(task)


def bytecode_of(prefix: str) -> dict[str, int]:
    """Name of each module of the prefix with byte-code to how many names that has, after its content was loaded."""
    found = {}
    for path in Path(prefix, SITE).rglob("*.pyc"):
        marshal.loads(path.read_bytes()[16:])
        found[path.name.partition(".")[0]] = path.stat().st_nlink
    return found


def list_due(root: Path) -> list[str]:
    """Paths of the prefixes of ``root`` whose byte-code is still to be completed."""
    with closing(sqlite3.connect(f"file:{root}/index.db?mode=ro", uri=True)) as index:
        return [row[0] for row in index.execute("SELECT path FROM artifacts WHERE bytecode_due = 1")]


def wait_until_complete(root: Path) -> None:
    """Wait until all prefixes of ``root`` have their byte-code."""
    deadline = time.monotonic() + 60
    while list_due(root):
        assert time.monotonic() < deadline
        time.sleep(0.02)


if __name__ == "__main__":
    print(asyncio.run(complete_bytecode(task_of(Path(sys.argv[1])))))
