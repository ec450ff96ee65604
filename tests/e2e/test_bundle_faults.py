"""Bundles that are not what they should be, and machines that have something already."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

from roost.daemon.bundles.contents import BundleContents, BundledEnvironment, decode_contents, encode_contents
from roost.daemon.bundles.format import create_index
from roost.daemon.bundles.tar_reader import BundleFile
from roost.daemon.bundles.tar_writer import write_bundle
from roost.model.locks.lock import Lock
from roost.store.disk.file_ops import remove_tree
from roost.store.store import Store

Change = Callable[[BundledEnvironment], BundledEnvironment]


@pytest.fixture
def other(roost: Roost) -> Iterator[Roost]:
    """Another machine, with the same config."""
    made = new_roost()
    made.config.write_text(roost.config.read_text())
    yield made
    made.end()


def rewrite(bundle: Path, output: Path, change: Change) -> None:
    """Write a bundle of other contents, as somebody would who wants to slip something in."""
    stage = output.with_suffix(".stage")
    stage.mkdir()
    with closing(BundleFile(str(bundle), None)) as file:
        file.unpack(str(stage), (), lambda done: None, threading.Event())
    index = file.index
    data = (stage / index.contents.digest.removeprefix("sha256:")).read_bytes()
    environments = decode_contents(data, "contents").environments
    contents = encode_contents(BundleContents(environments=tuple(change(each) for each in environments)))
    changed = create_index(contents, index.files)
    paths = {blob.digest: str(stage / blob.digest.removeprefix("sha256:")) for blob in index.files}
    write_bundle(str(output), changed, contents, paths, lambda done: None, threading.Event())


def with_lock(change: Callable[[Lock], Lock]) -> Change:
    return lambda each: msgspec.structs.replace(each, lock=change(each.lock))


def without_wheels(lock: Lock) -> Lock:
    return msgspec.structs.replace(lock, wheels=())


def with_another_name(lock: Lock) -> Lock:
    wheel = msgspec.structs.replace(lock.wheels[0], name="evil", file_name="evil-1.0-py3-none-any.whl")
    return msgspec.structs.replace(lock, wheels=(wheel,))


def with_another_digest(lock: Lock) -> Lock:
    return msgspec.structs.replace(lock, wheels=(msgspec.structs.replace(lock.wheels[0], sha256="0" * 64),))


def with_a_path(lock: Lock) -> Lock:
    return msgspec.structs.replace(lock, wheels=(msgspec.structs.replace(lock.wheels[0], file_name="../../x.whl"),))


def for_another_platform(lock: Lock) -> Lock:
    return msgspec.structs.replace(lock, platform="osx-arm64")


def of_another_definition(each: BundledEnvironment) -> BundledEnvironment:
    return msgspec.structs.replace(each, definition_digest="sha256:" + "0" * 64)


def with_another_name_of_itself(each: BundledEnvironment) -> BundledEnvironment:
    return msgspec.structs.replace(each, name="../x")


def test_what_a_definition_can_not_have_given_is_refused(roost: Roost, other: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.ok("cache", "bundle", "export", "-o", "b.roost")
    changes: list[tuple[Change, str, int, str]] = [
        (with_lock(without_wheels), "bundle-untrusted", 4, "greet is satisfied by none"),
        (with_lock(with_another_name), "bundle-untrusted", 4, "another file"),
        (with_lock(with_another_digest), "bundle-untrusted", 4, "not in the bundle"),
        (with_lock(with_a_path), "bundle-untrusted", 4, "another file"),
        (with_lock(for_another_platform), "bundle-platform", 3, "osx-arm64"),
        (of_another_definition, "bundle-untrusted", 4, "another digest"),
        (with_another_name_of_itself, "bundle-untrusted", 4, "name of an environment"),
    ]
    for number, (change, code, status, text) in enumerate(changes):
        path = roost.folder / f"{number}.roost"
        rewrite(roost.folder / "b.roost", path, change)
        error = other.failed(status, "cache", "bundle", "import", str(path))
        assert (error["code"], text in error["message"]) == (code, True), error
    expected = other.failed(3, "cache", "bundle", "import", str(path), "--expect", "sha256:" + "0" * 64)
    assert expected["code"] == "bundle-unexpected"
    assert other.failed(3, "cache", "bundle", "import", str(roost.folder / "requirements.txt"))["code"] == (
        "bundle-invalid"
    )
    assert other.failed(7, "cache", "bundle", "import", "missing")["code"] == "not-found"
    assert roost.failed(2, "cache", "bundle", "export", "-o", "-", "p")["code"] == "usage"
    assert other.json("env", "list")["environments"] == []
    assert list((other.root / "wheels" / "fetched").glob("*")) == []
    assert list((other.root / "stage").iterdir()) == []


def test_a_lock_that_is_here_stays(roost: Roost, other: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    other.write("requirements.txt", "greet\n")
    roost.ok("cache", "bundle", "export", "-o", "b.roost")
    bundle = str(roost.folder / "b.roost")
    assert (roost.folder / "b.roost").stat().st_mode & 0o777 == 0o644
    pip_index.wheel("greet", "2.0")
    ours = other.json("build")["build"]
    (found,) = other.json("cache", "bundle", "import", bundle)["environments"]
    assert (found["generation"], found["current"], found["lock_digest"] == ours["lock_digest"]) == (2, False, False)
    assert "--generation 2" in other.run("cache", "bundle", "import", bundle).stderr
    show = ("python", "-c", "import greet; print(greet.value)")
    assert other.ok("run", "--", *show) == "2.0\n"
    pip_index.files.clear()
    assert other.ok("run", "--generation", "2", "--", *show) == "1.0\n"
    assert other.json("cache", "bundle", "import", bundle)["environments"] == [found]


def test_many_imports_at_once(roost: Roost, other: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.ok("cache", "bundle", "export", "-o", "b.roost")
    imports = [other.start("cache", "bundle", "import", str(roost.folder / "b.roost"), "--json") for _ in range(4)]
    answers = [each.communicate(timeout=60)[0] for each in imports]
    assert [each.returncode for each in imports] == [0] * 4, answers
    (environment,) = other.json("env", "list")["environments"]
    assert environment["versions"] == 1
    assert other.ok("run", "-e", environment["name"], "--", "python", "-c", "import greet") == ""


def test_a_package_that_is_gone_is_named(roost: Roost, pip_index: PipIndex) -> None:
    """Its unpacked copy is in uv's cache: no file with the sha256 of the lock can be made of that."""
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.ok("build")
    pip_index.files.clear()
    error = roost.failed(4, "cache", "bundle", "export", "-o", "b.roost")
    assert (error["code"], error["message"]) == (
        "package-missing",
        f"greet 1.0 is no longer available: there is nothing at {pip_index.origin}/files/greet-1.0-py3-none-any.whl",
    )
    assert not (roost.folder / "b.roost").exists()


