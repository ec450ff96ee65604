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
    """A check of the table: the name of its results, the function, and its deadline."""

    name: str
    run: Callable[[Surroundings], Awaitable[list[Check]]]
    seconds: float = 5.0
    advice: str = _DISK


CHECKS: tuple[TimedCheck, ...] = (
    TimedCheck("daemon", process.check_daemon),
    TimedCheck("unit", process.check_unit),
    TimedCheck("socket", process.check_socket),
    TimedCheck(
        "index", stored.check_index, 120.0, "A large index takes long to read; try again when the disk is idle."
    ),
    TimedCheck("content", stored.check_content, 60.0),
    TimedCheck("root-writable", stored.check_root_writable),
    TimedCheck("space", machine.check_space),
    TimedCheck("budget", stored.check_budget),
    TimedCheck("file-system", machine.check_file_system),
    TimedCheck("links", machine.check_links),
    TimedCheck("uv", process.check_uv),
    TimedCheck("rattler", process.check_rattler),
    TimedCheck(
        "interpreters", pythons.check_interpreters, 25.0, "A Python does not answer; end it, or take it from PATH."
    ),
    TimedCheck("launcher", process.check_launcher),
    TimedCheck("docker", docker.check_docker, 8.0, "The engine takes connections and does not answer: restart it."),
    TimedCheck("registry", registries.check_registries, 10.0, _NETWORK),
    TimedCheck("channel", sources.check_channels, 10.0, _NETWORK),
    TimedCheck("package-index", sources.check_indexes, 10.0, _NETWORK),
    TimedCheck(
        "credentials", credentials.check_credentials, 8.0, "A keyring or credential helper may wait for a password."
    ),
    TimedCheck("linger", machine.check_linger),
    TimedCheck("clock", machine.check_clock, 10.0, _NETWORK),
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
