"""Reader of the environment in other YAML of Azure's CLI v2: jobs, components, deployments, pipelines and assets.

What is not the environment has no effect. An environment of a workspace is one that is registered here under its name.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, NoReturn

from roost.model.canonical.form import canonicalise_settings, digest_definition
from roost.model.definition import Defaults, Definition, ReadResult, RegisteredEnvironment, Settings
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.documents.yaml_nodes import YamlNode, parse_yaml
from roost.model.errors import CodedError, InvalidDefinitionError, Location
from roost.model.names import NameInvalidError, parse_reference
from roost.model.readers.azure import read_v2_environment
from roost.model.readers.conda import read_variables
from roost.model.readers.docker import read_context_base
from roost.model.readers.mistakes.near_keys import MOST_KEYS, find_near_key, misspelled_error
from roost.model.readers.source import ReadContext, decode_text
from roost.model.syntax.azure import (
    V2_NAMING_KEYS,
    format_kind,
    parse_environment_reference,
    parse_registry_reference,
    parse_schema,
)

FORMAT = "azure-job"
IMPORT_HINT = (
    "Register it here under that name: save it to a folder with Azure's save_to_directory, and import that with "
    "`roost env import`."
)
_VARIABLES = "environment_variables"
_READ_KEYS = (*V2_NAMING_KEYS, _VARIABLES, "$schema", "type", "name", "version", "spec", "extra_config")
_MOST_FILES = 100
"""Files that one job may lead to through its components."""
_MOST_SHOWN = 5
_EXPRESSION = "${{"
_TEMPLATE = "{{"
_FILLED_IN = re.compile(r"\{\{[\w.-]+[^}\n]{0,100}\}\}")


class EnvironmentUnreadableError(InvalidDefinitionError):
    """A file of Azure's names an environment that roost has no access to, several of them, or none."""

    code = "azure-environment-unreadable"


class _Found(NamedTuple):
    """One ``environment:``, and the variables beside it."""

    node: YamlNode
    variables: YamlNode
    context: YamlNode | None = None
    """The build context in another file, whose templates the environment has in its place."""


class _ReadEnvironment(NamedTuple):
    """What one ``environment:`` is: registered, or a definition."""

    registered: RegisteredEnvironment | None
    definition: Definition
    settings: Settings
    name: str | None

    @property
    def identity(self) -> tuple[str, bytes]:
        reference = self.registered.reference if self.registered else digest_definition(self.definition, Defaults())
        return reference, canonicalise_settings(self.settings)


def is_azure_job(root: YamlNode) -> bool:
    """Whether a mapping is a file of Azure's CLI v2 that is not an environment: by its schema, or by what it names."""
    schema = root.value("$schema")
    if schema.kind == "scalar" and "azure" in schema.text("'$schema'").lower():
        return parse_schema(schema.text("'$schema'")) not in (None, "environment")
    if _read_type(root) == "environment" and root.value("spec").kind == "scalar":
        return True
    if any(_names_environment(item) for item in (root, root.value("trial"), root.value("task"))):
        return True
    jobs = root.value("jobs")  # of a pipeline without its schema
    return jobs.kind == "mapping" and any(_names_environment(job) for _, job in jobs.pairs("'jobs'").values())


def _names_environment(item: YamlNode) -> bool:
    if item.kind != "mapping":
        return False
    environment = item.value("environment")
    if environment.kind == "scalar":
        return environment.text("'environment'").startswith(("azureml:", "file:"))
    return environment.kind == "mapping" and bool({"image", "build", "conda_file"} & set(environment.pairs("it")))


def read_job(reading: ReadContext, root: YamlNode) -> ReadResult:
    """Read the environment of a job, a component, a deployment, a pipeline, a schedule or an environment's asset.

    Raises: EnvironmentUnreadableError if there is none, or several; InvalidDefinitionError if it is not valid.
    """
    found = list(_JobSearch(reading).find(root))
    if not found:
        _fail(root, f"{_describe(root)} has no 'environment', so there is nothing to build", "Name another file.")
    reads = [_read_environment(reading, each) for each in found]
    if len({read.identity for read in reads}) > 1:
        places = ", ".join(str(each.node.location) for each in found[:_MOST_SHOWN])
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        hint = "Name the file of one of its components, or save one of the environments in a file of its own."
        _fail(root, f"{_describe(root)} has {len(found)} different environments: {places}{more}", hint)
    if unread := [key for key in root.pairs("the file") if key not in _READ_KEYS]:
        shown = ", ".join(repr(key) for key in unread)
        message = f"only the environment of {_describe(root).lower()} is read, not {shown}"
        reading.warn("run-unread", message, root.location)
    first = reads[0]
    settings = first.settings
    if len(found) == 1:
        with reading.recover():
            settings = _add_variables(reading, settings, found[0].variables)
    return reading.build_result(
        first.definition, FORMAT, settings=settings, name=first.name, registered=first.registered
    )


