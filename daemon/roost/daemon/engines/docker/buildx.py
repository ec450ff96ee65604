"""Builds that need BuildKit: the engine's API has it only for the docker command line, which must have buildx.

The engine's own BuildKit is used, whatever builder the user has chosen for other work: buildx gets a folder of
settings of its own, and none of the variables that steer it. Docker's config is the user's, for its credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping

from roost.daemon.engines.docker.address import Address
from roost.daemon.engines.docker.builds import RUNNING_STEPS, DockerBuild, strip_colours
from roost.daemon.engines.docker.context import EMPTY_IGNORE_FILE, prepare_context
from roost.daemon.engines.docker.errors import FULL, BuildKitMissingError, BuildKitOldError, engine_failed
from roost.daemon.jobs.progress import Progress
from roost.model.errors import CodedError

END_SECONDS = 10.0
_PIECE = 1 << 16
_LONGEST = 1 << 14
"""Characters of one line that are shown."""
_STEERING = re.compile(r"(?:DOCKER_(?!CONFIG$)|BUILDX_|BUILDKIT_|SOURCE_DATE_EPOCH$)")
_SAID = re.compile(r"#\d+ \d+\.\d+ ?(.*)")
"""What a step's own command says, in buildx's plain form of progress."""
_PLACE = re.compile(r"Dockerfile:(\d+)$")
_FAILED = re.compile(r"ERROR: (?:failed to solve: )?(.*)")


async def buildx_build(address: Address, building: DockerBuild, why: str, stage: str, progress: Progress) -> str:
    """The id of the image that was built. Raises BuildKitMissingError, EngineError; cancelling ends the command, on
    which the engine stops the work."""
    docker = await _command(why)
    with _folder(stage) as folder:
        context = await asyncio.to_thread(_prepare, folder, building, stage)
        words = [docker, *_global_options(address), "buildx", "build", "--builder=default", "--load"]
        words += ["--progress=plain", f"--iidfile={folder}/id", f"--file={folder}/Dockerfile"]
        words += [f"--label={name}={value}" for name, value in building.labels.items()]
        words += [f"--platform={building.platform}"] if building.platform else []
        words += ["--no-cache"] if building.fresh else []
        await _run([*words, context], folder, why, progress)
        return await asyncio.to_thread(_read, os.path.join(folder, "id"))


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
    options.append("--tlsverify" if address.tls.verify else "--tls")
    options += ["--tlscacert", address.tls.ca_cert] if address.tls.ca_cert else []
    options += ["--tlscert", address.tls.cert[0], "--tlskey", address.tls.cert[1]] if address.tls.cert else []
    return options


def buildx_environment(folder: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's own variables without those that steer docker or buildx. Attestations would make an index of an
    image: its digest would not be that of the image."""
    kept = {name: value for name, value in environ.items() if not _STEERING.match(name)}
    return {**kept, "BUILDX_CONFIG": os.path.join(folder, "buildx"), "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


async def _run(words: list[str], folder: str, why: str, progress: Progress) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
        env=buildx_environment(folder, os.environ),
        start_new_session=True,  # the docker command does not pass signals on to its plugin
    )
    output = BuildxOutput(progress)
    try:
        assert process.stdout is not None
        async for line in read_lines(process.stdout):
            output.take(line)
        status = await process.wait()
    except BaseException:
        await asyncio.shield(_end(process))
        raise
    if status != 0:
        raise output.error(why)


async def read_lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines as they come, of any length; what is beyond the longest that is shown is dropped."""
    rest = b""
    while data := await stream.read(_PIECE):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line[:_LONGEST].decode(errors="replace")
        rest = rest[:_LONGEST]
    if rest:
        yield rest.decode(errors="replace")


class BuildxOutput:
    """What buildx says: logged as it comes, and kept as far as it tells why a build failed."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._telling = ""
        """The last line of a command, or the one that tells of a full disk."""
        self._failed = ""
        self._line: int | None = None

    def take(self, line: str) -> None:
        """One line, without its end."""
        line = strip_colours(line).rstrip()
        said = _SAID.match(line)
        shown = said[1] if said else line
        if shown.strip():
            self._progress.log(shown)
        if said and shown.strip() and FULL not in self._telling.lower():
            self._telling = shown.strip()
        if place := _PLACE.match(line):
            self._line = int(place[1])
        elif failed := _FAILED.match(line):
            self._failed = failed[1]

    def error(self, why: str) -> CodedError:
        """Why the build failed; ``why`` it needed BuildKit."""
        text = self._failed or self._telling or "buildx said nothing"
        if "unknown instruction" in text and "here-document" in why:
            return BuildKitOldError(
                f"The Docker engine's BuildKit knows no here-documents, and the Dockerfile has one: {text}",
                hint="Docker 23 and newer know them; or begin the Dockerfile with `# syntax=docker/dockerfile:1`.",
            )
        place = f"line {self._line}: " if self._line is not None else ""
        told = f" ({self._telling})" if self._telling and self._telling not in text else ""
        return engine_failed(f"{place}{text}{told}", RUNNING_STEPS)


async def _end(process: asyncio.subprocess.Process) -> None:
    """The command and its plugin."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(process.wait(), END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


@contextlib.contextmanager
def _folder(stage: str) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="buildx-", dir=stage)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(folder: str, building: DockerBuild, stage: str) -> str:
    """The context that goes along with what is made in ``folder``."""
    os.mkdir(os.path.join(folder, "buildx"))
    for name, text in (("Dockerfile", building.text), ("Dockerfile.dockerignore", EMPTY_IGNORE_FILE)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    return prepare_context(building.context, os.path.join(folder, "context"), stage)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as stream:
        return stream.read().strip()
