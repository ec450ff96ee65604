"""Layers of real packages: right in the image, the same from every machine, and with nothing of this one in them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from blockbuster import blockbuster_ctx
from tests.support.images import engines as docker_parts
from tests.support.images.layers import OURS, extract, in_chroot, lock_of, make_channel, oci_layout, place

from roost.daemon.images.config import apply_changes
from roost.daemon.layers.conda_packages import StageBrokenError, StagedPackages
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE, LayerContent
from roost.daemon.layers.tar import FIXED_TIME
from roost.daemon.layers.writer import LinkScriptsError, NotForImagesError
from roost.model.locks.lock import CondaPackage, HostPython, Lock, Wheel

SPECS = ("python=3.11", "greeting", "placed", "activated", "six", "joblib", "numpy=1.26", "sqlite")
SITE = "lib/python3.11/site-packages"


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    """A blocking call of ours in the event loop fails the test."""
    with blockbuster_ctx(["roost.daemon", "roost.store"]) as detector:
        detector.functions["os.path.abspath"].deactivate()  # of an absolute path it asks the system nothing
        yield


@pytest.fixture
def umask() -> Iterator[None]:
    """Whatever a test makes of the umask is taken back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def needs_root() -> None:
    if os.geteuid() != 0:
        docker_parts.missing("a command of the image runs here in a chroot, which needs root")


def wheel(folder: Path, pattern: str) -> Wheel:
    """A wheel of the channel's own, as a lock has it."""
    (path,) = folder.glob(pattern)
    name, version = path.name.split("-")[:2]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel(
        name=name.lower().replace("_", "-"), version=version, kind="url", file_name=path.name, url=path.as_uri(),
        sha256=digest, size=path.stat().st_size,
    )  # fmt: skip


async def test_one_lock_gives_one_config_from_two_roots_caches_and_umasks(
    short_folder: Path, channel: Path, umask: None
) -> None:
    configs, contents = [], []
    for name, mask in (("a", 0o022), ("other-root", 0o077)):
        os.umask(mask)
        async with place(short_folder / name, channel) as there:
            packages = await there.solve(*SPECS)
            packages = packages[::-1] if configs else packages
            wheels = [wheel(channel.parent.parent / "wheels", "pytz-*.whl")]
            content = await there.write(lock_of(packages, wheels))
        config, _ = oci_layout(short_folder / f"layout-{name}", content)
        configs.append(config)
        contents.append(content)
    first, second = contents
    assert [layer.packages for layer in first.layers] == [layer.packages for layer in second.layers]
    assert [layer.diff_id for layer in first.layers] == [layer.diff_id for layer in second.layers]
    assert configs[0] == configs[1]
    for content, root in zip(contents, ("a", "other-root"), strict=True):
        assert_no_traces(content, short_folder / root)
    inspected = subprocess.run(
        ["skopeo", "inspect", "--config", f"oci:{short_folder}/layout-a:it"], capture_output=True, text=True
    )
    assert inspected.returncode == 0, inspected.stderr
    assert json.loads(inspected.stdout)["rootfs"] == json.loads(configs[0])["rootfs"]


def assert_no_traces(content: LayerContent, root: Path) -> None:
    """Nothing in any layer, nor in the variables, tells where, when or by whom it was made."""
    words = [str(root).encode(), b"/stage/image-", b".cache/roost-tests"]
    words += [name.encode() for name in (socket.gethostname(),) if len(name) > 6]  # a shorter one is in any binary
    for layer in content.layers:
        data = zlib.decompress(Path(layer.path).read_bytes(), 31)
        assert [word for word in words if word in data] == [], layer.packages
    assert str(root) not in repr(content.activation)


