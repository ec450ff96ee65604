"""Environments as Azure's SDK writes them: ``azureml_environment.json`` with what ``save_to_directory`` puts beside it,
the same as YAML, and the environment of a run configuration."""

from __future__ import annotations

import posixpath
from typing import Any

from roost.model.canonical.form import digest_definition
from roost.model.definition import Base, ContainerSettings, Defaults, Definition, Python, R, ReadResult, Settings, Spark
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.conda import read_environment
from roost.model.readers.source import ReadContext, decode_text
from roost.model.readers.yaml_nodes import YamlNode, parse_yaml
from roost.model.syntax.azure import (
    CONDA_FILE,
    CONDA_NAME,
    DOCKER_FILE,
    JSON_FILE,
    extract_passthrough,
    format_cran_package,
)
from roost.model.syntax.secret_keys import drop_secrets, is_variable_reference

_KNOWN = (
    *("name", "version", "python", "docker", "spark", "environmentVariables", "inferencingStackVersion"),
    *("assetId", "databricks", "r"),
)
_RUN_PARTS = ("environment", "environmentVariables", "docker")
_PROJECT_FOLDERS = (".azureml", "aml_config")
"""Where run configurations lie in a project; the paths in them may be relative to the project."""
_KEEP_ONE = "Keep one of them, or make them say the same."


class ContradictionError(InvalidDefinitionError):
    """Two places of one environment say different things."""

    code = "definition-contradicts-itself"


def read_v1(reading: ReadContext, root: YamlNode) -> ReadResult:
    """The SDK's environment, JSON or YAML. Raises ``InvalidDefinitionError``."""
    for key, (place, _) in root.pairs("an Azure environment").items():
        if key not in _KNOWN:
            reading.warn("key-unknown", f"key {key!r} has no effect", place.location)
    definition, settings = _Environment(reading, root).read()
    return reading.parsed(definition, "azure", settings=settings, name=root.value("name").optional("'name'"))


def read_run_configuration(reading: ReadContext, root: YamlNode) -> ReadResult:
    """The environment of a run configuration; its variables and container options count. Raises
    ``InvalidDefinitionError``."""
    environment = root.value("environment")
    outer = reading.path
    if environment.kind == "scalar":
        reading.path = reading.beside(environment.text("'environment'"), outer)
        environment = parse_yaml(
            decode_text(reading.load(reading.path, environment.location), reading.path), reading.path
        )
    if _names_one_elsewhere(environment):
        environment.fail(
            "This run configuration names an environment of an Azure workspace and does not hold it",
            "Save the environment to a folder with Azure's save_to_directory, and import that.",
        )
    others = [key for key in root.pairs("a run configuration") if key not in _RUN_PARTS]
    if others:
        said = ", ".join(repr(key) for key in others)
        reading.warn("run-unread", f"only the environment of a run configuration is read, not {said}", root.location)
    definition, settings = _Environment(reading, environment).read()
    reading.path = outer
    name = environment.value("name").optional("'name'")
    return reading.parsed(definition, "azure-run", settings=_of_run(root, settings), name=name)


def _names_one_elsewhere(environment: YamlNode) -> bool:
    keys = set(environment.pairs("'environment'"))
    return bool(keys) and keys <= {"name", "version"} and environment.value("name").kind != "null"


def _of_run(root: YamlNode, settings: Settings) -> Settings:
    """What the run says goes before what the environment says."""
    docker = root.value("docker")
    own = _container(docker) if docker.kind == "mapping" else ContainerSettings()
    container = ContainerSettings(
        shm_size=own.shm_size or settings.container.shm_size, arguments=own.arguments or settings.container.arguments
    )
    variables = {**settings.variables, **_variables(root.value("environmentVariables"))}
    return Settings(
        variables=variables, container=container, interpreter=settings.interpreter, passthrough=settings.passthrough
    )


