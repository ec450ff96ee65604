"""When builds that failed for a reason that may pass are attempted again: a while after the failure, and never many at
once. Pure.

A cause is what they failed for, such as an index that is down. One attempt at a time finds out whether it has passed,
and after each one that fails no other follows for ``SPACING_SECONDS``. An attempt that succeeds lets all others of its
cause begin; the queue of prebuilds builds them one after the other.
"""

from __future__ import annotations

import msgspec

SPACING_SECONDS = 60.0
"""Between two attempts of one cause, as long as they fail."""
ATTEMPT_SECONDS = 3600.0
"""An attempt of which nothing was heard for so long keeps others from theirs no more."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be attempted again: a digest of a watch."""

    key: str
    digest: str
    cause: str
    due: float


class Retries:
    """All that is to be attempted again. Times are those of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._waiting: dict[str, Retry] = {}
        self._attempts: dict[str, tuple[str, float]] = {}
        """Cause to the key that is being attempted, and the time at which that began."""
        self._open: dict[str, float] = {}
        """Cause to the time before which nothing of it is attempted."""

    def __len__(self) -> int:
        return len(self._waiting)

    def note_failure(self, key: str, digest: str, cause: str, seconds: float, now: float) -> None:
        """Note that ``digest`` failed, and is to be attempted in ``seconds`` again."""
        is_attempt = self._end_attempt(key) is not None
        self._waiting[key] = Retry(key=key, digest=digest, cause=cause, due=now + seconds)
        if is_attempt:
            self._open[cause] = max(self._open.get(cause, now), now + SPACING_SECONDS)

    def note_end(self, key: str, now: float, *, succeeded: bool) -> None:
        """Note that there is nothing to be attempted for ``key`` any more; after a success, others are due."""
        cause = self._end_attempt(key)
        self._waiting.pop(key, None)
        if cause is not None and succeeded:
            self._open.pop(cause, None)
            for each in list(self._waiting.values()):
                if each.cause == cause:
                    self._waiting[each.key] = msgspec.structs.replace(each, due=min(each.due, now), cause="")

    def next_time(self) -> float | None:
        """Return the time before which nothing is due; ``None`` if nothing waits."""
        return min((self._find_time(each) for each in self._waiting.values()), default=None)

    def pop_due(self, now: float) -> list[Retry]:
        """Remove and return what is due: of each cause one at most, that which has waited longest. Those whose cause
        has passed are all due."""
        found: list[Retry] = []
        for each in sorted(self._waiting.values(), key=lambda each: each.due):
            if self._find_time(each) <= now:
                found.append(self._waiting.pop(each.key))
                if each.cause:
                    self._attempts[each.cause] = each.key, now
        return found

    def _find_time(self, retry: Retry) -> float:
        if not retry.cause:
            return retry.due
        attempt = self._attempts.get(retry.cause)
        free = attempt[1] + ATTEMPT_SECONDS if attempt is not None else retry.due
        return max(retry.due, free, self._open.get(retry.cause, retry.due))

    def _end_attempt(self, key: str) -> str | None:
        """End the attempt of ``key``, and return its cause, if it was one."""
        for cause, (attempted, _) in self._attempts.items():
            if attempted == key:
                del self._attempts[cause]
                return cause
        return None