class _JobSearch:
    """The search for environments in a file and in the components that it leads to."""

    def __init__(self, reading: ReadContext) -> None:
        self._reading = reading
        self._files: set[str] = set()

    def find(self, root: YamlNode) -> Iterator[_Found]:
        """Yield every environment of ``root`` in the order of the file. Raises: EnvironmentUnreadableError."""
        if root.kind != "mapping":
            root.fail(f"A job is {root.describe()}; expected a mapping")
        for key, (key_node, _) in islice(root.pairs("a job").items(), MOST_KEYS):
            if near := find_near_key(key, ("environment",)):
                raise misspelled_error(key, near, "an Azure job", key_node.location)
        if _read_type(root) == "environment" and root.value("spec").kind == "scalar":
            yield self._find_in_asset(root)
            return
        if (environment := root.value("environment")).kind != "null":
            yield _Found(environment, root.value(_VARIABLES))
        for key in ("trial", "task", "create_job", "component"):
            yield from self._follow(key, root.value(key))
        jobs = root.value("jobs")
        for _, job in jobs.pairs("'jobs'").values() if jobs.kind == "mapping" else ():
            yield from self.find(job)
        deployments = root.value("deployments")  # of an endpoint in an early form
        for deployment in deployments.members("'deployments'") if deployments.kind == "list" else ():
            yield from self.find(deployment)

    def _find_in_asset(self, root: YamlNode) -> _Found:
        """Return the environment of an asset as Azure publishes its own: ``spec`` is one, whose build context
        may be a template for the folder in ``extra_config``."""
        spec, extra = self._load(root.value("spec")), root.value("extra_config")
        path = spec.value("build").value("path") if spec.kind == "mapping" else spec
        if path.kind != "scalar" or _TEMPLATE not in path.text("'path'") or extra.kind != "scalar":
            return _Found(spec, root.value(_VARIABLES))
        return _Found(spec, root.value(_VARIABLES), self._load(extra).value("image").value("context"))

    def _follow(self, key: str, item: YamlNode) -> Iterator[_Found]:
        if item.kind == "mapping":
            yield from self.find(item)
        elif item.kind == "scalar":
            text = item.text(f"'{key}'")
            if text.startswith("azureml:"):
                hint = "Name the file of the component instead."
                _fail(item, f"{text!r} is in an Azure workspace or registry, which roost does not read", hint)
            if _EXPRESSION not in text:
                yield from self.find(self._load(item))

    def _load(self, item: YamlNode) -> YamlNode:
        """Return the YAML file that a path names, relative to its own file. Raises: EnvironmentUnreadableError."""
        path = self._reading.resolve_path(item.text("a path").removeprefix("file:"), item.path)
        if path in self._files or len(self._files) >= _MOST_FILES:
            _fail(item, f"{path} is named twice, or more than {_MOST_FILES} files are named", "Name one component.")
        self._files.add(path)
        return parse_yaml(decode_text(self._reading.load_file(path, item.location), path), path)


def _read_environment(reading: ReadContext, found: _Found) -> _ReadEnvironment:
    """Read an ``environment:``: in place, in a file, or registered. Raises: InvalidDefinitionError."""
    node = found.node
    if node.kind == "scalar":
        text = node.text("'environment'")
        if (reference := parse_environment_reference(text)) is not None:
            return _ReadEnvironment(check_reference(reference, node.location), Definition(), Settings(), None)
        node = _JobSearch(reading)._load(node) if _is_path(text) else _reject_reference(node, text)
    if node.kind == "mapping" and {"dependencies", "channels"} & set(node.pairs("'environment'")):
        node.fail(
            "An Azure environment has its conda packages under 'conda_file'",
            "Write 'image:' and 'conda_file:', and the packages below the second.",
        )
    if found.context is not None:
        return _read_asset(reading, found.context)
    outer, reading.path = reading.path, node.path
    try:
        definition, settings, name = read_v2_environment(reading, node)
    finally:
        reading.path = outer
    return _ReadEnvironment(None, definition, settings, name)


