"""Builds that need BuildKit: the engine offers it only to the docker command line, which must have buildx.

The engine's own BuildKit is used, whichever builder the user has selected for other work: buildx gets a settings folder
of its own and none of the variables that configure it. Docker's config is the user's, for its credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping

from roost.daemon.caller.current import process_environment, search_path
from roost.daemon.engines.docker.address import Address
from roost.daemon.engines.docker.building.classic import RUNNING_STEPS, strip_colours
from roost.daemon.engines.docker.building.context import EMPTY_IGNORE_FILE, DockerBuild, prepare_context
from roost.daemon.engines.docker.building.failures import LAST_LINES, find_step_failure
from roost.daemon.engines.docker.errors import FULL, BuildKitMissingError, BuildKitOldError, engine_error
from roost.daemon.jobs.progress import Progress
from roost.model.errors import CodedError

END_SECONDS = 10.0
"""Seconds that the docker command has to end after SIGTERM."""
_PIECE = 1 << 16
_LINE_LIMIT = 1 << 14
"""Characters of one line that are shown."""
_CONFIGURING = re.compile(r"(?:DOCKER_(?!CONFIG$)|BUILDX_|BUILDKIT_|SOURCE_DATE_EPOCH$)")
_STEP_OUTPUT = re.compile(r"#(\d+) \d+\.\d+ ?(.*)")
"""Output of a step's own command in buildx's plain form of progress."""
_VERTEX = re.compile(r"#(\d+) \[[^\]]*\d+/\d+\] (.*)")
_FAILED_VERTEX = re.compile(r"#(\d+) ERROR: ")
_FAILED_LINE = re.compile(r"Dockerfile:(\d+)$")
_FAILURE = re.compile(r"ERROR: (?:failed to solve: )?(.*)")


async def buildx_build(address: Address, build: DockerBuild, why: str, stage: str, progress: Progress) -> str:
    """Build with buildx and return the id of the image. ``why``: the reason that the build needs BuildKit.

    Cancelling ends the command, on which the engine stops the build.

    Raises: BuildKitMissingError if there is no docker command with buildx; BuildKitOldError, EngineError,
    EngineFullError, ContextUnreadableError, StoreFullError.
    """
    docker = await _find_docker(why)
    with _temporary_folder(stage) as folder:
        context = await asyncio.to_thread(_write_inputs, folder, build, stage)
        words = [docker, *_global_options(address), "buildx", "build", "--builder=default", "--load"]
        words += ["--progress=plain", f"--iidfile={folder}/id", f"--file={folder}/Dockerfile"]
        words += [f"--label={name}={value}" for name, value in build.labels.items()]
        words += [f"--platform={build.platform}"] if build.platform else []
        words += ["--no-cache"] if build.fresh else []
        await _run_buildx([*words, context], folder, build, why, progress)
        return await asyncio.to_thread(_read_id, os.path.join(folder, "id"))


async def _find_docker(why: str) -> str:
    docker = shutil.which("docker", path=search_path())
    if docker is None or await _exit_status([docker, "buildx", "version"]) != 0:
        lacks = "there is no docker command" if docker is None else "the docker command here has no buildx"
        raise BuildKitMissingError(
            f"The Dockerfile needs BuildKit ({why}), and {lacks}",
            hint="Install Docker's buildx plugin, or write the Dockerfile without it.",
        )
    return docker


async def _exit_status(words: list[str]) -> int:
    quiet = asyncio.subprocess.DEVNULL
    environ = process_environment()  # the caller's DOCKER_CONFIG may have the plugin
    process = await asyncio.create_subprocess_exec(*words, stdin=quiet, stdout=quiet, stderr=quiet, env=environ)
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
    """Return ``environ`` without those that configure docker or buildx, and with roost's own.

    Attestations are off: they would make an index of the image, whose digest is not the image's.
    """
    passed = {name: value for name, value in environ.items() if not _CONFIGURING.match(name)}
    return {**passed, "BUILDX_CONFIG": os.path.join(folder, "buildx"), "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


async def _run_buildx(words: list[str], folder: str, build: DockerBuild, why: str, progress: Progress) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
        env=buildx_environment(folder, process_environment()),
        start_new_session=True,  # the docker command does not pass signals on to its plugin
    )
    output = BuildxOutput(progress)
    try:
        assert process.stdout is not None
        async for line in read_lines(process.stdout):
            output.read_line(line)
        status = await process.wait()
    except BaseException:
        await asyncio.shield(_end_process(process))
        raise
    if status != 0:
        raise output.failure(why, build)


async def read_lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield lines of any length as they arrive, truncated to the length that is shown."""
    rest = b""
    while data := await stream.read(_PIECE):
        *complete, rest = (rest + data).split(b"\n")
        for line in complete:
            yield line[:_LINE_LIMIT].decode(errors="replace")
        rest = rest[:_LINE_LIMIT]
    if rest:
        yield rest.decode(errors="replace")


