"""What follows from what was found, with what to do about it. Pure.

What somebody has configured must work: otherwise it is an error. What roost assumes by itself is a warning, since
nothing may need it here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from roost.daemon.doctor.findings import Check, CheckState
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.model.errors import CodedError

LOW_SPACE = 5 * 10**9
"""Bytes. A scientific prefix and its packages take 1 to 5 GB."""
LOW_FILES = 100_000
"""Free inodes. A scientific prefix has 20,000 files."""
CLOCK_SECONDS = 300.0
"""How far a clock may be off: certificates and tokens of registries have short lives."""
FILE_CLOCK_SECONDS = 5.0


class DiskUse(NamedTuple):
    """What a disk has and allows, in bytes. ``quota``: what is left of the user's; ``None`` without one."""

    path: str
    total: int
    free: int
    free_files: int | None = None
    quota: int | None = None


def judge_space(disk: DiskUse, floor: int) -> Check:
    """``floor``: the free bytes that the configuration asks for."""
    message = f"{_size(disk.free)} of {_size(disk.total)} free under {disk.path}"
    hint = "See what is stored with `roost cache df`, or set ROOST_HOME to a larger disk."
    if disk.quota is not None:
        message += f", {_size(disk.quota)} left of your quota"
    free = disk.free if disk.quota is None else min(disk.free, disk.quota)
    if disk.free_files is not None and disk.free_files < LOW_FILES:
        files = f"{message}, and only {disk.free_files} files more can be created (inodes)"
        return Check(name="space", state="warning", message=files, hint=hint)
    if free < LOW_SPACE:
        return Check(name="space", state="warning", message=message, hint=hint)
    if disk.free < floor:
        below = f"{message}, less than the {_size(floor)} that are to stay free (cache.min_free_bytes)"
        return Check(name="space", state="warning", message=below, hint="`roost cache gc` removes what nothing needs.")
    return Check(name="space", state="ok", message=message)


def judge_budget(used: int, budget: int, images: int, image_limit: int) -> Check:
    """Judge what is stored under the root and in engines."""
    if budget == 0:
        message = f"{_size(used)} stored, without a limit"
    else:
        message = f"{_size(used)} of {_size(budget)} used (cache.budget_bytes)"
    if images:
        message += f"; images in engines: {_size(images)} of {_size(image_limit) if image_limit else 'no limit'}"
    if (budget and used > budget) or (image_limit and images > image_limit):
        hint = "`roost cache gc` removes what nothing needs; `roost cache df` shows what protects the rest."
        return Check(name="budget", state="warning", message=message, hint=hint)
    return Check(name="budget", state="ok", message=message)


def judge_links(hard: bool, reflink: bool, across: Sequence[str] = ()) -> Check:
    """``across``: folders of the root that are on another file system than the packages."""
    message = f"hard links {'work' if hard else 'do not work'}, reflinks {'work' if reflink else 'do not work'}"
    if across:
        message += f"; {' and '.join(across)} and the packages are on different file systems"
        hint = "Every prefix will be a copy: keep all folders of the root on one file system."
        return Check(name="links", state="warning", message=message, hint=hint)
    if hard:
        return Check(name="links", state="ok", message=message)
    hint = "Every prefix will be a copy: set ROOST_HOME to a file system with hard links."
    return Check(name="links", state="warning", message=message, hint=hint)


def judge_file_systems(kinds: Mapping[str, str], noexec: Sequence[str]) -> Check:
    """``kinds``: folder to the type of its file system. ``noexec``: folders from which no program can be started."""
    listed: dict[str, list[str]] = {}
    for folder, kind in kinds.items():
        listed.setdefault(kind, []).append(folder)
    message = "; ".join(f"{', '.join(folders)}: {kind}" for kind, folders in listed.items())
    if noexec:
        hint = "Mount it without `noexec`, or set ROOST_HOME to another disk: no program of an environment can start."
        return Check(
            name="file-system", state="error", message=f"{', '.join(noexec)} mounted with noexec ({message})", hint=hint
        )
    return Check(name="file-system", state="ok", message=message)


