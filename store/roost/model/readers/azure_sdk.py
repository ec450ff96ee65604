"""Reader of environments as Azure's SDK writes them: ``azureml_environment.json`` with the files that
``save_to_directory`` writes beside it, the same as YAML, and the environment of a run configuration."""

from __future__ import annotations

import posixpath
from typing import Any

from roost.model.canonical.form import digest_definition
from roost.model.definition import (
    Base,
    ContainerSettings,
    Defaults,
    Definition,
    Python,
    R,
    ReadResult,
    RegisteredEnvironment,
    Settings,
    Spark,
    find_idle_sections,
)
from roost.model.documents.document import ItemKind
from roost.model.documents.places import TextPlaces
from roost.model.documents.yaml_nodes import YamlNode, parse_yaml
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.azure_jobs import check_reference
from roost.model.readers.conda import read_environment, read_variables, record_key
from roost.model.readers.docker import report_context_uses
from roost.model.readers.mistakes.near_keys import report_near_keys
from roost.model.readers.source import ReadContext, decode_text
from roost.model.syntax.azure import (
    CONDA_FILE,
    CONDA_NAME,
    DOCKER_FILE,
    JSON_FILE,
    TEMPLATE,
    extract_passthrough,
    format_cran_package,
)
from roost.model.syntax.secret_keys import drop_secrets, is_variable_reference

_ENVIRONMENT_KEYS = (
    *("name", "version", "python", "docker", "spark", "environmentVariables", "inferencingStackVersion"),
    *("assetId", "databricks", "r"),
)
_MORE_KEYS = ("condaDependencies", "gpuSupport")
"""Keys of sections that Azure's SDK reads and does not write."""
_RUN_PARTS = ("environment", "environmentVariables", "docker")
_PROJECT_FOLDERS = (".azureml", "aml_config")
"""Folders of run configurations in a project; the paths in them may be relative to the project."""
_VARIABLES = "'environmentVariables'"
_SPARK_KEYS = ("group", "artifact", "version")
_CONTEXT_HINT = (
    "Azure's SDK builds a base Dockerfile without a build context. Put it into a folder with its files, and name that: "
    "-f FOLDER"
)
_KEEP_ONE = "Keep one of them, or make them equal."


class ContradictionError(InvalidDefinitionError):
    """Two parts of one environment contradict each other."""

    code = "definition-contradicts-itself"


