"""Run a command as an unprivileged account: ``python -m tests.support.other_account ACCOUNT COMMAND…``, as root.

Root passes all modes, so what a mode must forbid is tested as somebody else. The interpreter and the tests' cache may
lie below a folder that only root enters, such as its home: the account gets an empty folder in its place, with these
two bound into it, in a mount namespace that ends with the command.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def closed_above(path: Path) -> Path | None:
    """The highest folder above ``path`` that others can't enter."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def mounts(paths: Sequence[Path]) -> list[str]:
    """Shell commands that keep ``paths`` reachable for others and hide what else their closed folders hold."""
    closed = {path: folder for path in paths if path.exists() and (folder := closed_above(path)) is not None}
    keep = [f"mkdir -p /mnt/{n} && mount --bind {shlex.quote(str(path))} /mnt/{n}" for n, path in enumerate(closed)]
    hide = [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(folder))}" for folder in dict.fromkeys(closed.values())]
    show = [
        f"mkdir -p {shlex.quote(str(path))} && mount --bind /mnt/{n} {shlex.quote(str(path))}"
        for n, path in enumerate(closed)
    ]
    return ["mount -t tmpfs tmpfs /mnt", *keep, *hide, *show] if closed else []


def main(arguments: Sequence[str]) -> None:
    """Become the command."""
    account = pwd.getpwnam(arguments[0])
    become = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups", "--no-new-privs"]
    script = " && ".join([*mounts([Path(sys.base_prefix), CACHE]), 'exec "$@"'])
    made = subprocess.run(
        [sys.executable, "-m", "tests.support.channel.build"], capture_output=True, text=True, check=False
    )
    own = {"HOME": account.pw_dir, "USER": account.pw_name, "XDG_CACHE_HOME": str(CACHE)}
    environ = {**os.environ, **own, "ROOST_TEST_CHANNELS": made.stdout.strip()}
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *become, *arguments[1:]]
    os.execvpe(words[0], words, environ)


if __name__ == "__main__":
    main(sys.argv[1:])
