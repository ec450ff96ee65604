"""``CondaDependencies``: the conda and pip packages of an environment, as a conda environment file lists them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from roost.client.api.errors import translate_decode_errors, usage_error
from roost.client.api.sections import conda_file, pip_lines
from roost.client.api.sections.pip_lines import package_name

_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?(?:[ab]\d+)?")
_PYTHON = re.compile(r"python(?![A-Za-z0-9._-])")
CPU, GPU = "cpu", "gpu"
TENSORFLOW_VERSION, CNTK_VERSION = "2.2.0", "2.7"
"""What Azure's SDK adds if no version is given: a script that ran with it expects it."""


class CondaDependencies:
    """Packages, channels and pip options, in order. There are no default packages.

    ``conda_dependencies_file_path``: a conda environment file to start from. Raises ``DefinitionError`` if the file is
    not a valid one, ``FileNotFoundError`` if it does not exist.
    """

    DEFAULT_NUMBER_OF_CONDA_PACKAGES = 0
    DEFAULT_NUMBER_OF_PIP_PACKAGES = 0

    def __init__(self, conda_dependencies_file_path: str | os.PathLike[str] | None = None) -> None:
        self._file = conda_file.CondaFile()
        self._folder: str | None = None
        if conda_dependencies_file_path is not None:
            path = os.path.abspath(conda_dependencies_file_path)
            self._file, self._folder = conda_file.read(path), os.path.dirname(path)

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Return new dependencies from lists. ``pip_indexurl``: an index to use beside the usual one.
        ``python_version`` such as ``3.11``; ``None``: no Python is named, and the solver chooses a version that the
        packages allow. ``pin_sdk_version`` is for Azure's own packages and has no effect."""
        created = CondaDependencies()
        if pip_indexurl:
            is_option = pip_lines.is_option(pip_indexurl)
            created.set_pip_option(pip_indexurl if is_option else f"--extra-index-url {pip_indexurl}")
        if python_version:
            created.set_python_version(python_version)
        for package in pip_packages or ():
            created.add_pip_package(package)
        for package in conda_packages or ():
            created.add_conda_package(package)
        return created

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> list[str]:
        """Return one line for each package, with all its version clauses: ``["a>=1", "a<2"]`` gives
        ``["a>=1,<2"]``."""
        clauses: dict[str, tuple[str, list[str]]] = {}
        for requirement in requirements:
            text = requirement.strip()
            match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?", text)
            name = match.group() if match else text
            _, versions = clauses.setdefault(package_name(text), (name, []))
            versions.append(text[len(name) :].strip())
        return [name + ",".join(version for version in versions if version) for name, versions in clauses.values()]

    @property
    def folder(self) -> str | None:
        """Absolute folder at which relative paths among the pip lines start: the folder of the file that was read.
        ``None``: the working folder at the time of use."""
        return self._folder

    @property
    def conda_channels(self) -> Iterator[str]:
        """The channels, highest priority first; a copy."""
        return iter(list(self._file.channels))

    @property
    def conda_packages(self) -> Iterator[str]:
        """The conda match specs; a copy."""
        return iter(list(self._file.packages))

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
        return self._file.pip

    def get_default_number_of_packages(self) -> tuple[int, int]:
        """Return how many conda and pip packages new dependencies have: none."""
        return self.DEFAULT_NUMBER_OF_CONDA_PACKAGES, self.DEFAULT_NUMBER_OF_PIP_PACKAGES

    def get_python_version(self) -> str | None:
        """Return the version in the match spec of Python, such as ``3.11``; ``None`` if there is none."""
        spec = next((spec for spec in self._file.packages if _is_python_spec(spec)), "")
        match = _VERSION.search(spec)
        return match.group() if match else None

    def set_python_version(self, version: str) -> None:
        """Add ``python=<version>``, in the place of any other match spec for Python."""
        self._replace_python_spec(f"python={version}")

    def _replace_python_spec(self, spec: str) -> None:
        packages = self._file.packages
        index = next((index for index, known in enumerate(packages) if _is_python_spec(known)), None)
        if index is None:
            packages.append(spec)
        else:
            packages[index] = spec

    def add_channel(self, channel: str) -> None:
        """Append a channel, unless it is in the list."""
        if channel not in self._file.channels:
            self._file.channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Remove a channel, if it is in the list."""
        if channel in self._file.channels:
            self._file.channels.remove(channel)

    def add_conda_package(self, conda_package: str) -> None:
        """Append a match spec, unless exactly that one is in the list. One for Python replaces another."""
        if _is_python_spec(conda_package):
            self._replace_python_spec(conda_package)
        elif conda_package not in self._file.packages:
            self._file.packages.append(conda_package)

    def remove_conda_package(self, conda_package: str) -> None:
        """Remove exactly this match spec, if it is in the list. Raises ``UsageError`` for that of Python."""
        if conda_package not in self._file.packages:
            return
        if _is_python_spec(conda_package):
            raise usage_error("Python can't be removed from conda dependencies", "`set_python_version` changes it.")
        self._file.packages.remove(conda_package)

    def add_pip_package(self, pip_package: str) -> None:
        """Append a requirement, in the place of one for the same package. Raises ``UsageError`` for an option."""
        self.remove_pip_package(pip_package)
        self._file.add_pip(pip_package)

    def remove_pip_package(self, pip_package: str) -> None:
        """Remove the requirement for a package, whatever its version. Raises ``UsageError`` for an option."""
        if pip_lines.is_option(pip_package):
            raise usage_error(
                f"{pip_package!r} is not a package", "`set_pip_option` and `remove_pip_option` take options."
            )
        name = package_name(pip_package)
        self._pip[:] = [line for line in self._pip if pip_lines.is_option(line) or package_name(line) != name]

    def set_pip_option(self, pip_option: str) -> None:
        """Set an option such as ``--extra-index-url URL``, in the place of the same option. Raises ``UsageError``."""
        _check_option(pip_option)
        indexes = [index for index, line in enumerate(self._pip) if _is_same_option(line, pip_option)]
        for index in indexes:
            self._pip[index] = pip_option
        if not indexes:
            self._file.add_pip(pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Remove an option, whatever its value. Raises ``UsageError`` if the argument is not an option."""
        _check_option(pip_option)
        self._pip[:] = [line for line in self._pip if not _is_same_option(line, pip_option)]

    def set_pip_index_url(self, index_url: str) -> None:
        """Set the index that pip packages come from: a URL, or the whole option."""
        self.set_pip_option(index_url if pip_lines.is_option(index_url) else f"--index-url {index_url}")

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Replace all pip lines by these packages and options."""
        self._file.has_pip = True
        self._pip[:] = list(pip_requirements)

    def add_tensorflow_conda_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow for ``cpu`` or ``gpu`` as a conda package, in the place of another. ``version``: ``None`` is
        the one that Azure's SDK adds, 2.2.0."""
        for package in [spec for spec in self._file.packages if spec.startswith("tensorflow")]:
            self._file.packages.remove(package)
        self.add_conda_package(_core_package("tensorflow", core_type) + f"={version or TENSORFLOW_VERSION}")

    def add_tensorflow_pip_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow for ``cpu`` or ``gpu`` as a pip package, in the place of another. ``version``: ``None`` is
        the one that Azure's SDK adds, 2.2.0."""
        self._replace_pip_package("tensorflow", core_type, version or TENSORFLOW_VERSION)

    def add_cntk_package(self, core_type: str = CPU) -> None:
        """Add the Cognitive Toolkit 2.7, the last one, for ``cpu`` or ``gpu`` as a pip package, in the place of
        another."""
        self._replace_pip_package("cntk", core_type, CNTK_VERSION)

    def _replace_pip_package(self, name: str, core_type: str, version: str) -> None:
        package = _core_package(name, core_type)
        self._pip[:] = [line for line in self._pip if not line.startswith(name)]
        self.add_pip_package(f"{package}=={version}")

    def serialize_to_string(self) -> str:
        """Return the text of a conda environment file."""
        return conda_file.serialize(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return the content of a conda environment file, as plain values; a copy."""
        return self._file.as_dict()

    def save(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write a conda environment file to ``path`` (a file, not a folder) and return the path. Raises
        ``UsageError``, ``OSError``."""
        if path is None or os.path.isdir(path):
            raise usage_error("A conda environment file can't be saved to a folder", "Give the path of a file.")
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            raise usage_error(f"The folder {os.fspath(folder)!r} does not exist", "Create it first.")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.serialize_to_string())
        return os.fspath(path)

    def save_to_file(self, base_directory: str, conda_file_path: str | None = None) -> str:
        """Write as ``save`` does, to a path relative to ``base_directory``, and return that path; by default
        ``.azureml/auto_conda_dependencies.yml``, where Azure's SDK writes."""
        if conda_file_path is None:
            conda_file_path = ".azureml/auto_conda_dependencies.yml"
            os.makedirs(os.path.join(base_directory, ".azureml"), exist_ok=True)
        self.save(os.path.join(base_directory, conda_file_path))
        return conda_file_path

    def __repr__(self) -> str:
        return f"CondaDependencies({self.as_dict()!r})"


