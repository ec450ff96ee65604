"""A process that forks one child for each scenario that it is sent, so that a sweep pays for its imports once.

Reads JSON lines ``{"do", "root", "environ"}``, writes ``{"status"}`` (negative: the signal that ended the child).
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import signal
import sys
import traceback

from roost.model.errors import BuildError
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, digest_lock
from roost.model.records import BuildRecord, NewGeneration
from roost.store.artifacts.publish import FillResult
from roost.store.store import Store

FILES = 20


def lock_of(name):
    digest = hashlib.sha256(name.encode()).hexdigest()
    package = CondaPackage(
        name=name, version="1", build="0", subdir="noarch", file_name=f"{name}.conda", url="u", sha256=digest
    )
    return Lock(platform="linux-64", provider=CondaPython(), conda=(package,))


async def fill(path):
    for number in range(FILES):
        with open(f"{path}/{number}", "w") as stream:
            stream.write("content\n" * 100)
    return FillResult(manifest=b"manifest")


async def publish(store, name="a"):
    generation = NewGeneration(definition_digest=f"sha256:{name}", platform="linux-64")
    await store.index.builds.insert(
        BuildRecord(
            id=os.urandom(4).hex(),
            definition_digest=f"sha256:{name}",
            platform="linux-64",
            state="building",
            created="2026-01-01T00:00:00Z",
        )
    )
    return await store.artifacts.publish_prefix(lock=lock_of(name), generation=generation, build_id="b", fill=fill)


async def recover(store):
    """Opening is all."""


async def delete(store):
    ready = await store.index.artifacts.find_ready("prefix", digest_lock(lock_of("a")))
    assert await store.artifacts.delete(ready.id)


async def retire(store):
    ready = await store.index.artifacts.find_ready("prefix", digest_lock(lock_of("a")))
    assert await store.artifacts.retire_prefix(ready.id)


async def fail(store):
    async def failing(path):
        await fill(path)
        raise BuildError("on purpose")

    try:
        await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=failing)
    except BuildError:
        return
    raise AssertionError("the failure was lost")


async def churn(store):
    """Publish and delete without end; a timer with SIGALRM's own action ends the process wherever it is."""
    signal.setitimer(signal.ITIMER_REAL, float(os.environ["CHURN_SECONDS"]))
    while True:
        for name in "abc":
            ready = await store.index.artifacts.find_ready("prefix", digest_lock(lock_of(name)))
            if ready is None:
                await publish(store, name)
            else:
                assert await store.artifacts.delete(ready.id)


async def litter(store):
    """All kinds of left-overs at once, for recovery to find."""
    layout = store.layout
    kept, bare = await publish(store, "kept"), await publish(store, "bare")
    os.rename(bare.path, f"{layout.prefixes}/stray")
    os.rename(layout.manifest_of(bare.path), f"{layout.prefixes}/only.manifest")
    os.unlink(kept.lease_path)
    for folder in (layout.stage, layout.trash, layout.launch):
        os.makedirs(f"{folder}/x/y")


SCENARIOS = {
    "publish": publish, "recover": recover, "delete": delete, "retire": retire, "fail": fail, "litter": litter,
    "churn": churn,
}  # fmt: skip


def prepare(name):
    """Import what has a scenario of the daemon, once for all children."""
    if name not in SCENARIOS:
        SCENARIOS.update(importlib.import_module("tests.support.collection_root").SCENARIOS)


async def scenario(name, root):
    store = await Store.open(root)
    await SCENARIOS[name](store)
    await store.close()


def forked(request):
    prepare(request["do"])
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os.environ.update(request["environ"])
        asyncio.run(scenario(request["do"], request["root"]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main():
    for line in sys.stdin:
        print(json.dumps({"status": forked(json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
