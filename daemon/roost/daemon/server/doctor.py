"""Checks of this machine, each with a remedy. They change nothing permanently."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from roost.daemon.config.config import Config, load_config
from roost.daemon.config.paths import socket_path
from roost.daemon.config.settings import effective_settings
from roost.daemon.credentials.redaction import redact, redact_value
from roost.daemon.repair.inspection import inspect_root
from roost.model.errors import CodedError
from roost.store.disk.layout import Layout
from roost.store.disk.root import find_file_system
from roost.store.index.index import Index
from roost.store.migrations.examination import damaged_error

MOST_FINDINGS = 10
"""How many findings in the root are named."""
LOW_SPACE = 5 * 10**9
"""Bytes. A scientific prefix and its packages take 1 to 5 GB."""
_FICLONE = 0x40049409  # ioctl_ficlonerange(2)


class Check(msgspec.Struct, kw_only=True):
    """Result of one check; ``hint`` says what to do if ``state`` is not ``ok``."""

    name: str
    state: Literal["ok", "warning", "error"]
    message: str
    hint: str = ""


class SettingView(msgspec.Struct, kw_only=True):
    """A setting in effect. ``origin``: ``default``, ``FILE:LINE`` or ``environment NAME``."""

    name: str
    value: object
    origin: str


class DoctorResponse(msgspec.Struct, kw_only=True):
    """Results of all checks, and all settings in effect."""

    checks: list[Check]
    settings: list[SettingView]


async def examine(root: str, config: Config, index: Index) -> DoctorResponse:
    """Run every check, outside the event loop. ``config``: the last configuration that could be read, which the checks
    read again."""
    stored = [await _check_index(root, index), await _check_content(root, index)]
    return await asyncio.to_thread(_run_checks, root, config, stored)


def _run_checks(root: str, config: Config, stored: Sequence[Check]) -> DoctorResponse:
    """Run the checks of the machine; those that found something come first."""
    config_check, config = _check_config(config)
    checks = [config_check, *stored, *(_run_check(check, root) for check in CHECKS)]
    checks.sort(key=lambda check: ("error", "warning", "ok").index(check.state))
    return DoctorResponse(checks=checks, settings=list(_list_settings(root, config)))


async def _check_index(root: str, index: Index) -> Check:
    """Check the structure of the whole index (``PRAGMA quick_check``), on the connection for long queries."""
    path = Layout(root).index_path
    try:
        faults = await index.list_faults()
    except CodedError as error:
        return Check(name="index", state="error", message=error.message, hint=error.hint)
    if not faults:
        return Check(name="index", state="ok", message=f"{path} is intact")
    damage = damaged_error(path, "; ".join(faults))
    return Check(name="index", state="error", message=damage.message, hint=damage.hint)


async def _check_content(root: str, index: Index) -> Check:
    """Check what lies in the root: what belongs to nothing, what is missing, what was not deleted completely, modes."""
    try:
        found = await inspect_root(Layout(root), index)
    except (CodedError, OSError) as error:
        return Check(name="content", state="error", message=redact(str(error)))
    faults = [finding for finding in found if finding.repairable]
    lines = [f"{os.path.join(root, finding.path)} {finding.message}" for finding in (*faults, *found)]
    lines = list(dict.fromkeys(lines))
    if not lines:
        return Check(name="content", state="ok", message=f"all that is in {root} belongs there")
    more = f"; and {len(lines) - MOST_FINDINGS} more" if len(lines) > MOST_FINDINGS else ""
    return Check(
        name="content",
        state="error" if faults else "warning",
        message="; ".join(lines[:MOST_FINDINGS]) + more,
        hint="`roost doctor --repair` repairs that." if faults else "Move it elsewhere if you put it there.",
    )


def _check_config(config: Config) -> tuple[Check, Config]:
    try:
        config = load_config()
    except CodedError as error:
        return Check(name="config", state="error", message=redact(error.message), hint=error.hint), config
    return Check(name="config", state="ok", message=config.path or f"none at {config.expected_path}"), config


def _list_settings(root: str, config: Config) -> Iterator[SettingView]:
    """Yield the locations, then every setting of the config file, without credentials in values."""
    locations = (("root", root, "ROOST_HOME"), ("socket", socket_path(root), "ROOST_SOCKET"))
    for name, value, variable in (*locations, ("config", config.path or config.expected_path, "ROOST_CONFIG")):
        origin = f"environment {variable}" if os.environ.get(variable) else "default"
        yield SettingView(name=name, value=value, origin=origin)
    for name, setting, origin in effective_settings(config):
        yield SettingView(name=name, value=redact_value(setting), origin=origin)


def _run_check(check: Callable[[str], Check], root: str) -> Check:
    """Run ``check``; its failure is a result too."""
    try:
        return check(root)
    except Exception as error:
        name = check.__name__.removeprefix("check_").replace("_", "-")
        return Check(name=name, state="error", message=redact(f"{type(error).__name__}: {error}"))


def check_root_writable(root: str) -> Check:
    with tempfile.TemporaryFile(dir=root) as probe:
        probe.write(b"roost")
    return Check(name="root-writable", state="ok", message=root)


def check_space(root: str) -> Check:
    free = shutil.disk_usage(root).free
    message = f"{free / 1e9:.1f} GB free under {root}"
    if free >= LOW_SPACE:
        return Check(name="space", state="ok", message=message)
    hint = "See what is stored with `roost cache df`, or set ROOST_HOME to a larger disk."
    return Check(name="space", state="warning", message=message, hint=hint)


def check_file_system(root: str) -> Check:
    return Check(
        name="file-system", state="ok", message=f"{root} is on {find_file_system(root) or 'an unknown file system'}"
    )


def check_links(root: str) -> Check:
    """Check hard links: prefixes are linked from the package cache, and without links every prefix is a full copy."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        source = os.path.join(folder, "a")
        with open(source, "wb") as stream:
            stream.write(b"roost")
        hard, reflink = _can_hard_link(source, source + ".hard"), _can_reflink(source, source + ".clone")
    message = f"hard links {'work' if hard else 'do not work'}, reflinks {'work' if reflink else 'do not work'}"
    if hard:
        return Check(name="links", state="ok", message=message)
    hint = "Every prefix will be a copy: set ROOST_HOME to a file system with hard links."
    return Check(name="links", state="warning", message=message, hint=hint)


