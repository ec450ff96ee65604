"""What uv says when it fails, in roost's words.

uv has one exit status for nearly everything, so its stderr decides. Patterns are matched in order of certainty: a
full disk explains a failed fetch, and not the other way round. Whatever matches nothing is still reported, cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from roost.daemon.credentials.auth_files import access_hint
from roost.model.errors import BuildError, CodedError, ServiceUnreachableError, StoreFullError


class LockNeedsBuildError(BuildError):
    """A package has no wheel that fits; locking it would run its code, which was not allowed."""

    code = "lock-needs-build"


class ConflictError(BuildError):
    """A pip requirement wants another version of what conda provides."""

    code = "pip-conda-conflict"


class PipUnsatisfiableError(BuildError):
    """No set of versions fits the pip requirements."""

    code = "pip-unsatisfiable"


class WheelDigestMismatchError(BuildError):
    """A download or a file is not what its sha256 promised."""

    code = "digest-mismatch"


class WheelCorruptError(BuildError):
    """A wheel can't be read."""

    code = "wheel-corrupt"


class WheelBuildError(BuildError):
    """A package's own build failed."""

    code = "wheel-build-failed"


class WheelMissingError(BuildError):
    """A wheel that only this store kept is not there any more."""

    code = "wheel-missing"


class UvCrashedError(BuildError):
    """uv itself was killed or could not be started."""

    code = "uv-crashed"
    retryable: ClassVar[bool] = True


class UvFailedError(BuildError):
    """uv failed in a way that roost does not know."""

    code = "uv-failed"


class UrlGoneError(BuildError):
    """A URL that a requirement or a lock names leads nowhere."""

    code = "url-gone"


class IndexUnreachableError(ServiceUnreachableError):
    """A package index can't be reached, or breaks off."""

    code = "index-unreachable"


class IndexDeniedError(ServiceUnreachableError):
    """A package index wants other credentials."""

    code = "index-denied"
    retryable: ClassVar[bool] = False


_UNREACHABLE = re.compile(
    r"Failed to fetch|error sending request|Request failed after|dns error|client error \(Connect\)|timed out"
    r"|error decoding response body|Network connectivity is disabled|HTTP status server error"
    r"|end of file before message length|connection (reset|closed)|Could not resolve host|Could not connect",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(401 Unauthorized|403 Forbidden)|lack of valid authentication|Missing credentials", re.IGNORECASE
)
_GONE = re.compile(r"HTTP status client error \((404|410)")
_CORRUPT = re.compile(
    r"invalid zip|zip archive|Failed to extract|corrupt|invalid local file header|bad CRC|dist-info directory"
    r"|Failed to unzip|RECORD file is invalid",
    re.IGNORECASE,
)
_BUILD = re.compile(r"Failed to build|build backend returned|Call to `.*` failed", re.IGNORECASE)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)")
_NEEDS_BUILD = re.compile(
    r"Wheels are required for `([^`]+)`|Building source distributions (?:for `([^`]+)` )?is disabled"
)
_URL = re.compile(r"https?://[^\s`'\"()<>]+")
_PREFIX = re.compile(r"^(error|cause|hint|warning):\s*")
_KEEP = 12


def conflicting_urls(stderr: str) -> str | None:
    """The package that is asked for by two URLs."""
    found = re.search(r"conflicting URLs for package `([^`]+)`", stderr)
    return found.group(1) if found else None


def needs_build(stderr: str) -> set[str] | None:
    """The packages that uv would have had to build; ``None`` where that was not what went wrong."""
    found = [match.group(1) or match.group(2) or "" for match in _NEEDS_BUILD.finditer(stderr)]
    return {name for name in found if name} if found else None


def translate(stderr: str, status: int, doing: str) -> CodedError:
    """The error for a uv that ended with ``status`` while ``doing`` something (``locking``, ``installing``)."""
    text = explanation(stderr)
    if status < 0:
        return UvCrashedError(
            f"uv was ended by signal {-status} while {doing} pip packages",
            hint="Try again; if it happens again, look for the kernel's out-of-memory messages.",
        )
    for pattern, make in _TABLE:
        if pattern.search(stderr):
            return make(text, stderr, doing)
    return UvFailedError(f"uv failed (exit status {status}) while {doing} pip packages: {text or 'it said nothing'}")


def _full(text: str, stderr: str, doing: str) -> CodedError:
    return StoreFullError(
        f"No space is left on the store's disk while {doing} pip packages",
        hint="Free some space (`roost cache df` shows what roost uses) and try again.",
    )


def _mismatch(text: str, stderr: str, doing: str) -> CodedError:
    found = re.search(r"Hash mismatch for `([^`]+)`", stderr)
    package = found.group(1) if found else "a package"
    digests = re.findall(r"sha\d+:[0-9a-f]{32,}", stderr)
    expected, computed = (digests[0], digests[-1]) if len(digests) > 1 else ("another", "unknown")
    return WheelDigestMismatchError(
        f"{package}: expected {expected}, and what came is {computed}",
        hint="The index or a cache on the way is wrong; if the package was replaced on purpose, "
        "`roost build --rebuild` makes a new lock.",
        fields={"package": package, "expected": expected, "found": computed},
    )


def _denied(text: str, stderr: str, doing: str) -> CodedError:
    return IndexDeniedError(
        f"{_where(stderr)} refuses access while {doing} pip packages: {_first(_DENIED, stderr)}",
        hint=access_hint(_where(stderr)),
    )


