"""``Environment``: what a script needs to run, as an object that can be changed, registered, built and run in."""

from __future__ import annotations

import builtins
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from roost.client.api import directory_format
from roost.client.api.builds import ImageBuildDetails, check_platform
from roost.client.api.documents import check_name, fill, to_document
from roost.client.api.errors import unsupported, usage
from roost.client.api.image_details import DockerImageDetails
from roost.client.api.references import Origin
from roost.client.api.sections import pip_lines
from roost.client.api.sections.conda_dependencies import CondaDependencies
from roost.client.api.sections.databricks import DatabricksSection
from roost.client.api.sections.docker import ContainerRegistry, DockerBuildContext, DockerSection
from roost.client.api.sections.others import PythonSection, RSection, SparkSection
from roost.client.api.workspace import Workspace, path_to
from roost.client.transport.variables import conda_variables

if TYPE_CHECKING:
    from roost.client.api.environments import Environments

Json = dict[str, Any]
Path = str | os.PathLike[str]


class Environment:
    """Packages, base image, variables: everything that makes one environment.

    An object is a description and nothing else: changing it touches nothing that is registered or built. ``register``
    makes it the next version of its name. ``name``: letters, digits, ``.``, ``_`` and ``-``; names that begin with
    ``Roost-`` are for curated environments.

    Attributes: ``python``, ``docker``, ``spark``, ``databricks`` and ``r`` (``None`` at first) are its sections;
    ``environment_variables`` are set for what runs in it; ``system`` is what packages may count on beyond the baseline
    (``{"cuda": "12"}``); ``inferencing_stack_version`` is ``latest`` or ``None``; ``version`` is the version that it
    was fetched as, a text, or ``None``. Nothing is added that is not said: no default packages, no default image.
    """

    __slots__ = (
        "_kept",
        "_origin",
        "databricks",
        "docker",
        "environment_variables",
        "inferencing_stack_version",
        "name",
        "python",
        "r",
        "spark",
        "system",
        "version",
    )

    def __init__(self, name: str) -> None:
        self.name = check_name(name)
        self.version: str | None = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.databricks = DatabricksSection()
        self.r: RSection | None = None
        self.environment_variables: dict[str, str] = {}
        self.system: dict[str, str] = {}
        self.inferencing_stack_version: str | None = None
        self._kept: Json = {}
        self._origin: Origin | None = None

    # Making one

    @staticmethod
    def from_conda_specification(name: str, file_path: Path) -> Environment:
        """From a conda environment file. Raises ``DefinitionError`` where it is none, ``OSError``."""
        environment = Environment(name)
        environment.python.conda_dependencies = CondaDependencies(file_path)
        return environment

    @staticmethod
    def from_pip_requirements(name: str, file_path: Path, pip_version: str | None = None) -> Environment:
        """From a requirements file. ``pip_version``: also conda's pip of this version, and with it conda's Python.
        Raises ``OSError``."""
        environment, dependencies = Environment(name), CondaDependencies()
        with open(file_path, encoding="utf-8-sig") as file:
            dependencies.set_pip_requirements(pip_lines.logical_lines(file.read()))
        dependencies._folder = os.path.dirname(os.path.abspath(file_path))
        if pip_version:
            dependencies.add_conda_package(f"pip={pip_version}")
        environment.python.conda_dependencies = dependencies
        return environment

    @staticmethod
    def from_dockerfile(
        name: str, dockerfile: Path, conda_specification: Path | None = None, pip_requirements: Path | None = None
    ) -> Environment:
        """From the text or path of a Dockerfile, and at most one of the two files on top: without them, the Python of
        the image is used as it is. Raises ``UsageError``, ``DefinitionError``, ``OSError``."""
        environment = _with_packages(name, conda_specification, pip_requirements)
        environment.docker.base_dockerfile = dockerfile
        return environment

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        conda_specification: Path | None = None,
        pip_requirements: Path | None = None,
    ) -> Environment:
        """The same on an image. ``container_registry``: where it is, unless ``image`` says so."""
        environment = _with_packages(name, conda_specification, pip_requirements)
        environment.docker.base_image = image
        if container_registry is not None:
            environment.docker.base_image_registry = container_registry
        return environment

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: DockerBuildContext) -> Environment:
        """From a folder with a Dockerfile; the Python of the image is used as it is."""
        environment = _with_packages(name, None, None)
        environment.docker.build_context = docker_build_context
        return environment

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """From a conda environment of this machine, by its name or by a path with a ``/``: the packages that were asked
        for, or all of them by version where that is not recorded; pip's too. Nothing of it is run. Raises
        ``NotFoundError``, ``DefinitionError``."""
        request = {"what": {"cwd": os.getcwd(), "environ": conda_variables()}, "prefix": conda_environment_name}
        environment = _of_read(directory_format.read(request, conda_environment_name), name)
        environment.name = check_name(name)
        return environment

    @staticmethod
    def load_from_directory(path: Path) -> Environment:
        """From a folder that ``save_to_directory`` wrote, roost's or Azure's. What is wrong with it is logged where it
        does not matter. Raises ``FileNotFoundError`` where it is none, ``DefinitionError``, ``OSError``."""
        folder = os.path.abspath(path)
        directory_format.check(folder)
        return _of_read(
            directory_format.read({"what": {"cwd": os.getcwd(), "file": folder}}, folder), os.path.basename(folder)
        )

    def save_to_directory(self, path: Path, overwrite: bool = False) -> None:
        """Write it to a new folder as files that can be edited, and read by Azure's SDK too; ``overwrite``: the folder
        may be there. Raises ``FileExistsError``, ``OSError``, ``DefinitionError``."""
        directory_format.save(self._written(), os.fspath(path), overwrite=overwrite)

    # The workspace's

    @staticmethod
    def get(workspace: Workspace, name: str, version: str | int | None = None, label: str | None = None) -> Environment:
        """A registered version: by number or by label, else the latest. Raises ``EnvironmentNotFoundError``,
        ``UsageError`` where both are given."""
        if version is not None and label is not None:
            raise usage("Both a version and a label are given", "Give at most one of them.")
        number = None if version is None else _number(version)
        return of_view(workspace._request("GET", path_to("environments", name, version=number, label=label)))

    @staticmethod
    def list(workspace: Workspace) -> Environments:
        """The registered environments by name, curated ones (``Roost-…``) too, each in its latest version; archived
        ones are left out."""
        return workspace.environments

    @staticmethod
    def label(workspace: Workspace, name: str, version: str | int, labels: Sequence[str]) -> None:
        """Set labels on a version, all of them or none; one that is on another version moves. Raises
        ``EnvironmentNotFoundError``, ``UsageError``."""
        if isinstance(labels, str):
            raise usage("'labels' is a text", "Give a list of labels.")
        request: Json = {"version": _number(version), "labels": [str(label) for label in labels]}
        workspace._request("POST", path_to("environments", name, "labels"), request)

    def register(self, workspace: Workspace) -> Environment:
        """Make this the next version of its name, unless it is one already; the registered version is returned,
        and this object stays as it is. Versions count up by themselves: a ``version`` that was set by hand is refused.
        Raises ``UsageError``, ``DefinitionError``."""
        if self.version not in (None, *([str(self._origin.version)] if self._origin else [])):
            raise usage(f"The version {self.version!r} can't be chosen", "Set it to None: versions count up.")
        request: Json = {"what": self._content(), "name": self.name}
        if self._origin is not None:
            request["origin"] = self._origin.reference
        answer = workspace._request("POST", "/v1/environments", request)
        return of_view(answer["environment"])

    def clone(self, new_name: str) -> Environment:
        """A copy under another name, not registered yet."""
        copy = Environment(check_name(new_name))
        fill(copy, to_document(self))
        copy._origin = self._origin
        return copy

    @property
    def asset_id(self) -> str | None:
        """``NAME:VERSION`` of the registered version that this is, unchanged; else ``None``."""
        return self._origin.reference if self._origin is not None and self._is_origin() else None

    @property
    def definition_digest(self) -> str | None:
        """``sha256:…`` of what affects the build, where this is a registered version, unchanged."""
        return self._origin.definition_digest if self._origin is not None and self._is_origin() else None

    @property
    def kind(self) -> str | None:
        """``system-managed``, ``user-managed`` or ``curated``, as the version was that it was fetched as."""
        return self._origin.kind if self._origin is not None else None

    @property
    def labels(self) -> builtins.list[str]:
        """The labels that the version had when it was fetched."""
        return builtins.list(self._origin.labels) if self._origin is not None else []

    @staticmethod
    def add_private_pip_wheel(workspace: Workspace, file_path: Path, exist_ok: bool = False) -> str:
        """Keep a wheel in the store, by its content, and return the line for pip requirements that names it: it holds
        though the file goes. Another wheel of the same file name is another content with another line, so ``exist_ok``
        has nothing to allow. Raises ``UsageError``, ``DefinitionError`` where it is no wheel."""
        answer = workspace._request("POST", "/v1/wheels", {"path": os.path.abspath(file_path)})
        return str(answer["requirement"])

    # Making it ready

    def build(self, workspace: Workspace, image_build_compute: str | None = None) -> ImageBuildDetails:
        """Begin to make its image in the container engine; a description that is not registered is registered first.
        Raises ``UnsupportedError`` for ``image_build_compute``: images are made on this machine."""
        if image_build_compute is not None:
            raise unsupported("image_build_compute", "Images are made on this machine; leave it out.")
        known = self if self.asset_id is not None else self.register(workspace)
        return ImageBuildDetails._begun(workspace, {"what": known._what(), "target": "docker"})

    def build_local(
        self,
        workspace: Workspace,
        platform: str | None = None,
        *,
        useDocker: bool | None = None,
        pushImageToWorkspaceAcr: bool = False,
    ) -> ImageBuildDetails:
        """Make it ready on this machine and wait, showing what happens: a conda prefix, or with ``useDocker`` an image
        (by default as ``docker.enabled`` says). ``pushImageToWorkspaceAcr``: push the image to the workspace's
        registry. ``platform`` can only be this machine's. Raises ``BuildFailedError``, ``UnsupportedError``."""
        check_platform(platform)
        image = self.docker.enabled if useDocker is None else useDocker
        request: Json = {"what": self._what(), "target": "docker" if image else "local"}
        if pushImageToWorkspaceAcr:
            request["push"] = True
        return ImageBuildDetails._begun(workspace, request).wait_for_completion(show_output=True)

    def get_image_details(self, workspace: Workspace) -> DockerImageDetails:
        """What its image is, and where. Raises ``DefinitionError``, ``UnreachableError``."""
        return DockerImageDetails.of_answer(workspace._request("POST", "/v1/images/show", {"what": self._what()}))

    # What the daemon is told

    def _is_origin(self) -> bool:
        return self._origin is not None and self.name == self._origin.name and self._says_the_same()

    def _says_the_same(self) -> bool:
        return self._origin is not None and to_document(self) == self._origin.document

    def _content(self) -> Json:
        """``wire.What`` for registering: an unchanged copy stays tied to what it was copied from."""
        if self._origin is not None and self._says_the_same():
            return {"cwd": os.getcwd(), "environment": self._origin.reference}
        return self._described(os.getcwd())

    def _written(self) -> Json:
        """``wire.What`` for files, which say a name: a copy goes under its own."""
        return self._content() if self._is_origin() else self._described(os.getcwd())

    def _described(self, cwd: str) -> Json:
        return {"cwd": cwd, "document": {"name": self.name, **to_document(self)}}

    def _what(self, cwd: str | None = None) -> Json:
        """``wire.What`` for building and running. A registered version goes by its name, in the generation of the run
        that it came from, if any."""
        folder = cwd or os.getcwd()
        if self._origin is not None and self._is_origin():
            exact = {"generation_of": self._origin.run} if self._origin.run is not None else {}
            return {"cwd": folder, "environment": self._origin.reference, **exact}
        return self._described(folder)

    def __str__(self) -> str:
        return f"Environment(Name: {self.name},\nVersion: {self.version})"

    def __repr__(self) -> str:
        return json.dumps({"name": self.name, "version": self.version, **to_document(self)}, indent=4)


