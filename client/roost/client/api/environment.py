"""``Environment``: everything that a script needs to run, as an object that can be changed, registered, built and run
in; and ``Environments``, the registered ones by name."""

from __future__ import annotations

import builtins
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from roost.client.api import directory_format
from roost.client.api.builds import ImageBuildDetails, check_platform
from roost.client.api.connection import WorkspaceConnection, path_to
from roost.client.api.description import EnvironmentDescription, Origin, check_name
from roost.client.api.documents import apply_document, to_document
from roost.client.api.errors import EnvironmentNotFoundError, RoostError, usage_error
from roost.client.api.image_details import DockerImageDetails
from roost.client.api.passthrough import read_version
from roost.client.api.sections.conda_dependencies import CondaDependencies, read_requirements
from roost.client.api.sections.docker import ContainerRegistry, DockerBuildContext
from roost.client.api.selectors import (
    export_selector,
    own_version,
    registration_selector,
    unchanged_origin,
    use_selector,
)
from roost.client.transport.variables import conda_variables

logger = logging.getLogger("roost")
Json = dict[str, Any]
Path = str | os.PathLike[str]


class Environment(EnvironmentDescription):
    """Packages, base image, variables: everything that makes one environment.

    An object is a description and nothing else: changing it affects nothing that is registered or built. ``register``
    makes it the next version of its name. ``name``: letters, digits, ``.``, ``_`` and ``-``; names that begin with
    ``Roost-`` are for curated environments.

    Attributes: ``python``, ``docker``, ``spark``, ``databricks`` and ``r`` (``None`` at first) are its sections;
    ``environment_variables`` are set for the processes that run in it; ``system`` is what packages may require beyond
    the baseline (``{"cuda": "12"}``); ``inferencing_stack_version`` is ``latest`` or ``None``; ``version`` is the
    version that it was fetched as or is to be registered as, a text, or ``None``. There are no default packages and no
    default image.
    """

    __slots__ = ()

    # Construction

    @staticmethod
    def from_conda_specification(name: str, file_path: Path) -> Environment:
        """Return an environment from a conda environment file. Raises ``DefinitionError`` if the file is not a valid
        one, ``OSError``."""
        environment = Environment(name)
        environment.python.conda_dependencies = CondaDependencies(file_path)
        return environment

    @staticmethod
    def from_pip_requirements(name: str, file_path: Path, pip_version: str | None = None) -> Environment:
        """Return an environment from a requirements file. ``pip_version``: add conda's pip of this version, and with it
        conda's Python. Raises ``DefinitionError``, ``OSError``."""
        environment = Environment(name)
        dependencies = read_requirements(file_path)
        if pip_version:
            dependencies.add_conda_package(f"pip={pip_version}")
        environment.python.conda_dependencies = dependencies
        return environment

    @staticmethod
    def from_file(
        name: str,
        file_path: Path,
        *,
        python: str | None = None,
        extras: Sequence[str] = (),
        groups: Sequence[str] = (),
        packages: Sequence[str] = (),
    ) -> Environment:
        """Return an environment from an environment file of any kind, such as ``pyproject.toml``, with choices as the
        command line has them: ``python`` (``--python``), ``extras`` and ``groups`` of a project, and ``packages`` that
        are added (``--with``). Raises ``DefinitionError``, ``NotFoundError``, ``UsageError``."""
        chosen = {"python": python, "extras": [*extras], "groups": [*groups], "additions": [*packages]}
        path = os.path.abspath(file_path)
        what = {"cwd": os.getcwd(), "file": path, **{key: value for key, value in chosen.items() if value}}
        answer = directory_format.request_document({"what": what}, path)
        environment = environment_from_document(answer["document"], answer["document"].get("name"))
        environment.name = check_name(name)
        return environment

    @staticmethod
    def from_dockerfile(
        name: str, dockerfile: Path, conda_specification: Path | None = None, pip_requirements: Path | None = None
    ) -> Environment:
        """Return an environment from the text or path of a Dockerfile, with at most one of the two files on top:
        without them, the Python of the image is used as it is. Raises ``UsageError``, ``DefinitionError``,
        ``OSError``."""
        environment = _environment_on_image(name, conda_specification, pip_requirements)
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
        """Return an environment on an image, with at most one of the two files on top, as ``from_dockerfile`` does.
        ``container_registry``: that of the image, unless ``image`` contains it."""
        environment = _environment_on_image(name, conda_specification, pip_requirements)
        environment.docker.base_image = image
        if container_registry is not None:
            environment.docker.base_image_registry = container_registry
        return environment

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: DockerBuildContext) -> Environment:
        """Return an environment from a folder with a Dockerfile; the Python of the image is used as it is."""
        environment = _environment_on_image(name, None, None)
        environment.docker.build_context = docker_build_context
        return environment

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """Return an environment from a conda environment of this machine, by its name or by a path with a ``/``: with
        the packages that were requested, or all of them with their versions if that is not recorded; pip's too.
        Nothing in it is executed. Raises ``NotFoundError``, ``DefinitionError``."""
        request = {"what": {"cwd": os.getcwd(), "environ": conda_variables()}, "prefix": conda_environment_name}
        answer = directory_format.request_document(request, conda_environment_name)
        environment = environment_from_document(answer["document"], answer["name"] or name)
        environment.name = check_name(name)
        return environment

    @staticmethod
    def load_from_directory(path: Path) -> Environment:
        """Return the environment in a folder that ``save_to_directory`` wrote, roost's or Azure's. Faults that do not
        matter are logged. Raises ``FileNotFoundError`` if it is not such a folder, ``DefinitionError``, ``OSError``."""
        folder = os.path.abspath(path)
        directory_format.check_directory(folder)
        answer = directory_format.request_document({"what": {"cwd": os.getcwd(), "file": folder}}, folder)
        return environment_from_document(answer["document"], answer["document"].get("name"))

    def save_to_directory(self, path: Path, overwrite: bool = False) -> None:
        """Write the environment to a new folder as files that can be edited, and that Azure's SDK reads too.
        ``overwrite``: the folder may exist. Raises ``FileExistsError``, ``OSError``, ``DefinitionError``."""
        directory_format.write_directory(export_selector(self), os.fspath(path), overwrite=overwrite)

    # Registered versions

    @staticmethod
    def get(
        workspace: WorkspaceConnection, name: str, version: str | int | None = None, label: str | None = None
    ) -> Environment:
        """Return a registered version: by number or by label, else the latest. Raises ``EnvironmentNotFoundError``,
        ``UsageError`` if both are given."""
        if version is not None and label is not None:
            raise usage_error("Both a version and a label are given", "Give at most one of them.")
        number = None if version is None else _version_number(version)
        view = workspace._request("GET", path_to("environments", name, version=number, label=label))
        return environment_from_view(view)

    @staticmethod
    def list(workspace: WorkspaceConnection) -> Environments:
        """Return the registered environments by name, curated ones (``Roost-…``) too, each in its latest version;
        archived ones are left out."""
        return Environments(workspace)

    @staticmethod
    def label(workspace: WorkspaceConnection, name: str, version: str | int, labels: Sequence[str]) -> None:
        """Set labels on a version, all of them or none; a label that is on another version moves. Raises
        ``EnvironmentNotFoundError``, ``UsageError``."""
        if isinstance(labels, str):
            raise usage_error("'labels' is a string", "Give a list of labels.")
        request: Json = {"version": _version_number(version), "labels": [str(label) for label in labels]}
        workspace._request("POST", path_to("environments", name, "labels"), request)

    def register(self, workspace: WorkspaceConnection) -> Environment:
        """Make this the next version of its name, unless it is one already; return the registered version. This object
        does not change. With a ``version`` that was set by hand, a number from 1, it becomes that version; the number
        in a folder that was loaded is used if it is free. Raises ``UsageError`` if there is no name, or the number is
        that of another content; ``DefinitionError``."""
        if not self.name:
            raise usage_error("The environment has no name to register it by", "Set its attribute `name`.")
        request: Json = {"what": registration_selector(self), "name": self.name}
        if self._origin is not None:
            request["origin"] = self._origin.reference
        answer = self._register_numbered(workspace, request)
        return environment_from_view(answer["environment"])

    def _register_numbered(self, workspace: WorkspaceConnection, request: Json) -> Json:
        """Register with the number that was requested, if any; return the answer."""
        version = own_version(self)
        is_loaded = version is not None and version == read_version(self._passthrough)
        if version is None or (is_loaded and not _is_version_number(version)):
            return workspace._request("POST", "/v1/environments", request)
        try:
            return workspace._request("POST", "/v1/environments", {**request, "version": _version_number(version)})
        except RoostError as error:
            if error.code != "version-taken" or not is_loaded:
                raise
            logger.warning("%s The next version is registered.", error.message)
            return workspace._request("POST", "/v1/environments", request)

    def clone(self, new_name: str) -> Environment:
        """Return a copy under another name, which is not registered yet. Raises ``UsageError`` without a name."""
        copy = Environment(check_name(new_name))
        apply_document(copy, to_document(self))
        copy._origin = self._origin
        return copy

    @property
    def asset_id(self) -> str | None:
        """``NAME:VERSION`` if this is a registered version, unchanged; else ``None``."""
        origin = unchanged_origin(self)
        return origin.reference if origin is not None else None

    @property
    def definition_digest(self) -> str | None:
        """``sha256:…`` of everything that affects the build, if this is a registered version, unchanged; else
        ``None``."""
        origin = unchanged_origin(self)
        return origin.definition_digest if origin is not None else None

    @property
    def kind(self) -> str | None:
        """``system-managed``, ``user-managed`` or ``curated``: the kind of the version that was fetched; ``None`` if
        none was."""
        return self._origin.kind if self._origin is not None else None

    @property
    def labels(self) -> builtins.list[str]:
        """The labels that the version had when it was fetched."""
        return builtins.list(self._origin.labels) if self._origin is not None else []

    @staticmethod
    def add_private_pip_wheel(workspace: WorkspaceConnection, file_path: Path, exist_ok: bool = False) -> str:
        """Store a wheel by its content, and return the line for pip requirements that names it: the line is valid even
        after the file is deleted. Another wheel of the same file name is another content with another line, so that
        ``exist_ok`` has no effect. Raises ``UsageError``, ``DefinitionError`` if the file is not a wheel."""
        answer = workspace._request("POST", "/v1/wheels", {"path": os.path.abspath(file_path)})
        return str(answer["requirement"])

    # Builds

    def build(
        self, workspace: WorkspaceConnection, image_build_compute: str | None = None, *, rebuild: bool = False
    ) -> ImageBuildDetails:
        """Start to build the image in the container engine, and return at once; a description that is not registered
        is registered first. ``rebuild``: solve again, for a new generation. ``image_build_compute`` has no effect:
        images are built on this machine."""
        if image_build_compute is not None:
            logger.warning("image_build_compute: no effect, since images are built on this machine")
        registered = self if self.asset_id is not None else self.register(workspace)
        request: Json = {"what": use_selector(registered), "target": "docker"}
        return ImageBuildDetails._start(workspace, {**request, **({"rebuild": True} if rebuild else {})})

    def build_local(
        self,
        workspace: WorkspaceConnection,
        platform: str | None = None,
        *,
        useDocker: bool | None = None,
        pushImageToWorkspaceAcr: bool = False,
        rebuild: bool = False,
    ) -> ImageBuildDetails:
        """Build the environment on this machine and wait, printing the log: a conda prefix, or with ``useDocker`` an
        image (by default as ``docker.enabled`` says). ``pushImageToWorkspaceAcr``: push the image to the workspace's
        registry. ``rebuild``: solve again, for a new generation. ``platform`` can only be this machine's. Raises
        ``BuildFailedError``, ``UnsupportedError``."""
        check_platform(platform)
        is_image = self.docker.enabled if useDocker is None else useDocker
        request: Json = {"what": use_selector(self), "target": "docker" if is_image else "local"}
        if pushImageToWorkspaceAcr:
            request["push"] = True
        if rebuild:
            request["rebuild"] = True
        return ImageBuildDetails._start(workspace, request).wait_for_completion(show_output=True)

    def get_image_details(self, workspace: WorkspaceConnection) -> DockerImageDetails:
        """Return what is known of the environment's image. Raises ``DefinitionError``, ``UnreachableError``."""
        return DockerImageDetails.of_answer(workspace._request("POST", "/v1/images/show", {"what": use_selector(self)}))

    def __str__(self) -> str:
        return f"Environment(Name: {self.name},\nVersion: {self.version})"

    def __repr__(self) -> str:
        return json.dumps({"name": self.name, "version": self.version, **to_document(self)}, indent=4)


