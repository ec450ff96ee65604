"""Translate a definition's pip lines for uv. Pure: the caller resolves local files and folders.

uv accepts most of what pip accepts; what it does not accept, or what would install a wheel without locking it, is
refused here with the line it is on. Options are global, as in pip: one ``--extra-index-url`` applies to every line.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, urlsplit

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from roost.daemon.credentials.substitution import insert_values
from roost.daemon.engines.uv.errors import PipOptionError, PipVariableError
from roost.model.definition import PipItem
from roost.model.errors import MALFORMED_JSON, Location
from roost.model.syntax.pip_lines import CHOICE_OPTIONS, split_line_index, split_local_text
from roost.model.syntax.wheel_references import is_wheel_reference, unknown_wheel_error


class UvChoices(msgspec.Struct, kw_only=True):
    """How uv is to choose, beyond what pip's options can say."""

    indexes: list[str] = []
    """URLs of indexes before the default index, by priority."""
    settings: dict[str, str | dict[str, str]] = {}
    """uv's settings ``index-strategy``, ``prerelease``, ``resolution``, ``exclude-newer`` and those for packages."""
    overrides: list[str] = []
    excluded: list[str] = []
    build_constraints: list[str] = []
    no_build: bool = False
    no_build_packages: set[str] = set()
    metadata: list[dict[str, object]] = []
    """uv's ``dependency-metadata``."""

    def has_metadata(self, name: str, version: str) -> bool:
        """Return whether the metadata of a distribution is given, so that its own is not asked for."""
        return any(
            canonicalize_name(str(table.get("name"))) == name and table.get("version", version) == version
            for table in self.metadata
        )

    def forbids_build(self, name: str) -> bool:
        """Return whether a package may not be built from source."""
        return self.no_build or name in self.no_build_packages


class UvInputs(msgspec.Struct, kw_only=True):
    """Lines and options for uv."""

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
    """Taken out of URLs: ``scheme://host`` to ``user:password``."""
    digests: dict[str, set[str]] = {}
    """Name to the digests (``sha256:…``) that its lines allow; the locked wheel must have one of them."""
    url_digests: dict[str, set[str]] = {}
    """URL without credentials and fragment to the digests that its line allows, if the line names no package."""
    local_digests: dict[int, set[str]] = {}
    """``id`` of a line that names a local wheel or source to the digests that it allows."""
    require_digests: bool = False
    direct: dict[str, str] = {}
    """Name to the URL that its line names, without a login."""
    unnamed: list[str] = []
    """Those of ``requirements`` that are URLs without a name."""
    pinned: list[tuple[str, str]] = []
    """Requirements that one index only may have, and the URL of the index."""
    choices: UvChoices = msgspec.field(default_factory=lambda: UvChoices())
    editables: list[str] = []
    """Folders of editable installs."""
    ignored: list[str] = []
    """Options that have no effect here; the reader of the definition warned of those that it did not know."""
    origins: dict[str, PipItem] = {}
    """Name to the line that requests it by URL or path."""

    def name_direct(self, line: str, name: str) -> None:
        """Put ``name`` before one of the lines without a name."""
        url = line.partition(" ;")[0]
        self.unnamed.remove(line)
        self.requirements = [f"{name} @ {line}" if each == line else each for each in self.requirements]
        self.direct[name] = url
        if digests := self.url_digests.get(url.partition("#")[0]):
            self.digests.setdefault(name, set()).update(digests)

    def requirements_text(self, default_index: str | None) -> str:
        """Return the text of a requirements file. It has the URLs of indexes, because other users can see arguments."""
        index = None if self.choices.indexes else self.index_url or default_index
        lines = [f"--index-url {index}"] if index else []
        lines += [f"--extra-index-url {url}" for url in self.extra_index_urls]
        lines += [f"--find-links {location}" for location in self.find_links]
        lines += ["--no-index"] if self.no_index else []
        return "\n".join([*lines, *self.requirements, ""])

    def options(self) -> list[str]:
        """Return the options for uv's command line that no file can state."""
        pre = ["--prerelease", "allow"] if self.pre else []
        return pre + [part for host in self.insecure_hosts for part in ("--allow-insecure-host", host)]


_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_LINE_OPTION = re.compile(r"\s(--?[A-Za-z][\w-]*)(?:[=\s]+(\S+))?")
_VALUE_OPTIONS = {
    *("--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--no-binary", "--only-binary"),
    *("--all-releases", "--only-final"),
}
_LIMIT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z|P\d{1,6}D|PT\d{1,6}H")
_CHOICE_LISTS = {
    "--override": "overrides",
    "--exclude-dependency": "excluded",
    "--build-constraint": "build_constraints",
}
_BUILD_CHOICES = {"--index", "--index-strategy", "--exclude-newer", "--exclude-newer-package"}
_INDEX_OPTIONS = {"--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--no-index"}
_ALIASES = {"-i": "--index-url", "--pypi-url": "--index-url", "-f": "--find-links"}


