"""``CondaDependencies``: the conda and pip packages of an environment, as a conda environment file lists them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from roost.client.api.errors import usage
from roost.client.api.sections import conda_file, pip_lines
from roost.client.api.sections.pip_lines import package_name

_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?(?:[ab]\d+)?")
_PYTHON = re.compile(r"python(?![A-Za-z0-9._-])")
CPU, GPU = "cpu", "gpu"


class CondaDependencies:
    """Packages, channels and pip options, in order. Nothing is in it that nobody put there.

    ``conda_dependencies_file_path``: a conda environment file to begin with. Raises ``DefinitionError`` where it is
    none, ``FileNotFoundError`` where it is not there.
    """

    DEFAULT_NUMBER_OF_CONDA_PACKAGES = 0
    DEFAULT_NUMBER_OF_PIP_PACKAGES = 0

    def __init__(self, conda_dependencies_file_path: str | os.PathLike[str] | None = None) -> None:
        self._content = conda_file.CondaFile()
        self._folder: str | None = None
        if conda_dependencies_file_path is not None:
            path = os.path.abspath(conda_dependencies_file_path)
            self._content, self._folder = conda_file.read(path), os.path.dirname(path)

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """New dependencies from lists. ``python_version`` such as ``3.11``; ``None``: no Python is named, and the
        solve takes what the packages allow. ``pin_sdk_version`` is for Azure's own packages and has no effect."""
        created = CondaDependencies()
        if pip_indexurl:
            created.set_pip_index_url(pip_indexurl)
        if python_version:
            created.set_python_version(python_version)
        for package in pip_packages or ():
            created.add_pip_package(package)
        for package in conda_packages or ():
            created.add_conda_package(package)
        return created

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> list[str]:
        """One line for each package, with the version clauses of all: ``["a>=1", "a<2"]`` gives ``["a>=1,<2"]``."""
        clauses: dict[str, tuple[str, list[str]]] = {}
        for requirement in requirements:
            text = requirement.strip()
            found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?", text)
            written = found.group() if found else text
            _, kept = clauses.setdefault(package_name(text), (written, []))
            kept.append(text[len(written) :].strip())
        return [name + ",".join(clause for clause in kept if clause) for name, kept in clauses.values()]

    @property
    def folder(self) -> str | None:
        """Absolute folder that relative paths among the pip lines lie in: that of the file that was read. ``None``:
        the working folder at the time of use."""
        return self._folder

    @property
    def conda_channels(self) -> Iterator[str]:
        """The channels, the first counts most; a copy."""
        return iter(list(self._content.channels))

    @property
    def conda_packages(self) -> Iterator[str]:
        """The conda match specs; a copy."""
        return iter(list(self._content.packages))

    @property
    def pip_packages(self) -> Iterator[str]:
        """The pip requirements without options; a copy."""
        return iter([line for line in self._pip if not pip_lines.is_option(line)])

    @property
    def pip_options(self) -> Iterator[str]:
        """The pip options, such as ``--index-url …`` and ``-r …``; a copy."""
        return iter([line for line in self._pip if pip_lines.is_option(line)])

    @property
    def _pip(self) -> list[str]:
        return self._content.pip

    def get_default_number_of_packages(self) -> tuple[int, int]:
        """How many conda and pip packages there are in new dependencies: none."""
        return self.DEFAULT_NUMBER_OF_CONDA_PACKAGES, self.DEFAULT_NUMBER_OF_PIP_PACKAGES

    def get_python_version(self) -> str | None:
        """The version that Python's match spec names, such as ``3.11``; ``None`` where it names none."""
        spec = next((spec for spec in self._content.packages if _is_python(spec)), "")
        found = _VERSION.search(spec)
        return found.group() if found else None

    def set_python_version(self, version: str) -> None:
        """Ask for ``python=<version>``, in the place of any other Python."""
        self._set_python(f"python={version}")

    def _set_python(self, spec: str) -> None:
        packages = self._content.packages
        at = next((at for at, known in enumerate(packages) if _is_python(known)), None)
        if at is None:
            packages.append(spec)
        else:
            packages[at] = spec

    def add_channel(self, channel: str) -> None:
        """Add a channel behind the others, unless it is there."""
        if channel not in self._content.channels:
            self._content.channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Take a channel out, if it is there."""
        if channel in self._content.channels:
            self._content.channels.remove(channel)

    def add_conda_package(self, conda_package: str) -> None:
        """Add a match spec, unless it is there as it is. One for Python takes the place of another."""
        if _is_python(conda_package):
            self._set_python(conda_package)
        elif conda_package not in self._content.packages:
            self._content.packages.append(conda_package)

    def remove_conda_package(self, conda_package: str) -> None:
        """Take out a match spec that is there exactly so. Raises ``UsageError`` for Python's."""
        if conda_package not in self._content.packages:
            return
        if _is_python(conda_package):
            raise usage("Python can't be removed from conda dependencies", "`set_python_version` changes it.")
        self._content.packages.remove(conda_package)

    def add_pip_package(self, pip_package: str) -> None:
        """Add a requirement behind the others; one for the same package goes. Raises ``UsageError`` for an option."""
        self.remove_pip_package(pip_package)
        self._content.add_pip(pip_package)

    def remove_pip_package(self, pip_package: str) -> None:
        """Take out the requirement for a package, whatever its version. Raises ``UsageError`` for an option."""
        if pip_lines.is_option(pip_package):
            raise usage(f"{pip_package!r} is no package", "`set_pip_option` and `remove_pip_option` take options.")
        name = package_name(pip_package)
        self._pip[:] = [line for line in self._pip if pip_lines.is_option(line) or package_name(line) != name]

    def set_pip_option(self, pip_option: str) -> None:
        """Set an option such as ``--extra-index-url URL``, in the place of the same option. Raises ``UsageError``."""
        _check_option(pip_option)
        same = [at for at, line in enumerate(self._pip) if _same_option(line, pip_option)]
        for at in same:
            self._pip[at] = pip_option
        if not same:
            self._content.add_pip(pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Take an option out, whatever its value. Raises ``UsageError`` for what is none."""
        _check_option(pip_option)
        self._pip[:] = [line for line in self._pip if not _same_option(line, pip_option)]

    def set_pip_index_url(self, index_url: str) -> None:
        """The index that pip packages come from: a URL, or the whole option."""
        self.set_pip_option(index_url if pip_lines.is_option(index_url) else f"--index-url {index_url}")

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Put these packages and options in the place of all pip lines."""
        self._content.has_pip = True
        self._pip[:] = list(pip_requirements)

    def add_tensorflow_conda_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow for ``cpu`` or ``gpu`` as a conda package, instead of another; any version if ``None``."""
        for package in [spec for spec in self._content.packages if spec.startswith("tensorflow")]:
            self._content.packages.remove(package)
        self.add_conda_package(_for_core("tensorflow", core_type) + (f"={version}" if version else ""))

    def add_tensorflow_pip_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """The same as a pip package."""
        self._add_pip_alone("tensorflow", core_type, version)

    def add_cntk_package(self, core_type: str = CPU) -> None:
        """Add the Cognitive Toolkit for ``cpu`` or ``gpu`` as a pip package, in the place of another."""
        self._add_pip_alone("cntk", core_type, None)

    def _add_pip_alone(self, name: str, core_type: str, version: str | None) -> None:
        package = _for_core(name, core_type)
        self._pip[:] = [line for line in self._pip if not line.startswith(name)]
        self.add_pip_package(package + (f"=={version}" if version else ""))

    def serialize_to_string(self) -> str:
        """The text of a conda environment file."""
        return conda_file.dump(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The content of a conda environment file, as plain values; a copy."""
        return self._content.as_dict()

    def save(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write a conda environment file to ``path`` (a file, not a folder) and return the path. Raises
        ``UsageError``, ``OSError``."""
        if path is None or os.path.isdir(path):
            raise usage("A conda environment file can't be saved to a folder", "Give the path of a file.")
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            raise usage(f"The folder {os.fspath(folder)!r} is not there", "Make it first.")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.serialize_to_string())
        return os.fspath(path)

    def save_to_file(self, base_directory: str, conda_file_path: str | None = None) -> str:
        """As ``save``, to a path within ``base_directory``, which is returned as it lies there."""
        inside = conda_file_path or "conda_dependencies.yml"
        self.save(os.path.join(base_directory, inside))
        return inside

    def __repr__(self) -> str:
        return f"CondaDependencies({self.as_dict()!r})"


def _is_python(spec: str) -> bool:
    """Python's own match spec, and not that of ``python-dateutil``."""
    return _PYTHON.match(spec.strip().rpartition("::")[2]) is not None


def _check_option(option: str) -> None:
    if not pip_lines.is_option(option):
        raise usage(
            f"{option!r} is no option of pip's", "Write it as in `--extra-index-url https://example.org/simple`."
        )


def _same_option(line: str, option: str) -> bool:
    return pip_lines.is_option(line) and pip_lines.option_name(line) == pip_lines.option_name(option)


def _for_core(name: str, core_type: str) -> str:
    if core_type not in (CPU, GPU):
        raise usage(f"{core_type!r} is no type of core", "Give 'cpu' or 'gpu'.")
    return name if core_type == CPU else f"{name}-gpu"
