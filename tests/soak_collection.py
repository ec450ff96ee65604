"""Garbage collection under load, with a daemon as people have it: a part of ``tests.soak``, not of the CI.

    python -m tests.soak_collection [--environments 200] [--budget-mb 20] [--environment-mb 1] [--clients 8]

1. Under a budget, that many environments of a size are made and used one after the other, while a thread adds up what
   is on the disk again and again: each file once, however many links it has. Fails if the budget was ever exceeded by
   more than the largest environment takes while it is built.
2. That many environments are asked for by several clients at a time while ``roost cache gc --all`` runs again and
   again. Fails if a command fails or prints something else than its package, and if a prefix is not whole at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost, new_roost

MB = 1_000_000
UNCOUNTED = ("index.db", "logs", "runs", "launch", "lock", "format", "roost.sock", "workers", "bin")
"""What is no cache: records, logs, programs."""
SHOW = "import toy; print(toy.value)"


@contextlib.contextmanager
def roost_with(settings: str) -> Iterator[tuple[Roost, PipIndex]]:
    """roost on a new root with these ``settings``, and an index of its own."""
    index, roost = PipIndex(), new_roost()
    roost.config.write_text(f'{settings}\n[pip]\nindex_url = "{index.url}"\n')
    try:
        yield roost, index
    finally:
        roost.end()
        index.close()


def measure_disk_use(root: Path) -> dict[str, int]:
    """Return the bytes of the blocks of all files under ``root`` that count, each inode once, by folder of the root."""
    seen: set[tuple[int, int]] = set()
    return {
        path.name: _measure_folder(str(path), seen)
        for path in sorted(root.iterdir())
        if not path.name.startswith(UNCOUNTED)
    }


def _measure_folder(path: str, seen: set[tuple[int, int]]) -> int:
    """Return the bytes of all files under ``path`` whose inodes were not ``seen``."""
    used, folders = 0, [path]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        state = entry.stat(follow_symlinks=False)
                        if (inode := (state.st_dev, state.st_ino)) not in seen:
                            seen.add(inode)
                            used += 512 * state.st_blocks
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return used


@contextlib.contextmanager
def repeating(action: Callable[[], None]) -> Iterator[None]:
    """Call ``action`` again and again in a thread while the block runs; its error is that of the block."""
    ended, errors = threading.Event(), list[Exception]()

    def repeat() -> None:
        try:
            while not ended.is_set():
                action()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]


def soak_budget(environments: int, budget: int, size: int) -> bool:
    """Make and use ``environments`` of ``size`` bytes under ``budget`` bytes; print the most that was on the disk, and
    return whether that was allowed."""
    settings = f"[cache]\nbudget_bytes = {budget}\nmin_free_bytes = 0\nprefix_days = 0\npackage_days = 0"
    most: dict[str, int] = {}
    alone = 0
    with roost_with(settings) as (roost, index):

        def look() -> None:
            nonlocal most
            most = max(most, measure_disk_use(roost.root), key=lambda used: sum(used.values()))

        def use(number: int) -> None:
            code = f"value = '1.{number}'\n# {random.randbytes(size // 2).hex()}\n"
            index.add("toy", wheel_bytes("toy", f"1.{number}", code=code))
            roost.write("requirements.txt", f"toy==1.{number}\n")
            assert roost.ok("exec", "--", "python", "-c", SHOW) == f"1.{number}\n"

        use(0)  # with what every environment shares
        before = sum(measure_disk_use(roost.root).values())
        with repeating(look):
            use(1)
        alone, most = sum(most.values()) - before, {}
        began = time.monotonic()
        with repeating(look):
            for number in range(2, environments):
                use(number)
        seconds = time.monotonic() - began
        left = sum(measure_disk_use(roost.root).values())
        removed = environments - sum(path.is_dir() for path in (roost.root / "prefixes").iterdir())
        roost.ok("cache", "verify")
    total = sum(most.values())
    parts = ", ".join(f"{name} {used / MB:.2f}" for name, used in most.items() if used)
    print(
        f"budget of {budget / MB:.0f} MB, {environments} environments in {seconds:.0f} s: {total / MB:.2f} MB at most, "
        f"{left / MB:.2f} MB left, {removed} prefixes went; one takes {alone / MB:.2f} MB while it is built; "
        f"the most was {parts}",
        flush=True,
    )
    return total <= budget + alone and removed > 0


def soak_builds(environments: int, clients: int) -> bool:
    """Have ``clients`` ask for ``environments`` while everything is collected; print what failed, and return whether
    nothing did."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    failures: list[str] = []
    collections, freed = 0, 0
    with roost_with("[cache]\nmin_free_bytes = 0\nprefix_days = 0\npackage_days = 0") as (roost, index):
        pauses = threading.Lock()  # a collection gets on when nobody asks for anything
        for number in range(environments):
            index.wheel("toy", f"1.{number}")
            waiting.put(number)

        def collect() -> None:
            nonlocal collections, freed
            done = roost.json("cache", "gc", "--all")
            collections += 1
            freed += sum(step["state"] == "removed" for step in done["steps"])

        def ask() -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    number = waiting.get_nowait()
                    with pauses:
                        time.sleep(3 if number % 20 == 0 else 0)
                    path = roost.write(f"{number}/requirements.txt", f"toy==1.{number}\n")
                    done = roost.run("exec", "--", "python", "-c", SHOW, cwd=path.parent)
                    if (done.returncode, done.stdout) != (0, f"1.{number}\n"):
                        failures.append(f"{number}: {done.returncode}\n{done.stdout}{done.stderr}")

        roost.ok("daemon", "start")
        began = time.monotonic()
        with repeating(collect):
            threads = [threading.Thread(target=ask) for _ in range(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        seconds = time.monotonic() - began
        findings = roost.json("cache", "verify")["findings"]
        failures += [str(finding) for finding in findings]
        states = {row["state"] for row in roost.json("cache", "df")["artifacts"]}
        if states - {"ready"}:
            failures.append(f"states of artifacts: {states}")
        repaired = roost.json("doctor", "--repair")["repair"]
        failures += [*repaired["done"], *repaired["lost"], *repaired["left"]]
    print(
        f"{environments} builds of {clients} clients in {seconds:.0f} s beside {collections} collections, "
        f"which removed {freed} things: {len(failures)} failures",
        *failures,
        sep="\n",
        flush=True,
    )
    return not failures and freed > 0


def main() -> int:
    """Run both; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=200)
    parser.add_argument("--budget-mb", type=int, default=20)
    parser.add_argument("--environment-mb", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    passed = [
        soak_budget(options.environments, options.budget_mb * MB, options.environment_mb * MB),
        soak_builds(options.environments, options.clients),
    ]
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
