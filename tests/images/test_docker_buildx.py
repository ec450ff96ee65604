"""What needs BuildKit, built by real engines through the docker command's buildx: an old one, and a newer one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images import registries as registry_parts
from tests.support.images.contexts import LIST, TOLD, tricky_context
from tests.support.images.machines import machine
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

from roost.daemon.engines.docker.building.base_name import TEMPORARY_REPOSITORY
from roost.daemon.engines.docker.building.buildx import BuildxOutput, buildx_environment, read_lines
from roost.daemon.engines.docker.building.context import DockerBuild
from roost.daemon.engines.docker.engine import DockerEngine
from roost.daemon.engines.docker.errors import BuildKitOldError, EngineFullError, StepFailedError
from roost.daemon.engines.docker.values import DockerConfig
from roost.daemon.jobs.progress import Silent

BASE = "roost-test/base:bookworm"
CACHED = "RUN --mount=type=cache,target=/c echo cached > /c/word && cat /c/word"
DOCUMENT = "RUN <<EOF\necho one > /made\necho two >> /made\ncat /made\nEOF"


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(params=["docker_host", "newer_docker_host"])
def host(request: pytest.FixtureRequest) -> str:
    if request.param == "docker_host":
        request.getfixturevalue("base_image")
    return str(request.getfixturevalue(request.param))


Make = Callable[[str], DockerEngine]


@pytest.fixture
def connect(tmp_path: Path, buildx: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Engines, by their addresses; the variables around are those of a user who steers docker to elsewhere."""
    for name, value in {**buildx, "DOCKER_HOST": "tcp://127.0.0.1:1", "BUILDX_BUILDER": "another"}.items():
        monkeypatch.setenv(name, value)
    made: list[DockerEngine] = []

    def make(address: str) -> DockerEngine:
        made.append(DockerEngine(DockerConfig(host=address), str(tmp_path)))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def _now() -> str:
    """A step that no engine remembers."""
    return f"ENV NOW={time.time_ns()}"


async def test_steps_that_need_buildkit_run_on_a_base_that_is_known_by_its_id_alone(connect: Make, host: str):
    engine, said = connect(host), Lines()
    base = await engine.images.find(BASE)
    assert base is not None
    made = await engine.build_steps(base.id, [_now(), CACHED], labels={"org.roost.test": 'x"\ny'}, progress=said)
    image = await engine.images.find(made)
    assert image is not None
    assert image.labels == {"org.roost.test": 'x"\ny'}
    assert image.diff_ids[: len(base.diff_ids)] == base.diff_ids
    assert "cached" in said.lines, "what the command says stands there as it said it"
    again = await engine.images.find(BASE)
    assert again is not None
    left = [tag for tag in again.tags if tag.startswith(TEMPORARY_REPOSITORY)]  # other tests name this image meanwhile
    assert left == [], "the name that BuildKit needed is gone"


async def test_a_base_without_a_name_outlives_the_build_on_it(connect: Make, docker_host: str, base_image: str):
    """Nor does one build take away the name that another daemon's goes by."""
    engine, others = connect(docker_host), connect(docker_host)
    below = await engine.build_steps(base_image, [_now()], progress=Silent())
    steps = ([_now(), CACHED], [_now(), f"{CACHED} && sleep 2"])
    builds = zip((engine, others), steps, strict=True)
    both = await asyncio.gather(*(each.build_steps(below, its, progress=Silent()) for each, its in builds))
    assert len(set(both)) == 2
    image = await engine.images.find(below)
    assert image is not None
    assert image.tags == (f"roost/base:{below.removeprefix('sha256:')}",)
    await engine.images.untag(image.tags[0])


async def test_here_documents_work_where_the_engine_knows_them_and_are_refused_clearly_elsewhere(
    connect: Make, docker_host: str, newer_docker_host: str, base_image: str
):
    said = Lines()
    await connect(newer_docker_host).build_dockerfile(f"FROM {BASE}\n{_now()}\n{DOCUMENT}\n", progress=said)
    assert [line for line in said.lines if line in ("one", "two")] == ["one", "two"]
    with pytest.raises(BuildKitOldError, match=r"not support here-documents.*line \d") as caught:
        await connect(docker_host).build_dockerfile(f"FROM {base_image}\n{DOCUMENT}\n", progress=Silent())
    assert "Docker 23" in (caught.value.hint or "")


async def test_a_step_that_fails_is_told_with_its_text_and_what_it_said(connect: Make, host: str):
    text = f"FROM {BASE}\n{_now()}\n{CACHED}\nRUN printf 'no %s\\n' luck && exit 7\n"
    with pytest.raises(
        StepFailedError, match=r"Instruction 4 of 4 \(`RUN printf .*`\) ended with status 7\nno luck$"
    ) as caught:
        await connect(host).build_dockerfile(text, progress=Silent())
    assert caught.value.fields["line"] == 4, "older ones do not say where, and it is known all the same"


