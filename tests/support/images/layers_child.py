"""Writes layers under a root, in a process of its own that can be killed: ``layers_child.py ROOT FORGE SPEC…``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.support.images.layers import lock_of, place


async def main(root: str, forge: str, *specs: str) -> None:
    async with place(Path(root), Path(forge)) as there:
        content = await there.write(lock_of(await there.solve(*specs)))
        print("\n".join(layer.diff_id for layer in content.layers))


asyncio.run(main(*sys.argv[1:]))
sys.stdout.flush()
os._exit(0)  # rattler's threads may crash the interpreter on its way out
