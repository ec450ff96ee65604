"""Reader of environment YAML of Azure Machine Learning's CLI v2."""

from __future__ import annotations

from typing import Any

from roost.model.definition import Base, Definition, ReadResult, Settings
from roost.model.documents.yaml_nodes import YamlNode, parse_yaml
from roost.model.readers.conda import read_environment, record_key
from roost.model.readers.docker import read_context_base
from roost.model.readers.mistakes.near_keys import report_near_keys
from roost.model.readers.mistakes.other_files import FormatUnreadError, format_unread_error
from roost.model.readers.source import ReadContext, decode_text
from roost.model.syntax.azure import V2_BUILD_KEYS, V2_ENVIRONMENT_KEYS, V2_EXPORTED_KEYS, V2_PASSTHROUGH_KEYS
from roost.model.syntax.secret_keys import drop_nulls, drop_secrets

_WHAT = "an Azure environment"
_KNOWN_KEYS = (*V2_ENVIRONMENT_KEYS, *V2_PASSTHROUGH_KEYS, *V2_EXPORTED_KEYS)
_TEMPLATE = "{{"


def read_v2(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read an environment YAML of the CLI v2. Raises: InvalidDefinitionError if it is not valid."""
    definition, settings, name = read_v2_environment(reading, root)
    return reading.build_result(definition, "azure-v2", settings=settings, name=name)


def read_v2_environment(reading: ReadContext, root: YamlNode) -> tuple[Definition, Settings, str | None]:
    """Return the definition, settings and name of an environment of the CLI v2: a file, or in place in a job.

    Raises: InvalidDefinitionError if it is not valid, or says nothing of an environment.
    """
    _check_v2_keys(reading, root)
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
    return definition, settings, name


def _check_v2_keys(reading: ReadContext, root: YamlNode) -> None:
    """Report near misses, and warn about unknown keys.

    Raises: FormatUnreadError if the file is not an environment of Azure's: it has neither of its own keys, or another
    tool's beside one that many tools have (``image``).
    """
    misspelled = report_near_keys(reading, root, _KNOWN_KEYS, _WHAT)
    pairs = root.pairs(_WHAT)
    unknown = [key for key in pairs if key not in _KNOWN_KEYS and key not in misspelled]
    if unknown and not {"$schema", "conda_file"} & set(pairs) and not misspelled:
        raise FormatUnreadError(
            f"This file is not an environment: {unknown[0]!r} is not a key of {_WHAT}",
            hint="Name the image with --image, the folder of its Dockerfile with -f, or an environment file.",
            location=pairs[unknown[0]][0].location,
        )
    if not misspelled and all(root.value(key).kind == "null" for key in ("image", "build", "docker", "conda_file")):
        raise FormatUnreadError(
            f"{_WHAT.capitalize()} without 'image', 'build' and 'conda_file' says nothing of an environment",
            hint="Name an image, a build context or a conda file in it.",
            location=root.location,
        )
    for key, (key_node, _) in pairs.items():
        record_key(reading, key_node)
        if key in unknown:
            reading.warn("key-unknown", f"key {key!r} has no effect", key_node.location)


def _read_v2_passthrough(reading: ReadContext, root: YamlNode) -> dict[str, Any]:
    def warn_dropped(key: str) -> None:
        reading.warn("credentials-unread", f"{key!r} is not stored: files must not contain credentials", root.location)

    values = {key: root.value(key).to_json() for key in V2_PASSTHROUGH_KEYS}
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
    return _read_build(reading, build)


def _read_build(reading: ReadContext, build: YamlNode) -> Base:
    """Return the base that is built from the folder ``path`` with the Dockerfile ``dockerfile_path`` in it."""
    misspelled = report_near_keys(reading, build, V2_BUILD_KEYS, "'build'")
    for key, (key_node, _) in build.pairs("'build'").items():
        if key == "dockerfile":
            key_node.fail("'dockerfile' is not a key of 'build'; did you mean 'dockerfile_path'?")
        if key not in V2_BUILD_KEYS and key not in misspelled:
            reading.warn("key-unknown", f"key {key!r} of 'build' has no effect", key_node.location)
    place, item = build.value("path"), build.value("dockerfile_path")
    text = place.text("'path'")
    if "://" in text or text.startswith("git@"):
        place.fail("A build context at a URL is not supported", "Fetch the folder, and write its path here.")
    for node, value in ((place, text), (item, item.optional_text("'dockerfile_path'") or "")):
        if _TEMPLATE in value:
            node.fail(f"{value!r} is a template that another tool fills in", "Name the folder itself with -f.")
    path, dockerfile = reading.resolve_path(text, reading.path), item.optional_text("'dockerfile_path'")
    return read_context_base(reading, path, dockerfile, place.location, item.location)