class Environments(Mapping[str, Environment]):
    """The registered environments: name to the latest version, curated ones (``Roost-…``) too; archived ones are left
    out. The names are fetched at the first access, and each environment when it is looked up."""

    def __init__(self, workspace: WorkspaceConnection) -> None:
        self._workspace = workspace
        self._names: dict[str, None] | None = None
        self._fetched: dict[str, Environment] = {}

    def _fetch_names(self) -> dict[str, None]:
        if self._names is None:
            rows = self._workspace._list_rows("/v1/environments", "environments", "after", curated="with")
            self._names = dict.fromkeys(str(row["name"]) for row in rows)
        return self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._fetch_names())

    def __len__(self) -> int:
        return len(self._fetch_names())

    def __contains__(self, name: object) -> bool:
        return name in self._fetch_names()

    def __getitem__(self, name: str) -> Environment:
        """Raises ``KeyError``."""
        if name not in self._fetched:
            if name not in self._fetch_names():
                raise KeyError(name)
            try:
                self._fetched[name] = Environment.get(self._workspace, name)
            except EnvironmentNotFoundError as error:
                raise KeyError(name) from error
        return self._fetched[name]

    def __repr__(self) -> str:
        return f"<{len(self)} environments of {self._workspace!r}>"


def environment_from_view(view: Mapping[str, Any], run_id: str | None = None) -> Environment:
    """Return the object for a ``wire.EnvironmentView``. ``run_id``: the run in whose generation it is used."""
    environment = environment_from_document({**view["definition"], **view["settings"]}, view["name"])
    environment.version = str(view["version"])
    environment._origin = Origin(
        name=view["name"],
        version=int(view["version"]),
        document=to_document(environment),
        definition_digest=str(view["definition_digest"]),
        kind=str(view["kind"]),
        labels=tuple(view["labels"]),
        run=run_id,
    )
    return environment


