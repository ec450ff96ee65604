"""Which roots are refused, with which code and words."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from roost.store.disk.layout import FOLDERS, Layout
from roost.store.disk.ownership import RootSharedError
from roost.store.disk.root import (
    NETWORK_FILE_SYSTEMS,
    RootFormatError,
    RootInUseError,
    RootNameError,
    RootNetworkError,
    RootReadOnlyError,
    RootTooLongError,
    check_root,
    find_file_system,
    max_root_bytes,
    select_mount,
)
from roost.store.store import Store

pytestmark = pytest.mark.unprivileged


def of_length(length):
    start = tempfile.mkdtemp(prefix="r", dir="/tmp")
    return start, start + "/" + "x" * (length - len(start) - 1)


async def test_a_root_of_the_longest_path_works(lock_of, fill):
    start, root = of_length(max_root_bytes())
    try:
        store = await Store.open(root)
        artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
        await store.close()
        assert len(f"#!{artifact.path}/bin/python3.99") == 127
        assert len(artifact.path) <= 255
    finally:
        shutil.rmtree(start)


async def test_a_longer_root_is_refused_with_the_limit():
    start, root = of_length(max_root_bytes() + 1)
    with pytest.raises(RootTooLongError) as caught:
        await Store.open(root)
    assert caught.value.code == "root-too-long"
    assert caught.value.exit_status == 5
    assert f"the limit is {max_root_bytes()}" in caught.value.message
    assert "ROOST_HOME" in caught.value.hint
    assert os.listdir(start) == []
    os.rmdir(start)


def test_length_counts_bytes_not_characters():
    with pytest.raises(RootTooLongError):
        check_root("/tmp/" + "é" * (max_root_bytes() // 2))


async def test_a_second_daemon_on_one_root_is_refused(root, store):
    with pytest.raises(RootInUseError) as caught:
        await Store.open(root)
    assert caught.value.code == "root-in-use"
    assert caught.value.fields["pid"] == os.getpid()
    await store.close()
    again = await Store.open(root)
    await again.close()


async def test_the_root_is_free_when_its_holder_is_killed(root):
    script = (
        "import asyncio, sys\nfrom roost.store.store import Store\n"
        "async def main():\n    store = await Store.open(sys.argv[1])\n    print('open', flush=True)\n"
        "    await asyncio.sleep(600)\nasyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", script, root], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(RootInUseError) as caught:
            await Store.open(root)
        assert caught.value.fields["pid"] == process.pid
        process.kill()
    await (await Store.open(root)).close()


async def test_many_opens_at_once_let_one_in(root):
    opened = await asyncio.gather(*(Store.open(root) for _ in range(10)), return_exceptions=True)
    stores = [store for store in opened if isinstance(store, Store)]
    assert len(stores) == 1
    assert all(isinstance(other, RootInUseError) for other in opened if other is not stores[0])
    await stores[0].close()


async def test_format_is_written_once_and_unknown_ones_are_refused(root):
    await (await Store.open(root)).close()
    layout = Layout(root)
    with open(layout.format_path) as stream:
        assert stream.read() == "1\n"
    for text in ("2\n", "", "\xff\x00garbage"):
        with open(layout.format_path, "w") as stream:
            stream.write(text)
        with pytest.raises(RootFormatError) as caught:
            await Store.open(root)
        assert caught.value.code == "root-format"
    with open(layout.format_path) as stream:
        assert stream.read() == "\xff\x00garbage"
    os.unlink(layout.format_path)
    with pytest.raises(RootFormatError, match="no format file"):
        await Store.open(root)


async def test_folders_are_for_the_owner_only(root, store):
    modes = {name: os.stat(os.path.join(root, name)).st_mode & 0o077 for name in FOLDERS}
    assert modes == dict.fromkeys(FOLDERS, 0)
    assert os.stat(store.layout.lock_path).st_mode & 0o077 == 0


async def test_a_root_that_is_a_file_is_refused(root):
    path = os.path.join(root, "file")
    with open(path, "w"):
        pass
    for place in (path, path + "/below"):
        with pytest.raises(RootReadOnlyError) as caught:
            await Store.open(place)
        assert caught.value.code == "root-read-only"


MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:40 / /home rw,relatime shared:1 master:2 - nfs4 server:/home rw
41 40 254:1 / /home/local rw - xfs /dev/vdb rw
42 27 0:42 / /mnt/with\040space rw - fuse.sshfs u@h:/ rw
43 27 0:43 / /over rw - cifs //h/s rw
44 43 0:44 / /over rw - tmpfs tmpfs rw
broken line
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/homes/x", "ext4"),
        ("/home", "nfs4"),
        ("/home/u/roost", "nfs4"),
        ("/home/local/roost", "xfs"),
        ("/mnt/with space/r", "fuse.sshfs"),
        ("/over/r", "tmpfs"),
    ],
)
def test_file_system_of_the_longest_and_last_mount(path, kind):
    assert select_mount(path, MOUNTS).kind == kind


def test_file_systems_of_this_machine():
    assert find_file_system("/proc/self") == "proc"
    assert find_file_system("/tmp", mounts="/nowhere") is None
    assert {"nfs", "nfs4", "cifs", "9p", "fuse.sshfs"} <= NETWORK_FILE_SYSTEMS


def test_a_network_file_system_is_refused(root, monkeypatch):
    # Nothing on a test machine mounts one on command: the name of this machine's own file system is put on the list.
    from roost.store.disk import root as module

    monkeypatch.setattr(module, "NETWORK_FILE_SYSTEMS", frozenset({find_file_system(root)}))
    with pytest.raises(RootNetworkError) as caught:
        check_root(root + "/not/there/yet")
    assert caught.value.code == "root-network"
    assert "ROOST_HOME" in caught.value.hint
    assert find_file_system(root) in caught.value.message


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can mount")
@pytest.mark.parametrize(
    ("options", "below", "code"),
    [
        ("noexec", "", "root-noexec"),
        ("noexec", "/not/there", "root-noexec"),
        ("ro", "/x", "root-read-only"),
        ("exec", "", ""),
    ],
)
def test_a_mount_without_programs_is_refused_by_its_name(options, below, code):
    # A real mount, in a mount namespace that ends with the process.
    script = (
        "import asyncio, os, sys\nfrom roost.model.errors import StoreRefusedError\n"
        "from roost.store.store import Store\n"
        "async def main():\n"
        "    try:\n"
        "        await (await Store.open(sys.argv[1])).close()\n"
        "    except StoreRefusedError as error:\n"
        "        print(error.code, error.message, error.hint, os.listdir(sys.argv[2]), sep='|')\n"
        "asyncio.run(main())"
    )
    folder = tempfile.mkdtemp(prefix="m", dir="/tmp")
    try:
        mount = 'mount -t tmpfs -o "mode=700,$0" tmpfs "$1" && shift && exec "$@"'
        words = ["sh", "-c", mount, options, folder, sys.executable, "-c", script, folder + below, folder]
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", *words],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
    finally:
        os.rmdir(folder)
    if not code:
        assert done.stdout == ""
        return
    found, message, hint, created = done.stdout.strip().split("|")
    assert (found, created) == (code, "[]")
    assert folder in message
    if code == "root-noexec":
        assert f"is on {folder} (tmpfs), which is mounted with noexec" in message
        assert f"mount -o remount,exec {folder}" in hint
        assert "ROOST_HOME" in hint


def test_a_root_that_is_shared_on_purpose_has_a_place_below_it():
    folder = tempfile.mkdtemp(prefix="m", dir="/tmp")
    os.chmod(folder, 0o1777)
    try:
        with pytest.raises(RootSharedError) as caught:
            check_root(folder)
        assert f"set ROOST_HOME to a folder in it, {folder}/roost" in caught.value.hint
        check_root(f"{folder}/roost")
    finally:
        os.rmdir(folder)


@pytest.mark.parametrize(
    ("name", "words"), [("a:b", "has a colon"), (os.fsdecode(b"caf\xe9"), "caf\\xe9 is not valid UTF-8")]
)
def test_a_root_whose_name_no_prefix_can_have_is_refused(name, words):
    with pytest.raises(RootNameError) as caught:
        check_root(f"/tmp/{name}")
    assert words in caught.value.message
    assert "ROOST_HOME" in caught.value.hint


@pytest.mark.parametrize("name", ["a b", "a#b", "a%20b", "a?b", "$HOME", "${X}", "it's", 'q"q', "café", "nl\nx"])
def test_a_root_may_have_any_other_name(name):
    start = tempfile.mkdtemp(prefix="r", dir="/tmp")
    check_root(f"{start}/{name}")
    assert os.listdir(start) == []
    os.rmdir(start)