class _Environment:
    def __init__(self, reading: ReadContext, root: YamlNode) -> None:
        self.reading, self.root = reading, root
        self.python, self.docker = root.value("python"), root.value("docker")
        managed = self.python.value("userManagedDependencies")
        self.user_managed = managed.kind != "null" and managed.flag("'userManagedDependencies'")
        self.layout: dict[str, Any] = {}
        self.saved = posixpath.basename(reading.path).lower().startswith(JSON_FILE.lower())
        """Whether it is a file of ``save_to_directory``, whose parts lie beside it."""

    def read(self) -> tuple[Definition, Settings]:
        packages, variables = self._packages()
        base = self._base()
        definition = Definition(
            base=base,
            conda=packages.conda,
            pip=packages.pip,
            python=Python(
                user_managed=self.user_managed,
                interpreter=self.python.value("interpreterPath").optional("'interpreterPath'") or "python",
            ),
            spark=_spark(self.reading, self.root.value("spark")),
            r=_r(self.reading, self.root.value("r")),
            inference_stack=self.root.value("inferencingStackVersion").optional("'inferencingStackVersion'"),
        )
        self._warn_idle(definition)
        return definition, self._settings(definition, variables)

    def _settings(self, definition: Definition, variables: dict[str, str]) -> Settings:
        kept = self._kept(definition.base)
        return Settings(
            variables={**variables, **_variables(self.root.value("environmentVariables"))},
            container=_container(self.docker),
            interpreter=definition.python.interpreter if self.user_managed else None,
            passthrough={"azure": kept} if kept else {},
        )

    def _kept(self, base: Base | None) -> dict[str, Any]:
        where = self.root.location

        def dropped(key: str) -> None:
            message = (
                f"{key!r} is not kept: credentials are not for files (`docker login`, [registries.credentials] in "
                "roost's config, keyring and netrc hold them; ${VARIABLE} refers to one)"
            )
            self.reading.warn("credentials-unread", message, where)

        self.root.value("databricks").pairs("'databricks'")
        raw: dict[str, Any] = self.root.plain() or {}
        if raw.get("environmentVariables") is not None:  # settings hold them, secret or not
            del raw["environmentVariables"]
        registry = (raw.get("docker") or {}).get("baseImageRegistry") or {}
        if registry.get("address") is not None:  # the text that stands in front of the image
            registry["address"] = self.docker.value("baseImageRegistry").value("address").text("'address'")
        if not self.saved and isinstance(raw.get("python"), dict):
            raw["python"].pop("condaDependenciesFile", None)  # it was read; who reads the export has another place
        kept = extract_passthrough(drop_secrets(raw, self.reading.clean, dropped), has_platform=base is not None)
        return {**kept, "layout": self.layout} if self.layout else kept

    def _warn_idle(self, definition: Definition) -> None:
        """What is kept and digested, and yet nothing that roost installs."""
        if definition.r is not None:
            message = "section 'r' is kept and digested; roost installs nothing of it"
            self.reading.warn("section-idle", message, self.root.value("r").location)
        beneath = self.python.value("baseCondaEnvironment")
        if beneath.kind != "null":
            message = "'baseCondaEnvironment' is kept and has no effect: every environment is made whole"
            self.reading.warn("key-unused", message, beneath.location)

    def _packages(self) -> tuple[Definition, dict[str, str]]:
        """From the one place that names any; two places must agree."""
        found = [made for made in (self._inline(), self._named_file(), self._saved_file()) if made is not None]
        for other, _, place in found[1:]:
            if digest_definition(other, Defaults()) != digest_definition(found[0][0], Defaults()):
                raise ContradictionError(
                    f"The packages here are not those of {found[0][2]}", hint=_KEEP_ONE, location=place
                )
        if not found and self.saved and not self.user_managed:
            message = f"{CONDA_FILE} is not beside it: the environment has no packages"
            self.reading.warn("file-missing", message, self.root.location)
        return (found[0][0], found[0][1]) if found else (Definition(), {})

    def _inline(self) -> _Found | None:
        inline = self.python.value("condaDependencies")
        return None if inline.kind == "null" else self._read(inline)

    def _named_file(self) -> _Found | None:
        """``condaDependenciesFile``: beside the file, or from the project's folder above."""
        item = self.python.value("condaDependenciesFile")
        if item.kind == "null":
            return None
        path = self._place_of(item.text("'condaDependenciesFile'"))
        if self.reading.files.exists(path):
            return self._file(path, item.location)
        if self.saved and self.reading.files.exists(self._beside(CONDA_FILE)):
            return None  # what was saved beside it stands for it
        if self.user_managed:
            message = f"{path} is not there; nothing of it would be installed in a user-managed environment"
            self.reading.warn("file-missing", message, item.location)
            return None
        return self._file(path, item.location)

    def _saved_file(self) -> _Found | None:
        path = self._beside(CONDA_FILE)
        if not self.reading.files.exists(path):
            return None
        own = self.python.value("condaDependencies").kind != "null"
        named = self.python.value("condaDependenciesFile").kind != "null"
        return self._file(path, None) if self.saved or not (own or named) else None

    def _file(self, path: str, location: Location | None) -> _Found:
        root = parse_yaml(decode_text(self.reading.load(path, location or self.python.location), path), path)
        outer, self.reading.path = self.reading.path, path
        try:
            return self._read(root)
        finally:
            self.reading.path = outer

    def _read(self, item: YamlNode) -> _Found:
        definition, settings, name = read_environment(self.reading, item)
        self.layout = _layout(item, name)
        return definition, settings.variables, item.location

    def _beside(self, name: str) -> str:
        return self.reading.beside(name, self.reading.path)

    def _place_of(self, name: str) -> str:
        path, folder = self._beside(name), posixpath.dirname(self.reading.path)
        if not self.reading.files.exists(path) and posixpath.basename(folder) in _PROJECT_FOLDERS:
            above = self.reading.beside(name, folder)
            return above if self.reading.files.exists(above) else path
        return path

    def _base(self) -> Base | None:
        image, text = _image(self.reading, self.docker), self._dockerfile()
        platform = _platform(self.docker.value("platform"))
        if (context := self.docker.value("buildContext")).kind != "null":
            context.fail(
                "'buildContext' lies in Azure's storage or in git, where reading does not look",
                "Download the folder, and point at it with -f.",
            )
        if text and image:
            message = f"Both 'baseImage' and {text[1]} are given; expected at most one"
            raise ContradictionError(message, hint="Keep one of them.", location=text[2])
        if text:
            return Base(dockerfile=text[0], platform=platform)
        return Base(image=image, platform=platform) if image else None

    def _dockerfile(self) -> tuple[str, str, Location] | None:
        """The text, what to call it, and where it stands: in the file, or saved beside it. All places must agree."""
        item = self.docker.value("baseDockerfile")
        own = (item.optional("'baseDockerfile'") or "").replace("\r\n", "\n")
        self.reading.whole(own, "'baseDockerfile'", item.location)
        found = [(own, "'baseDockerfile'", item.location)] if own else []
        found += self._saved_dockerfiles() if self.saved else []
        for text, _, place in found[1:]:
            if text != found[0][0]:
                message = f"This Dockerfile is not the one of {found[0][1]} ({found[0][2]})"
                raise ContradictionError(message, hint=_KEEP_ONE, location=place)
        return found[-1] if found else None

    def _saved_dockerfiles(self) -> list[tuple[str, str, Location]]:
        found = []
        for name in (DOCKER_FILE, "Dockerfile"):
            path = self._beside(name)
            if self.reading.files.exists(path):
                text = decode_text(self.reading.load(path, None), path)
                self.reading.whole(text, f"the file {name}", Location(path=path))
                found.append((text, f"the file {name}", Location(path=path, line=1, column=1)))
        return found


