"""Translate uv's failures into the errors of the pip engine.

uv has one exit status for nearly every failure, so its stderr decides. Patterns are matched in order of certainty: a
full disk explains a failed fetch, not the other way round. A failure that matches nothing is reported with uv's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from roost.daemon.credentials.auth_files import access_hint
from roost.daemon.engines.uv.errors import (
    ConflictError,
    IndexDeniedError,
    IndexUnreachableError,
    PipUnsatisfiableError,
    UrlGoneError,
    UvCrashedError,
    UvFailedError,
    WheelBuildError,
    WheelCorruptError,
    WheelDigestMismatchError,
)
from roost.model.errors import CodedError, StoreFullError

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
_PINNED = re.compile(r"roost-definition(==0)? depends on")
"""How uv names the project that has the requirements of one index (``uv.project``)."""
_DIRECT = re.compile(r"Failed to (?:download and )?build `([A-Za-z0-9._-]+) @ ([^\s`]+)`")
_URL = re.compile(r"https?://[^\s`'\"()<>]+")
_MARK = re.compile(r"^(error|cause|hint|warning):\s*")
_EXPLANATION_LINES = 12


def find_conflicting_url(stderr: str) -> str | None:
    """Return the package that is requested by two URLs, if uv failed for that."""
    found = re.search(r"conflicting URLs for package `([^`]+)`", stderr)
    return found.group(1) if found else None


def find_needed_builds(stderr: str) -> set[str] | None:
    """Return the packages that uv would have had to build; ``None`` if it failed for another reason.

    The set is empty if uv does not name the package.
    """
    found = [match.group(1) or match.group(2) or "" for match in _NEEDS_BUILD.finditer(stderr)]
    return {name for name in found if name} if found else None


def find_direct_sources(stderr: str) -> dict[str, str]:
    """Return, by normalised name, the URLs of the packages that uv would have had to build."""
    return {
        canonicalize_name(name): url
        for name, url in _DIRECT.findall(stderr)
        if url.startswith(("git+", "http://", "https://"))
    }


def translate_failure(stderr: str, status: int, doing: str) -> CodedError:
    """Return the error for a uv that exited with ``status`` (negative: a signal) while ``doing`` something.

    ``doing`` is part of the message: ``locking``, ``installing``.
    """
    text = extract_explanation(stderr)
    if status < 0:
        return UvCrashedError(
            f"uv was ended by signal {-status} while {doing} pip packages",
            hint="Try again; if it happens again, look for the kernel's out-of-memory messages.",
        )
    if _FULL.search(stderr):
        return StoreFullError(
            f"No space is left on the store's disk while {doing} pip packages",
            hint="Free some space (`roost cache df` shows what roost uses) and try again.",
        )
    if "Hash mismatch" in stderr:
        return _digest_mismatch(stderr)
    url = _first_url(stderr)
    if denied := _DENIED.search(stderr):
        return IndexDeniedError(
            f"{url} refuses access while {doing} pip packages: {denied.group(0)}", hint=access_hint(url)
        )
    if re.search(r"No solution found|conflicting URLs", stderr):
        return _unsatisfiable(text, stderr)
    if _GONE.search(stderr):
        return url_gone(url)
    if _BUILD.search(stderr):
        return WheelBuildError(
            f"Building a wheel failed: {text}",
            hint="See the build's log; a compiler or a library may be missing, or choose a version that has a wheel.",
        )
    if _UNREACHABLE.search(stderr):
        return IndexUnreachableError(
            f"{url} can't be reached while {doing} pip packages: {_last_cause(stderr)}",
            hint="Check the network, or set another index in roost's config ([pip] index_url), then try again.",
        )
    if _CORRUPT.search(stderr):
        return WheelCorruptError(
            f"A wheel can't be read while {doing} pip packages: {text}",
            hint="The file is damaged: ask its publisher, or choose another version.",
        )
    return UvFailedError(f"uv failed (exit status {status}) while {doing} pip packages: {text or 'it printed nothing'}")


def _digest_mismatch(stderr: str) -> CodedError:
    found = re.search(r"Hash mismatch for `([^`]+)`", stderr)
    package = found.group(1) if found else "a package"
    digests = re.findall(r"sha\d+:[0-9a-f]{32,}", stderr)
    expected, computed = (digests[0], digests[-1]) if len(digests) > 1 else ("another", "unknown")
    return WheelDigestMismatchError(
        f"{package}: expected {expected}, received {computed}",
        hint="The index or a cache in between is faulty; if the package was replaced on purpose, "
        "`roost build --rebuild` creates a new lock.",
        fields={"package": package, "expected": expected, "found": computed},
    )


def _unsatisfiable(text: str, stderr: str) -> CodedError:
    reason = re.sub(r"^No solution found when resolving dependencies:?\s*", "", text)
    uv_hint = re.search(r"^hint: (.*)$", stderr, re.MULTILINE)
    hint = uv_hint.group(1).replace("`--prerelease=allow`", "`--pre` in the requirements") if uv_hint else ""
    return PipUnsatisfiableError(
        f"The pip requirements can't be satisfied: {reason}", hint=hint or "Change the requested versions."
    )


def url_gone(url: str) -> UrlGoneError:
    """Return the error for a URL that answers 404 or 410."""
    return UrlGoneError(
        f"There is nothing at {url}",
        hint="Check the URL; if it comes from a lock, `roost build --rebuild` creates a new one.",
        fields={"url": url},
    )


def extract_explanation(stderr: str) -> str:
    """Return uv's explanation as one paragraph: the lines from the first ``error:`` on, without marks, at most 12."""
    lines = stderr.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("error:")), 0)
    texts = [_MARK.sub("", line.strip()) for line in lines[start:] if line.strip() and not line.startswith("hint:")]
    return _PINNED.sub("you require", " ".join(line for line in texts[:_EXPLANATION_LINES] if line))


