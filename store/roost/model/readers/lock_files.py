"""Reader of other tools' lock files as definitions: conda-lock YAML (format 1) and pixi.lock (format 6)."""

from __future__ import annotations

from typing import NamedTuple

from roost.model.definition import Conda, Definition, Pip, ReadResult
from roost.model.documents.yaml_nodes import YamlNode
from roost.model.errors import Location
from roost.model.readers.explicit import normalise_fragment
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
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
_HINT = "Create the lock file again with a current version of its tool, or name the environment file that it came from."


class _PipEntry(NamedTuple):
    """A line for pip on one platform of a lock file."""

    platform: str
    line: str
    location: Location


def read_conda_lock(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read conda-lock's unified lock file. Raises: InvalidDefinitionError if it is not valid."""
    version = root.value("version")
    if version.text("'version'") != "1":
        version.fail(f"conda-lock format {version.text('version')} is not supported; expected 1", _HINT)
    conda: dict[str, list[str]] = {}
    pip: list[_PipEntry] = []
    for package in root.value("package").members("'package'"):
        with reading.recover():
            if (package.value("category").optional_text("'category'") or "main") not in _CATEGORIES:
                continue
            platform = package.value("platform").text("'platform'")
            urls = conda.setdefault(platform, [])
            if package.value("manager").text("'manager'") == "conda":
                urls.append(_read_package_url(reading, package.value("url"), package.value("hash")))
            else:
                pip.append(_PipEntry(platform, _format_conda_lock_wheel(package), package.location))
    return _build_lock_result(reading, conda, pip, "conda-lock")


def read_pixi_lock(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read the default environment of a pixi.lock. Raises: InvalidDefinitionError if it is not valid."""
    version = root.value("version")
    if version.text("'version'") != "6":
        version.fail(f"pixi.lock format {version.text('version')} is not supported; expected 6", _HINT)
    packages: dict[str, YamlNode] = {}
    for package in root.value("packages").members("'packages'"):
        with reading.recover():
            for manager in ("conda", "pypi"):
                if (url := package.value(manager)).kind != "null":
                    packages[url.text("a package")] = package
    environments = root.value("environments")
    default = environments.value("default")
    if default.kind == "null":
        environments.fail("There is no environment 'default' in this pixi.lock")
    index_hosts = {_find_url_host(index.text("an index")) for index in default.value("indexes").members("'indexes'")}
    conda: dict[str, list[str]] = {}
    pip: list[_PipEntry] = []
    for platform, (_, members) in default.value("packages").pairs("'packages'").items():
        urls = conda.setdefault(platform, [])
        for member in members.members(f"'{platform}'"):
            with reading.recover():
                is_conda = member.value("conda").kind != "null"
                url = member.value("conda" if is_conda else "pypi")
                package = packages.get(url.text("a package"), member)
                if is_conda:
                    urls.append(_read_package_url(reading, url, package))
                else:
                    line = _format_pixi_wheel(url.text("a package"), package, index_hosts)
                    pip.append(_PipEntry(platform, line, url.location))
    return _build_lock_result(reading, conda, pip, "pixi-lock")


def _read_package_url(reading: ReadContext, node: YamlNode, digests: YamlNode) -> str:
    url = reading.strip_credentials(reading.record("package", node.written("'url'"))).partition("#")[0]
    digest = digests.value("sha256").optional_text("'sha256'") or digests.value("md5").optional_text("'md5'")
    return url + ("#" + normalise_fragment(digest) if digest else "")


def _format_conda_lock_wheel(package: YamlNode) -> str:
    """Name an index's file by name and digest, so that any mirror will do, and other files by their URL."""
    name, url = package.value("name").text("'name'"), package.value("url").text("'url'")
    digest = package.value("hash").value("sha256").optional_text("'sha256'")
    by_url = package.value("source").kind == "mapping" or url.startswith("git+")
    version = package.value("version").text("'version'")
    place = f" @ {url}" if by_url else f"=={version}"
    return f"{name}{place}" + (f" --hash=sha256:{digest}" if digest else "")


def _format_pixi_wheel(url: str, package: YamlNode, index_hosts: set[str]) -> str:
    """Name a wheel by name and digest, unless only a URL can name it.

    pixi does not distinguish an index's file from another URL. A file on the host of an index of the lock file is named
    by its URL, because another machine would look for the name elsewhere.
    """
    digest = package.value("sha256").optional_text("'sha256'")
    if not digest or not url.startswith("http"):
        return f"{package.value('name').text('name')} @ {url}" if "://" in url else url
    if _find_url_host(url) in index_hosts:
        return f"{package.value('name').text('name')} @ {url} --hash=sha256:{digest}"
    return f"{package.value('name').text('name')}=={package.value('version').text('version')} --hash=sha256:{digest}"


def _find_url_host(url: str) -> str:
    return strip_credentials(url)[0].partition("://")[2].partition("/")[0].lower()


def _build_lock_result(
    reading: ReadContext, conda: dict[str, list[str]], pip: list[_PipEntry], format: str
) -> ReadResult:
    """Return the result with each pip line once, with a marker if not every platform of the file has it."""
    entries_by_line: dict[str, list[_PipEntry]] = {}
    for entry in pip:
        entries_by_line.setdefault(entry.line, []).append(entry)
    platforms = frozenset(conda)
    lines = [
        LogicalLine(_add_marker(line, entries, platforms), entries[0].location)
        for line, entries in entries_by_line.items()
    ]
    items = read_requirement_lines(reading, lines, reading.path)
    explicit = {platform: tuple(urls) for platform, urls in conda.items() if urls}
    return reading.build_result(Definition(conda=Conda(explicit=explicit), pip=Pip(requirements=tuple(items))), format)


def _add_marker(line: str, entries: list[_PipEntry], platforms: frozenset[str]) -> str:
    present = dict.fromkeys(entry.platform for entry in entries)
    if platforms <= set(present):
        return line
    marker = " or ".join(f"({MARKERS[platform]})" for platform in present if platform in MARKERS)
    body, options, digests = line.partition(" --hash")
    return f"{body} ; {marker}{options}{digests}" if marker else line
