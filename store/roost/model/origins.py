"""Origins of automatic names of environments: a repository's remote and the path in it, else a folder.

An environment whose file states no name is named after its script or folder. Such a name belongs to the first origin
that uses it. Pure; ``store.sources.repositories`` finds the origin of a file.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.names import MAX_LENGTH, derive_name
from roost.model.syntax.urls import strip_credentials

GIT, FOLDER = "git:", "folder:"
"""What keys begin with."""
_SECTION = re.compile(r'\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\\n]|\\.)*)")?\s*\]')
_VARIABLE = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*(?:=[ \t]*(.*))?\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}
_SCP = re.compile(r"(?:[^@/:]*@)?(\[[^\]/]+\]|[^:/@\[\]]+):(?!//)(.*)", re.DOTALL)
_HELPER = re.compile(r"[A-Za-z0-9]+::")
_COMMAND = "ext::"
"""A remote that is a command (git-remote-ext(1)), whose words may be secrets."""
_USER = re.compile(r"[^/]+@")
"""In a path: of a URL within a URL, or of one that git would read otherwise."""
_OTHER_HOSTS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
    "ssh.dev.azure.com": "dev.azure.com",
}
"""Hosts for ssh, by those for https: GitHub's "Using SSH over the HTTPS port", GitLab's and Bitbucket's likewise."""
_CASELESS_HOSTS = frozenset(("github.com", "gitlab.com", "bitbucket.org", "dev.azure.com"))
_AZURE_SSH = re.compile(r"v3/([^/]+)/([^/]+)/([^/]+)")
"""Azure Repos: ``git@ssh.dev.azure.com:v3/ORG/PROJECT/REPO`` is ``https://dev.azure.com/ORG/PROJECT/_git/REPO``."""


class NameOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a definition without a name of its own comes from."""

    key: str
    """The same for all clones and worktrees: the remote and the path in it, else the path of the folder or script."""
    place: str
    """The folder or script on this machine, as it was named: links in its path are not followed."""
    is_script: bool = False

    @property
    def name(self) -> str:
        """The name of the folder, or that of the script without its suffix."""
        last = self.place.rpartition("/")[2]
        return (last.rpartition(".")[0] or last) if self.is_script else last


class NameClaim(msgspec.Struct, frozen=True, kw_only=True):
    """The name that an origin got."""

    name: str
    wanted: str | None = None
    """The name that it would have, were that not another's; ``None`` if it is ``name``."""
    owner: str = ""
    """Key of the origin that has ``wanted``, or the path of a file."""


def format_origin(key: str) -> str:
    """Return the origin ``key`` for people."""
    text = key.removeprefix(GIT).removeprefix(FOLDER)
    return f"the folder {text}" if key.startswith(FOLDER) else text.removeprefix("file:").replace("#", " in ", 1)


def list_candidates(origin: NameOrigin) -> Iterator[str]:
    """Yield names for ``origin``, without end: that of the folder or script, the same with the folder above in front,
    with the one above that, and then numbers."""
    parts = [part for part in origin.place.split("/") if part][:-1]
    name = origin.name
    first = last = derive_name(name)
    yield first
    while parts:
        name = f"{parts.pop()}-{name}"
        if (candidate := derive_name(name)) != last:
            last = candidate
            yield candidate
    for number in itertools.count(2):
        suffix = f"-{number}"
        yield first[: MAX_LENGTH - len(suffix)] + suffix


def make_key(remote: str | None, folder: str, path: str) -> str:
    """Return the key of ``path`` below ``folder``: a repository with ``remote`` (its URL), if it has one."""
    inside = "" if path in ("", ".") else path
    if remote is not None and (normal := normalise_remote(remote, folder)):
        return f"{GIT}{normal}#{inside}" if inside else f"{GIT}{normal}"
    return FOLDER + (posixpath.join(folder, inside) if inside else folder)


