"""Command lines of interactive shells that stay in the environment, whatever the user's start-up files do to PATH.

The shell reads the user's own files first and then a generated one, which repeats the environment's changes if they
were undone, marks the prompt, and removes itself.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Launch = Mapping[str, Any]
Environ = dict[str, str]


def shell_command_line(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    """Return the command line and variables that start the user's shell ``program``.

    ``environ``: the variables after activation; ``name``: the environment's name for the prompt.
    """
    starts: dict[str, Callable[[str, Launch, Environ, str], tuple[list[str], Environ]]] = {
        "bash": _bash_start,
        "zsh": _zsh_start,
        "fish": _fish_start,
    }
    start = starts.get(os.path.basename(program), _other_start)
    return start(program, launch, environ, name)


def _bash_start(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    folder = tempfile.mkdtemp(prefix="roost-")
    path = os.path.join(folder, "bashrc")
    lines = [
        "[ -r ~/.bashrc ] && . ~/.bashrc",
        *reentry_lines(launch),
        f'PS1={_sh_word(f"({name}) ")}"${{PS1-}}"',
        _removal_line(folder),
    ]
    _write_lines(path, lines)
    return [program, "--rcfile", path, "-i"], environ


def _zsh_start(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    """zsh reads its files from ZDOTDIR, which is restored before it reads the user's own."""
    folder = tempfile.mkdtemp(prefix="roost-")
    user_folder = environ.get("ZDOTDIR")
    use_own = f"export ZDOTDIR={_sh_word(user_folder)}" if user_folder else "unset ZDOTDIR"
    source = '[[ -r "${ZDOTDIR:-$HOME}/%s" ]] && . "${ZDOTDIR:-$HOME}/%s"'
    _write_lines(
        os.path.join(folder, ".zshenv"),
        [use_own, source % (".zshenv", ".zshenv"), 'ROOST_ZDOTDIR="${ZDOTDIR-}"', f"export ZDOTDIR={_sh_word(folder)}"],
    )
    restore = (
        'if [[ -n "$ROOST_ZDOTDIR" ]]; then export ZDOTDIR="$ROOST_ZDOTDIR"; else unset ZDOTDIR; fi; '
        "unset ROOST_ZDOTDIR"
    )
    prompt = f'PROMPT={_sh_word(f"({name}) ".replace("%", "%%"))}"$PROMPT"'
    rc = [restore, source % (".zshrc", ".zshrc"), *reentry_lines(launch), prompt, _removal_line(folder)]
    _write_lines(os.path.join(folder, ".zshrc"), rc)
    return [program, "-i"], {**environ, "ZDOTDIR": folder}


def _fish_start(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    """fish runs ``--init-command`` after its configuration."""
    lines = [*_fish_reentry_lines(launch)]
    lines.append("functions -q fish_prompt; and functions -c fish_prompt __roost_prompt")
    lines.append(
        f"function fish_prompt; echo -n {_fish_word(f'({name}) ')}; "
        "functions -q __roost_prompt; and __roost_prompt; end"
    )
    return [program, "--interactive", "--init-command", "; ".join(lines)], environ


def _other_start(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    """Other shells start in the environment; their start-up files may undo its changes."""
    prompt = environ.get("PS1", "$ ")
    return [program, "-i"], {**environ, "PS1": f"({name}) {prompt}"}


def reentry_lines(launch: Launch) -> Iterator[str]:
    """Yield POSIX sh that repeats the environment's changes that were undone."""
    for change in launch["changes"]:
        name, value, separator = change["name"], change.get("value", ""), change.get("separator", ":")
        if change["action"] == "unset":
            yield f"unset {name}"
        elif change["action"] == "set":
            yield f"export {name}={_sh_word(value)}"
        elif change["action"] == "prepend":
            joined = f'export {name}={_sh_word(value)}"${{{name}:+{separator}${name}}}"'
            yield f'case "${{{name}-}}{separator}" in {_sh_word(value + separator)}*) ;; *) {joined} ;; esac'
        else:
            joined = f'export {name}="${{{name}:+${name}{separator}}}"{_sh_word(value)}'
            yield f'case "{separator}${{{name}-}}" in *{_sh_word(separator + value)}) ;; *) {joined} ;; esac'
    for name, value in launch["variables"].items():
        yield f"export {name}={_sh_word(value)}"


def _fish_reentry_lines(launch: Launch) -> Iterator[str]:
    for change in launch["changes"]:
        name, value = change["name"], _fish_word(change.get("value", ""))
        if change["action"] == "unset":
            yield f"set -e {name}"
        elif change["action"] == "set":
            yield f"set -gx {name} {value}"
        else:
            flag = "-p" if change["action"] == "prepend" else "-a"
            place = "[1]" if change["action"] == "prepend" else "[-1]"
            yield f'test "${name}{place}" = {value}; or set -gx {flag} {name} {value}'
    for name, value in launch["variables"].items():
        yield f"set -gx {name} {_fish_word(value)}"


def _sh_word(text: str) -> str:
    return shlex.quote(text)


def _fish_word(text: str) -> str:
    """Quote a word. Within single quotes fish interprets only ``\\\\`` and ``\\'`` (fish-language, Quotes)."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _removal_line(folder: str) -> str:
    return f"rm -rf -- {_sh_word(folder)}"


def _write_lines(path: str, lines: list[str]) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join(lines) + "\n")
