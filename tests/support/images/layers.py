"""What the tests of layers share: a root with its engines, little channels, images put together and taken apart."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rattler.index import index_fs
from tests.support.channel.conda_file import write_conda
from tests.support.trees import link_or_copy

from roost.daemon.engines.conda.channels import CondaConfig
from roost.daemon.engines.conda.engine import CondaEngine
from roost.daemon.engines.uv.engine import PipConfig, PipEngine
from roost.daemon.images.config import empty_base, image_config
from roost.daemon.jobs.progress import Progress
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE, Layer, LayerContent
from roost.daemon.layers.writer import LayerRequest, delete_layers, write_layers
from roost.daemon.oci.manifests import image_manifest
from roost.daemon.oci.platforms import image_platform
from roost.daemon.workers.pool import WorkerPool
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel
from roost.model.records import LayerRecord
from roost.store.disk.layer_files import is_intact
from roost.store.store import Store

OURS = PREFIX_IN_IMAGE.lstrip("/")


class Place:
    """A root with everything that layers are written with."""

    def __init__(self, store: Store, conda: CondaEngine, pip: PipEngine) -> None:
        self.store, self.conda, self.pip = store, conda, pip

    async def solve(self, *specs: str, platform: str = "linux-64") -> list[CondaPackage]:
        return await self.conda.solve(channels=["conda-forge"], specs=specs, platform=platform, system={})

    async def write(self, lock: Lock, progress: Progress | None = None, **options: Any) -> LayerContent:
        layout, index = self.store.layout, self.store.index
        request = LayerRequest(lock=lock, **options)
        return await write_layers(
            request, conda=self.conda, pip=self.pip, layout=layout, index=index, progress=progress
        )

    async def delete_damaged_layers(self) -> list[LayerRecord]:
        """Read every stored blob; delete the layers that are damaged and return their records."""
        layout, index = self.store.layout, self.store.index
        records = await index.layers.list_all()
        damaged = await asyncio.to_thread(lambda: [r for r in records if not is_intact(layout, r, thorough=True)])
        await delete_layers(layout, index, damaged)
        return damaged


@contextlib.asynccontextmanager
async def place(root: Path, forge: Path) -> AsyncIterator[Place]:
    """A store at ``root`` whose conda-forge is the folder ``forge``."""
    store = await Store.open(str(root))
    layout = store.layout
    workers = WorkerPool(layout.workers)

    def engines() -> tuple[CondaEngine, PipEngine]:
        config = CondaConfig(mirrors={"conda-forge": [forge.as_uri()]})
        folders = os.path.join(layout.packages, "conda"), os.path.join(layout.packages, "bytecode")
        conda = CondaEngine(*folders, config, workers)
        return conda, PipEngine(os.path.join(layout.wheels, "uv"), layout.wheels, PipConfig())

    try:
        with ThreadPoolExecutor(1) as thread:
            yield Place(store, *thread.submit(engines).result())
    finally:
        await workers.close()
        await store.close()


def lock_of(packages: Sequence[CondaPackage], wheels: Sequence[Wheel] = (), platform: str = "linux-64") -> Lock:
    return Lock(platform=platform, provider=CondaPython(), conda=tuple(packages), wheels=tuple(wheels))


async def make_channel(channel: Path, packages: dict[str, dict[str, str | bytes]], **index: Any) -> None:
    """A channel of ``name-version`` → path → content; may be called again to add packages."""
    for stem, files in packages.items():
        name, _, version = stem.rpartition("-")
        tree = channel.parent / "tree"
        for path, content in files.items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str) and content.startswith("-> "):
                target.symlink_to(content.removeprefix("-> "))
            else:
                target.write_bytes(content.encode() if isinstance(content, str) else content)
                os.utime(target, (1_600_000_000, 1_600_000_000))
        about: dict[str, object] = {
            "name": name,
            "version": version,
            "build": "0",
            "subdir": "noarch",
            "noarch": "generic",
        }
        write_conda(channel, tree, {**about, **index})
        shutil.rmtree(tree)
    await index_fs(channel, write_zst=False, write_shards=False, force=True)


def extract(layers: Sequence[Layer], folder: Path) -> Path:
    """Unpack all layers over each other with GNU tar, as an engine would; the prefix."""
    folder.mkdir()
    for layer in layers:
        subprocess.run(["tar", "xzpf", layer.path, "--overwrite", "-C", str(folder)], check=True)
    return folder / OURS


def oci_layout(folder: Path, content: LayerContent, platform: str = "linux-64") -> tuple[bytes, Path]:
    """An OCI image layout (image-layout.md) of ``content`` on no base; its config."""
    config = image_config(empty_base(image_platform(platform)), content)
    manifest = image_manifest(config, [layer.descriptor for layer in content.layers])
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (config, manifest):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    for layer in content.layers:
        target = blobs / layer.digest.removeprefix("sha256:")
        if not target.exists():
            link_or_copy(layer.path, target)
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": len(manifest)}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "it"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return config, folder


def in_chroot(root: Path, *command: str, environ: Sequence[str] = ()) -> str:
    """Output of a command of the image, with this machine's C library, time zones and kernel lent to it."""
    lent = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/proc", "/dev", "/sys")
    mounts = [folder for folder in lent if Path(folder).is_dir()]
    script = "set -e\n"
    for folder in mounts:
        if not Path(folder).is_symlink():
            script += f'mkdir -p "$1{folder}"; mount --rbind {folder} "$1{folder}"\n'
        else:
            script += f'[ -e "$1{folder}" ] || ln -s {os.readlink(folder)} "$1{folder}"\n'
    script += 'root="$1"; shift; exec chroot "$root" "$@"\n'
    variables = dict(line.partition("=")[::2] for line in environ) | {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(root), *command],
        capture_output=True, text=True, env=variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