def read_v1(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read an environment of the SDK, as JSON or YAML. Raises: InvalidDefinitionError if it is not valid."""
    misspelled = report_near_keys(reading, root, _ENVIRONMENT_KEYS, "an Azure environment")
    for key, (key_node, _) in root.pairs("an Azure environment").items():
        record_key(reading, key_node)
        if key not in _ENVIRONMENT_KEYS and key not in misspelled:
            reading.warn("key-unknown", f"key {key!r} has no effect", key_node.location)
    definition, settings = _EnvironmentReader(reading, root).read()
    name = None
    with reading.recover():
        name = root.value("name").optional_text("'name'")
    return reading.build_result(definition, "azure", settings=settings, name=name)


def read_run_configuration(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read the environment of a run configuration, whose variables and container options take precedence.

    It may be registered, and named only. Raises: InvalidDefinitionError if it is not valid.
    """
    environment = root.value("environment")
    outer = reading.path
    if environment.kind == "scalar":
        reading.path = _resolve_in_project(reading, environment.text("'environment'"))
        environment = parse_yaml(
            decode_text(reading.load_file(reading.path, environment.location), reading.path), reading.path
        )
    registered = _read_workspace_reference(environment)
    others = [key for key in root.pairs("a run configuration") if key not in _RUN_PARTS]
    if others:
        unread = ", ".join(repr(key) for key in others)
        reading.warn("run-unread", f"only the environment of a run configuration is read, not {unread}", root.location)
    definition, settings = Definition(), Settings()
    if registered is None:
        definition, settings = _EnvironmentReader(reading, environment).read()
    reading.path = outer
    name = environment.value("name").optional_text("'name'")
    settings = _merge_run_settings(reading, root, settings)
    return reading.build_result(definition, "azure-run", settings=settings, name=name, registered=registered)


def _resolve_in_project(reading: ReadContext, name: str) -> str:
    """Return the path that ``name`` means in the file that is read: beside it, or from the folder of the project, to
    which Azure's SDK writes paths relative."""
    path, folder = reading.resolve_path(name, reading.path), posixpath.dirname(reading.path)
    if not reading.files.exists(path) and posixpath.basename(folder) in _PROJECT_FOLDERS:
        above = reading.resolve_path(name, folder)
        return above if reading.files.exists(above) else path
    return path


def _read_workspace_reference(environment: YamlNode) -> RegisteredEnvironment | None:
    """Return the environment of a workspace that a run configuration names; ``None`` if it contains one."""
    keys, name = set(environment.pairs("'environment'")), environment.value("name")
    if not keys <= {"name", "version"} or name.kind == "null":
        return None
    version = environment.value("version").optional_text("'version'")
    reference = name.text("'name'") + (f":{version}" if version is not None else "")
    return check_reference(reference, name.location)


def _merge_run_settings(reading: ReadContext, root: YamlNode, settings: Settings) -> Settings:
    """Return the settings of the run configuration, with those of its environment as defaults."""
    docker = root.value("docker")
    own = ContainerSettings()
    with reading.recover():
        own = _read_container(docker) if docker.kind == "mapping" else own
    container = ContainerSettings(
        shm_size=own.shm_size or settings.container.shm_size, arguments=own.arguments or settings.container.arguments
    )
    variables = dict(settings.variables)
    with reading.recover():
        variables |= read_variables(reading, root.value("environmentVariables"), _VARIABLES)
    return Settings(
        variables=variables, container=container, interpreter=settings.interpreter, passthrough=settings.passthrough
    )


class _EnvironmentReader:
    """Reader of one environment; its packages and Dockerfile may be in the file, named by it, or saved beside it."""

    def __init__(self, reading: ReadContext, root: YamlNode) -> None:
        self.reading, self.root = reading, root
        self.python, self.docker = root.value("python"), root.value("docker")
        managed = self.python.value("userManagedDependencies")
        self.user_managed = managed.kind != "null" and managed.boolean("'userManagedDependencies'")
        self.layout: dict[str, Any] = {}
        self.is_saved = posixpath.basename(reading.path).lower().startswith(JSON_FILE.lower())
        """Whether ``save_to_directory`` wrote the file, so that its parts are beside it."""

    def read(self) -> tuple[Definition, Settings]:
        recover = self.reading.recover
        for section, item in (("python", self.python), ("docker", self.docker)):
            report_near_keys(self.reading, item, (*TEMPLATE[section], *_MORE_KEYS), f"the section {section!r}")
        packages, variables = Definition(), dict[str, str]()
        base, interpreter, spark, r, stack = None, None, Spark(), None, None
        with recover():
            packages, variables = self._read_packages()
        with recover():
            base = self._read_sdk_base()
        with recover():
            interpreter = self.python.value("interpreterPath").optional_text("'interpreterPath'")
        with recover():
            spark = _read_spark(self.reading, self.root.value("spark"))
        with recover():
            r = _read_r(self.reading, self.root.value("r"))
        with recover():
            stack = _read_text(self.reading, self.root.value("inferencingStackVersion"), "'inferencingStackVersion'")
        definition = Definition(
            base=base,
            conda=packages.conda,
            pip=packages.pip,
            python=Python(user_managed=self.user_managed, interpreter=interpreter or "python"),
            spark=spark,
            r=r,
            inference_stack=stack,
        )
        self._warn_unused(definition)
        return definition, self._build_settings(definition, variables)

    def _build_settings(self, definition: Definition, variables: dict[str, str]) -> Settings:
        own, container, passthrough = dict[str, str](), ContainerSettings(), dict[str, Any]()
        with self.reading.recover():
            passthrough = self._read_sdk_passthrough(definition.base)
        with self.reading.recover():
            own = read_variables(self.reading, self.root.value("environmentVariables"), _VARIABLES)
        with self.reading.recover():
            container = _read_container(self.docker)
        return Settings(
            variables={**variables, **own},
            container=container,
            interpreter=definition.python.interpreter if self.user_managed else None,
            passthrough={"azure": passthrough} if passthrough else {},
        )

    def _read_sdk_passthrough(self, base: Base | None) -> dict[str, Any]:
        location = self.root.location

        def warn_dropped(key: str) -> None:
            message = (
                f"{key!r} is not stored: files must not contain credentials (`docker login`, "
                "[registries.credentials] in "
                "roost's config, keyring and netrc hold them; ${VARIABLE} refers to one)"
            )
            self.reading.warn("credentials-unread", message, location)

        self.root.value("databricks").pairs("'databricks'")
        raw: dict[str, Any] = self.root.to_json() or {}
        if raw.get("environmentVariables") is not None:  # the settings hold them, secret or not
            del raw["environmentVariables"]
        registry = self.docker.value("baseImageRegistry").value("address")
        if registry.kind != "null":  # the text in front of the image
            raw["docker"]["baseImageRegistry"]["address"] = registry.text("'address'")
        if not self.is_saved and isinstance(raw.get("python"), dict):
            raw["python"].pop("condaDependenciesFile", None)  # it was read; it has another path beside an export
        cleaned = drop_secrets(raw, self.reading.strip_credentials, warn_dropped)
        passthrough = extract_passthrough(cleaned, has_platform=base is not None)
        return {**passthrough, "layout": self.layout} if self.layout else passthrough

    def _warn_unused(self, definition: Definition) -> None:
        """Warn about sections that are stored and digested although roost installs nothing from them."""
        for section in find_idle_sections(definition, Settings()):
            self.reading.warn_idle(section, self.root.value(section).location)
        base_environment = self.python.value("baseCondaEnvironment")
        if base_environment.kind != "null":
            message = "'baseCondaEnvironment' is kept but has no effect: every environment is built completely"
            self.reading.warn("key-unused", message, base_environment.location)

    def _read_packages(self) -> tuple[Definition, dict[str, str]]:
        """Return the packages and variables from the place that has any; if several have, they must agree."""
        candidates = (self._read_inline(), self._read_named_file(), self._read_saved_file())
        found = [each for each in candidates if each is not None]
        for other, _, location in found[1:]:
            if digest_definition(other, Defaults()) != digest_definition(found[0][0], Defaults()):
                raise ContradictionError(
                    f"The packages here are not those of {found[0][2]}", hint=_KEEP_ONE, location=location
                )
        if not found and self.is_saved and not self.user_managed:
            message = f"{CONDA_FILE} does not exist next to it: the environment has no packages"
            self.reading.warn("file-missing", message, self.root.location)
        return (found[0][0], found[0][1]) if found else (Definition(), {})

    def _read_inline(self) -> _Packages | None:
        inline = self.python.value("condaDependencies")
        return None if inline.kind == "null" else self._read_conda_packages(inline)

    def _read_named_file(self) -> _Packages | None:
        """Read ``condaDependenciesFile``, whose path is relative to the file or to the project's folder."""
        item = self.python.value("condaDependenciesFile")
        if item.kind == "null":
            return None
        path = _resolve_in_project(self.reading, item.text("'condaDependenciesFile'"))
        if self.reading.files.exists(path):
            return self._read_file(path, item.location)
        if self.is_saved and self.reading.files.exists(self._resolve(CONDA_FILE)):
            return None  # the saved file replaces it
        if self.user_managed:
            message = f"{path} does not exist; it would not be installed in a user-managed environment"
            self.reading.warn("file-missing", message, item.location)
            return None
        return self._read_file(path, item.location)

    def _read_saved_file(self) -> _Packages | None:
        path = self._resolve(CONDA_FILE)
        if not self.reading.files.exists(path):
            return None
        own = self.python.value("condaDependencies").kind != "null"
        named = self.python.value("condaDependenciesFile").kind != "null"
        return self._read_file(path, None) if self.is_saved or not (own or named) else None

    def _read_file(self, path: str, location: Location | None) -> _Packages:
        root = parse_yaml(decode_text(self.reading.load_file(path, location or self.python.location), path), path)
        outer, self.reading.path = self.reading.path, path
        try:
            return self._read_conda_packages(root)
        finally:
            self.reading.path = outer

    def _read_conda_packages(self, item: YamlNode) -> _Packages:
        definition, settings, name = read_environment(self.reading, item)
        self.layout = _find_layout(item, name)
        return definition, settings.variables, item.location

    def _resolve(self, name: str) -> str:
        return self.reading.resolve_path(name, self.reading.path)

    def _read_sdk_base(self) -> Base | None:
        image, text = _read_image(self.reading, self.docker), self._choose_dockerfile()
        platform = _read_platform(self.docker.value("platform"))
        if (context := self.docker.value("buildContext")).kind != "null":
            context.fail(
                "'buildContext' is in Azure's storage or in git, which roost does not read",
                "Download the folder, and point at it with -f.",
            )
        if text and image:
            message = f"Both 'baseImage' and {text[1]} are given; expected at most one"
            raise ContradictionError(message, hint="Keep one of them.", location=text[2])
        if text:
            return Base(dockerfile=text[0], platform=platform)
        return Base(image=image, platform=platform) if image else None

    def _choose_dockerfile(self) -> tuple[str, str, Location] | None:
        """Return the text, its description for errors and its location: in the file, or saved beside it.

        If there are several, they must agree.
        """
        item = self.docker.value("baseDockerfile")
        own = (item.optional_text("'baseDockerfile'") or "").replace("\r\n", "\n")
        self.reading.require_no_credentials(own, "'baseDockerfile'", item.location)
        if own:
            report_context_uses(self.reading, own, item.written("'baseDockerfile'").locate, _CONTEXT_HINT)
        found = [(own, "'baseDockerfile'", item.location)] if own else []
        saved = self._read_saved_dockerfile() if self.is_saved else None
        if saved and found and saved[0] != own:
            message = f"This Dockerfile is not the one of {found[0][1]} ({found[0][2]})"
            raise ContradictionError(message, hint=_KEEP_ONE, location=saved[2])
        if self.is_saved and not (saved or found or self.docker.value("baseImage").kind != "null"):
            self._warn_unused_dockerfile()
        return saved or (found[0] if found else None)

    def _warn_unused_dockerfile(self) -> None:
        path = self._resolve("Dockerfile")
        if self.reading.files.exists(path):
            message = f"{path} is not part of this environment, whose Dockerfile would be named {DOCKER_FILE}"
            self.reading.warn("file-unused", message, self.root.location)

    def _read_saved_dockerfile(self) -> tuple[str, str, Location] | None:
        path = self._resolve(DOCKER_FILE)
        if not self.reading.files.exists(path):
            return None
        text = decode_text(self.reading.load_file(path, None), path)
        self.reading.require_no_credentials(text, f"the file {DOCKER_FILE}", Location(path=path))
        report_context_uses(self.reading, text, TextPlaces(text, path).locate, _CONTEXT_HINT)
        return text, f"the file {DOCKER_FILE}", Location(path=path, line=1, column=1)


def _find_layout(item: YamlNode, name: str | None) -> dict[str, Any]:
    """Return what only affects the layout of a conda file: its name, and the position of its pip section."""
    members = item.value("dependencies").members("'dependencies'") if item.kind == "mapping" else []
    pip = next((place for place, member in enumerate(members) if member.kind == "mapping"), len(members) - 1)
    own_name = {"conda_name": name} if name not in (None, CONDA_NAME) else {}
    return {**own_name, **({"pip_at": pip} if pip < len(members) - 1 else {})}


_Packages = tuple[Definition, dict[str, str], Location]


def _read_image(reading: ReadContext, docker: YamlNode) -> str | None:
    """Return the image reference with its registry in front.

    Credentials are used for this request if they are variable references (``${VARIABLE}``); others belong into
    Docker's configuration.
    """
    image = _read_text(reading, docker.value("baseImage"), "'baseImage'", "image")
    registry = docker.value("baseImageRegistry")
    address = (_read_text(reading, registry.value("address"), "'address'") or "").rstrip("/")
    user, password = (registry.value(key).optional_text(f"'{key}'") for key in ("username", "password"))
    reference = f"{address}/{image}" if address and image else image
    if reference and is_variable_reference(user) and is_variable_reference(password):
        reading.credentials[f"docker://{_find_registry_host(reference)}"] = f"{user}:{password}"
    return reference


def _find_registry_host(reference: str) -> str:
    """Return the host, as Docker splits references: a first part with a dot or a colon, or ``localhost``."""
    first, slash, _ = reference.partition("/")
    return first if slash and (set(".:[") & set(first) or first == "localhost") else "docker.io"


def _read_platform(item: YamlNode) -> str | None:
    parts = [item.value(key).optional_text(f"'{key}'") for key in ("os", "architecture")]
    return "/".join(part.lower() for part in parts if part) or None


def _read_spark(reading: ReadContext, item: YamlNode) -> Spark:
    repositories = [
        reading.strip_credentials(reading.record("value", one.written("a repository")))
        for one in item.value("repositories").members("'repositories'")
    ]
    packages = [_read_spark_package(reading, member) for member in item.value("packages").members("'packages'")]
    return Spark(repositories=tuple(repositories), packages=tuple(packages))


def _read_spark_package(reading: ReadContext, item: YamlNode) -> str:
    """Return ``group:artifact:version``; people write it as one text, too."""
    if item.kind == "scalar" and item.text("a package").count(":") == len(_SPARK_KEYS) - 1:
        return reading.record("value", item.written("a package"))
    return ":".join(reading.record("value", item.value(key).written(f"'{key}'")) for key in _SPARK_KEYS)


def _read_r(reading: ReadContext, item: YamlNode) -> R | None:
    if item.kind == "null":
        return None
    cran = [
        format_cran_package(
            reading.record("value", member.value("name").written("'name'")),
            _read_text(reading, member.value("version"), "'version'"),
            reading.strip_credentials(_read_text(reading, member.value("repository"), "'repository'") or "") or None,
        )
        for member in item.value("cranPackages").members("'cranPackages'")
    ]
    github = [
        reading.strip_credentials(reading.record("value", member.value("repository").written("'repository'")))
        for member in item.value("githubPackages").members("'githubPackages'")
    ]
    return R(
        version=_read_text(reading, item.value("rVersion"), "'rVersion'"),
        snapshot=_read_text(reading, item.value("snapshotDate"), "'snapshotDate'"),
        cran=tuple(cran),
        github=tuple(github),
        urls=_read_texts(reading, item, "customUrlPackages"),
        bioconductor=_read_texts(reading, item, "bioconductorPackages"),
    )


def _read_texts(reading: ReadContext, item: YamlNode, key: str) -> tuple[str, ...]:
    members = item.value(key).members(f"'{key}'")
    return tuple(reading.strip_credentials(reading.record("value", each.written("a package"))) for each in members)


def _read_text(reading: ReadContext, item: YamlNode, what: str, kind: ItemKind = "value") -> str | None:
    """Return a text of the definition, or ``None`` for null, and record it."""
    return None if item.kind == "null" else reading.record(kind, item.written(what))


def _read_container(docker: YamlNode) -> ContainerSettings:
    arguments = tuple(member.text("an argument") for member in docker.value("arguments").members("'arguments'"))
    return ContainerSettings(shm_size=docker.value("shmSize").optional_text("'shmSize'"), arguments=arguments)