async def test_a_cancelled_build_stops_in_the_engine(connect: Make, host: str, tmp_path: Path):
    said = Lines()
    text = f"FROM {BASE}\n{_now()}\n{CACHED} && echo begun && sleep 98\n"
    build = asyncio.create_task(connect(host).build_dockerfile(text, progress=said))
    await _until(lambda: "begun" in said.lines)
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    await _until(lambda: not _running("sleep\x0098\0") and not _running("docker-buildx\x00"))
    assert not list(tmp_path.glob("buildx-*"))


async def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def _running(words: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in path.read_bytes().decode(errors="replace"):
                found.append(str(path))
        except OSError:
            continue
    return found


async def test_a_context_goes_along_without_what_it_ignores_and_nothing_is_left_in_dockers_folder(
    connect: Make, host: str, tmp_path: Path, buildx: dict[str, str]
):
    context = tmp_path / "context"
    (context / "data").mkdir(parents=True)
    (context / "data" / "kept").write_text("kept")
    (context / "data" / "secret").write_text("secret")
    (context / ".dockerignore").write_text("# a comment\n**/secret\n")
    said = Lines()
    text = f"FROM {BASE}\n{_now()}\nCOPY data /data\nRUN --mount=type=cache,target=/c ls /data\n"
    await connect(host).build_dockerfile(text, context=str(context), progress=said)
    assert "kept" in said.lines
    assert "secret" not in said.lines
    assert os.listdir(buildx["DOCKER_CONFIG"]) == ["cli-plugins"]


async def test_a_context_is_exactly_what_its_digest_covers(connect: Make, host: str, tmp_path: Path):
    text = f"FROM {BASE}\n{_now()}\nCOPY . /seen\n{LIST}\nRUN --mount=type=cache,target=/c true\n"
    context = tricky_context(tmp_path / "context", text)
    said = Lines()
    await connect(host).build_dockerfile(text, context=context, progress=said)
    at = said.lines.index(TOLD[0])
    assert said.lines[at : at + len(TOLD)] == TOLD


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("Dockerfile", "*.txt\nDockerfile\ndocker\n"),
        ("docker/gpu.Dockerfile", "**/*.dockerignore\n"),
        ("Dockerfile", ""),
        ("docker/gpu.Dockerfile", None),
    ],
)
async def test_an_ignore_file_named_after_the_dockerfile_counts_as_with_docker_build(
    connect: Make, newer_docker_host: str, tmp_path: Path, buildx: dict[str, str], name: str, rules: str | None
):
    context = tmp_path / "context"
    (context / "docker").mkdir(parents=True)
    text = f"FROM {BASE}\n{_now()}\nCOPY . /seen\nRUN cd /seen && find . -mindepth 1 | cut -c3- | LC_ALL=C sort\n"
    for file in ("a.log", "b.txt", "Dockerfile.dockerignore.txt", "docker/c.log"):
        (context / file).write_text(file)
    (context / ".dockerignore").write_text("**/*.log\n")
    (context / name).write_text(text)
    if rules is not None:
        (context / f"{name}.dockerignore").write_text(rules)
    ours, theirs = Lines(), Lines()
    await connect(newer_docker_host).build_dockerfile(text, context=str(context), file=name, progress=ours)
    await _docker_build(newer_docker_host, buildx, context, name, theirs)
    seen = {"a.log", "b.txt", ".dockerignore", "Dockerfile", "docker", "docker/c.log", "docker/gpu.Dockerfile"}
    seen |= {f"{each}.dockerignore" for each in seen} | {"Dockerfile.dockerignore.txt"}
    assert [line for line in ours.lines if line in seen] == [line for line in theirs.lines if line in seen]
    assert any(line in seen for line in ours.lines)


async def _docker_build(host: str, buildx: dict[str, str], context: Path, name: str, said: Lines) -> None:
    """Build with the docker command alone, on nothing that the engine has cached."""
    words = ["docker", "--host", host, "buildx", "build", "--builder=default", "--no-cache", "--progress=plain"]
    process = await asyncio.create_subprocess_exec(
        *words, f"--file={context / name}", str(context), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, env=buildx_environment(str(context.parent), {**os.environ, **buildx}),
    )  # fmt: skip
    output = BuildxOutput(said)
    assert process.stdout is not None
    async for line in read_lines(process.stdout):
        output.read_line(line)
    assert await process.wait() == 0, said.lines


async def test_what_only_the_engine_sees_to_need_buildkit_is_built_with_it(
    connect: Make, docker_host: str, base_image: str
):
    engine, said = connect(docker_host), Lines()
    below = await engine.build_dockerfile(f"FROM {BASE}\n{_now()}\nONBUILD {CACHED} > /made\n", progress=Silent())
    text = f"FROM roost/base:{below.removeprefix('sha256:')}\n{_now()}\nRUN cat /made\n"
    await engine.build_dockerfile(text, progress=said)
    assert "cached" in said.lines
    await engine.build_steps(below, [_now(), "RUN test $(cat /made) = cached"], progress=said)
    assert any("Trying again with BuildKit" in line for line in said.lines)


