"""Places of direct requirements: URLs with the schemes that roost installs from, and what is no place.

pip's schemes are those of PEP 440's direct references and of its version control systems; uv installs from git only. An
address as ``scp`` and ``git clone`` take it (``git@host:group/project``) is not a URL.
"""

from __future__ import annotations

import difflib
import re

from roost.model.syntax.pip_options import RequirementError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_GIT = ("git+https", "git+ssh", "git+http", "git+git", "git+file")
_INSTALLED = ("https", "http", "file", *_GIT)
_BY_PIP = {"hg": "Mercurial", "svn": "Subversion", "bzr": "Bazaar"}
_SCP_LIKE = re.compile(r"(?:git\+)?(?P<user>[\w.-]+@)?(?P<host>[\w-][\w.-]*):(?!//)(?P<path>\S*)")
_OTHER_SCHEMES = ("file", "roost-wheel")
_AUTHORITY = re.compile(r"[^:]*://(?:[^/?#]*@)?(?P<host>[^/?#@:]+):(?P<port>[^/?#\[\]@]*)(?P<path>[^#\s]*)")


def lower_scheme(text: str) -> str:
    """Return a text with the scheme of the URL that it begins with in lower case (RFC 3986, 3.1)."""
    match = _SCHEME.match(text)
    return match[1].lower() + text[match.end(1) :] if match else text


def is_url(text: str) -> bool:
    """Whether ``text`` begins with a scheme and ``://``."""
    return _SCHEME.match(text) is not None


def check_url(url: str, offset: int = 0) -> None:
    """Check the scheme and the port of a URL that something is installed from.

    Raises: RequirementError if roost can't install from it.
    """
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else ""
    rest = url[len(scheme) :]
    if scheme not in _INSTALLED:
        raise _scheme_error(scheme, rest, offset)
    found = _AUTHORITY.match(url)
    if found and scheme in _GIT and not found["port"].isdigit() and "$" not in found["port"] and found["port"]:
        written = f"{scheme}://…{found['host']}:{found['port']}"
        raise RequirementError(
            f"{written!r} has no valid port",
            offset,
            hint=f"Write a slash behind the host: {found['host']}/{found['port']}{found['path']}.",
        )


def check_place(text: str, offset: int = 0, *, named: bool = False) -> None:
    """Check a requirement, or the place behind ``name @`` if ``named``, before it is read as a path or a name.

    Raises: RequirementError if it is an address as ``git clone`` takes it, or a URL that roost can't install from.
    """
    if is_url(text):
        check_url(text, offset)
        return
    match = _SCP_LIKE.match(text)
    if match is None or match["host"].lower() in _OTHER_SCHEMES:
        return
    if named or match["user"] or text.startswith("git+") or match["path"].endswith(".git"):
        user = match["user"] or "git@"
        raise RequirementError(
            f"{match.group()!r} is an address for git and not a URL",
            offset,
            hint=f"Did you mean git+ssh://{user}{match['host']}/{match['path'].lstrip('/')}?",
        )


def _scheme_error(scheme: str, rest: str, offset: int) -> RequirementError:
    kind = scheme.partition("+")[0]
    if kind in _BY_PIP and scheme != kind:
        hint = "Name a release of the package, the URL of an archive, or a git repository."
        message = f"{scheme}: packages can't be installed from {_BY_PIP[kind]}, only from git"
        return RequirementError(message, offset, hint=hint)
    if scheme in ("git", "ssh"):
        return RequirementError(
            f"{scheme}:// is not a place that packages are installed from",
            offset,
            hint=f"Did you mean git+{scheme}://?",
        )
    near = difflib.get_close_matches(scheme[:20], _INSTALLED, n=1)
    known = f"Known are {', '.join(_INSTALLED)}."
    hint = f"Did you mean {near[0]}://? {known}" if near else known
    return RequirementError(f"The scheme {scheme[:40]!r} is unknown", offset, hint=hint)