class RequirementsTranslator:
    """Translates the items of a definition in one pass.

    ``resolve`` returns the URL of the wheel for a local wheel or source; ``substitute`` puts a token or a signature
    back into a URL; ``find_name`` returns the name of the project in an editable folder.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        resolve: Callable[[PipItem], str],
        substitute: Callable[[str], str] = str,
        find_name: Callable[[PipItem], str] = lambda item: item.name or "unnamed",
    ) -> None:
        self._find_name = find_name
        self._variables = variables
        self._resolve = resolve
        self._substitute = substitute
        self.out = UvInputs()

    def add(self, items: Iterable[PipItem], *, constrain: bool = False) -> UvInputs:
        """Translate ``items``, those of nested files included, into :attr:`out`; return it.

        With ``constrain`` they are constraints. Raises InvalidDefinitionError if a line can't be translated.
        """
        for item in items:
            self._add_item(item, constrain)
        return self.out

    def _add_item(self, item: PipItem, constrain: bool) -> None:
        if item.kind in ("requirements", "constraints"):
            self.add(item.items, constrain=constrain or item.kind == "constraints")
        elif item.kind == "option":
            self._add_option(item)
        elif (index := split_line_index(item.text)[1]) and not constrain:
            bare = msgspec.structs.replace(item, text=split_line_index(item.text)[0])
            url = self._strip_login(self._expand_variables(index, item.location))
            self.out.pinned.append((self._translate_line(bare), url))
        else:
            (self.out.constraints if constrain else self.out.requirements).append(self._translate_line(item))

    def _translate_line(self, item: PipItem) -> str:
        if item.kind in ("editable", "wheel", "source"):
            return self._translate_local(item, *self._split_digests(item, split_local_text(item)[1]))
        body, digests = self._split_digests(item, self._expand_variables(item.text, item.location))
        line = self._translate_url(item, body) if item.kind == "url" else body
        name = requirement_name(line)
        self._allow_digests(name, digests)
        if item.kind == "url":
            url = line.partition(" @ ")[2] or line
            self._note_direct(line, url.partition(" ;")[0].strip(), name, digests)
        return line

    def _note_direct(self, line: str, url: str, name: str | None, digests: set[str]) -> None:
        if name is not None:
            self.out.direct[name] = url
            return
        self.out.unnamed.append(line)
        if digests:
            self.out.url_digests.setdefault(url.partition("#")[0], set()).update(digests)

    def _translate_local(self, item: PipItem, rest: str, digests: set[str]) -> str:
        """Return the line for a local file or folder. ``rest`` is what stands behind its name: extras and marker."""
        path = _require_path(item)
        extras, marker = find_extras(rest), rest.partition(" ;")[2].strip()
        behind = f" ; {marker}" if marker else ""
        if item.kind == "editable":
            self.out.editables.append(path)
            if "#" not in path:
                return f"-e {path_url(path)}{extras}{behind}"
            return f"-e {self._find_name(item)}{extras} @ {path_url(path)}{behind}"  # uv takes the # for a fragment
        url = self._resolve(item)
        name = canonicalize_name(posixpath.basename(url).split("-")[0])
        self.out.origins[name] = item
        if digests:
            self.out.local_digests[id(item)] = digests
        return f"{name}{extras} @ {url}{behind}"

    def _split_digests(self, item: PipItem, text: str) -> tuple[str, set[str]]:
        """Return the line without its ``--hash`` options, and the digests (``sha256:…``) that these allow."""
        options = list(_LINE_OPTION.finditer(text))
        if not options:
            return text, set()
        for option in options:
            if option.group(1) != "--hash":
                raise _unsupported(f"the option {option.group(1)} behind a requirement", item.location)
        body = text[: options[0].start()].strip().rstrip("\\").strip()
        digests = {(option.group(2) or "").lower() for option in options}
        if not any(digest.startswith("sha256:") for digest in digests):
            raise _unsupported("a digest that is not sha256", item.location)
        return body, digests

    def _allow_digests(self, name: str | None, digests: set[str]) -> None:
        if name is not None and digests:
            self.out.digests.setdefault(name, set()).update(digests)

    def _translate_url(self, item: PipItem, text: str) -> str:
        """Return a direct URL in the form of PEP 508, without credentials."""
        name, separator, rest = text.partition(" @ ")
        url, _, marker = (rest if separator else text).partition(" ;")
        url, named = _split_egg(self._strip_login(url.strip()))
        head = name if separator else named
        if head:
            self.out.origins[canonicalize_name(head.split("[")[0].strip())] = item
        return (f"{head} @ {url}" if head else url) + (f" ; {marker.strip()}" if marker else "")

    def _add_option(self, item: PipItem) -> None:
        text = self._expand_variables(item.text, item.location)
        name, _, rest = text.partition(" ")
        if name in CHOICE_OPTIONS:
            self._add_choice(name, rest, item.location)
            return
        words = shlex.split(text.replace("=", " ", 1) if re.match(r"--[a-z-]+=", text) else text)
        option, values = _ALIASES.get(words[0], words[0]), words[1:] or ([item.path] if item.path else [])
        if option in ("--no-index", "--pre", "--require-hashes", "--no-require-hashes"):
            self._set_flag(option)
        elif option not in _VALUE_OPTIONS:
            self.out.ignored.append(option)
        elif len(values) != 1:
            raise PipOptionError(f"{option} needs exactly one value", location=item.location, hint="See pip's manual.")
        else:
            self._set_value(option, values[0], item)

    def _add_choice(self, option: str, value: str, location: Location | None) -> None:
        choices, key = self.out.choices, option.removeprefix("--")
        if option == "--index":
            choices.indexes.append(self._strip_login(value))
        elif option in ("--prerelease-package", "--exclude-newer-package"):
            name, _, choice = value.partition("=")
            _check_limit(option, choice, location)
            inner = choices.settings.setdefault(key, {})
            assert isinstance(inner, dict)
            inner[name] = choice
        elif option == "--no-build":
            choices.no_build = True
        elif option == "--no-build-package":
            choices.no_build_packages.add(canonicalize_name(value))
        elif option == "--dependency-metadata":
            choices.metadata.append(_parse_metadata(value, location))
        elif option == "--constraint-dependency":
            self.out.constraints.append(value)
        elif option in _CHOICE_LISTS:
            getattr(choices, _CHOICE_LISTS[option]).append(value)
        else:
            _check_limit(option, value, location)
            choices.settings[key] = value

    def _set_flag(self, option: str) -> None:
        self.out.no_index |= option == "--no-index"
        self.out.pre |= option == "--pre"
        if option.endswith("require-hashes"):
            self.out.require_digests = option == "--require-hashes"

    def _set_value(self, option: str, value: str, item: PipItem) -> None:
        if option == "--index-url":
            self.out.index_url = self._strip_login(value)
        elif option == "--extra-index-url":
            self.out.extra_index_urls.append(self._strip_login(value))
        elif option == "--find-links":
            self.out.find_links.append(self._resolve_links(value, item))
        elif option == "--trusted-host":
            self.out.insecure_hosts.append(value)
        elif option in ("--all-releases", "--only-final"):
            self._choose_releases(value.split(","), "allow" if option == "--all-releases" else "disallow")
        else:
            self._restrict_binaries(option, value.split(","))

    def _choose_releases(self, names: list[str], choice: str) -> None:
        """Apply ``--all-releases`` (``allow`` pre-releases) or ``--only-final`` (``disallow``) of pip."""
        settings = self.out.choices.settings
        for name in names:
            if name == ":all:":
                self.out.pre = choice == "allow"
            elif name != ":none:":
                packages = settings.setdefault("prerelease-package", {})
                assert isinstance(packages, dict)
                packages[canonicalize_name(name)] = choice

    def _restrict_binaries(self, option: str, names: list[str]) -> None:
        """Apply ``--no-binary`` or ``--only-binary``; as in pip, a later option overrides an earlier one.

        Wheels are preferred anyway, so ``--only-binary`` only cancels an earlier ``--no-binary``.
        """
        for name in names:
            if name == ":none:":
                self.out.no_binary.clear() if option == "--no-binary" else None
            elif option == "--no-binary":
                self.out.no_binary.append(name)
            elif name == ":all:":
                self.out.no_binary.clear()
            else:
                self.out.no_binary = [other for other in self.out.no_binary if other != name]

    def _resolve_links(self, value: str, item: PipItem) -> str:
        """Return the URL of ``--find-links``; a relative path starts at the file's folder."""
        if "://" in value:
            return self._strip_login(value)
        base = posixpath.dirname(item.location.path) if item.location else "/"
        return path_url(item.path or posixpath.normpath(posixpath.join(base, value)))

    def _strip_login(self, url: str) -> str:
        """Return ``url`` without user and password, which are recorded for the netrc file."""
        bare, pair = split_credentials(url)
        if pair is not None:
            split = urlsplit(bare.removeprefix("git+"))
            self.out.credentials[f"{split.scheme}://{split.netloc}"] = pair
        return self._substitute(bare)

    def _expand_variables(self, text: str, location: Location | None) -> str:
        for match in _VARIABLE.finditer(text):
            if match.group(1) not in self._variables:
                raise PipVariableError(
                    f"The variable {match.group(1)} is not set",
                    location=location,
                    hint=f"Set it where roost is called: `{match.group(1)}=… roost …`.",
                )
        return insert_values(text, self._variables, _VARIABLE)