def of_view(view: Mapping[str, Any], run: str | None = None) -> Environment:
    """The object of a ``wire.EnvironmentView``; ``run``: in whose generation it is used."""
    environment = Environment(view["name"])
    fill(environment, {**view["definition"], **view["settings"]})
    environment.version = str(view["version"])
    environment._origin = Origin(
        name=view["name"],
        version=int(view["version"]),
        document=to_document(environment),
        definition_digest=str(view["definition_digest"]),
        kind=str(view["kind"]),
        labels=tuple(view["labels"]),
        run=run,
    )
    return environment


def _number(version: str | int) -> int:
    text = str(version)
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise usage(f"{version!r} is no version", "Versions are numbers from 1; labels go by label=.")
    return int(text)


def _of_read(answer: Mapping[str, Any], name: str) -> Environment:
    """What the daemon read in a file or folder; ``name`` where that gives none."""
    environment = Environment(answer["name"] or name)
    fill(environment, answer["document"])
    return environment


def _with_packages(name: str, conda_specification: Path | None, pip_requirements: Path | None) -> Environment:
    """The packages on top of an image; without any, its own Python."""
    if conda_specification is not None and pip_requirements is not None:
        raise usage("Both a conda specification and pip requirements are given", "Give at most one of them.")
    if conda_specification is not None:
        return Environment.from_conda_specification(name, conda_specification)
    if pip_requirements is not None:
        return Environment.from_pip_requirements(name, pip_requirements)
    environment = Environment(name)
    environment.python.user_managed_dependencies = True
    return environment
