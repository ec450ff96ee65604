"""Launch plans: files with which ``roost exec`` of a known environment starts without asking the daemon.

A plan is a fragment of POSIX sh that the launcher (``client/bin/roost``) sources. It must never be used for longer
than it is true, so it states everything that its answer depends on, and the launcher tests all of it:

* the working folder, the key and the path of the config file are those that the plan was made for;
* every file of a higher rank is still absent, over all folders that were searched;
* every file that was read (environment file, nested ones, config, script) and every guard of the prefix has the same
  device, inode, size, mtime *and ctime*. The ctime can't be set back, so a replacement with an older date is noticed;
* the prefix's lease is open (and locked, shared, where the file system can't bar files: see
  ``store.disk.lease_files``) and still existed afterwards, so the prefix can't be removed meanwhile.

What no stat can show (a new generation, a promotion, a label, a retired prefix) the daemon announces: it makes such
changes inside ``folder.invalidate_launch_plans``, which first deletes all plans and prevents that one is written until
the change is committed. A plan made from facts older than the last deletion is refused because of its token.

The layout is ``<root>/launch/2<cwd>/<key>``; the 2 is the format, which changes with the functions that the launcher
provides.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from roost.daemon.definitions.stamps import ABSENT, STAT_FORMAT
from roost.model.records import FileStamp, VariableChange

FORMAT = "2"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CHOICE = re.compile(r"[a-z]+=[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")
"""A choice is the name of a folder."""
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]*\Z")


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """Absolute paths of GNU stat and of flock(1), tried by ``folder.find_tools``."""

    stat: str
    flock: str | None
    """``None`` if no lock is needed: who deletes a prefix sees that its lease is open."""


class LaunchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan states."""

    cwd: str
    key: str
    """Key of the request; see ``plan_key``."""
    config: str
    """Where the client looks for the config file, whether it exists or not: see ``config_path``."""
    inputs: tuple[FileStamp, ...]
    """Files that were read to choose and digest the definition, in their state *before* they were read."""
    absent: tuple[str, ...]
    """Files that would have been chosen instead, had they existed."""
    guards: tuple[FileStamp, ...]
    """Files of the prefix."""
    lease: str
    prefix: str
    hook_variables: tuple[str, ...] = ()
    """See ``wire.Launch``."""
    changes: tuple[VariableChange, ...]
    variables: Mapping[str, str]
    python: str | None


def config_path(environ: Mapping[str, str]) -> str | None:
    """Return the path of the config file by the launcher's rules; ``None`` if variables alone do not tell it."""
    if environ.get("ROOST_CONFIG"):
        return environ["ROOST_CONFIG"]
    base = environ.get("XDG_CONFIG_HOME") or (environ["HOME"] + "/.config" if environ.get("HOME") else "")
    return f"{base}/roost/config.toml" if base else None


class PlanChoices(msgspec.Struct, frozen=True, kw_only=True):
    """Options by which a request means another environment than its file or name alone, as far as the launcher knows
    them."""

    python: str | None = None
    extras: Sequence[str] = ()
    groups: Sequence[str] = ()
    no_project: bool = False
    locked: bool = False


NO_CHOICES = PlanChoices()


def plan_key(
    *,
    command: Sequence[str],
    file: str | None = None,
    environment: str | None = None,
    choices: PlanChoices = NO_CHOICES,
) -> str | None:
    """Return the key under which the launcher looks for a plan of this request; ``None`` if it looks for none."""
    parts = [f"python={choices.python}"] if choices.python is not None else []
    parts += [*(f"extra={name}" for name in choices.extras), *(f"group={name}" for name in choices.groups)]
    if not all(_CHOICE.match(part) for part in parts):
        return None
    parts += [*(["no-project"] if choices.no_project else []), *(["locked"] if choices.locked else [])]
    key = _base_key(command, file, environment)
    return key if key is None or not parts else "/".join(("@choices", *parts, key))


def _base_key(command: Sequence[str], file: str | None, environment: str | None) -> str | None:
    """Return the key of a request without choices."""
    if not command or not command[0] or command[0].startswith("-"):
        return None
    if environment is not None:
        return f"@environment/{environment}" if file is None and _ENVIRONMENT.match(environment) else None
    if file is not None:
        return _path_key("@file", file)
    script = command_script(command)
    return "@exec" if script is None else _path_key("@script", script) if script else None


def command_script(command: Sequence[str]) -> str | None:
    """Return the word of the command that may be a script with metadata of its own; ``None`` if there is none, an empty
    string if only the client can tell."""
    first = command[0]
    if first.endswith(".py"):
        return first
    if not posixpath.basename(first).startswith("python"):
        return first if "/" in first else None
    if not re.match(r"python([0-9].*)?\Z", first):
        return ""
    if len(command) == 1 or command[1] in ("-c", "-m"):
        return None
    return "" if command[1].startswith("-") else command[1]


def _path_key(kind: str, path: str) -> str | None:
    if not path or ".." in path or path.endswith("/"):
        return None
    return f"{kind}//{path.lstrip('/')}" if path.startswith("/") else f"{kind}/{path}"


