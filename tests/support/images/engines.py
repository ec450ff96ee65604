"""A real Docker engine and real root file systems for the tests, shared by all processes of a test run.

The machine's own engine is used if it answers; else, as root, a private ``dockerd`` is started with a socket, data,
bridge and pid file of its own. Every process that uses it holds a shared lock; the last one to go ends it, and what a
killed run left behind is cleared away by the next. A run may have had a ``/tmp`` of its own (``tests.__main__``): then
its engine is found by its command line, and its folder through ``/proc/<pid>/root``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest
from tests.support.images import debian as debian_parts
from tests.support.images.debian import missing

FOLDERS = "rdk-"
START_SECONDS = 60.0
END_SECONDS = 20.0
SUITE = "bookworm"
BASE = "roost-test/base:bookworm"
PYTHON = "roost-test/python:bookworm"
ENGINE_PROGRAMS = ("dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy")
WITHOUT_IPTABLES = ("--iptables=false", "--ip6tables=false", "--ip-masq=false")
"""For engines beside the first: two that manage one set of rules cut each other's containers off."""


def answers(host: str) -> bool:
    """Whether an engine serves ``host``. (The SDK leaves its socket open where nobody does.)"""
    if not host.startswith("unix://"):
        return False
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(5)
            connection.connect(host.removeprefix("unix://"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(4096)
    except OSError:
        return False


@contextlib.contextmanager
def engine(run_id: str) -> Iterator[str]:
    """The address of an engine for the test run ``run_id``."""
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if answers(host):
        yield host
        return
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        missing("no Docker engine answers, and none can be started (that needs root and dockerd)")
    with shared(run_id) as folder:
        yield f"unix://{folder}/d.sock"


@contextlib.contextmanager
def newer_engine(run_id: str, *, containerd: bool = False) -> Iterator[str]:
    """The address of an engine of Debian's next release, beside the other one; with containerd's store of images if
    so wanted, which Docker 29 has unless told otherwise."""
    if os.geteuid() != 0 or not shutil.which("containerd"):
        missing("a second Docker engine can't be started (that needs root and containerd)")
    program = debian_parts.unpacked("docker.io") / "usr/sbin/dockerd"
    settings = {"features": {"containerd-snapshotter": containerd}}
    with shared(f"{'c' if containerd else 'n'}{run_id}", str(program), settings) as folder:
        yield f"unix://{folder}/d.sock"


@contextlib.contextmanager
def shared(run_id: str, program: str = "dockerd", settings: dict[str, Any] | None = None) -> Iterator[Path]:
    """The folder of the private engine of ``run_id``, started by the first and ended by the last who enter."""
    folder = Path("/tmp", f"{FOLDERS}{run_id[:8]}")
    with _alone():
        _sweep(keep=folder)
        folder.mkdir(exist_ok=True)
        users = open(folder / "users", "w")  # noqa: SIM115 - held until the last test is done
        fcntl.flock(users, fcntl.LOCK_SH)
        if not answers(f"unix://{folder}/d.sock"):
            (folder / "daemon.json").write_text(json.dumps(settings or {}))
            is_first = program == "dockerd"
            start(folder, f"--config-file={folder}/daemon.json", program=program, has_network=is_first)
    try:
        yield folder
    finally:
        with _alone(), contextlib.closing(users), contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear(folder)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process at a time starts, ends and sweeps engines."""
    with open(Path(tempfile.gettempdir(), f"{FOLDERS}lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(keep: Path) -> None:
    """Clear away the engines that no process uses, in this and in all other mount namespaces."""
    folders = {Path("/", folder) for folder in Path("/tmp").glob(f"{FOLDERS}*/")}
    folders |= {Path(f"/proc/{pid}/root{folder}") for pid, folder in _engines() if not _is_here(pid)}
    for folder in folders:
        with contextlib.suppress(OSError), open(folder / "users", "w") as users:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder != keep:
                clear(folder)


def _engines() -> list[tuple[int, str]]:
    """All processes of engines that tests started, with the folder of each as the process sees it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            option = re.search(rf"\0--data-root=(/tmp/{FOLDERS}[^/\0]+)/data\0", path.read_text(errors="replace"))
            if option:
                found.append((int(path.parent.name), option[1]))
    return found


def _is_here(pid: int) -> bool:
    """Whether the process sees the same files as this one."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    except OSError:
        return True  # it has ended


def processes(folder: Path) -> list[int]:
    """The processes of the engine of ``folder``: itself, its containerd, and its containers with their shims."""
    at = re.fullmatch(r"(/proc/\d+)/root(/.*)", str(folder))
    namespace, name = (os.readlink(f"{at[1]}/ns/mnt"), at[2]) if at else (os.readlink("/proc/self/ns/mnt"), str(folder))
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = _command_line(int(path.parent.name)).split("\0")
        program = Path(words[0]).name
        if program in ENGINE_PROGRAMS and any(f"{name}/" in word for word in words[1:]):
            with contextlib.suppress(OSError):
                if os.readlink(path.parent / "ns/mnt") == namespace:
                    found.append(int(path.parent.name))
    return found + [child for pid in found for child in _descendants(pid) if child not in found]


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [further for child in children for further in _descendants(child)]


def start(folder: Path, *options: str, program: str = "dockerd", has_network: bool = False) -> None:
    """Start ``dockerd`` in ``folder`` and wait until it answers. ``has_network``: containers reach other machines."""
    bridge = _bridge(folder)
    command = ["setsid", "--fork", program, f"--host=unix://{folder}/d.sock", f"--data-root={folder}/data"]
    command += [f"--exec-root={folder}/x", f"--pidfile={folder}/pid", f"--bridge={bridge}", *options]
    command += [] if has_network else WITHOUT_IPTABLES
    with open(folder / "log", "ab") as log:  # forked away: whoever comes last ends it, not the one who started it
        subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=True)
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"unix://{folder}/d.sock"):
        if time.monotonic() > deadline:
            pytest.fail(f"dockerd did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.1)


def _bridge(folder: Path) -> str:
    """A bridge of its own: two engines on one would give out the same addresses."""
    name = folder.name.replace(FOLDERS, "rdk")[:15]
    if Path("/sys/class/net", name).exists():
        return name
    subprocess.run(["ip", "link", "add", "name", name, "type", "bridge"], check=True)
    for third in range(1, 250):
        address = f"10.213.{third}.1/24"
        taken = subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True, check=True).stdout
        if address not in taken:
            subprocess.run(["ip", "addr", "add", address, "dev", name], check=True)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
            return name
    raise AssertionError("no free network for a bridge")


def end(folder: Path, number: int = signal.SIGTERM) -> None:
    """End the engine of ``folder`` and wait until it is gone."""
    _end_processes([pid for pid in processes(folder) if "\0--data-root=" in _command_line(pid)], number)
    (folder / "pid").unlink(missing_ok=True)  # a killed engine leaves it, and its zombie may hold the number


def _end_processes(pids: Sequence[int], number: int) -> None:
    """Send a signal, wait for the end of all, and kill those that do not end."""
    deadline = time.monotonic() + END_SECONDS
    while alive := [pid for pid in pids if _command_line(pid)]:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        number = signal.SIGKILL if time.monotonic() > deadline else 0
        time.sleep(0.05)


def _command_line(pid: int) -> str:
    """The command line of a process; empty if it has ended, or is a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def clear(folder: Path) -> None:
    """End the engine of ``folder``, unmount what it mounted, and remove all of it. ``folder`` may be another mount
    namespace's (``/proc/<pid>/root/…``), whose mounts and memory go with its last process."""
    left = processes(folder)
    end(folder)
    _end_processes(left, signal.SIGKILL)
    if not str(folder).startswith("/proc/"):
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for path in sorted((path for path in mounts if path.startswith(f"{folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", path], check=False)
    subprocess.run(["ip", "link", "delete", _name(folder)], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)


def _name(folder: Path) -> str:
    return folder.name.replace(FOLDERS, "rdk")[:15]


def root_tarball(name: str) -> Path:
    """``base`` (debootstrap's smallest) or ``python`` (the same with ``python3``), made once and kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "roost-tests")
    wanted = cache / f"{SUITE}-small-{name}.tar"
    if not wanted.exists():
        if os.geteuid() != 0 or not shutil.which("debootstrap"):
            missing("no base image is kept, and none can be made (that needs root and debootstrap)")
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / f"{SUITE}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not wanted.exists():
                _make_tarballs(cache)
    return wanted


def _make_tarballs(cache: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="stage-", dir=cache) as stage:
        root = Path(stage, "root")
        _run("debootstrap", "--variant=minbase", SUITE, str(root))
        _pack(root, cache / f"{SUITE}-small-base.tar")
        install = ("apt-get", "install", "--yes", "--no-install-recommends", "python3-minimal")
        _run("chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", *install)
        _pack(root, cache / f"{SUITE}-small-python.tar")


def _pack(root: Path, tarball: Path) -> None:
    """Without what Debian's slim images leave out, and without time zones and rare encodings: two thirds of all files
    and a sixth of the rest, and an engine takes its time for each."""
    leave = ["var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*", "dev/*", "proc/*"]
    leave += [f"usr/share/{name}/*" for name in ("doc", "info", "locale", "man", "zoneinfo")]
    leave += ["usr/lib/*/gconv/*.so"]
    kept = [f"--exclude=./{pattern}" for pattern in leave]
    part = tarball.with_suffix(".part")
    _run("tar", "--sort=name", "--numeric-owner", *kept, "-C", str(root), "-cf", str(part), ".")
    part.rename(tarball)


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-3000:]}"


def import_image(host: str, name: str, reference: str) -> str:
    """``reference``, imported from the tarball ``name`` unless the engine has it."""
    with contextlib.closing(docker.APIClient(base_url=host, timeout=120)) as client, _alone():
        if not client.images(name=reference):
            repository, _, tag = reference.partition(":")
            with open(root_tarball(name), "rb") as data:
                chunks = iter(lambda: data.read(2**20), b"")
                client.import_image_from_stream(chunks, repository=repository, tag=tag, changes=['CMD ["bash"]'])
    return reference
