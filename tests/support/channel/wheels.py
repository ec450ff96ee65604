"""Turn PyPI wheels into conda packages: pure ones become ``noarch: python``, compiled ones ``linux-64``."""

from __future__ import annotations

import configparser
import email
import email.message
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from tests.support.channel.conda_file import DEFAULT_TIMESTAMP, PLACEHOLDER, write_conda
from tests.support.channel.pythons import Interpreter, compile_tree

PURE = (
    "joblib==1.4.2", "threadpoolctl==3.5.0", "python-dateutil==2.9.0.post0", "pytz==2024.2", "tzdata==2024.2",
    "six==1.16.0", "six==1.17.0", "pip==24.3.1",
)  # fmt: skip
EVERY_PYTHON = ("numpy==1.26.4", "numpy==2.1.3")
FIRST_PYTHON = ("pandas==2.2.3", "scikit-learn==1.5.2", "scipy==1.14.1")

_CONDA_NAMES = {"tzdata": "python-tzdata"}  # as conda-forge names it: there `tzdata` is the zone files themselves
_TIMESTAMPS = {"numpy-2.1.3": 1_730_500_000_000, "six-1.17.0": 1_733_300_000_000}  # November, December 2024
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")


def fetch_wheels(folder: Path, interpreters: list[Interpreter]) -> list[Path]:
    """Download what ``folder`` lacks, with pip and its configuration; returns the wheels to pack."""
    folder.mkdir(parents=True, exist_ok=True)
    first = interpreters[0].minor
    wanted = {(first, requirement) for requirement in (*PURE, *FIRST_PYTHON)}
    wanted |= {(i.minor, requirement) for i in interpreters for requirement in EVERY_PYTHON}
    return [found for minor, text in sorted(wanted) if (found := _fetch(folder, minor, text)) is not None]


def _fetch(folder: Path, minor: str, requirement: str) -> Path | None:
    if (wheel := _look(folder, minor, requirement)) is not None:
        return wheel
    platforms = [part for name in _PLATFORMS for part in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, "--python-version", minor, *platforms, "--dest", str(folder), requirement],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0 and "No matching distribution" in done.stderr:
        print(f"no wheel of {requirement} for Python {minor}", file=sys.stderr)
        return None
    if done.returncode != 0:
        raise SystemExit(f"pip could not download {requirement} for the test channel:\n{done.stderr}")
    return _look(folder, minor, requirement)


def _look(folder: Path, minor: str, requirement: str) -> Path | None:
    name, version = requirement.split("==")
    for wheel in sorted(folder.glob("*.whl")):
        wheel_name, wheel_version, _, tags = parse_wheel_filename(wheel.name)
        fits = any(tag.interpreter in {"py3", "cp" + minor.replace(".", "")} for tag in tags)
        if fits and wheel_name == canonicalize_name(name) and str(wheel_version) == version:
            return wheel
    return None


def pack_wheel(channel: Path, wheel: Path, interpreters: list[Interpreter]) -> None:
    """Pack one wheel with its true dependencies."""
    _, _, _, tags = parse_wheel_filename(wheel.name)
    pure = all(tag.platform == "any" for tag in tags)
    tag = next(iter(tags)).interpreter
    interpreter = interpreters[0] if pure else next(i for i in interpreters if tag == "cp" + i.minor.replace(".", ""))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        site = tree / ("site-packages" if pure else f"lib/python{interpreter.minor}/site-packages")
        _unpack(wheel, site)
        metadata, entry_points = _adapt(tree, site, pure)
        index = _index(metadata, interpreter, pure)
        if pure:
            link = {"noarch": {"type": "python", "entry_points": entry_points}, "package_metadata_version": 1}
            write_conda(channel, tree, index, link)
            return
        _write_scripts(tree, entry_points)
        compile_tree(interpreter, tree, site)
        write_conda(channel, tree, index)


def _unpack(wheel: Path, site: Path) -> None:
    site.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        for member in archive.infolist():  # zipfile drops modes and times
            path = site / member.filename
            if path.is_file():
                path.chmod(0o755 if (member.external_attr >> 16) & 0o111 else 0o644)
                when = time.mktime((*max(member.date_time, (1981, 1, 1, 0, 0, 0)), 0, 0, -1))
                os.utime(path, (when, when))


def _adapt(tree: Path, site: Path, pure: bool) -> tuple[email.message.Message, list[str]]:
    information = next(site.glob("*.dist-info"))
    (information / "INSTALLER").write_text("conda\n")
    for data in site.glob("*.data"):
        for part in data.iterdir():
            scripts = tree / ("python-scripts" if pure else "bin")
            targets = {"scripts": scripts, "purelib": site, "platlib": site, "data": tree, "headers": tree / "include"}
            shutil.copytree(part, targets[part.name], dirs_exist_ok=True)
            if part.name == "scripts":
                _mend_shebangs(scripts)
        shutil.rmtree(data)
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(information / "entry_points.txt")
    console = parser["console_scripts"].items() if parser.has_section("console_scripts") else ()
    entry_points = [f"{name} = {target.split('[')[0].strip()}" for name, target in console]
    return email.message_from_bytes((information / "METADATA").read_bytes()), entry_points


def _mend_shebangs(folder: Path) -> None:
    for script in folder.iterdir():
        script.write_bytes(re.sub(rb"^#!python\w*", f"#!{PLACEHOLDER}/bin/python".encode(), script.read_bytes()))
        script.chmod(0o755)


def _index(metadata: email.message.Message, interpreter: Interpreter, pure: bool) -> dict[str, object]:
    name, version = canonicalize_name(metadata["Name"]), metadata["Version"]
    environment = {k: str(v) for k, v in default_environment().items()}
    environment |= {"python_version": interpreter.minor, "python_full_version": interpreter.version, "extra": ""}
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]
    depends = [_spec(r) for r in requirements if r.marker is None or r.marker.evaluate(environment)]
    major, minor = interpreter.minor.split(".")
    python = (metadata["Requires-Python"] or "").replace(" ", "") if pure else ""
    python = python if pure else f">={major}.{minor},<{major}.{int(minor) + 1}.0a0"
    index: dict[str, object] = {
        "name": _CONDA_NAMES.get(name, name),
        "version": version,
        "build": "pyhd_0" if pure else f"py{major}{minor}_0",
        "depends": [f"python {python}".strip(), *depends],
        "subdir": "noarch" if pure else "linux-64",
        "timestamp": _TIMESTAMPS.get(f"{name}-{version}", DEFAULT_TIMESTAMP),
    }
    return index | ({"noarch": "python"} if pure else {})


def _spec(requirement: Requirement) -> str:
    name = canonicalize_name(requirement.name)
    version = ",".join(sorted(str(part).replace("===", "==") for part in requirement.specifier))
    return f"{_CONDA_NAMES.get(name, name)} {version}".strip()


def _write_scripts(tree: Path, entry_points: list[str]) -> None:
    for text in entry_points:
        name, target = (part.strip() for part in text.split("="))
        module, function = target.split(":")
        (tree / "bin").mkdir(exist_ok=True)
        script = tree / "bin" / name
        script.write_text(
            f"#!{PLACEHOLDER}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        )
        script.chmod(0o755)