async def test_what_is_in_the_image_is_what_a_prefix_there_would_be(short_folder: Path, channel: Path) -> None:
    async with place(short_folder / "r", channel) as there:
        packages = await there.solve(*SPECS)
        wheels = [wheel(channel.parent.parent / "wheels", "pytz-*.whl")]
        content = await there.write(lock_of(packages, wheels))
        prefix = extract(content.layers, short_folder / "x")
        local = short_folder / "local"
        await there.conda.link(packages, str(local))
    expected = {p.relative_to(local).as_posix() for p in local.rglob("*") if not p.is_dir() or p.is_symlink()}
    found = {p.relative_to(prefix).as_posix() for p in prefix.rglob("*") if not p.is_dir() or p.is_symlink()}
    assert expected - found == {"CACHEDIR.TAG"}
    extra = {path for path in found - expected if not path.endswith(".pyc")}
    assert extra
    assert all(path.startswith((f"{SITE}/pytz/", f"{SITE}/pytz-")) for path in extra)
    assert (prefix / "share/placed/config.ini").read_text() == f"[placed]\nhome = {PREFIX_IN_IMAGE}/share/placed\n"
    binary = (prefix / "share/placed/blob.bin").read_bytes()
    assert binary.startswith(f"BIN\0{PREFIX_IN_IMAGE}/share/placed\0".encode())
    assert len(binary) == (local / "share/placed/blob.bin").stat().st_size
    assert (prefix / "bin/greet").read_text().startswith(f"#!{PREFIX_IN_IMAGE}/bin/python3.11\n")
    assert (prefix / "bin/greeting-script").read_text().startswith(f"#!{PREFIX_IN_IMAGE}/bin/python\n")
    assert (prefix / "bin/python").is_symlink()
    meta = json.loads((prefix / "conda-meta/six-1.17.0-pyhd_0.json").read_text())
    assert meta["url"] == "https://conda.anaconda.org/conda-forge/noarch/six-1.17.0-pyhd_0.conda"
    assert meta["link"] == {"source": "", "type": 1}
    assert f"{SITE}/six.py" in meta["files"]
    assert (prefix / f"{SITE}/pytz-2024.2.dist-info/INSTALLER").read_text() == "roost\n"


async def test_modes_owners_and_times(short_folder: Path, channel: Path) -> None:
    async with place(short_folder / "r", channel) as there:
        content = await there.write(lock_of(await there.solve(*SPECS)))
    times: dict[str, float] = {}
    for layer in content.layers:
        with tarfile.open(layer.path) as archive:
            members = archive.getmembers()
        folders = {member.name for member in members if member.isdir()}
        assert {"opt", "opt/roost", OURS} <= folders
        assert all(member.name.rpartition("/")[0] in folders | {""} for member in members)
        assert {(member.uid, member.gid) for member in members} == {(0, 0)}
        assert {member.mode for member in members if member.isfile()} <= {0o644, 0o755}
        assert {member.mode for member in members if member.isdir()} == {0o755}
        assert not [member.name for member in members if member.islnk()]
        times |= {member.name: member.mtime for member in members}
    assert times[f"{OURS}/{SITE}/six.py"] == 1_733_333_706  # as in its archive
    assert {times[f"{OURS}/{name}"] for name in ("bin/placed", "bin/greet", "conda-meta/history", "bin")} == {
        FIXED_TIME
    }


async def test_every_import_finds_byte_code_and_the_commands_run(short_folder: Path, channel: Path) -> None:
    needs_root()
    async with place(short_folder / "r", channel) as there:
        wheels = [wheel(channel.parent.parent / "wheels", "pytz-*.whl")]
        content = await there.write(lock_of(await there.solve(*SPECS), wheels))
    extract(content.layers, short_folder / "x")
    variables = apply_changes([], content.activation)
    code = (
        "import sys, importlib._bootstrap_external as e; compiled = []; real = e.SourceLoader.source_to_code;"
        "note = lambda self, data, path, **kw: (compiled.append(path), real(self, data, path, **kw))[1];"
        "e.SourceLoader.source_to_code = note;"
        "import joblib, six, greeting, pytz, numpy, sqlite3, ssl, json, asyncio;"
        "print(compiled, sys.prefix, greeting.main.__code__.co_filename, numpy.ones(3).sum())"
    )
    said = in_chroot(short_folder / "x", f"{PREFIX_IN_IMAGE}/bin/python", "-c", code, environ=variables)
    assert said == f"[] {PREFIX_IN_IMAGE} {PREFIX_IN_IMAGE}/{SITE}/greeting/__init__.py 3.0"
    assert in_chroot(short_folder / "x", f"{PREFIX_IN_IMAGE}/bin/greet") == "hello from greeting"
    assert in_chroot(short_folder / "x", f"{PREFIX_IN_IMAGE}/bin/placed") == PREFIX_IN_IMAGE
    assert f"ACTIVATED_HOME={PREFIX_IN_IMAGE}/share/activated" in variables
    assert next(line for line in variables if line.startswith("PATH=")).startswith(
        f"PATH={PREFIX_IN_IMAGE}/share/activated/bin:{PREFIX_IN_IMAGE}/bin:/usr/local/sbin"
    )