def environment_from_document(document: Mapping[str, Any], name: str | None) -> Environment:
    """Return the object for a document that the daemon read, such as the answer of ``POST /v1/documents``."""
    environment = Environment(name)
    apply_document(environment, document)
    environment.version = read_version(document)
    return environment


def is_empty(environment: Environment) -> bool:
    """Return whether ``environment`` is as it was created: nothing but its name is set."""
    return not to_document(environment)


def _environment_on_image(name: str, conda_specification: Path | None, pip_requirements: Path | None) -> Environment:
    """Return an environment with the packages for an image; without any, with the image's own Python."""
    if conda_specification is not None and pip_requirements is not None:
        raise usage_error("Both a conda specification and pip requirements are given", "Give at most one of them.")
    if conda_specification is not None:
        return Environment.from_conda_specification(name, conda_specification)
    if pip_requirements is not None:
        return Environment.from_pip_requirements(name, pip_requirements)
    environment = Environment(name)
    environment.python.user_managed_dependencies = True
    return environment


def _version_number(version: str | int) -> int:
    if not _is_version_number(str(version)):
        raise usage_error(f"{version!r} is not a valid version", "Versions are numbers from 1; pass labels as label=.")
    return int(version)


def _is_version_number(text: str) -> bool:
    return re.fullmatch(r"0*[1-9][0-9]{0,17}", text) is not None