def judge_clock(*, ahead: float | None, files: float, newest: float | None) -> Check:
    """``ahead``: seconds that this clock is ahead of a server's. ``files``: seconds that new files are dated ahead.
    ``newest``: seconds that the latest record lies in the future."""
    hint = "Set the clock, or let the system set it: `timedatectl set-ntp true`."
    if ahead is not None and abs(ahead) > CLOCK_SECONDS:
        direction = "ahead of" if ahead > 0 else "behind"
        message = (
            f"the clock is {_time(abs(ahead))} {direction} that of a server: certificates and tokens may be refused"
        )
        return Check(name="clock", state="error", message=message, hint=hint)
    if newest is not None and newest > CLOCK_SECONDS:
        message = f"the latest event is dated {_time(newest)} in the future: the clock was ahead then, or is behind now"
        return Check(name="clock", state="warning", message=message, hint=hint)
    if abs(files) > FILE_CLOCK_SECONDS:
        message = f"new files under the root are dated {_time(abs(files))} {'ahead' if files > 0 else 'behind'}"
        hint = "The server of that file system has another clock; ages of what is stored are wrong by as much."
        return Check(name="clock", state="warning", message=message, hint=hint)
    compared = "agrees with a server's" if ahead is not None else "was compared with no server"
    return Check(name="clock", state="ok", message=f"the clock {compared}")


def judge_linger(*, has_manager: bool, lingers: bool | None, unit_enabled: bool, user: str) -> Check:
    """``has_manager``: systemd manages this user's session. ``lingers``: whether it stays after the logout."""
    if not has_manager:
        message = "no systemd user manager: the daemon and detached runs end with nobody's session"
        return Check(name="linger", state="ok", message=message)
    if lingers:
        message = "the user manager stays after a logout (linger is on): detached runs go on"
        return Check(name="linger", state="ok", message=message)
    unknown = "" if lingers is False else ", as far as is known"
    message = f"the user manager ends at the last logout (linger is off{unknown})"
    hint = f"`loginctl enable-linger {user}` lets roost and its detached runs go on after a logout."
    if unit_enabled:
        return Check(name="linger", state="warning", message=f"{message}, and with it the unit roost.socket", hint=hint)
    more = ": detached runs go on unless the system kills them then (KillUserProcesses=yes in logind.conf)"
    return Check(name="linger", state="ok", message=message + more, hint=hint)


def judge_unit(*, path: str, program: str, is_executable: bool, listens: str, socket: str) -> Check:
    """``path``: of the unit. ``program``: what it starts. ``listens``: its socket. ``socket``: the one in force."""
    message = f"{path} starts {program} for {listens or 'no socket'}"
    if not is_executable:
        return Check(
            name="unit",
            state="error",
            message=f"{path} starts {program}, which does not exist or is not a program",
            hint=f"Correct ExecStart= in it (`which roostd`), then `systemctl --user daemon-reload`; or remove {path}.",
        )
    if listens and listens != socket:
        return Check(
            name="unit",
            state="warning",
            message=f"{message}, and commands use {socket}",
            hint="Correct ListenStream= in roost.socket, or set ROOST_HOME as the unit does.",
        )
    return Check(name="unit", state="ok", message=message)


def judge_engine(
    *, url: str, rule: str, is_configured: bool, exists: bool, error: CodedError | None, facts: str
) -> Check:
    """``rule``: which setting or variable names the engine. ``is_configured``: whether any does. ``exists``: whether
    there is something at the address. ``facts``: what the engine says of itself."""
    where = f"{url} ({rule})"
    if error is None:
        return Check(name="docker", state="ok", message=f"{where}: {facts}", subject=url)
    if not exists and not is_configured:
        message = f"no Docker engine at {where}: only definitions that ask for an image need one"
        return Check(name="docker", state="ok", message=message, subject=url)
    state: CheckState = "error" if is_configured else "warning"
    hint = error.hint or "Start the engine, or name another one: DOCKER_HOST, or `host` under [docker] in config.toml."
    if "ermission denied" in error.message:
        hint = (
            "Your user may not use that socket: add it to the group `docker` and log in again, or use one of your own."
        )
    return Check(name="docker", state=state, message=f"{error.message} ({rule})", hint=hint, subject=url)