def choose_remote(remotes: Mapping[str, str]) -> str | None:
    """Return the URL of the remote that a repository came from: ``origin``, else the first; ``None`` without any."""
    return remotes.get("origin") or next(iter(remotes.values()), None)


def normalise_remote(url: str, folder: str) -> str:
    """Return what all forms of a remote's URL have in common: host and path, without user, password and port, wherever
    they stand. That of a repository on this machine begins with ``file:``; a relative one is relative to ``folder``; of
    a command there is only a digest. Empty if ``url`` is."""
    if url.strip().startswith(_COMMAND):
        return f"ext:{digest_bytes(url.strip().encode(errors='surrogateescape')).partition(':')[2][:16]}"
    url = strip_credentials(_HELPER.sub("", url.strip(), count=1))[0]
    try:
        parsed = urlsplit(url)
        scheme, host, path = parsed.scheme.lower(), (parsed.hostname or "").lower(), unquote(parsed.path)
    except ValueError:
        scheme, host, path = "", "", url
    if "://" not in url:
        found = _SCP.fullmatch(url)
        if found is None:
            bare = url if url.startswith("/") else _USER.sub("", url)
            local = posixpath.normpath(posixpath.join(folder, bare))
            return "file:" + _strip_suffix(local) if url else ""
        host, path = found[1].strip("[]").lower(), found[2]
    elif scheme == "file" or not host:
        return "file:" + _strip_suffix(posixpath.normpath(path or "/"))
    host = _OTHER_HOSTS.get(host, host)
    path = _USER.sub("", _strip_suffix(path.strip("/")))
    if host == "dev.azure.com" and (azure := _AZURE_SSH.fullmatch(path)):
        path = f"{azure[1]}/{azure[2]}/_git/{azure[3]}"
    path = path.removeprefix("scm/")  # Bitbucket's own servers, by https only
    return f"{host}/{path.lower() if host in _CASELESS_HOSTS else path}"


def _strip_suffix(path: str) -> str:
    """Return ``path`` without what git adds by itself: ``.git``, the name of the folder of a work tree's repository
    too."""
    stripped = path.rstrip("/")
    for suffix in ("/.git", ".git"):
        if stripped.endswith(suffix) and len(stripped) > len(suffix):
            return stripped.removesuffix(suffix).rstrip("/")
    return stripped or path[:1]


def parse_remotes(text: str) -> dict[str, str]:
    """Return the first URL of each remote in the text of a repository's config, by name (git-config(1), "Syntax").

    What is no config has no remotes.
    """
    remotes: dict[str, str] = {}
    section = name = None
    for line in _logical_lines(text):
        while found := _SECTION.match(line):
            section, name = found[1].lower(), re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else None
            line = line[found.end() :].strip()
        variable = _VARIABLE.match(line)
        if variable and section == "remote" and name is not None and variable[1].lower() == "url":
            value = _unquote_value(variable[2] or "")
            if value:
                remotes.setdefault(name, value)
    return remotes


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines without what surrounds them; one that ends in a backslash goes on in the next."""
    pending = ""
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if (
            line.endswith("\\")
            and (len(line) - len(line.rstrip("\\"))) % 2
            and not line.lstrip().startswith(("#", ";"))
        ):
            pending += line[:-1]
            continue
        yield (pending + line).strip()
        pending = ""
    if pending:
        yield pending.strip()


def _unquote_value(text: str) -> str:
    """Return a value without its quotes, escapes and comment."""
    result, spaces, quoted = "", "", False
    characters = iter(text)
    for character in characters:
        if character == '"':
            quoted = not quoted
        elif character in "#;" and not quoted:
            break
        elif character == "\\":
            escaped = next(characters, "")
            result, spaces = result + spaces + _ESCAPES.get(escaped, escaped), ""
        elif character in " \t" and not quoted:
            spaces += character
        else:
            result, spaces = result + spaces + character, ""
    return result