def _can_hard_link(source: str, target: str) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _can_reflink(source: str, target: str) -> bool:
    import fcntl

    with open(source, "rb") as origin, open(target, "wb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), _FICLONE, origin.fileno())
        except OSError:
            return False
    return True


def check_socket(root: str) -> Check:
    path = socket_path(root)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    folder = stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode)
    message = f"{path} has mode {mode:04o} in a folder of mode {folder:04o}"
    if not (mode | folder) & 0o077:
        return Check(name="socket", state="ok", message=message)
    hint = "Only the check of the uid keeps other users out: restart the daemon."
    return Check(name="socket", state="warning", message=message, hint=hint)


def check_uv(root: str) -> Check:
    import subprocess

    program = os.path.join(os.path.dirname(sys.executable), "uv")
    found = program if os.path.exists(program) else shutil.which("uv")
    if found is None:
        hint = "Reinstall roost: its wheel of uv carries the program."
        return Check(name="uv", state="error", message="uv is not installed", hint=hint)
    result = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=True)
    return Check(name="uv", state="ok", message=f"{result.stdout.strip()} at {found}")


def check_rattler(root: str) -> Check:
    """Check the metadata of py-rattler: importing it would cost the daemon 30 MB of memory."""
    from importlib.metadata import PackageNotFoundError, version  # 0.8 MB, for this check only

    try:
        return Check(name="rattler", state="ok", message=f"py-rattler {version('py-rattler')}")
    except PackageNotFoundError:
        hint = "Reinstall roost: no conda package can be solved or linked without it."
        return Check(name="rattler", state="error", message="py-rattler is not installed", hint=hint)


def check_interpreters(root: str) -> Check:
    """Check for Pythons that a definition with only pip packages can be built on."""
    from roost.daemon.engines.host_python.interpreters import list_interpreters

    found = sorted(set(list_interpreters()))
    if found:
        return Check(name="interpreters", state="ok", message=", ".join(found))
    hint = "Definitions with only pip packages need a Python of this machine, or a conda `python` among them."
    return Check(name="interpreters", state="warning", message="No Python found on PATH", hint=hint)


def check_launcher(root: str) -> Check:
    """Check for the programs with which the ``/bin/sh`` launcher starts a known environment without a second Python."""
    missing = [name for name in ("flock", "stat") if shutil.which(name) is None]
    if not missing:
        return Check(
            name="launcher", state="ok", message="flock and stat are available: known environments start at once"
        )
    hint = "`roost exec` works, more slowly: install util-linux and GNU coreutils."
    return Check(name="launcher", state="warning", message=f"Not found: {', '.join(missing)}", hint=hint)


CHECKS: tuple[Callable[[str], Check], ...] = (
    check_root_writable,
    check_space,
    check_file_system,
    check_links,
    check_socket,
    check_uv,
    check_rattler,
    check_interpreters,
    check_launcher,
)
