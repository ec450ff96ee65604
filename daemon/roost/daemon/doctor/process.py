"""Checks of the daemon's process and of the programs that come with roost: socket, systemd unit, uv, rattler, sh."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from roost.daemon.config.paths import socket_path
from roost.daemon.doctor.deadlines import run_apart
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.surroundings import Surroundings
from roost.daemon.doctor.verdicts import judge_unit
from roost.store.disk.regular_files import read_regular
from roost.wire import installation

SERVICE, SOCKET = "roost.service", "roost.socket"
_SYSTEM_FOLDERS = ("/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")
_VERSION = re.compile(r'^VERSION = "([^"]+)"', re.MULTILINE)


async def check_daemon(around: Surroundings) -> list[Check]:
    """Check whether the daemon runs the version that is installed."""
    installed = await run_apart(_read_installed_version)
    message = f"version {installation.VERSION}, process {os.getpid()}, root {around.root}"
    if installed in (None, installation.VERSION):
        return [Check(name="daemon", state="ok", message=message)]
    hint = "`roost daemon stop`: the next command starts the version that is installed."
    message = f"{message}; version {installed} is installed by now"
    return [Check(name="daemon", state="warning", message=message, hint=hint)]


def _read_installed_version() -> str | None:
    """Return the version in the file that this process once read; ``None`` if it no longer has one."""
    try:
        match = _VERSION.search(read_regular(installation.__file__).decode())
    except (OSError, UnicodeDecodeError):
        return None
    return match[1] if match else None


async def check_socket(around: Surroundings) -> list[Check]:
    return [await run_apart(_judge_socket, around.root)]


def _judge_socket(root: str) -> Check:
    path = socket_path(root)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    folder = stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode)
    message = f"{path} has mode {mode:04o} in a folder of mode {folder:04o}"
    if not (mode | folder) & 0o077:
        return Check(name="socket", state="ok", message=message)
    hint = "Only the check of the uid keeps other users out: restart the daemon."
    return Check(name="socket", state="warning", message=message, hint=hint)


class Unit(NamedTuple):
    """A file of a systemd user unit, and the folder that it was found in."""

    folder: str
    name: str

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.name)


def find_units() -> list[Unit]:
    """Return roost's units of this user, those with precedence first (systemd.unit(5)). Blocks."""
    own = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    folders = (os.path.join(own, "systemd/user"), *_SYSTEM_FOLDERS)
    units = [Unit(folder, name) for folder in folders for name in (SERVICE, SOCKET)]
    return [unit for unit in units if os.path.exists(unit.path)]


async def check_unit(around: Surroundings) -> list[Check]:
    """Check the systemd user unit, if there is one: what it starts, and where it listens."""
    return [await run_apart(_judge_unit, around.root)]


def _judge_unit(root: str) -> Check:
    units = find_units()
    service = next((unit for unit in units if unit.name == SERVICE), None)
    if service is None:
        return Check(name="unit", state="ok", message="no systemd unit: the first command starts the daemon")
    socket_unit = next((unit for unit in units if unit.name == SOCKET), None)
    program = next(_read_values(service, "ExecStart"), "").split(" ")[0].lstrip("@-:+!")
    listens = next(_read_values(socket_unit, "ListenStream"), "") if socket_unit else ""
    return judge_unit(
        path=service.path,
        program=program,
        is_executable=os.path.isfile(program) and os.access(program, os.X_OK),
        listens=listens,
        socket=socket_path(root),
    )


def _read_values(unit: Unit, key: str) -> Iterator[str]:
    """Yield the values of a key of a unit, with ``%h`` replaced, the last assignment first."""
    text = read_regular(unit.path).decode("utf-8", "replace")
    for value in reversed(re.findall(rf"^{key}=[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)):
        yield value.replace("%h", os.path.expanduser("~")).replace("%t", f"/run/user/{os.getuid()}")


async def check_uv(around: Surroundings) -> list[Check]:
    return [await run_apart(_judge_uv)]


def _judge_uv() -> Check:
    program = os.path.join(os.path.dirname(sys.executable), "uv")
    found = program if os.path.exists(program) else shutil.which("uv")
    if found is None:
        hint = "Reinstall roost: its wheel of uv carries the program."
        return Check(name="uv", state="error", message="uv is not installed", hint=hint)
    result = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=True)
    return Check(name="uv", state="ok", message=f"{result.stdout.strip()} at {found}")


async def check_rattler(around: Surroundings) -> list[Check]:
    """Check the metadata of py-rattler: importing it would cost the daemon 30 MB of memory."""
    return [await run_apart(_judge_rattler)]


def _judge_rattler() -> Check:
    from importlib.metadata import PackageNotFoundError, version  # 0.8 MB, for this check only

    try:
        return Check(name="rattler", state="ok", message=f"py-rattler {version('py-rattler')}")
    except PackageNotFoundError:
        hint = "Reinstall roost: no conda package can be solved or linked without it."
        return Check(name="rattler", state="error", message="py-rattler is not installed", hint=hint)


async def check_launcher(around: Surroundings) -> list[Check]:
    """Check for the programs with which the ``/bin/sh`` launcher starts a known environment without a second Python."""
    missing = await run_apart(lambda: [name for name in ("flock", "stat") if shutil.which(name) is None])
    if not missing:
        message = "flock and stat are available: known environments start at once"
        return [Check(name="launcher", state="ok", message=message)]
    hint = "`roost exec` works, more slowly: install util-linux and GNU coreutils."
    return [Check(name="launcher", state="warning", message=f"Not found: {', '.join(missing)}", hint=hint)]
