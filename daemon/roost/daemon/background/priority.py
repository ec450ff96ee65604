"""The lowest priority of processor and disk, for a thread of the daemon or a process.

    python -I … roost.daemon.background.priority COMMAND [ARGUMENT…]     what ``niced_command`` returns

A priority can only be lowered: without privileges no process or thread gets it back. So what was started for background
work is never used for anybody who waits.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import sys
from collections.abc import Sequence

from roost.wire.installation import isolated_command

NICE = 19
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_IDLE = 3
_CLASS_SHIFT = 13
_PR_SET_PDEATHSIG = 1
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
"""Number of the system call ioprio_set(2), which libc has no function for, by machine."""
_IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31, "ppc64le": 274, "s390x": 283}


def lower_priority() -> None:
    """Give this process, and what it starts from now on, the lowest priority of processor and disk; on Linux only the
    calling thread of it.

    A system that has no such priority is left as it is: the work is merely less polite there.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if sys.platform == "linux" and (number := _IOPRIO_SET.get(platform.machine())) is not None:
        ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_CLASS_IDLE << _CLASS_SHIFT)


def lower_thread() -> None:
    """Give the calling thread the lowest priority. Elsewhere than on Linux only whole processes have one."""
    if sys.platform == "linux":
        lower_priority()


def read_priority(pid: int = 0) -> tuple[int, bool]:
    """Return the nice value of a process or thread (0: the calling one), and whether its disk class is the idle one."""
    nice = os.getpriority(os.PRIO_PROCESS, pid)
    number = _IOPRIO_GET.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return nice, False
    value = int(ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, pid))
    return nice, value >> _CLASS_SHIFT == _IOPRIO_CLASS_IDLE


def niced_command(command: Sequence[str]) -> list[str]:
    """Return ``command`` with a start by this module, which lowers the priority first and dies with the daemon."""
    return isolated_command("roost.daemon.background.priority", str(os.getpid()), *command)


def _main(parent: int, command: Sequence[str]) -> None:
    """Become ``command``, at the lowest priority. The program that it becomes keeps the signal of a parent's death."""
    lower_priority()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    try:
        os.execvp(command[0], [*command])
    except OSError as error:
        sys.exit(f"{command[0]} can't be started: {error.strerror}")


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
