"""What ``doctor`` checks by itself: the caller's shell, completion in it, and which ``roost`` it starts.

Apart from ``doctor``, which prints what the daemon finds.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from roost.client.cli.parser import MODULES

Json = dict[str, Any]


class ShellFiles(NamedTuple):
    """Where a shell looks for completions of ``roost``, and the files that it reads at its start; ``~`` is the home."""

    completions: tuple[str, ...]
    start: tuple[str, ...]
    line: str
    """What to write into the first of ``start``."""


SHELLS = {
    "bash": ShellFiles(
        (
            "~/.local/share/bash-completion/completions/roost",
            "/etc/bash_completion.d/roost",
            "/usr/share/bash-completion/completions/roost",
        ),
        ("~/.bashrc", "~/.bash_profile", "~/.bash_completion", "~/.profile"),
        'eval "$(roost completion bash)"',
    ),
    "zsh": ShellFiles(
        ("~/.zfunc/_roost", "/usr/local/share/zsh/site-functions/_roost", "/usr/share/zsh/site-functions/_roost"),
        ("~/.zshrc", "~/.zshenv", "~/.zprofile"),
        'eval "$(roost completion zsh)"',
    ),
    "fish": ShellFiles(
        ("~/.config/fish/completions/roost.fish", "/usr/share/fish/vendor_completions.d/roost.fish"),
        ("~/.config/fish/config.fish",),
        "roost completion fish | source",
    ),
}
MOST_BYTES = 1_000_000
"""Of a shell's file; what is behind that is not read."""


def check_shell(environ: Mapping[str, str]) -> Iterator[Json]:
    """Yield the results of all checks of the shell that ``SHELL`` names. Blocks; nothing in a file makes it fail."""
    yield _check_path(environ)
    name = os.path.basename(environ.get("SHELL", ""))
    files = SHELLS.get(name)
    if files is None:
        shown = name or "unknown (SHELL is not set)"
        yield _check("shell", "ok", f"the shell is {shown}; there is completion for {', '.join(SHELLS)}")
        return
    texts = {path: _read(_expand(path, environ)) for path in files.start}
    places = [path for path in files.completions if os.path.exists(_expand(path, environ))]
    places += [path for path, text in texts.items() if "roost completion" in text]
    if places:
        yield _check("shell", "ok", f"the shell is {name}, with completion of roost by {places[0]}")
    else:
        hint = f"For completion, add to {files.start[0]}: {files.line}"
        yield _check("shell", "ok", f"the shell is {name}, without completion of roost", hint)
    yield from _check_hook(texts)


def _check_hook(texts: Mapping[str, str]) -> Iterator[Json]:
    """Yield a warning for each line that starts a hook, if this version of roost has none."""
    if any("hook" in commands for commands in MODULES.values()):
        return
    for path, text in texts.items():
        if match := re.search(r"^[^#\n]*\broost hook\b", text, re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            message = f"{path}:{line} runs `roost hook`, which this version of roost does not have"
            yield _check("hook", "warning", message, "Remove the line, or install the version that it is for.")


def _check_path(environ: Mapping[str, str]) -> Json:
    """Check that ``roost`` on PATH is the one that runs."""
    own = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "roost")
    found = shutil.which("roost", path=environ.get("PATH"))
    if found is None:
        hint = f"Add {os.path.dirname(own)} to PATH, or call it by its path."
        return _check("command", "ok", f"no roost on PATH; this is {own}", hint)
    if os.path.exists(own) and not os.path.samefile(found, own):
        message = f"`roost` on PATH is {found}, and this is {own}"
        return _check("command", "warning", message, "Remove one of them, or change the order of PATH.")
    return _check("command", "ok", f"`roost` is {found}")


def _check(name: str, state: str, message: str, hint: str = "") -> Json:
    return {"name": name, "state": state, "message": message, "hint": hint, "subject": ""}


def _expand(path: str, environ: Mapping[str, str]) -> str:
    """Return ``path`` in the caller's home, and zsh's files in ZDOTDIR."""
    home = environ.get("HOME", "")
    if path.startswith("~/.z") and "/" not in path[2:] and environ.get("ZDOTDIR"):
        return os.path.join(environ["ZDOTDIR"], path[2:])
    return os.path.join(home, path[2:]) if path.startswith("~/") else path


def _read(path: str) -> str:
    """Return what a regular file begins with; nothing of any other, or of one that can't be read."""
    try:
        if not os.path.isfile(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return ""
