"""Translate rattler's forty exception classes into the errors of the conda engine.

rattler distinguishes failures by text rather than by class (an ``InstallerError`` may be a full disk, a wrong sha256
or an unreachable channel), so the text is read, here and nowhere else.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from roost.daemon.credentials.auth_files import access_hint
from roost.daemon.engines.conda.errors import (
    ChannelMissingError,
    ChannelRefusedError,
    ChannelUnreachableError,
    LinkError,
    PackageDigestMismatchError,
    PackageMissingError,
    SolveError,
)
from roost.model.errors import BuildError, CodedError, StoreFullError
from roost.model.syntax.urls import strip_credentials

_DIGEST = re.compile(r"Invalid checksum|hash mismatch|checksum mismatch|sha256 mismatch", re.IGNORECASE)
_FULL = re.compile(r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b")
_REFUSED = re.compile(r"HTTP status client error \((401|403|407)|\b(401 Unauthorized|403 Forbidden)")
_MISSING = re.compile(r"HTTP status client error \((404|410)|could not find subdir|No such file or directory")
_NETWORK = re.compile(
    r"error sending request|timed out|timeout|connect|dns error|error decoding response body|HTTP status|"
    r"reading a body|end of file before|connection|Request failed after|incomplete",
    re.IGNORECASE,
)
_FETCHED_FILE = re.compile(r"failed to fetch (\S+)")
_CHANNEL_URL = re.compile(r"(?:url \(|channel ')([^')]+)")


@contextlib.contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Turn whatever rattler raises in the block into an error of roost's tree; ``doing`` is part of its message."""
    try:
        yield
    except CodedError:
        raise
    except Exception as error:
        # Without a cause: rattler's own text may hold a secret, which a trace would print.
        raise translate_error(error, doing) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a cancellation or an interrupt, not rattler's
            raise
        raise BuildError(
            f"rattler failed while {doing}: {error}", hint="Try again; if the error persists, report it."
        ) from error


def translate_error(error: Exception, doing: str) -> CodedError:
    """Return the error of roost's tree for one of rattler's, with the secrets in URLs taken out."""
    text = strip_credentials(str(error).strip() or type(error).__name__)[0]
    kind = type(error).__name__
    if _FULL.search(text):
        return StoreFullError(f"No space left while {doing}", hint="Free some space (`roost cache df`) and try again.")
    if kind == "SolverError":
        return _solver_failure(text)
    if kind == "GatewayError" or kind == "FetchRepoDataError":
        return _channel_failure(text, doing)
    return _package_failure(text, doing)


def _solver_failure(text: str) -> SolveError:
    """Return the solver's explanation without its preamble, and a hint."""
    reason = re.sub(r"^Cannot solve the request because of:\s*", "", text).strip()
    explanation = re.sub(r"(?<=\S) \*(?= cannot|\.?$)", "", reason, flags=re.MULTILINE)
    return SolveError(f"No set of packages satisfies the conda dependencies:\n{explanation}", hint=_solver_hint(reason))


def _solver_hint(reason: str) -> str:
    virtual = re.search(r"(__\w+)[^\n]*no candidates", reason)
    if virtual:
        name = virtual[1].removeprefix("__")
        return f'{virtual[1]} is not promised: state it under [system] ({name} = "…") if the machines have it.'
    if "cutoff date" in reason:
        return "Ask for a later date with --as-of."
    if "not in requested channel" in reason or ("excluded because" in reason and "channel" in reason):
        return "Another channel of higher priority has the package: reorder the channels, or write CHANNEL::PACKAGE."
    if re.match(r"No candidates were found for", reason):
        return "Check the name and the version, and that one of the channels has it for this platform."
    return "Loosen one of the versions that exclude each other."


def _channel_failure(text: str, doing: str) -> CodedError:
    match = _CHANNEL_URL.search(text)
    channel = (match[1] if match else "") or "the channel"
    if _REFUSED.search(text):
        return ChannelRefusedError(f"{channel} refused access while {doing}", hint=access_hint(f"{channel} {text}"))
    if _MISSING.search(text):
        return ChannelMissingError(
            f"{channel} does not exist or has no index: {_last_line(text)}",
            hint="Check the channel's name, or name a mirror of it under [conda.mirrors] in the config.",
        )
    return ChannelUnreachableError(
        f"{channel} can't be read while {doing}: {_last_line(text)}",
        hint="Try again later, or name a mirror under [conda.mirrors] in the config.",
        fields={"detail": text},
    )


def _package_failure(text: str, doing: str) -> CodedError:
    name = (_FETCHED_FILE.search(text) or ["", "a package"])[1]
    if _DIGEST.search(text):
        return PackageDigestMismatchError(
            f"{name} does not match its sha256: the channel serves a different file",
            hint="Try again; if the error persists, the channel or its mirror is broken. `roost build --rebuild` "
            "solves again.",
            fields={"file_name": name, "detail": text},
        )
    if "failed to fetch" in text and _REFUSED.search(text):
        return ChannelRefusedError(f"The channel refused {name}", hint=access_hint(text))
    if "failed to fetch" in text and _MISSING.search(text):
        return PackageMissingError(
            f"The channel no longer has {name}",
            hint="`roost build --rebuild` solves again.",
            fields={"file_name": name},
        )
    if "failed to link" not in text and _NETWORK.search(text):
        return ChannelUnreachableError(
            f"{name} could not be fetched: {_last_line(text)}", hint="Try again later.", fields={"detail": text}
        )
    return LinkError(f"Failed while {doing}: {text}")


def _last_line(text: str) -> str:
    return text.splitlines()[-1].removeprefix("Caused by: ")
