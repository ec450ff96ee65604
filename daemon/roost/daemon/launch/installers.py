"""Commands that would install into an environment or remove something from it. Pure.

An environment is shared by everything that has the same lock, so it is not changed in place: such a command is refused
before it runs, with what to do instead. What would slip through (a script that starts pip) meets read-only folders, and
is noticed at the next use of the prefix.

The launcher (``client/bin/roost``) leaves commands that begin with one of these tools to the client, and so to the
daemon. Sources of the grammars: ``pip --help`` of 26, ``uv --help`` of 0.13, ``conda --help`` of 25, ``micromamba
--help`` of 2.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Collection, Iterator, Sequence

import msgspec

from roost.model.errors import InvalidRequestError
from roost.wire.plans import SourceView

_PIP = re.compile(r"pip[0-9.]*\Z")
_PYTHON = re.compile(r"python[0-9.]*t?\Z")
_MODULE_OPTION = re.compile(r"-[bBdEiIOPqRsSuvx]*m(.*)\Z", re.DOTALL)
"""``-m``, also together with other short options or with the module. Source: Python's command line."""
_PYTHON_VALUES = ("-W", "-X", "--check-hash-based-pycs")
_PYTHON_VERSION = re.compile(r"(python|cpython|pypy)?[-@]?[0-9][0-9.a-z]*\Z|(python|pypy)[0-9.]*\Z")
_CONDAS = ("conda", "mamba", "micromamba")
_FORMATS_WITH_SECTIONS = ("conda", "roost")
"""Formats of files with packages of conda and of pip."""
_EDITED_FORMATS = (*_FORMATS_WITH_SECTIONS, "requirements", "pyproject", "pep723")
_HARMLESS = ("--dry-run", "--help", "-h", "--download-only")


class InstallerRefusedError(InvalidRequestError):
    """A command would install into an environment, or remove something from it."""

    code = "environment-shared"


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What a command would do to an environment."""

    command: str
    """The words that say so: ``uv pip install``."""
    adds: bool
    packages: tuple[str, ...] = ()
    """Names and requirements, as far as the command line has them."""


class _Grammar(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of a tool's command line."""

    adding: Collection[str]
    """Subcommands that add or change packages."""
    removing: Collection[str]
    values: Collection[str]
    """Options whose next word is their value."""
    places: Collection[str]
    """Options that name the folder (or the interpreter) that is changed, if it is not the active environment."""
    names: Collection[str] = ()
    """Options that name another environment."""
    explicit: Collection[str] = ()
    """Subcommands that change only a folder that they name."""


_PIP_GRAMMAR = _Grammar(
    adding=("install",),
    removing=("uninstall",),
    values=(
        *("--log", "--proxy", "--retries", "--timeout", "--exists-action", "--trusted-host", "--cert", "--client-cert"),
        *("--cache-dir", "--use-feature", "--use-deprecated", "--keyring-provider", "--resume-retries"),
        *("-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links"),
        *("-e", "--editable", "--platform", "--python-version", "--implementation", "--abi", "--src", "--report"),
        *("--no-binary", "--only-binary", "--progress-bar", "--upgrade-strategy", "-C", "--config-settings", "--group"),
    ),
    places=("-t", "--target", "--prefix", "--root", "--python"),
    names=("--user",),
)
_UV_GRAMMAR = _Grammar(
    adding=("pip install", "pip sync", "add --active", "sync --active"),
    removing=("pip uninstall", "remove --active"),
    values=(
        *("--directory", "--project", "--cache-dir", "--config-file", "--color", "--python-preference"),
        *("--allow-insecure-host", "-r", "--requirements", "--requirement", "-c", "--constraints", "--overrides"),
        *("-e", "--editable", "--index", "--default-index", "-i", "--index-url", "--extra-index-url", "-f"),
        *("--find-links", "--extra", "--group", "--index-strategy", "--keyring-provider", "--resolution"),
        *("--prerelease", "--exclude-newer", "--link-mode", "-C", "--config-setting", "--no-binary", "--only-binary"),
    ),
    places=("-t", "--target", "--prefix", "-p", "--python"),
)
_CONDA_GRAMMAR = _Grammar(
    adding=("install", "update", "upgrade", "env update"),
    removing=("remove", "uninstall", "env remove"),
    values=(
        *("-c", "--channel", "-f", "--file", "--rc-file", "--log-level", "--solver", "--repodata-fn", "--subdir"),
        *("--platform", "-r", "--root-prefix", "--revision", "--cacert-path", "--retry-clean-cache"),
    ),
    places=("-p", "--prefix"),
    names=("-n", "--name"),
    explicit=("create", "env create"),
)
_ENSUREPIP_GRAMMAR = _Grammar(adding=("",), removing=(), values=(), places=("--root",), names=("--version", "--user"))


def refuse_installation(
    command: Sequence[str], cwd: str, prefix: str | None, source: SourceView, *, is_named: bool = False
) -> None:
    """Raise InstallerRefusedError if ``command``, run in ``cwd`` in an environment that roost makes, would change it.

    ``prefix`` is its path, ``None`` if it has not been built. There may be no command (a shell). ``is_named``: the
    request names the source, which need not be what an edit without a name would find.
    """
    found = find_installation(command, cwd, prefix) if command else None
    if found is None:
        return
    if found.packages and source.path is not None and source.format in _EDITED_FORMATS:
        hint = _name_edit(found, source.path, source.format, is_named=is_named)
    else:
        hint = _describe_edit(found, source)
    raise InstallerRefusedError(
        f"`{found.command}` was not run: every project with the same lock shares this environment",
        hint=hint,
        fields={"command": found.command, "packages": list(found.packages), "file": source.path},
    )


