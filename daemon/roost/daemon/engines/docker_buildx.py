"""Builds that need BuildKit: the engine's API has it only for the docker command line, which must have buildx."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

from roost.daemon.engines.docker_address import Address
from roost.daemon.engines.docker_builds import Building
from roost.daemon.engines.docker_errors import BuildKitMissingError, engine_failed
from roost.daemon.progress import Progress

END_SECONDS = 10.0


async def buildx_build(address: Address, building: Building, why: str, stage: str, progress: Progress) -> str:
    """The id of the image that was built. Raises BuildKitMissingError, EngineError; cancelling ends the command."""
    docker = await _command(why)
    with _folder(stage) as folder:
        await asyncio.to_thread(_write, os.path.join(folder, "Dockerfile"), building.text)
        context = building.context or os.path.join(folder, "empty")
        await asyncio.to_thread(os.makedirs, context, exist_ok=True)
        result = os.path.join(folder, "id")
        words = [docker, *_global_options(address), "buildx", "build", "--load", "--progress=plain"]
        words += [f"--iidfile={result}", f"--file={folder}/Dockerfile"]
        words += [f"--label={name}={value}" for name, value in building.labels.items()]
        words += [f"--platform={building.platform}"] if building.platform else []
        words += ["--no-cache"] if building.fresh else []
        await _run([*words, context], progress)
        return await asyncio.to_thread(_read, result)


async def _command(why: str) -> str:
    docker = shutil.which("docker")
    if docker is None or await _status([docker, "buildx", "version"]) != 0:
        lacks = "there is no docker command" if docker is None else "the docker command here has no buildx"
        raise BuildKitMissingError(
            f"The Dockerfile needs BuildKit ({why}), and {lacks}",
            hint="Install Docker's buildx plugin, or write the Dockerfile without it.",
        )
    return docker


async def _status(words: list[str]) -> int:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdin=quiet, stdout=quiet, stderr=quiet)
    return await process.wait()


def _global_options(address: Address) -> list[str]:
    options = ["--host", address.url]
    if address.tls is None:
        return options
    options.append("--tlsverify" if address.tls.verify is not False else "--tls")
    options += ["--tlscacert", address.tls.ca_cert] if address.tls.ca_cert else []
    options += ["--tlscert", address.tls.cert[0], "--tlskey", address.tls.cert[1]] if address.tls.cert else []
    return options


async def _run(words: list[str], progress: Progress) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    last = ""
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            last = line.decode(errors="replace").rstrip() or last
            progress.log(last)
        status = await process.wait()
    except asyncio.CancelledError:
        await _end(process)
        raise
    if status != 0:
        raise engine_failed(last, "building with buildx")


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except asyncio.TimeoutError:
        process.kill()


@contextlib.contextmanager
def _folder(stage: str) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="buildx-", dir=stage)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as stream:
        return stream.read().strip()
