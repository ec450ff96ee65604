"""What a watch does next: a pure state machine for each watched definition.

It knows three digests: the one that is *wanted* (of the last content that could be read), the one that is *in flight*
(requested from the queue of prebuilds, and not ended), and the last *good* one (ready). ``step`` takes a state and what
happened, and returns the next state and the actions that follow, in order. Effects report their results as inputs. The
result of an action that was overtaken comes late and changes nothing.

Rules:

1. The last content decides. What is read while something newer is known is not acted on.
2. At most one request is in flight. One that is not wanted any more is withdrawn; the next begins when it has ended.
3. A content whose digest is known already starts nothing, neither after success nor after failure.
4. A broken or missing file builds nothing, and withdraws what was requested for the content before.
5. A watch that begins with a use (``eager`` is false) builds nothing until its content changes.
6. What failed for a reason that may pass is planned and built again later, each time after a longer while.
7. What was ready and is removed is cold, and not built again by itself: a collection would otherwise free nothing.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from roost.model.errors import Location

Phase = Literal["new", "cold", "warm", "queued", "building", "waiting", "failed", "broken", "missing", "passed-over"]
"""``new``: not read yet. ``cold``: nobody has asked for the build of this content. ``waiting``: for credentials, code,
power or the load. ``passed-over``: another file takes precedence over it."""
UNUSABLE: tuple[Phase, ...] = ("broken", "missing", "passed-over")
RETRY_SECONDS = (60.0, 300.0, 1800.0, 3600.0)
"""From a failure that may pass to the next attempt; the last one from all later failures."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a watch has no ready environment: the code and text of an error, and its place."""

    code: str
    message: str
    location: Location | None = None


COLLECTED = Trouble(
    code="collected", message="it was removed for space, and is built again when it is asked for or changes"
)
"""Why a definition that was ready is cold."""