def render(plan: LaunchPlan, tools: Tools) -> str | None:
    """Return the plan's text, or ``None`` if it can't be expressed in sh with certainty."""
    if plan.python is None or not _is_expressible(plan):
        return None
    present = sorted({g for g in (*plan.inputs, *plan.guards) if g.identity != ABSENT}, key=_full_stamps_first)
    absent = sorted({*plan.absent, *(g.path for g in (*plan.inputs, *plan.guards) if g.identity == ABSENT)})
    lines = [
        f"# roost launch plan, format {FORMAT}: sourced by the launcher, which asks the daemon if this returns",
        *_request_tests(plan),
        *(f"[ -e {_quote(path)} ] || [ -L {_quote(path)} ] && return 1" for path in absent),
        "{",
        *_file_tests(plan, present, tools),
        " ".join(("_roost_leave", *plan.hook_variables)),
        *_change_lines(plan.changes),
        *(f"export {name}={_quote(value)}" for name, value in plan.variables.items()),
        f"_roost_python={_quote(plan.python)} _roost_prefix={_quote(plan.prefix)}",
        '_roost_go "$@"',
        f"}} 9<{_quote(plan.lease)}",
        "return 1",
    ]
    return "\n".join(lines) + "\n"


def _request_tests(plan: LaunchPlan) -> Iterator[str]:
    request = {"_roost_here": plan.cwd, "_roost_key": plan.key, "_roost_config": plan.config}
    for name, value in request.items():
        yield f'[ "${name}" = {_quote(value)} ] || return 1'
    yield f"[ -r {_quote(plan.lease)} ] || return 1"


def _file_tests(plan: LaunchPlan, present: Sequence[FileStamp], tools: Tools) -> Iterator[str]:
    """Yield lines that compare the state of all files, with the lease open (and locked, if that is needed).

    A process beside stat, which each costs time, and there is more than one core: it looks whether the shell dropped
    variables (then the client starts the command, which gets them all), and becomes flock. The name of a lease is never
    used again; if the lease still exists once it is open and locked, then the prefix was not being removed. In the C
    locale stat writes a point into its numbers, and both start faster.
    """
    lock = f" && LC_ALL=C exec {_quote(tools.flock)} -s -n 9" if tools.flock else ""
    yield f"{{ _roost_has_all{lock}; }} 2>/dev/null &"
    paths = " ".join(_quote(guard.path) for guard in present)
    yield f"_roost_seen=$(LC_ALL=C {_quote(tools.stat)} -L -c {_quote(STAT_FORMAT)} -- {paths} 2>/dev/null)"
    yield "wait $! || return 1"
    yield f"[ -e {_quote(plan.lease)} ] || return 1"
    yield 'case "$_roost_seen" in'
    yield "'\n'".join(f"'{g.identity}'" if _is_full_stamp(g) else f"'{g.identity}:'*" for g in present) + ") ;;"
    yield "*) return 1 ;;"
    yield "esac"
    yield f"{{ true >{_quote(plan.lease)}; }} 2>/dev/null"


def _is_full_stamp(guard: FileStamp) -> bool:
    return guard.identity.count(":") == 4


def _full_stamps_first(guard: FileStamp) -> tuple[bool, str]:
    """Sort folders last: their pattern ends in a star, which could match the lines of others too. As many line ends as
    there are files are required, so that no line can stand for another."""
    return not _is_full_stamp(guard), guard.path


def _change_lines(changes: Sequence[VariableChange]) -> Iterator[str]:
    """Yield a line for each change; one line for all that are unset one after the other."""
    for unsets, group in itertools.groupby(changes, lambda change: change.action == "unset"):
        if unsets:
            yield "unset " + " ".join(change.name for change in group)
        else:
            yield from map(_change_line, group)


def _change_line(change: VariableChange) -> str:
    name, value, separator = change.name, _quote(change.value), _quote(change.separator)
    if change.action == "set":
        return f"export {name}={value}"
    if change.action == "prepend":
        return (
            f'if [ -n "${{{name}-}}" ]; then export {name}={value}{separator}"${name}"; else export {name}={value}; fi'
        )
    return f'if [ -n "${{{name}-}}" ]; then export {name}="${name}"{separator}{value}; else export {name}={value}; fi'


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _is_expressible(plan: LaunchPlan) -> bool:
    guards = (*plan.inputs, *plan.guards)
    paths = (
        plan.cwd,
        plan.key,
        plan.config,
        plan.lease,
        plan.prefix,
        plan.python or "",
        *plan.absent,
        *(g.path for g in guards),
    )
    names = (*(change.name for change in plan.changes), *plan.variables, *plan.hook_variables)
    values = (*(change.value for change in plan.changes), *plan.variables.values())
    return (
        all(posixpath.isabs(path) for path in (plan.cwd, plan.config, plan.lease, *plan.absent))
        and not any("\n" in path or "\0" in path for path in paths)
        and not any("\0" in value for value in values)
        and all(_NAME.match(name) and not name.startswith("_roost_") for name in names)
        and all(_is_full_stamp(guard) or guard.identity == ABSENT for guard in plan.inputs)
        and any(_is_full_stamp(guard) for guard in guards)
    )
