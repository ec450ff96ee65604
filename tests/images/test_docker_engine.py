"""A real engine: images are looked for, built, loaded, read out, and its failures have our names."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.images.apt import install_step
from tests.support.images.contexts import LIST, TOLD, tricky_context

from roost.daemon.engines.docker import client
from roost.daemon.engines.docker.client import split_body
from roost.daemon.engines.docker.engine import DockerEngine
from roost.daemon.engines.docker.errors import (
    BuildKitMissingError,
    ContextUnreadableError,
    EngineError,
    EngineUnreachableError,
    ImageMissingError,
    LayerFileMissingError,
    StepFailedError,
)
from roost.daemon.engines.docker.values import DockerConfig, LayerFile
from roost.daemon.jobs.progress import Silent
from roost.store.sources.files import LocalFiles


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
async def engine(docker_host: str, tmp_path: Path) -> AsyncIterator[DockerEngine]:
    made = DockerEngine(DockerConfig(host=docker_host), str(tmp_path))
    yield made
    made.close()


async def _id(engine: DockerEngine, reference: str) -> str:
    image = await engine.images.find(reference)
    assert image is not None
    return image.id


async def test_the_engine_tells_what_it_is(engine: DockerEngine):
    await engine.ping()
    facts = await engine.facts()
    assert facts.platform in ("linux/amd64", "linux/arm64")
    assert facts.driver


async def test_an_image_is_there_or_not(engine: DockerEngine, base_image: str):
    image = await engine.images.find(base_image)
    assert image is not None
    assert image.id.startswith("sha256:")
    assert len(image.diff_ids) == 1
    assert base_image in image.tags
    assert await engine.images.find(image.id) == image
    assert await engine.images.find("roost-test/none:1") is None


async def test_steps_are_run_and_labelled(engine: DockerEngine, base_image: str):
    lines = Lines()
    base = await _id(engine, base_image)
    steps = [f"ENV NOW={time.time_ns()}", "ENV GREETING='a \"b'", 'RUN echo "$GREETING" > /greeting && cat /greeting']
    made = await engine.build_steps(base, steps, labels={"org.roost.test": 'x"\ny'}, progress=lines)
    image = await engine.images.find(made)
    assert image is not None
    assert image.labels == {"org.roost.test": 'x"\ny'}
    assert 'GREETING=a "b' in image.variables
    assert image.diff_ids[:1] == ((await engine.images.find(base)) or image).diff_ids
    assert 'a "b' in lines.lines


async def test_packages_can_be_installed_by_a_step(engine: DockerEngine, base_image: str, apt_repository: str):
    base = await _id(engine, base_image)
    install = f"{install_step(apt_repository, 'hello')} && hello"
    lines = Lines()
    made = await engine.build_steps(base, [f"ENV NOW={time.time_ns()}", install], progress=lines)
    assert "Hello, world!" in lines.lines
    assert made != base


async def test_a_step_that_fails_is_told_with_its_text(engine: DockerEngine, base_image: str):
    base = await _id(engine, base_image)
    with pytest.raises(
        StepFailedError, match=r"Docker step 2 of 2 \(`RUN echo bad; exit 7`\) ended with status 7\nbad"
    ):
        await engine.build_steps(base, ["RUN true", "RUN echo bad; exit 7"], progress=Silent())


async def test_a_cancelled_build_stops_in_the_engine(engine: DockerEngine, base_image: str):
    base = await _id(engine, base_image)
    lines = Lines()
    build = asyncio.create_task(engine.build_steps(base, ["RUN echo begun && sleep 97"], progress=lines))
    await _until(lambda: "begun" in lines.lines)
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    deadline = time.monotonic() + 20
    while _sleeps() and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    assert not _sleeps()


async def _until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def _sleeps() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == b"sleep\x0097\0":
                found.append(str(path))
        except OSError:
            continue
    return found


async def test_a_context_is_built_without_what_it_ignores(engine: DockerEngine, base_image: str, tmp_path: Path):
    context = tmp_path / "context"
    (context / "data").mkdir(parents=True)
    (context / "data" / "kept").write_text("kept")
    (context / "data" / "secret").write_text("secret")
    (context / ".dockerignore").write_text("# a comment\n**/secret\n")
    text = f"FROM {base_image}\nENV NOW={time.time_ns()}\nCOPY data /data\nRUN ls /data\n"
    lines = Lines()
    await engine.build_dockerfile(text, context=str(context), progress=lines)
    assert "kept" in lines.lines
    assert "secret" not in lines.lines


async def test_a_context_is_exactly_what_its_digest_covers(engine: DockerEngine, base_image: str, tmp_path: Path):
    text = f"FROM {base_image}\nENV NOW={time.time_ns()}\nCOPY . /seen\n{LIST}\n"
    context = tricky_context(tmp_path / "context", text)
    for each in (text, f"{text}# another than the context's own\n"):
        said = Lines()
        await engine.build_dockerfile(each, context=context, progress=said)
        at = said.lines.index(TOLD[0])
        assert said.lines[at : at + len(TOLD)] == TOLD


async def test_a_dockerfile_of_another_name_is_built_with_its_context(
    engine: DockerEngine, base_image: str, tmp_path: Path
):
    text = (
        f"FROM {base_image}\nENV NOW={time.time_ns()}\nCOPY . /seen\nRUN cd /seen && find . -type f | LC_ALL=C sort\n"
    )
    (tmp_path / "context" / "docker").mkdir(parents=True)
    for name, content in {
        "docker/gpu.Dockerfile": text,
        "Dockerfile": "not this one",
        ".dockerignore": "docker",
    }.items():
        (tmp_path / "context" / name).write_text(content)
    for each in (text, f"{text}# another than the context's own\n"):
        said = Lines()
        await engine.build_dockerfile(
            each, context=str(tmp_path / "context"), file="docker/gpu.Dockerfile", progress=said
        )
        assert [line for line in said.lines if line.startswith("./")] == ["./.dockerignore", "./Dockerfile"]


async def test_a_context_goes_over_in_blocks_whatever_its_lines(
    engine: DockerEngine, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sent: list[int] = []

    def counted(body):
        for piece in split_body(body):
            sent.append(len(piece))
            yield piece

    monkeypatch.setattr(client, "split_body", counted)
    for name, content in (("lines", b"\n" * 3_000_000), ("one", b"x" * 3_000_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_bytes(content)
        sent.clear()
        text = f"FROM {base_image}\nENV NOW={time.time_ns()}\nCOPY data /\nRUN test $(stat -c %s /data) = 3000000\n"
        await engine.build_dockerfile(text, context=str(tmp_path / name), progress=Silent())
        assert sum(sent) > 3_000_000
        assert sent[:2] == [1 << 20] * 2
        assert len(sent) == 3


async def test_a_context_that_can_not_be_read_is_not_the_engines_fault(
    engine: DockerEngine, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(LocalFiles, "list_context", lambda files, path, dockerfile: ["gone-meanwhile"])
    with pytest.raises(ContextUnreadableError, match="gone-meanwhile"):
        await engine.build_dockerfile(f"FROM {base_image}\n", context=str(tmp_path), progress=Silent())


async def test_what_needs_buildkit_is_refused_where_there_is_none(
    engine: DockerEngine, base_image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildKitMissingError, match=r"RUN --mount.*no docker command"):
        await engine.build_dockerfile(f"FROM {base_image}\nRUN --mount=type=cache,target=/c true\n", progress=Silent())


def _layer(folder: Path, name: str, content: bytes) -> LayerFile:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    path = folder / f"{name}.tar.gz"
    path.write_bytes(gzip.compress(plain.getvalue()))
    return LayerFile(f"sha256:{hashlib.sha256(plain.getvalue()).hexdigest()}", str(path))


def _config(diff_ids: list[str]) -> bytes:
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {"org.roost.lock": "x"}}}
    return json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()


async def test_only_layers_that_the_engine_lacks_are_loaded_and_they_come_out_again(
    engine: DockerEngine, base_image: str, tmp_path: Path
):
    base = await engine.images.find(base_image)
    assert base is not None
    own = _layer(tmp_path, "own", str(time.time_ns()).encode())
    layers = [LayerFile(base.diff_ids[0]), own]
    config = _config([*base.diff_ids, own.diff_id])
    loaded = await engine.images.load(config, layers, tags=["roost-test/loaded:1"], base=base.id, progress=Silent())
    assert loaded == f"sha256:{hashlib.sha256(config).hexdigest()}"
    image = await engine.images.find("roost-test/loaded:1")
    assert image is not None
    assert image.diff_ids == (*base.diff_ids, own.diff_id)
    assert image.labels["org.roost.lock"] == "x"
    out = tmp_path / "out"
    out.mkdir()
    exported = await engine.images.export(loaded, str(out), {own.diff_id})
    assert exported.config == config
    assert list(exported.layers) == [own.diff_id]
    with tarfile.open(exported.layers[own.diff_id]) as archive:
        assert archive.getnames() == ["own"]
    assert [path.name for path in out.iterdir()] == [Path(exported.layers[own.diff_id]).name]
    await engine.images.untag("roost-test/loaded:1")
    await engine.images.untag("roost-test/loaded:1")
    assert await engine.images.find(loaded) is None


async def test_a_base_layer_that_is_nowhere_is_named(engine: DockerEngine, tmp_path: Path):
    own = _layer(tmp_path, "own", b"1")
    missing = f"sha256:{'0' * 64}"
    with pytest.raises(LayerFileMissingError) as caught:
        await engine.images.load(
            _config([missing, own.diff_id]), [LayerFile(missing), own], tags=[], base=None, progress=Silent()
        )
    assert caught.value.fields == {"diff_ids": [missing]}


async def test_an_image_that_no_registry_gives_is_missing(engine: DockerEngine):
    with pytest.raises((ImageMissingError, EngineError), match=r"ulling 127\.0\.0\.1:1/none:1"):
        await engine.images.pull("127.0.0.1:1/none:1", None, Silent())


async def test_an_engine_that_is_away_is_unreachable(tmp_path: Path):
    engine = DockerEngine(DockerConfig(host=f"unix://{tmp_path}/none.sock"), str(tmp_path))
    with pytest.raises(EngineUnreachableError) as caught:
        await engine.images.find("a")
    assert caught.value.retryable
    engine.close()