REGISTRY_HINTS = {
    "registry-tls": "Give its certificate authority to the system, or in SSL_CERT_FILE where roost is called. A "
    "registry over plain http belongs into `insecure` under [registries].",
    "registry-denied": 'Log in (`docker login {host}`), or name the credentials: [registries.credentials."{host}"].',
    "registry-credentials": 'Check [registries.credentials."{host}"] and Docker\'s config; `docker login {host}` '
    "writes it.",
    "registry-invalid": "Check the name and port: another server answers there.",
    "registry-busy": "Try again later.",
    "repository-missing": "Create the repository or its project there, or correct the prefix of `workspace`.",
}


def judge_registry(location: str, kind: str, read: Answer[None], write: Answer[None]) -> Check:
    """``kind``: ``workspace``, which is read and written, or ``catalogue`` or ``mirror``, which are read."""
    host = location.partition("/")[0]
    usual = f"Check the name and the network; `roost registry test {location}` tries again."

    def refuse(what: str, answer: No | Unknown) -> Check:
        reason = answer.reason
        hint = REGISTRY_HINTS.get(reason.code if reason else "", usual).format(host=host)
        why = f": {reason.message}" if reason else ""
        return Check(name="registry", state="error", message=f"{what}{why}", hint=hint, subject=location)

    if not isinstance(read, Yes):
        return refuse(f"the {kind} {location} can't be read", read)
    if kind == "workspace" and not isinstance(write, Yes):
        check = refuse(f"the workspace {location} can be read and not written, so nothing is shared from here", write)
        if isinstance(write, No):
            check.hint = (
                f"Use an account that may write, or only read it: `roost registry remove {location}`, then "
                f"`roost registry add {location}`."
            )
        return check
    able = "can be read and written" if kind == "workspace" else "can be read"
    return Check(name="registry", state="ok", message=f"the {kind} {location} {able}", subject=location)


class SourceAnswer(NamedTuple):
    """What a server or folder says to a request for a channel or index."""

    url: str
    """Without credentials."""
    status: int | None = None
    """Of HTTP; ``None``: no answer."""
    fault: str = ""
    """Why there is none."""
    is_tls: bool = False
    """Whether the certificate is why."""
    date: float | None = None
    """The server's clock, in seconds since 1970."""

    @property
    def is_good(self) -> bool:
        return not self.fault and self.status is not None and self.status < 400


def judge_source(
    name: str, subject: str, answers: Sequence[SourceAnswer], *, is_configured: bool, credentials_hint: str, absent: str
) -> Check:
    """Judge a channel or index by the answers of the places that it is fetched from, of which one is enough.

    ``absent``: what 404 means. A package index that answers so may still have the packages that are needed.
    """
    good = next((answer for answer in answers if answer.is_good), None)
    if good is not None:
        via = "" if good.url == subject else f" by its mirror {good.url}"
        return Check(name=name, state="ok", message=f"{subject} can be reached{via}", subject=subject)
    texts, hint = [], "Check the address and the network; a proxy is taken from HTTPS_PROXY where roost is called."
    for answer in answers:
        if answer.is_tls:
            hint = "Give its certificate authority to the system, or in SSL_CERT_FILE where roost is called."
        elif answer.status in (401, 403):
            hint = credentials_hint
        elif answer.status == 404:
            hint = f"Correct its address: {absent}."
        texts.append(f"{answer.url} {answer.fault or f'answers HTTP {answer.status}'}")
    is_absent_index = name == "package-index" and all(answer.status == 404 for answer in answers)
    state: CheckState = "error" if is_configured and not is_absent_index else "warning"
    more = "" if is_configured else " Nothing names it here, so only definitions that need it are concerned."
    return Check(name=name, state=state, message="; ".join(texts), hint=hint + more, subject=subject)


def judge_pythons(usable: Sequence[str], others: Sequence[str], broken: Sequence[str]) -> list[Check]:
    """Judge the Pythons of the machine, each as a text with the rule by which it was found."""
    checks = [
        Check(
            name="interpreters",
            state="warning",
            message=f"{each} does not run as a Python",
            hint="Reinstall or remove it; roost never chooses it.",
            subject=each.partition(" ")[0],
        )
        for each in broken
    ]
    if not usable:
        hint = "Definitions with only pip packages need a Python of this machine, or a conda `python` among them."
        return [*checks, Check(name="interpreters", state="warning", message="No usable Python found", hint=hint)]
    more = f"; not chosen for new locks: {', '.join(others)}" if others else ""
    return [*checks, Check(name="interpreters", state="ok", message=", ".join(usable) + more)]


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