def _read_asset(reading: ReadContext, context: YamlNode) -> _ReadEnvironment:
    """Read a build context that an asset of Azure's own describes.

    Raises: EnvironmentUnreadableError if its Dockerfile has templates, which only Azure's release fills in.
    """
    folder = reading.resolve_path(context.value("dir").optional_text("'dir'") or "context", context.path)
    item = context.value("dockerfile")
    base = read_context_base(reading, folder, item.optional_text("'dockerfile'"), context.location, item.location)
    path = posixpath.join(folder, base.dockerfile_path or DOCKERFILE)
    lines = decode_text(reading.load_file(path, context.location), path).split("\n")
    for number, line in enumerate(lines, 1):
        if (template := _FILLED_IN.search(line)) is not None:
            raise EnvironmentUnreadableError(
                f"The Dockerfile contains {template[0]}, which only Azure's release of its assets fills in",
                hint=f"Write the value into it, and name the folder: -f {folder}",
                location=Location(path=path, line=number, column=template.start() + 1),
            )
    return _ReadEnvironment(None, Definition(base=base), Settings(), None)


def _is_path(text: str) -> bool:
    return text.startswith(("file:", "./", "../")) or text.endswith((".yml", ".yaml", ".json"))


def check_reference(reference: str, location: Location) -> RegisteredEnvironment:
    """Return the registered environment that is written at ``location``.

    Raises: EnvironmentUnreadableError if ``reference`` is not a reference here: versions are numbers.
    """
    try:
        parse_reference(reference)
    except NameInvalidError as error:
        hint = "Versions are numbers here. Name the environment with such a version, with a label, or without."
        raise EnvironmentUnreadableError(error.message, hint=hint, location=location) from None
    return RegisteredEnvironment(reference=reference, location=location)


def _reject_reference(node: YamlNode, text: str) -> NoReturn:
    if registry := parse_registry_reference(text):
        message = f"{registry[1]!r} is in the registry {registry[0]!r} of Azure, which roost has no access to"
        hint = "Register an environment of that content (`roost env register`), and write azureml:NAME@latest."
    elif _EXPRESSION in text or _TEMPLATE in text:
        message, hint = f"{text!r} is an expression that Azure fills in", "Write the environment itself."
    else:
        message = f"{text!r} is not an environment: expected one in place, azureml:NAME@LABEL or azureml:NAME:VERSION"
        hint = f"Write azureml:{text}." if _is_name(text) else "Write the image under 'image:' below 'environment:'."
    _fail(node, message, hint)


def _is_name(text: str) -> bool:
    try:
        parse_reference(text)
    except CodedError:
        return False
    return True


def _add_variables(reading: ReadContext, settings: Settings, node: YamlNode) -> Settings:
    """Return ``settings`` with the variables of a job, without those that Azure fills in."""
    if node.kind == "null":
        return settings
    variables = dict(settings.variables)
    for name, value in read_variables(reading, node, f"'{_VARIABLES}'").items():
        if _EXPRESSION in value:
            reading.warn("variable-unread", f"variable {name!r} is an expression that Azure fills in", node.location)
        else:
            variables[name] = value
    return Settings(
        variables=variables,
        container=settings.container,
        interpreter=settings.interpreter,
        passthrough=settings.passthrough,
    )


def _read_type(root: YamlNode) -> str | None:
    item = root.value("type")
    return item.text("'type'") if item.kind == "scalar" else None


def _describe(root: YamlNode) -> str:
    """Return what the file is, as its schema or its type says."""
    schema = root.value("$schema")
    kind = parse_schema(schema.text("'$schema'")) if schema.kind == "scalar" else None
    text = format_kind(kind) if kind else f"{_read_type(root) or ''} job".strip()
    return f"This {text} of Azure"


def _fail(node: YamlNode, message: str, hint: str) -> NoReturn:
    raise EnvironmentUnreadableError(message, hint=hint, location=node.location)