def _check_limit(option: str, value: str, location: Location | None) -> None:
    """Raise PipOptionError if the value of ``--exclude-newer`` is not in the form that readers write."""
    if option.startswith("--exclude-newer") and value != "false" and not _LIMIT.fullmatch(value):
        raise PipOptionError(
            f"{option} is {value!r}; expected a time in UTC or a span",
            location=location,
            hint="Write it as 2025-06-30T00:00:00Z, P7D or PT24H.",
        )


def _parse_metadata(value: str, location: Location | None) -> dict[str, object]:
    try:
        return msgspec.json.decode(value, type=dict[str, object])
    except MALFORMED_JSON as error:
        raise PipOptionError(
            f"The value of --dependency-metadata is not a JSON object: {error}",
            location=location,
            hint='Write it as {"name": "…", "version": "…", "requires-dist": []}.',
        ) from error


def find_line_indexes(items: Iterable[PipItem]) -> dict[str, str]:
    """Return, by name, what pins a package to an index (`` --index=URL``), for those that are."""
    found = {}
    for item in items:
        body, index = split_line_index(item.text)
        if item.kind == "requirement" and index and (name := requirement_name(body.partition(" --")[0])):
            found[name] = f" --index={index}"
    return found


def select_build_options(items: Iterable[PipItem]) -> list[PipItem]:
    """Return the options of a definition that also hold for what its builds need: where packages come from, and
    constraints for builds."""
    selected = []
    for item in items:
        option = re.split(r"[ =]", item.text, maxsplit=1)[0]
        if item.kind == "option" and _ALIASES.get(option, option) in _INDEX_OPTIONS | _BUILD_CHOICES:
            selected.append(item)
        elif item.kind == "option" and option == "--build-constraint":
            text = item.text.replace(option, "--constraint-dependency", 1)
            selected.append(msgspec.structs.replace(item, text=text))
    return selected