def _unreachable(text: str, stderr: str, doing: str) -> CodedError:
    return IndexUnreachableError(
        f"{_where(stderr)} can't be reached while {doing} pip packages: {_last_cause(stderr)}",
        hint="Check the network, or set another index in roost's config ([pip] index_url), then try again.",
    )


def _unsatisfiable(text: str, stderr: str, doing: str) -> CodedError:
    reason = re.sub(r"^No solution found when resolving dependencies:?\s*", "", text)
    said = re.search(r"^hint: (.*)$", stderr, re.MULTILINE)
    hint = said.group(1).replace("`--prerelease=allow`", "`--pre` in the requirements") if said else ""
    return PipUnsatisfiableError(
        f"The pip requirements can't be satisfied: {reason}", hint=hint or "Change the versions that are asked for."
    )


def _gone(text: str, stderr: str, doing: str) -> CodedError:
    return gone(_where(stderr))


def gone(url: str) -> CodedError:
    """The error for a URL that answers that nothing is there."""
    return UrlGoneError(
        f"There is nothing at {url}",
        hint="Check the URL; where it comes from a lock, `roost build --rebuild` makes a new one.",
        fields={"url": url},
    )


def _corrupt(text: str, stderr: str, doing: str) -> CodedError:
    return WheelCorruptError(
        f"A wheel can't be read while {doing} pip packages: {text}",
        hint="The file itself is broken: ask whoever publishes it, or choose another version.",
    )


def _build(text: str, stderr: str, doing: str) -> CodedError:
    return WheelBuildError(
        f"Building a wheel failed: {text}",
        hint="See the build's log; a compiler or a library may be missing, or choose a version that has a wheel.",
    )


_TABLE = (
    (_FULL, _full),
    (re.compile(r"Hash mismatch"), _mismatch),
    (_DENIED, _denied),
    (re.compile(r"No solution found|conflicting URLs"), _unsatisfiable),
    (_GONE, _gone),
    (_BUILD, _build),
    (_UNREACHABLE, _unreachable),
    (_CORRUPT, _corrupt),
)


def explanation(stderr: str) -> str:
    """uv's explanation in one paragraph: the lines from the first ``error:`` on, without marks, at most a dozen."""
    lines = stderr.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("error:")), 0)
    kept = [_PREFIX.sub("", line.strip()) for line in lines[start:] if line.strip() and not line.startswith("hint:")]
    return " ".join(line for line in kept[:_KEEP] if line)


def conflict(text: str, provided: Mapping[str, str]) -> ConflictError | None:
    """The error for an unsatisfiable set whose explanation names something that conda provides."""
    named = [name for name in sorted(provided) if _speaks_of(text, name)]
    for name in named:
        wanted = [want for want, spec in _wanted(text, name) if not _allows(spec, provided[name])]
        if wanted:
            return _conflict(name, provided[name], wanted)
    if not named:
        return None
    return _conflict(", ".join(named), ", ".join(provided[name] for name in named), [f"something else: {text}"])


def _speaks_of(text: str, name: str) -> bool:
    """Whether uv's words are about versions of ``name``, which may be an everyday word (``pip``)."""
    own = re.escape(name)
    return re.search(rf"(?<![\w.-]){own}(\[[^\]]*\])?[<>=!~]|versions of {own}(?![\w.-])", text) is not None


def _wanted(text: str, name: str) -> list[tuple[str, str]]:
    """Who wants ``name`` (``scipy>=1.18 depends on numpy>=2``, ``you require numpy>=2``), and in which versions."""
    own = rf"{re.escape(name)}(?:\[[^\]]*\])?((?:[<>=!~][^\s]*)?)(?![\w-])"
    direct = re.findall(rf"you require (?:\S+ and )?({own})", text)
    others = re.findall(rf"(\S+) depends? on (?:[^.]*?\band )?({own})", text)
    wanted = [(what, spec) for what, spec in direct]
    wanted += [(f"{who} (which needs {what.rstrip(',.')})", spec) for who, what, spec in others]
    return list(dict.fromkeys((who.rstrip(",."), spec.rstrip(",.")) for who, spec in wanted))


def _allows(specifier: str, version: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return False


def _conflict(name: str, version: str, wanted: Iterable[str]) -> ConflictError:
    wants = list(wanted)
    return ConflictError(
        f"conda provides {name} {version}, and the pip requirements want {', '.join(wants)}",
        hint=f"Let one side decide: change the version of {name} under the conda dependencies, or the pip requirement.",
        fields={"package": name, "conda": f"{name} {version}", "pip": wants},
    )


def url_conflict(name: str, version: str, text: str) -> ConflictError:
    """A direct URL for something that conda provides already."""
    return _conflict(name, version, [text])


def _where(stderr: str) -> str:
    found = _URL.search(stderr)
    return found.group(0).rstrip(".,:;") if found else "the package index"


def _first(pattern: re.Pattern[str], stderr: str) -> str:
    found = pattern.search(stderr)
    return found.group(0) if found else ""


def _last_cause(stderr: str) -> str:
    """The innermost of uv's causes says what really happened."""
    causes = [_PREFIX.sub("", line.strip()) for line in stderr.splitlines() if line.lstrip().startswith("cause:")]
    return causes[-1] if causes else explanation(stderr)[-300:]