class BuildxOutput:
    """Output of buildx: logs each line, and finds the cause of a failure."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._cause = ""
        """The last line of a command, or the first one about a full disk."""
        self._failure = ""
        self._outputs: dict[str, deque[str]] = {}
        """The ends of the outputs of commands, by the numbers that buildx gives to its parts."""
        self._instructions: dict[str, str] = {}
        self._last_vertex = self._failed_vertex = ""
        self._line: int | None = None

    def _find_output(self) -> tuple[str, ...]:
        """Return the end of what the command of the failed step has printed; if that is not known, of the last one
        that has printed anything."""
        return tuple(self._outputs.get(self._failed_vertex or self._last_vertex, ()))

    def read_line(self, line: str) -> None:
        """Process one line, without its line end."""
        line = strip_colours(line).rstrip()
        step = _STEP_OUTPUT.match(line)
        shown = step[2] if step else line
        if step and shown.strip():
            self._last_vertex = step[1]
            self._outputs.setdefault(step[1], deque(maxlen=LAST_LINES)).append(shown.rstrip())
        elif failed := _FAILED_VERTEX.match(line):
            self._failed_vertex = failed[1]
        elif vertex := _VERTEX.match(line):
            self._instructions[vertex[1]] = vertex[2]
        if shown.strip():
            self._progress.log(shown)
        if step and shown.strip() and FULL not in self._cause.lower():
            self._cause = shown.strip()
        if failed_line := _FAILED_LINE.match(line):
            self._line = int(failed_line[1])
        elif failure := _FAILURE.match(line):
            self._failure = failure[1]

    def failure(self, why: str, build: DockerBuild) -> CodedError:
        """Return the error of the failed build. ``why``: the reason that it needed BuildKit."""
        text = self._failure or self._cause or "buildx printed nothing"
        if "unknown instruction" in text and "here-document" in why:
            return BuildKitOldError(
                f"The Docker engine's BuildKit does not support here-documents, and the Dockerfile has one: {text}",
                hint="Use Docker 23 or newer, or begin the Dockerfile with `# syntax=docker/dockerfile:1`.",
            )
        instruction = self._instructions.get(self._failed_vertex)
        failed = find_step_failure(build, self._failure, self._find_output(), line=self._line, text=instruction)
        if failed is not None:
            return failed
        place = f"line {self._line}: " if self._line is not None else ""
        cause = f" ({self._cause})" if self._cause and self._cause not in text else ""
        return engine_error(f"{place}{text}{cause}", RUNNING_STEPS)


async def _end_process(process: asyncio.subprocess.Process) -> None:
    """End the command and its plugin: SIGTERM to its session, then SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(process.wait(), END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


@contextlib.contextmanager
def _temporary_folder(stage: str) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="buildx-", dir=stage)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_inputs(folder: str, build: DockerBuild, stage: str) -> str:
    """Write buildx's settings folder, Dockerfile and ignore file into ``folder``; return the context folder."""
    os.mkdir(os.path.join(folder, "buildx"))
    for name, text in (("Dockerfile", build.text), ("Dockerfile.dockerignore", EMPTY_IGNORE_FILE)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    return prepare_context(build.context, os.path.join(folder, "context"), stage, build.file)


def _read_id(path: str) -> str:
    with open(path, encoding="ascii") as stream:
        return stream.read().strip()