@pytest.mark.parametrize("asked", [None, "linux/amd64"])
async def test_the_arguments_that_tell_the_platform_are_set(
    connect: Make, docker_host: str, base_image: str, asked: str | None
):
    said = Lines()
    text = f"FROM --platform=$BUILDPLATFORM {BASE}\nARG TARGETARCH\n{_now()}\nRUN echo for-$TARGETARCH\n"
    await connect(docker_host).build_dockerfile(text, platform=asked, progress=said)
    assert "for-amd64" in said.lines or (asked is None and "for-arm64" in said.lines)


async def test_a_rebuild_runs_every_step_anew(connect: Make, host: str):
    engine = connect(host)
    steps = ["RUN --mount=type=cache,target=/c date +%N > /made"]
    base = await engine.images.find(BASE)
    assert base is not None
    first = await engine.build_steps(base.id, steps, progress=Silent())
    assert await engine.build_steps(base.id, steps, progress=Silent()) == first
    assert await engine.build_steps(base.id, steps, fresh=True, progress=Silent()) != first


@pytest.mark.parametrize("more", ["RUN true", "RUN --mount=type=cache,target=/c true"])
async def test_a_rebuild_begins_with_the_base_that_the_registry_has_now_and_keeps_one_that_only_the_engine_has(
    connect: Make, client: docker.DockerClient, docker_host: str, base_image: str, more: str
):
    engine, said = connect(docker_host), Lines()
    with registry_parts.registry() as registry:
        reference = f"{registry.host}/team/base:1"
        older, newer = [
            await engine.build_steps(base_image, [f"RUN echo {word} > /word"], progress=Silent())
            for word in ("older", "newer")
        ]
        client.images.get(newer).tag(reference)
        client.images.push(reference)
        client.images.get(older).tag(reference)
        text = f"ARG BASE={reference}\nFROM {base_image} AS own\nFROM $BASE\n{_now()}\n{more}\nRUN cat /word\n"
        await engine.build_dockerfile(text, progress=said)
        assert "older" in said.lines, "a first build takes what the engine has, as Docker does"
        said.lines.clear()
        await engine.build_dockerfile(text, fresh=True, progress=said)
        assert "newer" in said.lines
        [told] = [line for line in said.lines if "can't be pulled" in line]
        assert told.startswith(f"{base_image} is used as the engine has it")
        registry.stop()
        said.lines.clear()
        await engine.build_dockerfile(text, fresh=True, progress=said)
        assert "newer" in said.lines
        assert len([line for line in said.lines if "can't be pulled" in line]) == 2
        await engine.images.untag(reference)


@pytest.mark.long
def test_a_dockerfile_with_a_cache_becomes_an_image_that_packages_go_on(
    channel_url: str, docker_host: str, base_image: str, buildx: dict[str, str]
):
    index = PipIndex()
    with machine(channel_url, index, docker_host) as roost:
        roost.variables.update(buildx)
        roost.write("Dockerfile", f"FROM {base_image}\n{_now()}\n{CACHED} > /made\n")
        roost.write("roost.toml", '[base]\ndockerfile = "Dockerfile"\n[conda]\ndependencies = ["python=3.11"]\n')
        assert _made(roost) == "cached\n"
        roost.write("roost.toml", _steps(base_image, "RUN --mount=type=cache,target=/c cp /c/word /made"))
        assert _made(roost) == "cached\n", "the cache is the engine's, and still there"
        roost.write("roost.toml", _steps(base_image, "RUN --mount=type=cache,target=/c exit 9"))
        failed = roost.failed(4, "build")
        assert (failed["code"], failed["location"]["line"]) == ("docker-step-failed", 3)
        assert failed["message"].startswith("Docker step 1 of 1 (`RUN --mount=type=cache,target=/c exit 9`) ended with")
    index.close()


def _made(roost: Roost) -> str:
    return roost.ok("run", "--", "python", "-c", "print(open('/made').read(), end='')")


def _steps(base: str, step: str) -> str:
    return f'[base]\nimage = "{base}"\nsteps = ["{step}"]\n[conda]\ndependencies = ["python=3.11"]\n'


def test_nothing_around_steers_it():
    given = {"DOCKER_HOST": "x", "DOCKER_CONFIG": "c", "BUILDX_BUILDER": "y", "BUILDKIT_HOST": "z", "PATH": "/bin"}
    kept = buildx_environment("/f", given)
    assert kept.pop("BUILDX_CONFIG") == "/f/buildx"
    assert kept.pop("BUILDX_NO_DEFAULT_ATTESTATIONS") == "1"
    assert kept == {"DOCKER_CONFIG": "c", "PATH": "/bin"}


def test_a_full_disk_is_told_though_more_is_said_after_it():
    output = BuildxOutput(Silent())
    for line in ("#5 0.1 cp: error writing: No space left on device", "#5 0.2 bye", "ERROR: failed to solve: exit 1"):
        output.read_line(line)
    assert isinstance(output.failure("`RUN --mount`", DockerBuild("FROM x\nRUN cp\n")), EngineFullError)


async def test_lines_of_any_length_are_taken():
    stream = asyncio.StreamReader()
    stream.feed_data(b"a\n" + b"x" * 300_000 + b"\nb")
    stream.feed_eof()
    assert [(line[0], len(line)) async for line in read_lines(stream)] == [("a", 1), ("x", 16384), ("b", 1)]
