"""Translate uv's failures into the errors of the pip engine.

uv has one exit status for nearly every failure, so its stderr decides. Patterns are matched in order of certainty: a
full disk explains a failed fetch, not the other way round. A failure that matches nothing is reported with uv's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from roost.daemon.credentials.auth_files import access_hint
from roost.daemon.engines.uv.errors import (
    ConflictError,
    GitDeniedError,
    GitFailedError,
    GitMissingError,
    GitUnreachableError,
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
_GIT_LINES = 6
_GIT = re.compile(
    r"Git operation failed|Git executable not found|`[^`\n]*\bgit (?:fetch|clone|rev-parse|submodule|reset)\b"
)
_GIT_MISSING = re.compile(r"Git executable not found|git: (?:command )?not found|No such file or directory: 'git'")
_GIT_DENIED = re.compile(
    r"could not read (?:Username|Password)|terminal prompts disabled|Authentication failed|Permission denied"
    r"|HTTP Basic: Access denied|returned error: 40[13]|Host key verification failed|correct access rights",
    re.IGNORECASE,
)
_GIT_UNREACHABLE = re.compile(
    r"Could not resolve host|Couldn't connect|Failed to connect|Connection (?:refused|timed out|reset)|timed out"
    r"|Could not resolve hostname|Network is unreachable|No route to host|early EOF|returned error: 5\d\d|SSL|TLS",
    re.IGNORECASE,
)
_NO_REVISION = re.compile(
    r"couldn't find remote ref|not our ref|Remote branch \S+ not found|did not match any|unknown revision"
    r"|pathspec|failed to fetch (?:branch|tag|commit)|reference is not a tree",
    re.IGNORECASE,
)
_NO_REPOSITORY = re.compile(r"not appear to be a git repository|repository .* not found|does not exist", re.IGNORECASE)
_GIT_SOURCE = re.compile(r"`(?:(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])? @ )?git\+(?P<url>[^\s`]+)`")
_GIT_FETCHED = re.compile(r"git fetch [^`]*?'(?P<url>[^']+)'")
_NOT_FOUND = re.compile(r"(?<!\S)(\S+) was not found in the (?:package registry|provided package locations)")
_MODULE_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
_ABOUT_UV = re.compile(r"^(Using (Python|CPython|PyPy) |\s*Building |error:)")
_EXPLANATION_LINES = 12
_BUILD_LINES = 30


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


def is_backend_failure(stderr: str) -> bool:
    """Return whether uv failed because a build backend did, once it had all that the build needs."""
    return "The build backend returned an error" in stderr


def translate_failure(stderr: str, status: int, doing: str, asked: Sequence[str] = ()) -> CodedError:
    """Return the error for a uv that exited with ``status`` (negative: a signal) while ``doing`` something.

    ``doing`` is part of the message: ``locking``, ``installing``. ``asked``: where uv looked for packages.
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
    if is_git_failure(stderr):
        return translate_git_failure(stderr)
    if "Hash mismatch" in stderr:
        return _digest_mismatch(stderr)
    url = _first_url(stderr)
    if denied := _DENIED.search(stderr):
        return IndexDeniedError(
            f"{url} refuses access while {doing} pip packages: {denied.group(0)}", hint=access_hint(url)
        )
    if re.search(r"No solution found|conflicting URLs", stderr):
        return _unsatisfiable(text, stderr, asked)
    if _GONE.search(stderr):
        return url_gone(url)
    if _BUILD.search(stderr):
        return wheel_build_error("a wheel", stderr)
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
    lines = explanation_lines(stderr) or ["it printed nothing"]
    return UvFailedError(
        "\n".join([f"uv failed (exit status {status}) while {doing} pip packages: {lines[0]}", *lines[1:]]),
        fields=_find_subject(stderr),
    )


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


def _unsatisfiable(text: str, stderr: str, asked: Sequence[str]) -> CodedError:
    lines = explanation_lines(stderr)
    whole = _PINNED.sub("you require", "\n".join(lines[1:] if len(lines) > 1 else lines))
    reason = whole if "No solution found" in text else text
    uv_hint = re.search(r"^hint: (.*)$", stderr, re.MULTILINE)
    hint = uv_hint.group(1).replace("`--prerelease=allow`", "`--pre` in the requirements") if uv_hint else ""
    unknown = list(dict.fromkeys(_NOT_FOUND.findall(reason)))
    if unknown:
        reason = reason.replace("was not found in the package registry", "is in none of the package indexes asked")
        hint = _advise_unknown(unknown, asked)
    return PipUnsatisfiableError(
        f"The pip requirements can't be satisfied: {reason}",
        hint=hint or "Change the requested versions.",
        fields=_find_subject(stderr),
    )


def _advise_unknown(names: Sequence[str], asked: Sequence[str]) -> str:
    """Return what to do about packages that are nowhere: their names are wrong, or they are in another index."""
    if "python" in names:
        return (
            "Python itself is no pip package: `requires-python` in a pyproject.toml or a script says which versions "
            "fit, and `--python 3.12` chooses one."
        )
    where = f" ({', '.join(asked)} {'was' if len(asked) == 1 else 'were'} asked)" if asked else ""
    return f"Check the spelling of {', '.join(names)}, or name the index that has it{where}."


