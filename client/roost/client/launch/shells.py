"""Interactive shells that stay in the environment, whatever the user's start-up files do to PATH.

The shell reads the user's own files first and then a file of ours, which enters the environment again where that was
undone, marks the prompt, and removes itself.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Launch = Mapping[str, Any]
Environ = dict[str, str]


def interactive(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    """How to start ``program``, the user's shell: its command line and variables."""
    makers: dict[str, Callable[[str, Launch, Environ, str], tuple[list[str], Environ]]] = {
        "bash": _bash,
        "zsh": _zsh,
        "fish": _fish,
    }
    make = makers.get(os.path.basename(program), _plain)
    return make(program, launch, environ, name)


def _bash(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    folder = tempfile.mkdtemp(prefix="roost-")
    path = os.path.join(folder, "bashrc")
    lines = [
        "[ -r ~/.bashrc ] && . ~/.bashrc",
        *reentry(launch),
        f'PS1={_sh(f"({name}) ")}"${{PS1-}}"',
        _removal(folder),
    ]
    _write(path, lines)
    return [program, "--rcfile", path, "-i"], environ


def _zsh(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    """zsh finds its files in ZDOTDIR, which is put back before the user's own are read."""
    folder = tempfile.mkdtemp(prefix="roost-")
    home = environ.get("ZDOTDIR")
    back = f"export ZDOTDIR={_sh(home)}" if home else "unset ZDOTDIR"
    source = '[[ -r "${ZDOTDIR:-$HOME}/%s" ]] && . "${ZDOTDIR:-$HOME}/%s"'
    _write(
        os.path.join(folder, ".zshenv"),
        [back, source % (".zshenv", ".zshenv"), 'ROOST_ZDOTDIR="${ZDOTDIR-}"', f"export ZDOTDIR={_sh(folder)}"],
    )
    restore = (
        'if [[ -n "$ROOST_ZDOTDIR" ]]; then export ZDOTDIR="$ROOST_ZDOTDIR"; else unset ZDOTDIR; fi; '
        "unset ROOST_ZDOTDIR"
    )
    prompt = f'PROMPT={_sh(f"({name}) ".replace("%", "%%"))}"$PROMPT"'
    rc = [restore, source % (".zshrc", ".zshrc"), *reentry(launch), prompt, _removal(folder)]
    _write(os.path.join(folder, ".zshrc"), rc)
    return [program, "-i"], {**environ, "ZDOTDIR": folder}


def _fish(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    """fish runs ``--init-command`` after its configuration."""
    lines = [*_fish_reentry(launch)]
    lines.append("functions -q fish_prompt; and functions -c fish_prompt __roost_prompt")
    lines.append(
        f"function fish_prompt; echo -n {_fish_word(f'({name}) ')}; "
        "functions -q __roost_prompt; and __roost_prompt; end"
    )
    return [program, "--interactive", "--init-command", "; ".join(lines)], environ


def _plain(program: str, launch: Launch, environ: Environ, name: str) -> tuple[list[str], Environ]:
    """Other shells start in the environment; what their start-up files do to it is up to them."""
    prompt = environ.get("PS1", "$ ")
    return [program, "-i"], {**environ, "PS1": f"({name}) {prompt}"}


def reentry(launch: Launch) -> Iterator[str]:
    """POSIX sh that makes the environment's changes again where they were undone."""
    for change in launch["changes"]:
        name, value, separator = change["name"], change.get("value", ""), change.get("separator", ":")
        if change["action"] == "unset":
            yield f"unset {name}"
        elif change["action"] == "set":
            yield f"export {name}={_sh(value)}"
        elif change["action"] == "prepend":
            joined = f'export {name}={_sh(value)}"${{{name}:+{separator}${name}}}"'
            yield f'case "${{{name}-}}{separator}" in {_sh(value + separator)}*) ;; *) {joined} ;; esac'
        else:
            joined = f'export {name}="${{{name}:+${name}{separator}}}"{_sh(value)}'
            yield f'case "{separator}${{{name}-}}" in *{_sh(separator + value)}) ;; *) {joined} ;; esac'
    for name, value in launch["variables"].items():
        yield f"export {name}={_sh(value)}"


def _fish_reentry(launch: Launch) -> Iterator[str]:
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


def _sh(text: str) -> str:
    return shlex.quote(text)


def _fish_word(text: str) -> str:
    """Within single quotes fish reads only ``\\\\`` and ``\\'`` (fish-language, Quotes)."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _removal(folder: str) -> str:
    return f"rm -rf -- {_sh(folder)}"


def _write(path: str, lines: list[str]) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join(lines) + "\n")
