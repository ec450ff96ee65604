"""Environment YAML of Azure Machine Learning's CLI v2."""

from __future__ import annotations

from typing import Any

from roost.model.definition import Base, Definition, ReadResult, Settings
from roost.model.readers.conda import read_environment
from roost.model.readers.detect import format_unread_error
from roost.model.readers.docker import context_digest
from roost.model.readers.source import ReadContext, decode_text
from roost.model.readers.yaml_nodes import YamlNode, parse_yaml
from roost.model.syntax.secret_keys import drop_nulls, drop_secrets

_SAID = ("$schema", "name", "image", "build", "docker", "conda_file")
V2_KEPT = ("version", "description", "tags", "properties", "type", "os_type", "inference_config")
"""What only Azure acts on."""


def read_v2(reading: ReadContext, root: YamlNode) -> ReadResult:
    """An environment YAML of the CLI v2. Raises ``InvalidDefinitionError``."""
    _warn(reading, root, (*_SAID, *V2_KEPT))
    definition, settings = _conda(reading, root.value("conda_file"))
    base = _v2_base(reading, root)
    name = root.value("name").optional("'name'")
    merged = Definition(base=base, conda=definition.conda, pip=definition.pip)
    kept = _kept(reading, root)
    settings = Settings(variables=settings.variables, passthrough={"azure-v2": kept} if kept else {})
    return reading.parsed(merged, "azure-v2", settings=settings, name=name)


def _kept(reading: ReadContext, root: YamlNode) -> dict[str, Any]:
    def dropped(key: str) -> None:
        reading.warn("credentials-unread", f"{key!r} is not kept: credentials are not for files", root.location)

    told = {key: root.value(key).plain() for key in V2_KEPT}
    kept: dict[str, Any] = drop_nulls(drop_secrets(told, reading.clean, dropped))
    return kept


def _conda(reading: ReadContext, item: YamlNode) -> tuple[Definition, Settings]:
    """A conda environment written in place, or the path of one."""
    if item.kind == "null":
        return Definition(), Settings()
    if item.kind == "scalar":
        path = reading.beside(item.text("'conda_file'").removeprefix("file:"), reading.path)
        return _conda_file(reading, path, item)
    definition, settings, _ = read_environment(reading, item)
    return definition, settings


def _conda_file(reading: ReadContext, path: str, item: YamlNode) -> tuple[Definition, Settings]:
    root = parse_yaml(decode_text(reading.load(path, item.location), path), path)
    outer, reading.path = reading.path, path
    try:
        definition, settings, _ = read_environment(reading, root)
    finally:
        reading.path = outer
    return definition, settings


def _v2_base(reading: ReadContext, root: YamlNode) -> Base | None:
    image, build = root.value("image"), root.value("build")
    if (older := root.value("docker")).kind != "null":
        image = image if image.kind != "null" else older.value("image")
        if older.value("build").kind != "null":
            raise format_unread_error("an early form of Azure's environment YAML", older.value("build").location)
    if build.kind == "null":
        text = image.optional("'image'")
        return Base(image=text) if text else None
    if image.kind != "null":
        build.fail("Both 'image' and 'build' are given; expected one", "Keep one of them.")
    named = build.value("dockerfile_path")
    if (named.optional("'dockerfile_path'") or "Dockerfile").removeprefix("./") != "Dockerfile":
        named.fail("A Dockerfile of another name is not read yet", "Call it 'Dockerfile'.")
    path = reading.beside(build.value("path").text("'path'"), reading.path)
    return Base(context=context_digest(reading, path, build.value("path").location), context_path=path)


def _warn(reading: ReadContext, root: YamlNode, silent: tuple[str, ...]) -> None:
    for key, (place, _) in root.pairs("an Azure environment").items():
        if key not in silent:
            reading.warn("key-unknown", f"key {key!r} has no effect", place.location)