def wheel_build_error(what: str, stderr: str) -> WheelBuildError:
    """Return the error for a build that failed, with the lines of its backend: a traceback, or a compiler's errors."""
    first, *lines = explanation_lines(stderr, _BUILD_LINES) or ["it printed nothing"]
    # `uv build` passes on what the backend prints before it says itself that the build failed.
    before = [line.rstrip() for line in stderr.partition("\nerror:")[0].splitlines() if line.strip()]
    backend = [line for line in before if not _ABOUT_UV.match(line)][-_BUILD_LINES:]
    fields = _find_subject(stderr)
    hint = "A compiler or a library may be missing; or choose a version that has a wheel."
    if module := _MODULE_MISSING.search(stderr):
        fields["module"] = module[1]
        hint = (
            f"`requires` under [build-system] of the package lacks what has the module {module[1]}: choose another "
            "version of it, or one that has a wheel."
        )
    return WheelBuildError(
        "\n".join([f"Building {what} failed: {first}", *lines, *(backend if "\nerror:" in stderr else [])]),
        hint=hint,
        fields=fields,
    )


def _find_subject(stderr: str) -> dict[str, object]:
    """Return the package that uv's failure is about, as ``fields`` of an error; nothing if there is none or several."""
    found = re.search(r"Failed to (?:download and )?(?:build|prepare|read)\s+`([A-Za-z0-9._-]+)", stderr)
    required = {name.lower() for name in re.findall(r"you require ([A-Za-z0-9._-]+)", stderr)}
    name = found[1] if found else required.pop() if len(required) == 1 else None
    return {"package": name} if name else {}


def explanation_lines(stderr: str, most: int = 60) -> list[str]:
    """Return uv's explanation from the first ``error:`` on, line by line as it is, without marks and empty lines: the
    first, and the last ``most`` if there are more. What uv advises is about options of uv, and is left out."""
    shown = [_MARK.sub("", line.rstrip().removeprefix("  ")) for line in _explaining_lines(stderr)]
    shown = [line for line in shown if line.strip()]
    return shown if len(shown) <= most else [shown[0], "…", *shown[2 - most :]]


def _explaining_lines(stderr: str) -> list[str]:
    """Return the lines of uv from the first ``error:`` on; a hint of uv, whose lines are the last, ends them."""
    lines = stderr.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("error:")), 0)
    end = next((i for i, line in enumerate(lines) if i >= start and line.startswith("hint:")), len(lines))
    return lines[start:end]


def url_gone(url: str) -> UrlGoneError:
    """Return the error for a URL that answers 404 or 410."""
    return UrlGoneError(
        f"There is nothing at {url}",
        hint="Check the URL; if it comes from a lock, `roost build --rebuild` creates a new one.",
        fields={"url": url},
    )


def extract_explanation(stderr: str) -> str:
    """Return uv's explanation as one paragraph: the lines from the first ``error:`` on, without marks, at most 12."""
    texts = [_MARK.sub("", line.strip()) for line in _explaining_lines(stderr) if line.strip()]
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


# ------------------------------------------------------------------ git
def is_git_failure(stderr: str) -> bool:
    """Return whether uv failed because git did."""
    return _GIT.search(stderr) is not None


def translate_git_failure(stderr: str, url: str = "") -> CodedError:
    """Return the error for git's own ``stderr`` about ``url``, or for uv's with git's in it."""
    source = _GIT_SOURCE.search(stderr)
    name = (source and source["name"]) or ""
    if not url:
        fetched = _GIT_FETCHED.search(stderr)
        url = source["url"] if source else fetched["url"] if fetched else "a repository"
    url = url.removeprefix("git+").partition("#")[0]
    lines = _git_lines(stderr)
    kind, reason, hint = _classify_git(stderr, lines, url)
    what = f"{name} from {url}" if name else url
    return kind(
        "\n".join([f"git can't fetch {what}: {reason}", *lines]),
        hint=hint,
        fields={"url": url, **({"package": name} if name else {})},
    )


def _classify_git(stderr: str, lines: list[str], url: str) -> tuple[type[CodedError], str, str]:
    """Return the class of the error, the reason in a few words, and what to do; of several reasons, git's innermost."""
    text = "\n".join(lines) or stderr
    if _GIT_MISSING.search(stderr):
        return GitMissingError, "there is no git on this machine", "Install git, or name an archive of it by its URL."
    if _NO_REVISION.search(text):
        return GitFailedError, "it has no such branch, tag or commit", "Correct what follows the `@` of the URL."
    if _GIT_UNREACHABLE.search(text):
        return GitUnreachableError, "its host can't be reached", "Check the host in the URL, and the network."
    if _GIT_DENIED.search(text) and not _NO_REPOSITORY.search(text):
        hint = access_hint(url) if url.startswith("http") else "Check `ssh-add -l`, and that the host is a known one."
        return GitDeniedError, "it requires credentials", hint
    if _NO_REPOSITORY.search(text):
        return GitFailedError, "there is no such repository", "Check the URL; a private repository may look the same."
    return GitFailedError, "it failed", "Check the URL."


def _git_lines(stderr: str) -> list[str]:
    """Return the last lines that git itself printed."""
    _, mark, own = stderr.rpartition("--- stderr")
    lines = [line.strip() for line in (own if mark else stderr).splitlines()]
    is_plain = mark or not any(line.startswith(("error:", "cause:")) for line in lines)
    return [line for line in lines if line][-_GIT_LINES:] if is_plain else []
