"""From a definition's pip lines to what uv reads. Pure: local things are resolved by the caller.

uv takes most of what pip takes; what it does not, or what would have a wheel installed unseen, is refused here with
the line it stands on. Options are global, as in pip: one ``--extra-index-url`` counts for every line.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from roost.model.definition import PipItem
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.syntax.wheel_references import is_wheel_reference, unknown_wheel_error


class PipOptionError(InvalidDefinitionError):
    """An option that uv does not have, or an option without its value."""

    code = "pip-option"


class PipVariableError(InvalidDefinitionError):
    """``${NAME}`` in a pip line, and no such variable."""

    code = "pip-variable"


class Translated(msgspec.Struct, kw_only=True):
    """What uv is given. ``credentials`` were taken out of URLs (``scheme://host`` to ``user:password``)."""

    requirements: list[str] = []
    constraints: list[str] = []
    index_url: str | None = None
    extra_index_urls: list[str] = []
    find_links: list[str] = []
    no_index: bool = False
    no_binary: list[str] = []
    pre: bool = False
    insecure_hosts: list[str] = []
    credentials: dict[str, str] = {}
    digests: dict[str, set[str]] = {}
    """Name to the digests (``sha256:…``) that its lines allow; what uv chose must be one of them."""
    require_digests: bool = False
    ignored: list[str] = []
    """Options that have no effect here; the reader warned of those that it did not know."""
    origins: dict[str, PipItem] = {}
    """Name to the line that asked for it by URL or path."""

    def requirements_text(self, default_index: str | None) -> str:
        """A requirements file. URLs of indexes are in here and not among the arguments: a file has a mode."""
        index = self.index_url or default_index
        lines = [f"--index-url {index}"] if index else []
        lines += [f"--extra-index-url {url}" for url in self.extra_index_urls]
        lines += [f"--find-links {place}" for place in self.find_links]
        lines += ["--no-index"] if self.no_index else []
        return "\n".join([*lines, *self.requirements, ""])

    def arguments(self) -> list[str]:
        """uv's own options for what was asked."""
        pre = ["--prerelease", "allow"] if self.pre else []
        return pre + [part for host in self.insecure_hosts for part in ("--allow-insecure-host", host)]


_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_LINE_OPTION = re.compile(r"\s(--?[A-Za-z][\w-]*)(?:[=\s]+(\S+))?")
_VALUED = {"--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--no-binary", "--only-binary"}
_ALIASES = {"-i": "--index-url", "--pypi-url": "--index-url", "-f": "--find-links"}


class Translator:
    """One pass over the items. ``resolve`` gives the URL of the wheel for a local wheel or source, ``reveal`` puts a
    token or a signature back into a URL."""

    def __init__(
        self,
        variables: Mapping[str, str],
        resolve: Callable[[PipItem], str],
        reveal: Callable[[str], str] = str,
    ) -> None:
        self._variables = variables
        self._resolve = resolve
        self._reveal = reveal
        self.out = Translated()

    def add(self, items: Iterable[PipItem], *, constrain: bool = False) -> Translated:
        """Take in ``items``; nested local files with them. Raises InvalidDefinitionError where a line can't be
        taken."""
        for item in items:
            self._one(item, constrain)
        return self.out

    def _one(self, item: PipItem, constrain: bool) -> None:
        if item.kind in ("requirements", "constraints"):
            self.add(item.items, constrain=constrain or item.kind == "constraints")
        elif item.kind == "option":
            self._option(item)
        else:
            (self.out.constraints if constrain else self.out.requirements).append(self._line(item))

    def _line(self, item: PipItem) -> str:
        body, digests = self._take_digests(item, self._expand(item.text, item.location))
        if item.kind == "editable":
            return f"-e {folder_url(_path_of(item))}{extras_of(body)}"
        if item.kind in ("wheel", "source"):
            return self._local(item, body, digests)
        line = self._url(item, body) if item.kind == "url" else body
        self._allow(name_of(line), digests)
        return line

    def _local(self, item: PipItem, body: str, digests: set[str]) -> str:
        _path_of(item)
        url = self._resolve(item)
        name = canonicalize_name(posixpath.basename(url).split("-")[0])
        self.out.origins[name] = item
        self._allow(name, digests)
        _, _, marker = body.partition(" ;")
        return f"{name}{extras_of(body)} @ {url}" + (f" ; {marker.strip()}" if marker else "")

    def _take_digests(self, item: PipItem, text: str) -> tuple[str, set[str]]:
        """The line without its ``--hash`` options, and the digests that these allow (``sha256:…``)."""
        options = list(_LINE_OPTION.finditer(text))
        if not options:
            return text, set()
        for option in options:
            if option.group(1) != "--hash":
                raise _refused(f"the option {option.group(1)} behind a requirement", item.location)
        body = text[: options[0].start()].strip().rstrip("\\").strip()
        digests = {(option.group(2) or "").lower() for option in options}
        if not any(digest.startswith("sha256:") for digest in digests):
            raise _refused("a digest that is not sha256", item.location)
        return body, digests

    def _allow(self, name: str | None, digests: set[str]) -> None:
        if name is not None and digests:
            self.out.digests.setdefault(name, set()).update(digests)

    def _url(self, item: PipItem, text: str) -> str:
        """A direct URL as PEP 508 writes it, its credentials aside."""
        name, separator, rest = text.partition(" @ ")
        url, _, marker = (rest if separator else text).partition(" ;")
        url, named = _egg(self._strip(url.strip()))
        head = name if separator else named
        if head:
            self.out.origins[canonicalize_name(head.split("[")[0].strip())] = item
        return (f"{head} @ {url}" if head else url) + (f" ; {marker.strip()}" if marker else "")

    def _option(self, item: PipItem) -> None:
        text = self._expand(item.text, item.location)
        words = shlex.split(text.replace("=", " ", 1) if re.match(r"--[a-z-]+=", text) else text)
        option, values = _ALIASES.get(words[0], words[0]), words[1:] or ([item.path] if item.path else [])
        if option in ("--no-index", "--pre", "--require-hashes"):
            self._flag(option)
        elif option not in _VALUED:
            self.out.ignored.append(option)
        elif len(values) != 1:
            raise PipOptionError(f"{option} wants one value", location=item.location, hint="See pip's manual.")
        else:
            self._valued(option, values[0], item)

    def _flag(self, option: str) -> None:
        self.out.no_index |= option == "--no-index"
        self.out.pre |= option == "--pre"
        self.out.require_digests |= option == "--require-hashes"

    def _valued(self, option: str, value: str, item: PipItem) -> None:
        if option == "--index-url":
            self.out.index_url = self._strip(value)
        elif option == "--extra-index-url":
            self.out.extra_index_urls.append(self._strip(value))
        elif option == "--find-links":
            self.out.find_links.append(self._place(value, item))
        elif option == "--trusted-host":
            self.out.insecure_hosts.append(value)
        else:
            self._binary(option, value.split(","))

    def _binary(self, option: str, names: list[str]) -> None:
        """As in pip a later option wins over an earlier one. Wheels are preferred anyway, so that ``--only-binary``
        only takes back what ``--no-binary`` said."""
        for name in names:
            if name == ":none:":
                self.out.no_binary.clear() if option == "--no-binary" else None
            elif option == "--no-binary":
                self.out.no_binary.append(name)
            elif name == ":all:":
                self.out.no_binary.clear()
            else:
                self.out.no_binary = [kept for kept in self.out.no_binary if kept != name]

    def _place(self, value: str, item: PipItem) -> str:
        if "://" in value:
            return self._strip(value)
        base = posixpath.dirname(item.location.path) if item.location else "/"
        return item.path or posixpath.normpath(posixpath.join(base, value))

    def _strip(self, url: str) -> str:
        """``url`` without user and password, which are kept for the netrc file."""
        bare, pair = split_credentials(url)
        if pair is not None:
            split = urlsplit(bare.removeprefix("git+"))
            self.out.credentials[f"{split.scheme}://{split.netloc}"] = pair
        return self._reveal(bare)

    def _expand(self, text: str, location: Location | None) -> str:
        def value(match: re.Match[str]) -> str:
            if match.group(1) not in self._variables:
                raise PipVariableError(
                    f"The variable {match.group(1)} is not set",
                    location=location,
                    hint=f"Set it where roost is called: `{match.group(1)}=… roost …`.",
                )
            return self._variables[match.group(1)]

        return _VARIABLE.sub(value, text)


def split_credentials(url: str) -> tuple[str, str | None]:
    """``https://user:password@host/`` → (``https://host/``, ``user:password``). ssh URLs keep their user."""
    split = urlsplit(url)
    userinfo, at, host = split.netloc.rpartition("@")
    if not at or "ssh" in split.scheme:
        return url, None
    return urlunsplit((split.scheme, host, split.path, split.query, split.fragment)), userinfo


def folder_url(path: str) -> str:
    """``file://`` for a folder or a file."""
    return f"file://{quote(path)}"


def extras_of(text: str) -> str:
    """``[a,b]`` of ``./thing[a,b]`` or ``-e .[a]``; empty where there is none."""
    found = re.search(r"\[[\w\s,.-]+\]\s*(?=$|;)", text.strip())
    return found.group(0).strip().replace(" ", "") if found else ""


def _egg(url: str) -> tuple[str, str]:
    """pip's ``#egg=name&subdirectory=x`` apart: the URL with what is left of its fragment, and the name."""
    split = urlsplit(url)
    parts = [part for part in split.fragment.split("&") if part]
    name = next((part[4:] for part in parts if part.startswith("egg=")), "")
    rest = "&".join(part for part in parts if not part.startswith("egg="))
    return urlunsplit((split.scheme, split.netloc, split.path, split.query, rest)), name


def _path_of(item: PipItem) -> str:
    if is_wheel_reference(item):
        raise unknown_wheel_error(item)
    if item.path is None:
        raise PipVariableError(
            f"{item.text} names no folder that roost knows", location=item.location, hint="Write its path out."
        )
    return item.path


def name_of(body: str) -> str | None:
    """The normalised name of a requirement (PEP 508); ``None`` where it is none."""
    try:
        return canonicalize_name(Requirement(body).name)
    except InvalidRequirement:
        return None


def _refused(what: str, location: Location | None) -> PipOptionError:
    return PipOptionError(
        f"{what} can't be used: roost installs pip packages with uv, which has nothing like it",
        location=location,
        hint="Take it out of the requirements.",
    )
