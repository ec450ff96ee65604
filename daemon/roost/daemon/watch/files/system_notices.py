"""Notices of the kernel that mounts have changed, or that the machine was suspended: without waking up for them.

- ``/proc/self/mountinfo`` is ready for ``POLLPRI`` after a change (proc(5)).
- A timer of the real-time clock with ``TFD_TIMER_CANCEL_ON_SET`` is cancelled when that clock jumps against the
  monotonic one (timerfd_create(2)): when it is set, and after a suspension, in which the monotonic clock stands still.
  Only a suspension moves the boot-time clock against the monotonic one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import sys
import time
from collections.abc import Callable

from roost.daemon.watch.files.mounts import NO_MOUNTS, MountTable, parse_mounts

_MOUNTS = "/proc/self/mountinfo"
_CLOCK_REALTIME = 0
_TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_TIMER_ABSOLUTE, _TIMER_CANCEL_ON_SET = 1, 2
_FAR_SECONDS = 10**9
_JUMP_SECONDS = 0.5


def read_mounts() -> MountTable:
    """Return the mounts that this process sees."""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            return parse_mounts(file.read())
    except OSError:
        return NO_MOUNTS


def has_slept(before: float, after: float) -> bool:
    """Whether the machine was suspended between two values of ``measure_sleep``."""
    return after - before > _JUMP_SECONDS


def measure_sleep() -> float:
    """Return the seconds that this machine has been suspended since it was started."""
    if sys.platform != "linux":
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class MountNotices:
    """A ``descriptor`` that is reported as readable once after mounts have changed; -1 if the system has none.

    The kernel forgets that they have changed when it is asked, so that the report of a selector is all there is.
    """

    def __init__(self) -> None:
        self._file = self.descriptor = -1
        if sys.platform != "linux":
            return
        with contextlib.suppress(OSError):
            self._file = os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
            self._poll = select.epoll()  # the file itself is always readable
            self._poll.register(self._file, select.EPOLLPRI)
            self.descriptor = self._poll.fileno()

    def close(self) -> None:
        """Release the descriptors."""
        if self.descriptor >= 0:
            self._poll.close()
        if self._file >= 0:
            os.close(self._file)


class ClockNotices:
    """A ``descriptor`` that is readable after a clock has jumped; -1 if the system has none."""

    def __init__(self, measure: Callable[[], float] | None = None) -> None:
        self.descriptor = -1
        self._measure = measure or measure_sleep
        self._slept = self._measure()
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self.descriptor = self._libc.timerfd_create(_CLOCK_REALTIME, _TFD_FLAGS)
            self._arm()

    def take_sleep(self) -> bool:
        """Return whether the machine was suspended since the last call. It costs a read: that is no reason to wake."""
        if self.descriptor < 0:
            return False
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            return False
        except OSError:  # ECANCELED: a clock has jumped
            pass
        self._arm()
        before, self._slept = self._slept, self._measure()
        return has_slept(before, self._slept)

    def close(self) -> None:
        """Release the descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def _arm(self) -> None:
        words = (ctypes.c_long * 4)(0, 0, int(time.time()) + _FAR_SECONDS, 0)
        flags = _TIMER_ABSOLUTE | _TIMER_CANCEL_ON_SET
        if self.descriptor >= 0 and self._libc.timerfd_settime(self.descriptor, flags, words, None) < 0:
            os.close(self.descriptor)
            self.descriptor = -1
