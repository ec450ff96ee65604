"""Entry point of ``roost-client``: the hot paths of ``exec`` and ``run``, else the command line.

Every start pays for every import here, so there are next to none.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as a request does
    from typing import NoReturn


def main() -> None:
    """Run the command line of this process and exit with its status."""
    arguments = sys.argv[1:]
    _open_standard_streams()
    _restore_environment()
    if "-C" in arguments[:2]:
        from roost.client.launch.folders import enter_leading_folders

        arguments = enter_leading_folders(arguments)
    begun = None
    try:
        if arguments[:1] == ["exec"]:
            from roost.client.launch import hot

            begun = hot.attempt_exec(arguments[1:])
        if arguments[:1] == ["run"]:
            from roost.client.launch import hot_run

            outcome = hot_run.attempt_run(arguments[1:])
            if isinstance(outcome, int):
                _exit_at_once(outcome)
            begun = outcome
        load_site()
        from roost.client.cli.main import run

        status = run(arguments, begun)
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def load_site() -> None:
    """Complete the start of an interpreter that the launcher started without ``site``, which takes a fifth of it: the
    hot paths import nothing from outside of roost and the standard library."""
    if sys.flags.no_site and "site" not in sys.modules:
        import site

        site.main()


def _open_standard_streams() -> None:
    """Open each closed standard stream on ``/dev/null``.

    The next file or connection would otherwise get the number of a stream that the caller closed, and output would be
    written to it. Python has no object for such a stream.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # to the end of this process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _restore_environment() -> None:
    """Restore the variables of the caller that the launcher's shell or this interpreter changed, for the commands that
    this process starts. The launcher passes what is needed as options of the interpreter.

    ``roost_environ=PID:DESCRIPTOR``: a child of this process whose ``/proc/PID/environ`` is the caller's block, and
    which ends when the descriptor is closed. ``roost_lc_ctype[=VALUE]``: the caller's ``LC_CTYPE``, which the
    interpreter changes in the C locale (PEP 538).
    """
    held = sys._xoptions.get("roost_environ")
    if isinstance(held, str):
        _replace_environment(*map(int, held.split(":")))
        return
    former = sys._xoptions.get("roost_lc_ctype")
    if former is True:
        os.environ.pop("LC_CTYPE", None)
    elif former is not None and os.environ.get("LC_CTYPE") != former:
        os.environ["LC_CTYPE"] = former


def _replace_environment(holder: int, descriptor: int) -> None:
    try:
        with open(f"/proc/{holder}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:  # without it, there are the variables that the shell passed on
        entries = []
    try:
        os.close(descriptor)
        os.waitpid(holder, 0)
    except OSError:  # it has ended
        pass
    block = [entry.partition(b"=") for entry in entries if b"=" in entry]
    if not block:
        return
    os.environ.clear()
    for name, _, value in reversed(block):  # of two with one name, getenv(3) finds the first
        if name:
            os.environb[name] = value


def _exit_at_once(status: int) -> NoReturn:
    """Exit without the interpreter's clean-up, which costs a sixth of its start.

    The command's output is complete: it went past Python's buffers.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(status)
