"""The lock of a pip-only image has conda's Python, and so others can adopt it: it is checked like any other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.pip_index import PipIndex

from roost.daemon.config.config import parse_config
from roost.daemon.config.source import ConfigSource
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Silent
from roost.daemon.locks.artifact import LockUntrustedError, SharedLock, find_local_part
from roost.daemon.locks.attest import attest
from roost.daemon.locks.expectation import LockJob, verify_offline
from roost.daemon.locks.solve import SolveJob, solve_lock
from roost.daemon.oci.target_platforms import local_platform
from roost.model.definition import Base, Defaults, Definition, Pip, PipItem
from roost.model.locks.lock import digest_lock
from roost.store.disk.layout import Layout

DIGEST = "sha256:" + "d" * 64


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    index.wheel("greet", "1.0", "needed>=1")
    index.wheel("needed", "1.5")
    yield index
    index.close()


@pytest.fixture
async def engines(short_folder: Path, pip_index: PipIndex, channel_url: str) -> AsyncIterator[Engines]:
    text = f'[pip]\nindex_url = "{pip_index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n'
    made = Engines(Layout(str(short_folder)), ConfigSource(parse_config(text.encode(), "/c.toml")))
    yield made
    await made.close()


async def test_the_lock_of_a_pip_only_image_can_be_taken_by_others(engines: Engines, pip_index: PipIndex) -> None:
    definition = Definition(
        base=Base(image="debian:12-slim"),
        pip=Pip(requirements=(PipItem(kind="requirement", text="greet"),)),
    )
    defaults = Defaults(index=pip_index.url)
    solve = SolveJob(definition=definition, defaults=defaults, platform=local_platform({}), is_image=True)
    job = LockJob(definition_digest=DIGEST, solve=solve)
    lock = await solve_lock(engines, solve, Silent())
    assert find_local_part(lock) is None
    assert {"python", "pip"} <= {package.name for package in lock.conda}
    shared = SharedLock(definition_digest=DIGEST, platform=solve.platform, lock=lock)
    await verify_offline(engines.conda_rules(), shared, job, allow_built=False)
    pip_index.wheel("greet", "2.0", "needed>=1", "more")
    pip_index.wheel("more", "1.0")
    taken = await attest(engines, shared, job, {}, Silent(), allow_built=False)
    assert digest_lock(taken) == digest_lock(lock)
    assert [(w.name, w.version) for w in taken.wheels] == [("greet", "1.0"), ("needed", "1.5")]
    extra = msgspec.structs.replace(
        lock.wheels[0], name="more", version="1.0", file_name="more-1.0-py3-none-any.whl",
        url=f"{pip_index.origin}/files/more-1.0-py3-none-any.whl",
    )  # fmt: skip
    strange = msgspec.structs.replace(shared, lock=msgspec.structs.replace(lock, wheels=(*lock.wheels, extra)))
    with pytest.raises(LockUntrustedError, match="nothing requires"):
        await attest(engines, strange, job, {}, Silent(), allow_built=False)
    fewer = msgspec.structs.replace(shared, lock=msgspec.structs.replace(lock, wheels=lock.wheels[:1]))
    with pytest.raises(LockUntrustedError, match="needed"):
        await attest(engines, fewer, job, {}, Silent(), allow_built=False)
