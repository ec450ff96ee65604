"""Reader of environment YAML of Azure Machine Learning's CLI v2."""

from __future__ import annotations

from typing import Any

from roost.model.definition import Base, Definition, ReadResult, Settings
from roost.model.documents.yaml_nodes import YamlNode, parse_yaml
from roost.model.readers.conda import read_environment, record_key
from roost.model.readers.detect import format_unread_error
from roost.model.readers.docker import digest_context
from roost.model.readers.source import ReadContext, decode_text
from roost.model.syntax.secret_keys import drop_nulls, drop_secrets

_READ_KEYS = ("$schema", "name", "image", "build", "docker", "conda_file")
PASSTHROUGH_KEYS = ("version", "description", "tags", "properties", "type", "os_type", "inference_config")
"""Keys that only Azure acts on."""


def read_v2(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read an environment YAML of the CLI v2. Raises: InvalidDefinitionError if it is not valid."""
    for key, (key_node, _) in root.pairs("an Azure environment").items():
        record_key(reading, key_node)
        if key not in (*_READ_KEYS, *PASSTHROUGH_KEYS):
            reading.warn("key-unknown", f"key {key!r} has no effect", key_node.location)
    packages, variables = Definition(), dict[str, str]()
    base, name, passthrough = None, None, dict[str, Any]()
    with reading.recover():
        packages, variables = _read_conda_file(reading, root.value("conda_file"))
    with reading.recover():
        base = _read_v2_base(reading, root)
    with reading.recover():
        name = root.value("name").optional_text("'name'")
    definition = Definition(base=base, conda=packages.conda, pip=packages.pip)
    with reading.recover():
        passthrough = _read_v2_passthrough(reading, root)
    settings = Settings(variables=variables, passthrough={"azure-v2": passthrough} if passthrough else {})
    return reading.build_result(definition, "azure-v2", settings=settings, name=name)


def _read_v2_passthrough(reading: ReadContext, root: YamlNode) -> dict[str, Any]:
    def warn_dropped(key: str) -> None:
        reading.warn("credentials-unread", f"{key!r} is not stored: files must not contain credentials", root.location)

    values = {key: root.value(key).to_json() for key in PASSTHROUGH_KEYS}
    passthrough: dict[str, Any] = drop_nulls(drop_secrets(values, reading.strip_credentials, warn_dropped))
    return passthrough


def _read_conda_file(reading: ReadContext, node: YamlNode) -> tuple[Definition, dict[str, str]]:
    """Return the packages and variables of a conda environment that is written in place, or in the file named."""
    if node.kind == "null":
        return Definition(), {}
    if node.kind == "scalar":
        path = reading.resolve_path(node.text("'conda_file'").removeprefix("file:"), reading.path)
        node = parse_yaml(decode_text(reading.load_file(path, node.location), path), path)
        outer, reading.path = reading.path, path
        try:
            definition, settings, _ = read_environment(reading, node)
        finally:
            reading.path = outer
    else:
        definition, settings, _ = read_environment(reading, node)
    return definition, settings.variables


def _read_v2_base(reading: ReadContext, root: YamlNode) -> Base | None:
    """Return the base of ``image`` or ``build``, or of the older ``docker`` section."""
    image, build = root.value("image"), root.value("build")
    if (older := root.value("docker")).kind != "null":
        image = image if image.kind != "null" else older.value("image")
        if older.value("build").kind != "null":
            raise format_unread_error("an early form of Azure's environment YAML", older.value("build").location)
    if build.kind == "null":
        text = None if image.kind == "null" else reading.record("image", image.written("'image'"))
        return Base(image=text) if text else None
    if image.kind != "null":
        build.fail("Both 'image' and 'build' are given; expected one", "Keep one of them.")
    dockerfile = build.value("dockerfile_path")
    if (dockerfile.optional_text("'dockerfile_path'") or "Dockerfile").removeprefix("./") != "Dockerfile":
        dockerfile.fail("A Dockerfile with another name is not supported", "Name it 'Dockerfile'.")
    path = reading.resolve_path(build.value("path").text("'path'"), reading.path)
    return Base(context=digest_context(reading, path, build.value("path").location), context_path=path)