async def test_what_is_kept_is_not_written_again(short_folder: Path, channel: Path) -> None:
    async with place(short_folder / "r", channel) as there:
        lock = lock_of(await there.solve("python=3.11", "six", "greeting"))
        first = await there.write(lock)
        before = {path: path.stat().st_mtime_ns for path in Path(there.store.layout.layers).iterdir()}
        for folder in Path(there.conda.packages_dir).iterdir():  # nor is a package needed for it
            subprocess.run(["rm", "-rf", str(folder)], check=True)
        assert await there.write(lock) == first
        assert {path: path.stat().st_mtime_ns for path in Path(there.store.layout.layers).iterdir()} == before
        assert not list(Path(there.store.layout.stage).iterdir())


async def test_one_package_of_twenty_changed_moves_one_layer(short_folder: Path) -> None:
    forge = short_folder / "forge"
    files = {f"p{n}-1.0": {f"share/p{n}": os.urandom(200_000 + n)} for n in range(20)}
    await make_channel(forge, {**files, "p7-2.0": {"share/p7": os.urandom(200_007)}})
    names = [f"p{n}" for n in range(20)]
    async with place(short_folder / "r", forge) as there:
        before = await there.write(lock_of(await there.solve(*names, "p7=1.0")))
        after = await there.write(lock_of(await there.solve(*names, "p7=2.0")))
    known = {layer.digest for layer in before.layers}
    moved = [layer for layer in after.layers if layer.digest not in known]
    (theirs,) = [layer for layer in moved if layer.packages]
    assert "p7 2.0" in theirs.packages
    assert sum(layer.size for layer in moved) <= theirs.size + 64 * 1024
    assert [layer.packages for layer in moved][-1] == ()  # what belongs to no package lies on top
    where = [layer.digest for layer in after.layers].index(theirs.digest)
    assert [a == b for a, b in zip(before.layers, after.layers, strict=True)] == [
        n != where and n != len(after.layers) - 1 for n in range(len(after.layers))
    ]


async def test_what_urls_hold_gets_into_no_layer(short_folder: Path, channel: Path) -> None:
    """A lock keeps the name of a variable where its URLs had the value, which may be a secret."""
    contents = []
    async with place(short_folder / "r", channel) as there:
        packages = await there.solve("dated", "activated")
        concealed = [msgspec.structs.replace(p, url=p.url.replace("conda-forge", "${TEAM}")) for p in packages]
        contents.append(await there.write(lock_of(concealed), fetched=lock_of(packages)))
    for layer in contents[0].layers:
        assert b"conda-forge" not in zlib.decompress(Path(layer.path).read_bytes(), 31)
    prefix = extract(contents[0].layers, short_folder / "x")
    assert "https://conda.anaconda.org/${TEAM}/" in (prefix / "conda-meta/dated-3.0-0.json").read_text()
    assert "https://conda.anaconda.org/${TEAM}/noarch::dated" in (prefix / "conda-meta/history").read_text()


async def test_packages_with_one_path_do_not_change_each_others_layers(short_folder: Path) -> None:
    """rattler renames the file of one of them; a layer must not depend on what else is in an image."""
    forge = short_folder / "forge"
    await make_channel(forge, {
        "one-1.0": {"share/both": "one\n", "share/one": "1\n"}, "two-1.0": {"share/both": "two\n"},
    })  # fmt: skip
    alone, together = [], []
    for name, specs, kept in (("a", ("one",), alone), ("b", ("one", "two"), together)):
        async with place(short_folder / name, forge) as there:
            content = await there.write(lock_of(await there.solve(*specs)))
            kept += content.layers
    by_package = {layer.packages: layer.diff_id for layer in together}
    assert by_package[("one 1.0",)] == alone[0].diff_id
    async with place(short_folder / "b", forge):
        prefix = extract(together, short_folder / "x")
    assert (prefix / "share/both").read_text() in ("one\n", "two\n")
    assert not list(prefix.rglob("*clobber*"))
    assert "clobber" not in (prefix / "conda-meta/one-1.0-0.json").read_text()


def test_a_link_of_another_package_on_the_way_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    prefix, cached = tmp_path / "stage", tmp_path / "cache" / "walker-1.0-0"
    (prefix / "share").mkdir(parents=True)
    (prefix / "way").symlink_to("share")
    (prefix / "share/walked").write_text("far\n")
    (prefix / "conda-meta").mkdir()
    path = {"_path": "way/walked", "path_type": "hardlink", "size_in_bytes": 4}
    (prefix / "conda-meta/walker-1.0-0.json").write_text(json.dumps({"paths_data": {"paths": [path]}}))
    (cached / "info").mkdir(parents=True)
    (cached / "way").mkdir()
    (cached / "way/walked").write_text("far\n")
    (cached / "info/paths.json").write_text(json.dumps({"paths": [path]}))
    (cached / "info/index.json").write_text('{"name": "walker"}')
    walker = CondaPackage(
        name="walker", version="1.0", build="0", subdir="noarch", file_name="walker-1.0-0.conda",
        url="https://x/noarch/walker-1.0-0.conda", sha256="",
    )  # fmt: skip
    entries = StagedPackages(str(prefix), str(tmp_path / "cache"), "").entries(walker)
    assert [entry.name for entry in entries] == [f"{OURS}/share/walked", f"{OURS}/conda-meta/walker-1.0-0.json"]
    (prefix / "share/walked").unlink()
    with pytest.raises(StageBrokenError, match=r"walker 1\.0"):
        StagedPackages(str(prefix), str(tmp_path / "cache"), "").entries(walker)


