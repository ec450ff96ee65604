"""Azure Machine Learning's environment files: CLI v2 YAML, and the SDK's ``azureml_environment.json`` (or its YAML)."""

from __future__ import annotations

from roost.store.definition import Base, Conda, Container, Definition, Parsed, Pip, Python, Settings, Spark
from roost.store.readers.conda import read_environment
from roost.store.readers.detect import unread
from roost.store.readers.source import Reading, decode
from roost.store.readers.yaml_nodes import Item, compose

_V2_SILENT = (
    "$schema",
    "name",
    "version",
    "description",
    "tags",
    "properties",
    "type",
    "os_type",
    "image",
    "conda_file",
)
_V1_SILENT = (
    *("name", "version", "python", "docker", "spark", "environmentVariables", "inferencingStackVersion"),
    *("assetId", "databricks", "r"),
)
CONDA_FILE = "conda_dependencies.yml"
"""What Azure's ``save_to_directory`` writes beside the JSON."""


def read_v2(reading: Reading, root: Item) -> Parsed:
    """An environment YAML of the CLI v2. Raises ``DefinitionError``."""
    _warn(reading, root, (*_V2_SILENT, "build", "docker"))
    definition, settings = _conda(reading, root.value("conda_file"))
    base = _v2_base(reading, root)
    name = root.value("name").optional("'name'")
    merged = Definition(base=base, conda=definition.conda, pip=definition.pip)
    return reading.parsed(merged, "azure-v2", settings=settings, name=name)


def read_v1(reading: Reading, root: Item) -> Parsed:
    """The SDK's environment, JSON or YAML. Raises ``DefinitionError``."""
    _warn(reading, root, _V1_SILENT)
    python, docker = root.value("python"), root.value("docker")
    managed = python.value("userManagedDependencies")
    user_managed = managed.kind != "null" and managed.flag("'userManagedDependencies'")
    conda, pip = (Conda(), Pip()) if user_managed else _v1_packages(reading, python)
    definition = Definition(
        base=_v1_base(reading, docker),
        conda=conda,
        pip=pip,
        python=Python(
            user_managed=user_managed,
            interpreter=python.value("interpreterPath").optional("'interpreterPath'") or "python",
        ),
        spark=_spark(root.value("spark")),
        inference_stack=root.value("inferencingStackVersion").optional("'inferencingStackVersion'"),
    )
    if root.value("r").kind != "null":
        reading.warn("section-unread", "section 'r' of an Azure environment is not read yet", root.value("r").location)
    return reading.parsed(
        definition,
        "azure",
        settings=_v1_settings(root, docker, definition.python),
        name=root.value("name").optional("'name'"),
    )


def _conda(reading: Reading, item: Item) -> tuple[Definition, Settings]:
    """A conda environment written in place, or the path of one."""
    if item.kind == "null":
        return Definition(), Settings()
    if item.kind == "scalar":
        path = reading.beside(item.text("'conda_file'").removeprefix("file:"), reading.path)
        return _conda_file(reading, path, item)
    definition, settings, _ = read_environment(reading, item)
    return definition, settings


def _conda_file(reading: Reading, path: str, item: Item) -> tuple[Definition, Settings]:
    root = compose(decode(reading.load(path, item.location), path), path)
    outer, reading.path = reading.path, path
    try:
        definition, settings, _ = read_environment(reading, root)
    finally:
        reading.path = outer
    return definition, settings


def _v2_base(reading: Reading, root: Item) -> Base | None:
    image, build = root.value("image"), root.value("build")
    if (older := root.value("docker")).kind != "null":
        image = image if image.kind != "null" else older.value("image")
        if older.value("build").kind != "null":
            raise unread("an early form of Azure's environment YAML", older.value("build").location)
    if build.kind == "null":
        text = image.optional("'image'")
        return Base(image=text) if text else None
    if image.kind != "null":
        build.fail("Both 'image' and 'build' are given; expected one", "Keep one of them.")
    named = build.value("dockerfile_path")
    if (named.optional("'dockerfile_path'") or "Dockerfile").removeprefix("./") != "Dockerfile":
        named.fail("A Dockerfile of another name is not read yet", "Call it 'Dockerfile'.")
    path = reading.beside(build.value("path").text("'path'"), reading.path)
    return Base(context=reading.digest("context", path, build.value("path").location), context_path=path)


def _v1_packages(reading: Reading, python: Item) -> tuple[Conda, Pip]:
    inline = python.value("condaDependencies")
    if inline.kind == "null":
        inline = python.value("condaDependenciesFile")
    beside = reading.beside(CONDA_FILE, reading.path)
    if inline.kind == "null" and reading.files.exists(beside):
        definition, _ = _conda_file(reading, beside, python)
    else:
        definition, _ = _conda(reading, inline)
    return definition.conda, definition.pip


def _v1_base(reading: Reading, docker: Item) -> Base | None:
    image = _v1_image(reading, docker)
    text = docker.value("baseDockerfile").optional("'baseDockerfile'")
    platform = docker.value("platform")
    parts = [platform.value(key).optional(f"'{key}'") for key in ("os", "architecture")]
    named = "/".join(part.lower() for part in parts if part) or None
    if docker.value("buildContext").kind != "null":
        docker.value("buildContext").fail("'buildContext' is not read yet", "Point at the context's folder with -f.")
    if text and image:
        docker.value("baseDockerfile").fail(
            "Both 'baseImage' and 'baseDockerfile' are given; expected at most one", "Keep one of them."
        )
    if text:
        return Base(dockerfile=text.replace("\r\n", "\n"), platform=named)
    return Base(image=image, platform=named) if image else None


def _v1_image(reading: Reading, docker: Item) -> str | None:
    """The reference with its registry in front. Credentials are not for files: they stay where Docker keeps them."""
    image = docker.value("baseImage").optional("'baseImage'")
    registry = docker.value("baseImageRegistry")
    address = registry.value("address").optional("'address'")
    for secret in ("username", "password", "registryIdentity"):
        if registry.value(secret).kind != "null":
            where = registry.value(secret).location
            reading.warn("credentials-unread", f"{secret!r} has no effect: `docker login` keeps credentials", where)
    return f"{address.rstrip('/')}/{image}" if address and image else image


def _spark(item: Item) -> Spark:
    repositories = [member.text("a repository") for member in item.value("repositories").items("'repositories'")]
    packages = [
        ":".join(member.value(key).text(f"'{key}'") for key in ("group", "artifact", "version"))
        for member in item.value("packages").items("'packages'")
    ]
    return Spark(repositories=tuple(repositories), packages=tuple(packages))


def _v1_settings(root: Item, docker: Item, python: Python) -> Settings:
    variables = {
        key: value.optional(f"variable {key!r}") or ""
        for key, (_, value) in root.value("environmentVariables").pairs("'environmentVariables'").items()
    }
    arguments = tuple(member.text("an argument") for member in docker.value("arguments").items("'arguments'"))
    container = Container(shm_size=docker.value("shmSize").optional("'shmSize'"), arguments=arguments)
    interpreter = python.interpreter if python.user_managed else None
    return Settings(variables=variables, container=container, interpreter=interpreter)


def _warn(reading: Reading, root: Item, silent: tuple[str, ...]) -> None:
    for key, (place, _) in root.pairs("an Azure environment").items():
        if key not in silent:
            reading.warn("key-unknown", f"key {key!r} has no effect", place.location)