class WatchState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The state of one watch."""

    phase: Phase = "new"
    wanted: str | None = None
    """Digest of the last content, if it could be read."""
    flight: str | None = None
    """Digest that was requested from the queue and has not ended."""
    good: str | None = None
    """Digest that was ready last."""
    refused: str | None = None
    """Digest whose build failed, or waits for something that only a request of a person brings."""
    trouble: Trouble | None = None
    eager: bool = False
    """Whether ``wanted`` is built if it is not ready."""
    withdrawn: bool = False
    """Whether the end of ``flight`` was requested."""
    due: bool = False
    """Whether ``wanted`` is to be requested once what is in flight has ended."""
    reading: bool = False
    again: bool = False
    """Whether something changed since the reading began, or while the watch was paused."""
    paused: bool = False
    removed: bool = False
    failures: int = 0
    """Number of failures of ``refused``, one after the other, if the last one may pass: an attempt is to come."""


class Changed(msgspec.Struct, frozen=True):
    """The content of an input may have changed."""


class ContentRead(msgspec.Struct, frozen=True):
    """The definition was read. ``is_same``: its lock file has the lock that the last reading found."""

    digest: str
    is_same: bool = True


class Unreadable(msgspec.Struct, frozen=True):
    """The definition could not be read, does not exist, or is not the one that is meant any more."""

    phase: Literal["broken", "missing", "passed-over"]
    trouble: Trouble


class Planned(msgspec.Struct, frozen=True):
    """The plan for a digest: ready, or to be built.

    ``trouble``: why there is none; ``waits``: until a person asks; ``broken``: until the file is mended; ``passing``:
    it may be gone later.
    """

    digest: str
    ready: bool
    trouble: Trouble | None = None
    waits: bool = False
    broken: bool = False
    passing: bool = False


class BuildStarted(msgspec.Struct, frozen=True):
    """The requested build of a digest runs."""

    digest: str


class BuildPostponed(msgspec.Struct, frozen=True):
    """A request stays in the queue, and waits for power or for a lower load."""

    digest: str
    trouble: Trouble


class BuildEnded(msgspec.Struct, frozen=True):
    """The request for a digest has ended. ``trouble``: why it is not ready; ``waits``: until a person asks for it;
    ``passing``: it may be gone later."""

    digest: str
    trouble: Trouble | None = None
    waits: bool = False
    passing: bool = False
    cancelled: bool = False
    overtaken: bool = False
    """Whether the content was found to be another one when the build was to begin."""


class BuiltElsewhere(msgspec.Struct, frozen=True):
    """A build of a digest that this watch did not request has succeeded."""

    digest: str


class EnvironmentGone(msgspec.Struct, frozen=True):
    """What was ready for a digest was removed, or is not used any more."""

    digest: str


class RetryDue(msgspec.Struct, frozen=True):
    """The time after a failure that may pass is over."""

    digest: str


class Paused(msgspec.Struct, frozen=True):
    """A person paused the watch."""


class Resumed(msgspec.Struct, frozen=True):
    """A person resumed the watch."""


class Demanded(msgspec.Struct, frozen=True):
    """A person added the watch, or added it again: what is not ready is built, also if it failed before."""


class Removed(msgspec.Struct, frozen=True):
    """The watch was removed."""


WatchInput: TypeAlias = (
    Changed
    | ContentRead
    | Unreadable
    | Planned
    | BuildStarted
    | BuildPostponed
    | BuildEnded
    | BuiltElsewhere
    | EnvironmentGone
    | RetryDue
    | Paused
    | Resumed
    | Demanded
    | Removed
)


class ReadContent(msgspec.Struct, frozen=True):
    """Read and digest the definition."""


class MakePlan(msgspec.Struct, frozen=True):
    """Plan for the content that was read last."""

    digest: str


class RequestBuild(msgspec.Struct, frozen=True):
    """Request a build in the background."""

    digest: str


class WithdrawBuild(msgspec.Struct, frozen=True):
    """Withdraw the request for a build."""

    digest: str


class RetryLater(msgspec.Struct, frozen=True):
    """Say when ``seconds`` have passed. ``cause``: the code of the error."""

    digest: str
    seconds: float
    cause: str


class Announce(msgspec.Struct, frozen=True):
    """Publish an event about the state that is entered."""

    phase: Phase
    digest: str | None = None
    trouble: Trouble | None = None


WatchAction: TypeAlias = ReadContent | MakePlan | RequestBuild | WithdrawBuild | RetryLater | Announce
Step: TypeAlias = tuple[WatchState, list[WatchAction]]


def step(state: WatchState, happened: WatchInput) -> Step:
    """Return the state after ``happened``, and the actions that follow."""
    if state.removed:
        return state, []
    match happened:
        case Changed():
            return _look(state)
        case ContentRead(digest, is_same):
            return _on_read(state, digest, is_same=is_same)
        case Unreadable(phase, trouble):
            return _on_unreadable(state, phase, trouble)
        case Planned():
            return _on_plan(state, happened)
        case BuildStarted(digest):
            is_current = digest == state.wanted == state.flight and not state.withdrawn
            return (_with(state, phase="building", trouble=None) if is_current else state), []
        case BuildPostponed(digest, trouble):
            is_current = digest == state.wanted == state.flight and not state.withdrawn
            return (_with(state, phase="waiting", trouble=trouble) if is_current else state), []
        case BuildEnded():
            return _on_end(state, happened)
        case BuiltElsewhere(digest):
            needs_look = digest == state.wanted and digest != state.flight and state.phase != "warm"
            return state, [MakePlan(digest)] if needs_look else []
        case EnvironmentGone(digest):
            return _on_gone(state) if digest == state.wanted and state.phase == "warm" else (state, [])
        case RetryDue(digest):
            is_due = digest == state.refused == state.wanted and state.failures and not state.paused
            return (_with(state, phase="queued", refused=None), [MakePlan(digest)]) if is_due else (state, [])
        case Paused():
            return _on_pause(state)
        case Resumed():
            return _look(_with(state, paused=False)) if state.paused else (state, [])
        case Demanded():
            wanted = state.wanted if state.flight else None
            return _look(_with(state, eager=True, refused=None, failures=0, wanted=wanted))
        case Removed():
            state, actions = _withdraw(state)
            return _with(state, removed=True, failures=0), actions


def restore(state: WatchState) -> WatchState:
    """Return the state that a later daemon begins with: nothing is in flight, and what was not ended is planned again
    when the content is read."""
    is_open = state.flight is not None or state.failures or state.phase in ("queued", "building", "waiting", "new")
    rest = _with(state, flight=None, withdrawn=False, due=False, reading=False, again=False, failures=0)
    return _with(rest, phase="new", wanted=None, refused=None, trouble=None) if is_open else rest


def needs_look(state: WatchState) -> bool:
    """Whether a restored state is to be read again although no input has changed."""
    return state.phase == "new"


def _look(state: WatchState) -> Step:
    """Read, unless a reading runs already, which is then repeated; a paused watch reads when it is resumed."""
    if state.paused or state.reading:
        return _with(state, again=True), []
    return _with(state, reading=True, again=False), [ReadContent()]


def _read_again(state: WatchState) -> Step | None:
    """End a reading; return the next step if its result is not the last content, or must not be acted on."""
    state = _with(state, reading=False)
    if state.paused:
        return _with(state, again=True), []
    return _look(state) if state.again else None


def _on_read(state: WatchState, digest: str, *, is_same: bool) -> Step:
    overtaken = _read_again(state)
    if overtaken is not None:
        return overtaken
    is_first = state.phase == "new"
    is_known = is_same and digest == state.wanted and (state.phase not in UNUSABLE or digest == state.refused)
    if is_known and not is_first:  # rule 3
        return _with(state, reading=False), []
    state = _with(
        state,
        reading=False,
        due=False,
        wanted=digest,
        eager=state.eager or not is_first,
        refused=None,
        trouble=None,
        failures=0,
    )
    if digest == state.flight and is_same and not state.withdrawn:
        return _with(state, phase="building"), []
    state, actions = _withdraw(state)
    return _with(state, phase="queued"), [*actions, MakePlan(digest)]


def _on_unreadable(state: WatchState, phase: Phase, trouble: Trouble) -> Step:
    overtaken = _read_again(state)
    if overtaken is not None:
        return overtaken
    is_news = (state.phase, state.trouble) != (phase, trouble)
    state = _with(state, reading=False, due=False, wanted=None, phase=phase, trouble=trouble, eager=True, failures=0)
    state, actions = _withdraw(state)
    return state, [*actions, *([Announce(phase, None, trouble)] if is_news else [])]


def _on_plan(state: WatchState, plan: Planned) -> Step:
    if plan.digest != state.wanted or state.paused:
        return state, []
    if plan.ready:
        is_news = state.eager and state.phase != "warm" and state.trouble != COLLECTED
        state = _with(state, phase="warm", good=plan.digest, refused=None, trouble=None, due=False, failures=0)
        return state, [Announce("warm", plan.digest)] if is_news else []
    is_in_flight = plan.digest == state.flight and not state.withdrawn
    if is_in_flight or plan.digest == state.refused or state.trouble == COLLECTED:
        return state, []
    if state.phase == "warm":  # one of the two is older: only another plan tells which
        return _on_gone(state)
    if plan.trouble is not None:
        phase: Phase = "broken" if plan.broken else "waiting" if plan.waits else "failed"
        return _refuse(state, phase, plan.digest, plan.trouble, passing=plan.passing)
    if not state.eager:
        return _with(state, phase="cold", failures=0), []
    return _request(_with(state, phase="queued", due=True))


def _on_end(state: WatchState, ended: BuildEnded) -> Step:
    if ended.digest != state.flight:
        return state, []
    is_result = ended.digest == state.wanted and not state.withdrawn
    state = _with(state, flight=None, withdrawn=False)
    if not is_result:
        return _request(state)
    if ended.overtaken:
        return _look(_with(state, wanted=None))
    if ended.cancelled:
        return _with(state, phase="cold", refused=ended.digest, trouble=ended.trouble, failures=0), []
    if ended.trouble is not None:
        phase: Phase = "waiting" if ended.waits else "failed"
        return _refuse(state, phase, ended.digest, ended.trouble, passing=ended.passing)
    state = _with(state, phase="warm", good=ended.digest, refused=None, trouble=None, failures=0)
    return state, [Announce("warm", ended.digest)]


def _on_pause(state: WatchState) -> Step:
    """Withdraw what was requested. What was begun is forgotten, so that it is begun again by the next reading."""
    is_open = state.flight is not None or state.phase == "queued" or state.failures
    state, actions = _withdraw(_with(state, paused=True))
    if is_open:
        state = _with(state, phase="cold", wanted=None, due=False, again=True, failures=0)
    return state, actions


def _on_gone(state: WatchState) -> Step:
    """Cold, unless another plan says that there is an environment: that of another generation, or a newer one."""
    return _with(state, phase="cold", trouble=COLLECTED), [MakePlan(state.wanted)] if state.wanted else []


def _refuse(state: WatchState, phase: Phase, digest: str, trouble: Trouble, *, passing: bool) -> Step:
    """Do not build ``digest`` again, or later. An attempt that fails as the one before did is no news."""
    is_news = not state.failures
    failures = state.failures + 1 if passing and phase == "failed" else 0
    actions: list[WatchAction] = [Announce(phase, digest, trouble)] if is_news or not failures else []
    if failures:
        seconds = RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
        actions.append(RetryLater(digest, seconds, trouble.code))
    return _with(state, phase=phase, refused=digest, trouble=trouble, failures=failures), actions


def _request(state: WatchState) -> Step:
    """Request what is wanted, or wait for the end of what is in flight (rule 2)."""
    if state.flight is not None or state.wanted is None or not state.due:
        return state, []
    return _with(state, flight=state.wanted, due=False), [RequestBuild(state.wanted)]


def _withdraw(state: WatchState) -> Step:
    if state.flight is None or state.withdrawn:
        return state, []
    return _with(state, withdrawn=True), [WithdrawBuild(state.flight)]


def _with(state: WatchState, **fields: object) -> WatchState:
    return msgspec.structs.replace(state, **fields)