def _layout(item: YamlNode, name: str | None) -> dict[str, Any]:
    """What a conda file's author chose and nothing hangs on: its name, and where its pip section stands."""
    members = item.value("dependencies").items("'dependencies'") if item.kind == "mapping" else []
    pip = next((place for place, member in enumerate(members) if member.kind == "mapping"), len(members) - 1)
    named = {"conda_name": name} if name not in (None, CONDA_NAME) else {}
    return {**named, **({"pip_at": pip} if pip < len(members) - 1 else {})}


_Found = tuple[Definition, dict[str, str], Location]


def _image(reading: ReadContext, docker: YamlNode) -> str | None:
    """The reference with its registry in front. Of credentials only references are taken (``${VARIABLE}``), for this
    request; others stay where Docker keeps them."""
    image = docker.value("baseImage").optional("'baseImage'")
    registry = docker.value("baseImageRegistry")
    address = (registry.value("address").optional("'address'") or "").rstrip("/")
    user, password = (registry.value(key).optional(f"'{key}'") for key in ("username", "password"))
    named = f"{address}/{image}" if address and image else image
    if named and is_variable_reference(user) and is_variable_reference(password):
        reading.credentials[f"docker://{_host_of(named)}"] = f"{user}:{password}"
    return named


def _host_of(reference: str) -> str:
    """As Docker takes references apart: a first part with a dot or a colon, or ``localhost``, is a host."""
    first, slash, _ = reference.partition("/")
    return first if slash and (set(".:[") & set(first) or first == "localhost") else "docker.io"


def _platform(item: YamlNode) -> str | None:
    parts = [item.value(key).optional(f"'{key}'") for key in ("os", "architecture")]
    return "/".join(part.lower() for part in parts if part) or None


def _spark(reading: ReadContext, item: YamlNode) -> Spark:
    repositories = [
        reading.clean(one.text("a repository")) for one in item.value("repositories").items("'repositories'")
    ]
    packages = [
        ":".join(member.value(key).text(f"'{key}'") for key in ("group", "artifact", "version"))
        for member in item.value("packages").items("'packages'")
    ]
    return Spark(repositories=tuple(repositories), packages=tuple(packages))


def _r(reading: ReadContext, item: YamlNode) -> R | None:
    if item.kind == "null":
        return None
    cran = [
        format_cran_package(
            member.value("name").text("'name'"),
            member.value("version").optional("'version'"),
            reading.clean(member.value("repository").optional("'repository'") or "") or None,
        )
        for member in item.value("cranPackages").items("'cranPackages'")
    ]
    github = item.value("githubPackages").items("'githubPackages'")
    return R(
        version=item.value("rVersion").optional("'rVersion'"),
        snapshot=item.value("snapshotDate").optional("'snapshotDate'"),
        cran=tuple(cran),
        github=tuple(reading.clean(member.value("repository").text("'repository'")) for member in github),
        urls=_texts(reading, item, "customUrlPackages"),
        bioconductor=_texts(reading, item, "bioconductorPackages"),
    )


def _texts(reading: ReadContext, item: YamlNode, key: str) -> tuple[str, ...]:
    return tuple(reading.clean(member.text("a package")) for member in item.value(key).items(f"'{key}'"))


def _variables(item: YamlNode) -> dict[str, str]:
    pairs = item.pairs("'environmentVariables'")
    return {key: value.optional(f"variable {key!r}") or "" for key, (_, value) in pairs.items()}


def _container(docker: YamlNode) -> ContainerSettings:
    arguments = tuple(member.text("an argument") for member in docker.value("arguments").items("'arguments'"))
    return ContainerSettings(shm_size=docker.value("shmSize").optional("'shmSize'"), arguments=arguments)
