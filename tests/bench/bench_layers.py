"""Writing an environment's layers, against one thread of zlib at level 6 over the same archives; memory; first imports.

    python -m tests.bench.bench_layers [PAIRS [IMPORTS]]

Goals: at least 3 times as fast as zlib at level 6; peak memory of 256 MB at the most whatever the size of a package;
a first import in the image (a chroot, as root only) as fast as in the local prefix. Uses the tests' own channel.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

from tests.bench import measuring
from tests.support.bytecode_prefix import complete_prefix
from tests.support.images.layers import Place, extract, in_chroot, lock_of, place

from roost.daemon.layers import writer
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE, LayerContent
from roost.daemon.layers.tar import LayerEntry, PackedLayer, pack_layer
from roost.model.locks.lock import Lock

SPECS = ["python=3.11", "numpy", "pandas", "scikit-learn", "scipy", "pip", "joblib"]
EVENT = threading.Event()
IMPORT = """import time
begun = time.perf_counter()
import numpy, pandas, joblib, scipy.linalg, sklearn.linear_model
print(time.perf_counter() - begun)
"""


spent: list[float] = []
"""Seconds that each layer took to pack: files read, archived, compressed, digested, written and synced."""


def timed_pack(entries: Iterable[LayerEntry], path: str, stop: threading.Event) -> PackedLayer:
    started = time.perf_counter()
    packed = pack_layer(entries, path, stop)
    spent.append(time.perf_counter() - started)
    return packed


writer.pack_layer = timed_pack  # type: ignore[assignment]


def channel() -> Path:
    built = subprocess.check_output([sys.executable, "-m", "tests.support.channel.build"], text=True)
    return Path(built.strip()) / "conda-forge"


async def bench(folder: Path, pairs: int, imports: int) -> None:
    async with place(folder / "r", channel()) as there:
        lock = lock_of(await there.solve(*SPECS))
        await there.write(lock)  # the package cache is full from now on
        ours, packing, theirs = [], [], []
        for _ in range(pairs):
            spent.clear()
            ours.append(await write_anew(there, lock))
            packing.append(sum(spent))
            content = await there.write(lock)
            theirs.append(await asyncio.to_thread(zlib_seconds, content))
        size = sum(layer.size for layer in content.layers)
        whole, alone = (statistics.median(z / x for z, x in zip(theirs, xs, strict=True)) for xs in (ours, packing))
        print(
            f"{len(content.layers)} layers, {size / 1e6:.0f} MB: linked, compiled, packed and kept in "
            f"{statistics.median(ours):.2f} s; zlib 6 alone {statistics.median(theirs):.2f} s"
        )
        print(f"median of {pairs} pairs: packing {alone:.1f} times as fast as zlib 6 (goal 3), all {whole:.1f} times")
        started = time.perf_counter()
        await there.write(lock)
        print(f"again, all kept: {(time.perf_counter() - started) * 1000:.1f} ms")
        if os.geteuid() == 0:
            await first_imports(folder, there, lock, content, imports)


async def write_anew(there: Place, lock: Lock) -> float:
    """Seconds to write all layers, none of them kept."""
    await there.store.index.layers.delete([layer.digest for layer in await there.store.index.layers.list_all()])
    started = time.perf_counter()
    await there.write(lock)
    return time.perf_counter() - started


def zlib_seconds(content: LayerContent) -> float:
    spent = 0.0
    for layer in content.layers:
        data = zlib.decompress(Path(layer.path).read_bytes(), 31)
        started = time.perf_counter()
        zlib.compress(data, 6)
        spent += time.perf_counter() - started
    return spent


async def first_imports(folder: Path, there: Place, lock: Lock, content: LayerContent, pairs: int) -> None:
    """The very first import in a new image against that in a new local prefix, both with warm files."""
    ratios = []
    for number in range(pairs):
        image, local = folder / f"image{number}", folder / f"local{number}"
        extract(content.layers, image)
        in_chroot(image, f"{PREFIX_IN_IMAGE}/bin/python", "-c", "pass")
        await there.conda.link(lock.conda, str(local))
        await complete_prefix(local, lock, os.path.join(there.store.layout.packages, "bytecode"))
        as_new(local)
        for path in (image, local):
            subprocess.run(["sh", "-c", 'find "$0" -type f -exec cat {} + > /dev/null', str(path)], check=True)
        os.sync()  # the image was only just written, and would be going to the disk meanwhile
        runs = {
            "image": lambda image=image: in_chroot(image, f"{PREFIX_IN_IMAGE}/bin/python", "-B", "-c", IMPORT),
            "local": lambda local=local: subprocess.check_output([local / "bin/python", "-B", "-c", IMPORT], text=True),
        }
        order = sorted(runs, reverse=number % 2 == 1)  # whoever comes second finds the libraries below them warm
        seconds = {name: float(await asyncio.to_thread(runs[name])) for name in order}
        ratios.append(seconds["image"] / seconds["local"])
        print(f"first import: image {seconds['image']:.2f} s, local {seconds['local']:.2f} s")
        shutil.rmtree(image)
        shutil.rmtree(local)
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"first import: median ratio {middle:.2f}, half of them {low:.2f} to {high:.2f} (goal 1.0)")


def as_new(prefix: Path) -> None:
    """Files of its own, as an image has: those of the package cache were imported by the pair before."""
    copy = prefix.with_suffix(".copy")
    shutil.copytree(prefix, copy, symlinks=True)
    shutil.rmtree(prefix)
    copy.rename(prefix)


async def memory(folder: Path) -> None:
    """Peak memory of a process that writes an environment's layers, then one file of 2 GB."""
    async with place(folder / "m", channel()) as there:
        await there.write(lock_of(await there.solve(*SPECS)))
    print(f"peak memory of a process that fetches, links and writes it all: {peak():.0f} MB (goal 256)")
    with open(folder / "large", "wb") as stream:
        block = os.urandom(1 << 20)
        for _ in range(2048):
            stream.write(block)
    await asyncio.to_thread(
        pack_layer, [LayerEntry(name="large", source=str(folder / "large"))], str(folder / "b"), EVENT
    )
    print(f"and after one file of 2 GB: {peak():.0f} MB")


def peak() -> float:
    """MB; `getrusage` would count what this process was before it became this program."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    with measuring.ending_process(), measuring.folder() as made:
        if sys.argv[1:] == ["memory"]:
            asyncio.run(memory(Path(made)))
            return
        subprocess.run([sys.executable, "-m", "tests.bench.bench_layers", "memory"], check=True)
        pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
        asyncio.run(bench(Path(made), pairs, int(sys.argv[2]) if len(sys.argv) > 2 else pairs))


if __name__ == "__main__":
    main()