def split_credentials(url: str) -> tuple[str, str | None]:
    """Split ``https://user:password@host/`` into ``https://host/`` and ``user:password``; ssh URLs keep their user."""
    split = urlsplit(url)
    userinfo, at, host = split.netloc.rpartition("@")
    if not at or "ssh" in split.scheme:
        return url, None
    return url.replace(f"{userinfo}@{host}", host, 1), userinfo


def path_url(path: str) -> str:
    """Return the ``file://`` URL of a folder or a file."""
    return f"file://{quote(path, errors='surrogateescape')}"


def find_extras(text: str) -> str:
    """Return ``[a,b]`` of ``./thing[a,b]`` or ``-e .[a]``; empty if there is none."""
    found = re.search(r"\[[\w\s,.-]+\]\s*(?=$|;)", text.strip())
    return found.group(0).strip().replace(" ", "") if found else ""


def _split_egg(url: str) -> tuple[str, str]:
    """Split pip's ``#egg=name&subdirectory=x``: return the URL with the rest of its fragment, and the name."""
    # Not by urlunsplit, which makes ``git+file:/x`` of ``git+file:///x`` unless some library registered that scheme.
    place, _, fragment = url.partition("#")
    parts = [part for part in fragment.split("&") if part]
    name = next((part[4:] for part in parts if part.startswith("egg=")), "")
    rest = "&".join(part for part in parts if not part.startswith("egg="))
    return f"{place}#{rest}" if rest else place, name


def _require_path(item: PipItem) -> str:
    """Return the path of a local item. Raises InvalidDefinitionError if it has none."""
    if is_wheel_reference(item):
        raise unknown_wheel_error(item)
    if item.path is None:
        raise PipVariableError(
            f"{item.text} is not a folder that roost knows", location=item.location, hint="Write its path out."
        )
    return item.path


def requirement_name(body: str) -> str | None:
    """Return the normalized name of a requirement; ``None`` if ``body`` is not valid by PEP 508."""
    try:
        return canonicalize_name(Requirement(body).name)
    except InvalidRequirement:
        return None


def _unsupported(what: str, location: Location | None) -> PipOptionError:
    return PipOptionError(
        f"{what} can't be used: roost installs pip packages with uv, which has no equivalent",
        location=location,
        hint="Remove it from the requirements.",
    )