async def test_link_scripts_are_refused_by_name_or_left_to_an_engine(short_folder: Path, channel: Path) -> None:
    async with place(short_folder / "r", channel) as there:
        lock = lock_of(await there.solve("post-linked", "dated"))
        for _ in range(2):  # the second time from what is kept
            with pytest.raises(LinkScriptsError, match="post-linked") as caught:
                await there.write(lock)
        assert caught.value.fields == {"packages": ["post-linked"]}
        content = await there.write(lock, run_scripts=True)
    assert content.scripts == ("post-linked",)
    prefix = extract(content.layers, short_folder / "x")
    assert os.access(prefix / "bin/.post-linked-post-link.sh", os.X_OK)
    assert not (prefix / "share/post-linked.txt").exists()


async def test_locks_that_are_tied_to_this_machine_are_refused(short_folder: Path, channel: Path) -> None:
    async with place(short_folder / "r", channel) as there:
        host = Lock(platform="linux-64", provider=HostPython(version="3.11.7", executable="/usr/bin/python3"))
        with pytest.raises(NotForImagesError, match=r"own Python 3\.11\.7"):
            await there.write(host)
        editable = Wheel(name="mine", version="1", kind="editable", path="/home/me/mine")
        with pytest.raises(NotForImagesError, match="mine"):
            await there.write(lock_of(await there.solve("python=3.11"), [editable]))
        assert await there.write(lock_of([])) == LayerContent()


async def test_another_platforms_layers_are_written_here_with_byte_code(short_folder: Path, channel: Path) -> None:
    """A made-up aarch64 package for Python 3.11.7, whose linux-64 sibling is in the cache; its Python has no binary."""
    forge = short_folder / "forge"
    source = {f"{SITE}/far.py": "VALUE = ('far', {1, 2, 3})\ndef far():\n    return VALUE\n"}
    arm = {"subdir": "linux-aarch64", "noarch": None}
    await make_channel(forge, {"python-3.11.7": {"lib/python3.11/os.py": "x = 1\n"}}, **arm)
    await make_channel(forge, {"far-1.0": source}, **arm, depends=["python"])
    async with place(short_folder / "r", channel) as there:  # this machine's Python 3.11.7 gets into the cache
        await there.write(lock_of(await there.solve("python=3.11")))
    async with place(short_folder / "r", forge) as there:
        lock = lock_of(await there.solve("far", "python", platform="linux-aarch64"), platform="linux-aarch64")
        content = await there.write(lock)
        config, _ = oci_layout(short_folder / "layout", content, "linux-aarch64")
    prefix = extract(content.layers, short_folder / "x")
    compiled = (prefix / SITE / "__pycache__/far.cpython-311.pyc").read_bytes()
    assert compiled[4:8] == b"\x01\0\0\0"  # by its source's digest, unchecked
    assert f"{PREFIX_IN_IMAGE}/{SITE}/far.py".encode() in compiled
    assert json.loads(config)["architecture"] == "arm64"


async def test_a_damaged_blob_is_noticed_and_written_again(short_folder: Path, channel: Path) -> None:
    async with place(short_folder / "r", channel) as there:
        lock = lock_of(await there.solve("dated", "activated"))
        content = await there.write(lock)
        path = Path(content.layers[0].path)
        whole = path.read_bytes()
        broken = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
        path.write_bytes(broken)
        assert (await there.write(lock), path.read_bytes()) == (content, whole)
        stamp = path.stat().st_mtime_ns
        path.write_bytes(broken)
        os.utime(path, ns=(stamp, stamp))  # as a disk does that lies
        bad = await there.delete_damaged_layers()
        assert [layer.digest for layer in bad] == [content.layers[0].digest]
        assert not path.exists()
        assert (await there.write(lock), path.read_bytes()) == (content, whole)
        path.unlink()
        assert (await there.write(lock), path.read_bytes()) == (content, whole)
