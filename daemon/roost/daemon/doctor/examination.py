"""All checks, and the settings in force."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import NamedTuple

from roost.daemon.config.config import Config, load_config
from roost.daemon.config.paths import socket_path
from roost.daemon.config.settings import effective_settings
from roost.daemon.credentials.redaction import redact, redact_value
from roost.daemon.doctor import credentials, docker, machine, process, pythons, registries, sources, stored
from roost.daemon.doctor.deadlines import Examiner, Examiners, run_apart
from roost.daemon.doctor.findings import Check, DoctorResponse, SettingView, sort_checks
from roost.daemon.doctor.surroundings import Surroundings
from roost.model.errors import CodedError

_NETWORK = "The network or that server is slow, or something in between drops packets; try again."
_DISK = "The disk or the file server does not answer; `roost daemon logs` may say more."


class TimedCheck(NamedTuple):
    """A check of the table: the name of its results, what it looks at, the function, and its deadline."""

    name: str
    looks_at: str
    """Markdown, for docs/doctor.md."""
    run: Callable[[Surroundings], Awaitable[list[Check]]]
    seconds: float = 5.0
    advice: str = _DISK


CHECKS: tuple[TimedCheck, ...] = (
    TimedCheck(
        "daemon", "version and process of the daemon; whether another version is installed", process.check_daemon
    ),
    TimedCheck("unit", "the systemd user unit, if there is one: what it starts, where it listens", process.check_unit),
    TimedCheck("socket", "modes of the socket and of its folder", process.check_socket),
    TimedCheck(
        "index",
        "every page of the index (`--repair` mends it)",
        stored.check_index,
        120.0,
        "A large index takes long to read; try again when the disk is idle.",
    ),
    TimedCheck(
        "content", "what lies in the root: left-overs, what is missing, modes (`--repair`)", stored.check_content, 60.0
    ),
    TimedCheck("root-writable", "whether the root can be written", stored.check_root_writable),
    TimedCheck("space", "free space, free files (inodes), your quota, and `cache.min_free_bytes`", machine.check_space),
    TimedCheck("budget", "what is stored, against `cache.budget_bytes` and `cache.image_bytes`", stored.check_budget),
    TimedCheck("file-system", "kinds of the root's file systems, and `noexec`", machine.check_file_system),
    TimedCheck("links", "hard links and reflinks, and folders on different file systems", machine.check_links),
    TimedCheck("uv", "the version of uv", process.check_uv),
    TimedCheck("rattler", "the version of rattler", process.check_rattler),
    TimedCheck(
        "interpreters",
        "the Pythons of this machine, by which rule each was found, and those that don't run",
        pythons.check_interpreters,
        25.0,
        "A Python does not answer; end it, or take it from PATH.",
    ),
    TimedCheck("launcher", "the programs that `roost exec` needs to start at once", process.check_launcher),
    TimedCheck(
        "docker",
        "the Docker engine: its address, by which rule, its version, whether it is rootless",
        docker.check_docker,
        8.0,
        "The engine takes connections and does not answer: restart it.",
    ),
    TimedCheck(
        "registry",
        "each registry and mirror: whether it can be read, and the workspace written",
        registries.check_registries,
        10.0,
        _NETWORK,
    ),
    TimedCheck("channel", "each default channel, by its mirrors if it has any", sources.check_channels, 10.0, _NETWORK),
    TimedCheck("package-index", "the default package index", sources.check_indexes, 10.0, _NETWORK),
    TimedCheck(
        "credentials",
        "whether each source of credentials that the configuration names has them; none is shown",
        credentials.check_credentials,
        8.0,
        "A keyring or credential helper may wait for a password.",
    ),
    TimedCheck("linger", "what happens to the daemon and to detached runs at a logout", machine.check_linger),
    TimedCheck(
        "clock", "the clock, against a server's, the file system's and the latest event", machine.check_clock, 10.0
    ),
)
"""Every check, in the order of the results of one state."""


async def examine(around: Surroundings, examiners: Examiners) -> DoctorResponse:
    """Run every check. ``around.config`` is the last configuration that could be read, which is read again."""
    config_check, config = await run_apart(_check_config, around.config)
    listing = asyncio.ensure_future(run_apart(lambda: list(_list_settings(around.root, config))))
    found = await examiners.run(
        [Examiner(each.name, partial(each.run, around), each.seconds, each.advice) for each in CHECKS]
    )
    return DoctorResponse(checks=sort_checks([config_check, *found]), settings=await listing)


def _check_config(config: Config) -> tuple[Check, Config]:
    """Return the check of the config file, and its content if it can be read, else ``config``."""
    try:
        read = load_config()
    except CodedError as error:
        where = f"{error.location}: " if error.location else ""
        check = Check(name="config", state="error", message=where + redact(error.message), hint=error.hint)
        return check, config
    return Check(name="config", state="ok", message=read.path or f"none at {read.expected_path}"), read


def _list_settings(root: str, config: Config) -> Iterator[SettingView]:
    """Yield the locations, then every setting of the config file, without credentials in values."""
    locations = (("root", root, "ROOST_HOME"), ("socket", socket_path(root), "ROOST_SOCKET"))
    for name, value, variable in (*locations, ("config", config.path or config.expected_path, "ROOST_CONFIG")):
        origin = f"environment {variable}" if os.environ.get(variable) else "default"
        yield SettingView(name=name, value=value, origin=origin)
    for name, setting, origin in effective_settings(config):
        yield SettingView(name=name, value=redact_value(setting), origin=origin)