def test_what_was_collected_is_exported_from_its_lock(roost: Roost, other: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    built = roost.json("build")["build"]
    roost.ok("daemon", "stop")
    asyncio.run(collect(roost, built["artifacts"][0]["id"]))
    pip_index.wheel("greet", "2.0")
    exported = roost.json("cache", "bundle", "export", "-o", "b.roost")
    assert exported["environments"][0]["lock_digest"] == built["lock_digest"]
    assert roost.json("cache", "df")["artifacts"] == [], "it was not built for that"
    pip_index.files.clear()
    other.ok("cache", "bundle", "import", str(roost.folder / "b.roost"))
    assert other.json("build", "-f", str(roost.folder))["build"]["lock_digest"] == built["lock_digest"]


async def collect(roost: Roost, artifact: str) -> None:
    """Delete a prefix and all that uv has cached for it."""
    store = await Store.open(str(roost.root))
    try:
        assert await store.artifacts.delete(artifact)
    finally:
        await store.close()
    remove_tree(str(roost.root / "wheels"))


def test_what_is_of_use_here_only_is_refused(roost: Roost, pip_index: PipIndex) -> None:
    roost.write("local/pyproject.toml", '[project]\nname = "local"\nversion = "1"\n')
    roost.write("e/requirements.txt", "-e ../local\n")
    roost.write("u/roost.toml", "[python]\nuser_managed = true\n")
    roost.write("p/requirements.txt", "")
    assert roost.failed(4, "cache", "bundle", "export", "u", "-o", "b")["code"] == "bundle-unportable"
    foreign = roost.failed(4, "cache", "bundle", "export", "p", "--platform", "linux-aarch64", "-o", "b")
    assert foreign["code"] == "bundle-unportable"
    assert roost.failed(2, "cache", "bundle", "export", "p", "-f", "e", "-o", "b")["code"] == "usage"
    assert roost.failed(2, "cache", "bundle", "export", "p", "-o", "missing/b")["code"] == "bundle-file"
    roost.ok("cache", "bundle", "export", "p", "-o", "b")


def test_no_credential_is_in_a_bundle(roost: Roost, other: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.password = "hunter2hunter2"
    roost.config.write_text("")
    url = pip_index.url.replace("://", "://somebody:${WORD}@")
    roost.write("requirements.txt", f"--index-url {url}\ngreet\n")
    roost.variables["WORD"] = pip_index.password
    roost.ok("cache", "bundle", "export", "-o", "b.roost")
    assert b"hunter2" not in (roost.folder / "b.roost").read_bytes()
    other.config.write_text("")
    imported = other.json("cache", "bundle", "import", str(roost.folder / "b.roost"))
    assert imported["environments"][0]["origins"] == [pip_index.origin]


def test_a_bundle_for_another_platform(own_conda_roost: Roost, other: Roost) -> None:
    own_conda_roost.write("environment.yml", "dependencies: [python]\n")
    exported = own_conda_roost.json("cache", "bundle", "export", "--platform", "linux-aarch64", "-o", "b.roost")
    assert [each["platform"] for each in exported["environments"]] == ["linux-aarch64"]
    error = other.failed(3, "cache", "bundle", "import", str(own_conda_roost.folder / "b.roost"))
    assert (error["code"], "linux-64" in error["message"]) == ("bundle-platform", True)
