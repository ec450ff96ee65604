from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from roost.model.locks.lock import CondaPackage, CondaPython, Lock
from roost.store.artifacts.publish import FillResult
from roost.store.store import Store


@pytest.fixture
def root() -> Iterator[str]:
    """A new root at a short path."""
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest_asyncio.fixture
async def store(root: str) -> AsyncIterator[Store]:
    opened = await Store.open(root)
    yield opened
    await opened.close()


@pytest.fixture
def lock_of() -> Callable[[str], Lock]:
    """A lock of one package of that name."""

    def make(name: str) -> Lock:
        digest = hashlib.sha256(name.encode()).hexdigest()
        package = CondaPackage(
            name=name, version="1", build="0", subdir="noarch", file_name=f"{name}-1-0.conda", url="u", sha256=digest
        )
        return Lock(platform="linux-64", provider=CondaPython(), conda=(package,))

    return make


@pytest.fixture
def fill() -> Callable[[str], object]:
    """Fills a prefix with one file of a known size."""

    async def write(path: str) -> FillResult:
        os.mkdir(os.path.join(path, "bin"))
        with open(os.path.join(path, "bin", "python"), "wb") as stream:
            stream.write(b"x" * 50_000)
        return FillResult()

    return write