def read_requirements(path: str | os.PathLike[str]) -> CondaDependencies:
    """Read a requirements file. Raises: DefinitionError if it is not UTF-8; OSError."""
    dependencies = CondaDependencies()
    with open(path, encoding="utf-8-sig") as file, translate_decode_errors(os.path.abspath(path)):
        dependencies.set_pip_requirements(pip_lines.logical_lines(file.read()))
    dependencies._folder = os.path.dirname(os.path.abspath(path))
    return dependencies


def document_sections(dependencies: CondaDependencies) -> dict[str, dict[str, Any]]:
    """Return the sections ``conda``, ``pip`` and ``variables`` of a document; those are the variables of a conda
    environment file."""
    file = dependencies._file
    entries = pip_lines.document_entries(file.pip, dependencies.folder or os.getcwd())
    return {
        "conda": {
            "channels": [str(channel) for channel in file.channels],
            "dependencies": [str(spec) for spec in file.packages],
        },
        "pip": {"requirements": list(entries)},
        "variables": file.variables,
    }


def dependencies_from_document(
    channels: Iterable[str], packages: Iterable[str], requirements: Iterable[str | Mapping[str, Any]]
) -> CondaDependencies:
    """Return the dependencies with the conda channels, conda match specs and pip requirements of a document."""
    dependencies = CondaDependencies()
    for channel in channels:
        dependencies.add_channel(channel)
    dependencies._file.packages += packages
    lines = [line if isinstance(line, str) else pip_lines.StructuredLine(line) for line in requirements]
    if lines:
        dependencies.set_pip_requirements(lines)
    return dependencies


def _is_python_spec(spec: str) -> bool:
    """Return whether ``spec`` is for Python itself, and not for a package such as ``python-dateutil``."""
    return _PYTHON.match(spec.strip().rpartition("::")[2]) is not None


def _check_option(option: str) -> None:
    if not pip_lines.is_option(option):
        raise usage_error(
            f"{option!r} is not a pip option", "Write it as in `--extra-index-url https://example.org/simple`."
        )


def _is_same_option(line: str, option: str) -> bool:
    return pip_lines.is_option(line) and pip_lines.option_name(line) == pip_lines.option_name(option)


def _core_package(name: str, core_type: str) -> str:
    if core_type not in (CPU, GPU):
        raise usage_error(f"{core_type!r} is not a valid core type", "Give 'cpu' or 'gpu'.")
    return name if core_type == CPU else f"{name}-gpu"
