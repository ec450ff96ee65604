"""Other tools' lock files as definitions: conda-lock YAML (format 1) and pixi.lock (format 6)."""

from __future__ import annotations

from typing import NamedTuple

from roost.model.definition import Conda, Definition, Pip, PipItem, ReadResult
from roost.model.errors import Location
from roost.model.readers.explicit import normalise_fragment
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.readers.yaml_nodes import YamlNode
from roost.model.syntax.pip_lines import LogicalLine
from roost.model.syntax.urls import strip_credentials

MARKERS = {
    "linux-64": 'sys_platform == "linux" and platform_machine == "x86_64"',
    "linux-aarch64": 'sys_platform == "linux" and platform_machine == "aarch64"',
    "linux-ppc64le": 'sys_platform == "linux" and platform_machine == "ppc64le"',
    "osx-64": 'sys_platform == "darwin" and platform_machine == "x86_64"',
    "osx-arm64": 'sys_platform == "darwin" and platform_machine == "arm64"',
    "win-64": 'sys_platform == "win32" and platform_machine == "AMD64"',
    "win-arm64": 'sys_platform == "win32" and platform_machine == "ARM64"',
}
"""PEP 508 markers of the conda platforms, for pip packages that only some of them have."""
_CATEGORIES = ("main", "dev")
_HINT = "Make the lock file anew with a current version of its tool, or name the environment file that it came from."


class _Entry(NamedTuple):
    platform: str
    line: str
    location: Location


def read_conda_lock(reading: ReadContext, root: YamlNode) -> ReadResult:
    """conda-lock's unified lock file. Raises ``InvalidDefinitionError``."""
    version = root.value("version")
    if version.text("'version'") != "1":
        version.fail(f"conda-lock format {version.text('version')} is not read; expected 1", _HINT)
    conda: dict[str, list[str]] = {}
    pip: list[_Entry] = []
    for package in root.value("package").items("'package'"):
        if (package.value("category").optional("'category'") or "main") not in _CATEGORIES:
            continue
        platform = package.value("platform").text("'platform'")
        urls = conda.setdefault(platform, [])
        if package.value("manager").text("'manager'") == "conda":
            urls.append(_url(reading, package.value("url"), package.value("hash")))
        else:
            pip.append(_Entry(platform, _conda_lock_line(package), package.location))
    return _parsed(reading, conda, pip, "conda-lock")


def read_pixi_lock(reading: ReadContext, root: YamlNode) -> ReadResult:
    """The default environment of a pixi.lock. Raises ``InvalidDefinitionError``."""
    version = root.value("version")
    if version.text("'version'") != "6":
        version.fail(f"pixi.lock format {version.text('version')} is not read; expected 6", _HINT)
    known: dict[str, YamlNode] = {}
    for package in root.value("packages").items("'packages'"):
        for manager in ("conda", "pypi"):
            if (url := package.value(manager)).kind != "null":
                known[url.text("a package")] = package
    environments = root.value("environments")
    default = environments.value("default")
    if default.kind == "null":
        environments.fail("There is no environment 'default' in this pixi.lock")
    own = {_host(index.text("an index")) for index in default.value("indexes").items("'indexes'")}
    conda: dict[str, list[str]] = {}
    pip: list[_Entry] = []
    for platform, (_, members) in default.value("packages").pairs("'packages'").items():
        urls = conda.setdefault(platform, [])
        for member in members.items(f"'{platform}'"):
            _pixi_member(reading, known, platform, member, urls, pip, own)
    return _parsed(reading, conda, pip, "pixi-lock")


def _pixi_member(
    reading: ReadContext,
    known: dict[str, YamlNode],
    platform: str,
    member: YamlNode,
    urls: list[str],
    pip: list[_Entry],
    own: set[str],
) -> None:
    place = member.value("conda")
    if place.kind != "null":
        package = known.get(place.text("a package"), member)
        urls.append(_url(reading, place, package))
        return
    place = member.value("pypi")
    package = known.get(place.text("a package"), member)
    pip.append(_Entry(platform, _pixi_line(place.text("a package"), package, own), place.location))


def _url(reading: ReadContext, place: YamlNode, digests: YamlNode) -> str:
    url = reading.clean(place.text("'url'")).partition("#")[0]
    digest = digests.value("sha256").optional("'sha256'") or digests.value("md5").optional("'md5'")
    return url + ("#" + normalise_fragment(digest) if digest else "")


def _conda_lock_line(package: YamlNode) -> str:
    """An index's file goes by name and digest, so that any mirror will do; what came from a URL by that."""
    name, url = package.value("name").text("'name'"), package.value("url").text("'url'")
    digest = package.value("hash").value("sha256").optional("'sha256'")
    direct = package.value("source").kind == "mapping" or url.startswith("git+")
    version = package.value("version").text("'version'")
    place = f" @ {url}" if direct else f"=={version}"
    return f"{name}{place}" + (f" --hash=sha256:{digest}" if digest else "")


def _pixi_line(url: str, package: YamlNode, own: set[str]) -> str:
    """pixi tells no index file from another URL: all go by name and digest but what only a URL can name, and what lies
    on the host of an index of the file (``own``): another machine would look for the name elsewhere."""
    digest = package.value("sha256").optional("'sha256'")
    if not digest or not url.startswith("http"):
        return f"{package.value('name').text('name')} @ {url}" if "://" in url else url
    if _host(url) in own:
        return f"{package.value('name').text('name')} @ {url} --hash=sha256:{digest}"
    return f"{package.value('name').text('name')}=={package.value('version').text('version')} --hash=sha256:{digest}"


def _host(url: str) -> str:
    return strip_credentials(url)[0].partition("://")[2].partition("/")[0].lower()


def _parsed(reading: ReadContext, conda: dict[str, list[str]], pip: list[_Entry], format: str) -> ReadResult:
    explicit = {platform: tuple(urls) for platform, urls in conda.items() if urls}
    items = _requirements(reading, pip, frozenset(conda))
    return reading.parsed(Definition(conda=Conda(explicit=explicit), pip=Pip(requirements=items)), format)


def _requirements(reading: ReadContext, pip: list[_Entry], platforms: frozenset[str]) -> tuple[PipItem, ...]:
    """Each line once, with a marker where not every platform of the file has it."""
    having: dict[str, list[_Entry]] = {}
    for entry in pip:
        having.setdefault(entry.line, []).append(entry)
    lines = [LogicalLine(_marked(line, entries, platforms), entries[0].location) for line, entries in having.items()]
    return tuple(read_requirement_lines(reading, lines, reading.path))


def _marked(line: str, entries: list[_Entry], platforms: frozenset[str]) -> str:
    here = dict.fromkeys(entry.platform for entry in entries)
    if platforms <= set(here):
        return line
    marker = " or ".join(f"({MARKERS[platform]})" for platform in here if platform in MARKERS)
    body, options, digests = line.partition(" --hash")
    return f"{body} ; {marker}{options}{digests}" if marker else line
