"""What the conda engine refuses with, and the translation of rattler's forty exception classes into it.

rattler tells kinds of failure apart by text rather than by class (an ``InstallerError`` may be a full disk, a wrong
sha256 or a dead channel), so this reads the text, once, here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from roost.daemon.credentials.auth_files import access_hint
from roost.model.errors import BuildError, CodedError, InvalidDefinitionError, ServiceUnreachableError, StoreFullError
from roost.model.syntax.urls import strip_credentials


class SolveError(BuildError):
    """No set of packages satisfies the specs."""

    code = "solve-failed"
    http_status = 422


class ChannelUnreachableError(ServiceUnreachableError):
    """A channel does not answer, breaks off, or answers nonsense."""

    code = "channel-unreachable"


class ChannelRefusedError(ServiceUnreachableError):
    """A channel wants credentials, or other ones."""

    code = "channel-refused"
    retryable = False


class ChannelMissingError(InvalidDefinitionError):
    """There is no such channel, or it has no packages for the platform."""

    code = "channel-missing"


class PackageMissingError(BuildError):
    """The channel no longer has a package file."""

    code = "package-missing"


class PackageDigestMismatchError(BuildError):
    """A package is not what its digest says."""

    code = "digest-mismatch"


class LinkError(BuildError):
    """A package could not be extracted or linked."""

    code = "link-failed"


class PostLinkError(BuildError):
    """A post-link script failed."""

    code = "post-link-failed"


_DIGEST = re.compile(r"Invalid checksum|hash mismatch|checksum mismatch|sha256 mismatch", re.IGNORECASE)
_FULL = re.compile(r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b")
_REFUSED = re.compile(r"HTTP status client error \((401|403|407)|\b(401 Unauthorized|403 Forbidden)")
_MISSING = re.compile(r"HTTP status client error \((404|410)|could not find subdir|No such file or directory")
_NETWORK = re.compile(
    r"error sending request|timed out|timeout|connect|dns error|error decoding response body|HTTP status|"
    r"reading a body|end of file before|connection|Request failed after|incomplete",
    re.IGNORECASE,
)
_FILE = re.compile(r"failed to fetch (\S+)")
_URL = re.compile(r"(?:url \(|channel ')([^)']+)")


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever rattler raises inside into an error of roost's tree; ``doing`` says at what, in the message."""
    try:
        yield
    except CodedError:
        raise
    except Exception as error:
        raise translate(error, doing) from None  # rattler's own text may hold a secret, and a trace would print it
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # cancelled, interrupted: not rattler's
            raise
        raise BuildError(f"rattler failed while {doing}: {error}", hint="Try again; if it stays, report it.") from error


def translate(error: Exception, doing: str) -> CodedError:
    """The error of roost's tree for one of rattler's; secrets in URLs are taken out."""
    text = strip_credentials(str(error).strip() or type(error).__name__)[0]
    kind = type(error).__name__
    if _FULL.search(text):
        return StoreFullError(f"No space left while {doing}", hint="Free some space (`roost cache df`) and try again.")
    if kind == "SolverError":
        return solve_error(text)
    if kind == "GatewayError" or kind == "FetchRepoDataError":
        return _of_channel(text, doing)
    return _of_package(text, doing)


def solve_error(text: str) -> SolveError:
    """The solver's explanation without its preamble."""
    reason = re.sub(r"^Cannot solve the request because of:\s*", "", text).strip()
    return SolveError(
        f"No set of packages satisfies the conda dependencies:\n{_clean(reason)}", hint=_solve_hint(reason)
    )


def _clean(reason: str) -> str:
    return re.sub(r"(\S+) \*(?= cannot|\.?$)", r"\1", reason, flags=re.MULTILINE)


def _solve_hint(reason: str) -> str:
    virtual = re.search(r"(__\w+)[^\n]*no candidates", reason)
    if virtual:
        name = virtual[1].removeprefix("__")
        return f'{virtual[1]} is not promised: state it under [system] ({name} = "…") if the machines have it.'
    if "cutoff date" in reason:
        return "Ask for a later date with --as-of."
    if "not in requested channel" in reason or ("excluded because" in reason and "channel" in reason):
        return "Another channel of higher priority has the package: reorder the channels, or say CHANNEL::PACKAGE."
    if re.match(r"No candidates were found for", reason):
        return "Check the name and the version, and that one of the channels has it for this platform."
    return "Loosen one of the versions that exclude each other."


def _of_channel(text: str, doing: str) -> CodedError:
    where = _place(text) or "the channel"
    if _REFUSED.search(text):
        return ChannelRefusedError(f"{where} refused access while {doing}", hint=access_hint(f"{where} {text}"))
    if _MISSING.search(text):
        return ChannelMissingError(
            f"{where} is not there, or has no index: {_last_line(text)}",
            hint="Check the channel's name; [conda.mirrors] in the config says where else to look for it.",
        )
    return ChannelUnreachableError(
        f"{where} can't be read while {doing}: {_last_line(text)}",
        hint="Try again later, or name a mirror under [conda.mirrors] in the config.",
        fields={"detail": text},
    )


def _of_package(text: str, doing: str) -> CodedError:
    name = (_FILE.search(text) or ["", "a package"])[1]
    if _DIGEST.search(text):
        return PackageDigestMismatchError(
            f"{name} is not what its sha256 says: the channel serves something else",
            hint="Try again; if it stays, the channel or its mirror is broken. `roost build --rebuild` solves anew.",
            fields={"file_name": name, "detail": text},
        )
    if "failed to fetch" in text and _REFUSED.search(text):
        return ChannelRefusedError(f"The channel refused {name}", hint=access_hint(text))
    if "failed to fetch" in text and _MISSING.search(text):
        return PackageMissingError(
            f"The channel no longer has {name}", hint="`roost build --rebuild` solves anew.", fields={"file_name": name}
        )
    if "failed to link" not in text and _NETWORK.search(text):
        return ChannelUnreachableError(
            f"{name} could not be fetched: {_last_line(text)}", hint="Try again later.", fields={"detail": text}
        )
    return LinkError(f"Failed while {doing}: {text}", hint="`roost builds logs` has the rest.")


def _place(text: str) -> str:
    match = _URL.search(text)
    return match[1] if match else ""


def _last_line(text: str) -> str:
    return text.splitlines()[-1].removeprefix("Caused by: ")