def conda_conflict(text: str, provided: Mapping[str, str]) -> ConflictError | None:
    """Return the error for an unsatisfiable set whose explanation ``text`` is about something that conda provides.

    ``provided`` is name to version. ``None`` if the explanation names nothing of it.
    """
    named = [name for name in sorted(provided) if _concerns(text, name)]
    for name in named:
        excluding = [who for who, spec in _find_demands(text, name) if not _allows(spec, provided[name])]
        if excluding:
            return _conflict_error(name, provided[name], excluding)
    if not named:
        return None
    versions = ", ".join(provided[name] for name in named)
    return _conflict_error(", ".join(named), versions, [f"something else: {text}"])


def url_conflict(name: str, version: str, text: str) -> ConflictError:
    """Return the error for a direct URL (``text``) of a package that conda provides already."""
    return _conflict_error(name, version, [text])


def _conflict_error(name: str, version: str, demands: Iterable[str]) -> ConflictError:
    wants = list(demands)
    return ConflictError(
        f"conda provides {name} {version}, but the pip requirements need {', '.join(wants)}",
        hint=f"Change the version of {name} under the conda dependencies, or the pip requirement.",
        fields={"package": name, "conda": f"{name} {version}", "pip": wants},
    )


def _concerns(text: str, name: str) -> bool:
    """Return whether uv's text is about versions of ``name``, which may be an everyday word (``pip``)."""
    own = re.escape(name)
    return re.search(rf"(?<![\w.-]){own}(\[[^\]]*\])?[<>=!~]|versions of {own}(?![\w.-])", text) is not None


def _find_demands(text: str, name: str) -> list[tuple[str, str]]:
    """Return who requires ``name``, and which versions.

    uv writes ``scipy>=1.18 depends on numpy>=2`` or ``you require numpy>=2``.
    """
    own = rf"{re.escape(name)}(?:\[[^\]]*\])?((?:[<>=!~][^\s]*)?)(?![\w-])"
    direct = re.findall(rf"you require (?:\S+ and )?({own})", text)
    others = re.findall(rf"(\S+) depends? on (?:[^.]*?\band )?({own})", text)
    demands = [(what, spec) for what, spec in direct]
    demands += [(f"{who} (which needs {what.rstrip(',.')})", spec) for who, what, spec in others]
    return list(dict.fromkeys((who.rstrip(",."), spec.rstrip(",.")) for who, spec in demands))


def _allows(specifier: str, version: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return False


def _first_url(stderr: str) -> str:
    found = _URL.search(stderr)
    return found.group(0).rstrip(".,:;") if found else "the package index"


def _last_cause(stderr: str) -> str:
    """Return the innermost of uv's causes, which is the actual failure."""
    causes = [_MARK.sub("", line.strip()) for line in stderr.splitlines() if line.lstrip().startswith("cause:")]
    return causes[-1] if causes else extract_explanation(stderr)[-300:]