def _name_edit(found: Installation, path: str, format: str, *, is_named: bool) -> str:
    """Return the command that does to the file at ``path`` what was meant."""
    words = ["roost", "add" if found.adds else "remove"]
    if format in _FORMATS_WITH_SECTIONS:
        words.append("--conda" if found.command.split()[0] in _CONDAS else "--pip")
    if is_named or format == "pep723":
        words += ["--script" if format == "pep723" else "-f", path]
    edit = shlex.join([*words, *found.packages])
    what = "it" if len(found.packages) == 1 else "them"
    return f"`{edit}` {'adds' if found.adds else 'removes'} {what} {'to' if found.adds else 'from'} {path} instead."


def _describe_edit(found: Installation, source: SourceView) -> str:
    """Return what to do with a source that no command edits, or with packages that the command line does not name."""
    packages = ", ".join(found.packages)
    if source.path is not None:
        place = "the `# /// script` block of " if source.format == "pep723" else ""
        where, next_step = f"{place}{source.path}", "the next `roost run` has it"
    elif source.format == "environment" and source.name is not None:
        where, next_step = f"environment {source.name}", f"`roost env edit {source.name}` opens its definition"
    else:
        where, next_step = "its definition", "the next run has it"
    change = f"{'Add' if found.adds else 'Remove'} {packages}" if packages else "Make the change"
    preposition = "in" if not packages else "to" if found.adds else "from"
    return f"{change} {preposition} {where} instead; {next_step}."


def find_installation(command: Sequence[str], cwd: str, prefix: str | None) -> Installation | None:
    """Return what ``command`` would do to the environment at ``prefix``; ``None`` if nothing, as far as its words show.

    A pip or Python of another place changes that place; uv and conda change the environment that is active.
    """
    first, rest = command[0], list(command[1:])
    name = posixpath.basename(first)
    is_own = "/" not in first or not _is_elsewhere(first, cwd, prefix)
    if _PIP.match(name) and is_own:
        return _judge("pip", _PIP_GRAMMAR, rest, cwd, prefix)
    if _PYTHON.match(name) and is_own:
        return _judge_module(rest, cwd, prefix)
    return _judge_tool(name, rest, cwd, prefix)


def _judge_tool(name: str, words: Sequence[str], cwd: str, prefix: str | None) -> Installation | None:
    if name == "uv":
        return _judge(name, _UV_GRAMMAR, words, cwd, prefix)
    return _judge(name, _CONDA_GRAMMAR, words, cwd, prefix) if name in _CONDAS else None


def _judge_module(words: Sequence[str], cwd: str, prefix: str | None) -> Installation | None:
    """Judge the words after ``python``."""
    for number, word in enumerate(words):
        if number and words[number - 1] in _PYTHON_VALUES:
            continue
        if match := _MODULE_OPTION.match(word):
            module, *rest = [match[1], *words[number + 1 :]] if match[1] else [*(words[number + 1 :] or [""])]
            if module == "ensurepip":
                return _judge("python -m ensurepip", _ENSUREPIP_GRAMMAR, ["", *rest], cwd, prefix)
            if module == "pip":
                return _judge("python -m pip", _PIP_GRAMMAR, rest, cwd, prefix)
            found = _judge_tool(module, rest, cwd, prefix)
            return msgspec.structs.replace(found, command=f"python -m {found.command}") if found else None
        if not word.startswith("-") or word.startswith("-c"):
            return None
    return None


def _judge(tool: str, grammar: _Grammar, words: Sequence[str], cwd: str, prefix: str | None) -> Installation | None:
    positions, options = _parse(grammar, words)
    if any(name in _HARMLESS or name in grammar.names for name, _ in options):
        return None
    if "-d" in dict(options) and grammar is _CONDA_GRAMMAR:  # conda's short form of --dry-run
        return None
    flags = [name for name, _ in options if name == "--active"]
    places = [value for name, value in options if name in grammar.places]
    for count in (2, 1):
        subcommand = " ".join(positions[:count])
        is_adding, is_removing = (
            subcommand in names or any(f"{subcommand} {flag}" in names for flag in flags)
            for names in (grammar.adding, grammar.removing)
        )
        if len(positions) < count or not (is_adding or is_removing or subcommand in grammar.explicit):
            continue
        if places and all(_is_elsewhere(place, cwd, prefix) for place in places):
            return None
        if subcommand in grammar.explicit and not places:
            return None
        return Installation(
            command=f"{tool} {subcommand}".rstrip(), adds=not is_removing, packages=tuple(positions[count:])
        )
    return None


def _parse(grammar: _Grammar, words: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the words of a command line that are no options, and its options with their values."""
    positions: list[str] = []
    options: list[tuple[str, str]] = []
    remaining: Iterator[str] = iter(words)
    for word in remaining:
        if word == "--":
            positions += remaining
        elif word.startswith("--"):
            name, separator, value = word.partition("=")
            takes_value = name in grammar.values or name in grammar.places or name in ("--name",)
            options.append((name, value if separator or not takes_value else next(remaining, "")))
        elif word.startswith("-") and len(word) > 1:
            name, value = word[:2], word[2:].removeprefix("=")
            takes_value = name in grammar.values or name in grammar.places or name in ("-n",)
            options.append((name, value if value or not takes_value else next(remaining, "")))
        else:
            positions.append(word)
    return positions, options


def _is_elsewhere(path: str, cwd: str, prefix: str | None) -> bool:
    """Whether ``path`` is a path, and not one in the prefix. (A version of Python, which uv takes as well, is none.)"""
    if not path or _PYTHON_VERSION.match(path):
        return False
    absolute = posixpath.normpath(posixpath.join(cwd, path))
    return prefix is None or not f"{absolute}/".startswith(f"{posixpath.normpath(prefix)}/")
