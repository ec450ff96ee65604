"""The shape of an Azure ML environment as its SDK writes it, and what of it roost only keeps. Pure.

The names are those of azureml-core 1.61 (``azureml.core.environment``, serialised in camel case). A definition and its
settings say most of a file. The rest (databricks, shared volumes, Azure's own version …) is kept under
``Settings.kept["azure"]`` as far as it differs from ``TEMPLATE``, so that a plain environment keeps nothing. A key that
is missing means its default to Azure, and ``null`` means none: paths that were null are listed under ``null``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

Json = dict[str, Any]

JSON_FILE = "azureml_environment.json"
CONDA_FILE = "conda_dependencies.yml"
DOCKER_FILE = "BaseDockerfile"
"""As Azure calls it; people who write such a folder by hand call it ``Dockerfile``, which is read too."""
CONDA_NAME = "project_environment"
"""What Azure calls the environment in every conda file that it writes."""
NULL = "null"

R_TEMPLATE: Json = {
    "rVersion": None,
    "userManaged": False,
    "rscriptPath": None,
    "snapshotDate": None,
    "cranPackages": None,
    "githubPackages": None,
    "customUrlPackages": None,
    "bioconductorPackages": None,
}
TEMPLATE: Json = {
    "name": None,
    "version": None,
    "environmentVariables": {},
    "python": {
        "userManagedDependencies": False,
        "interpreterPath": "python",
        "condaDependenciesFile": None,
        "baseCondaEnvironment": None,
    },
    "docker": {
        "enabled": False,
        "baseImage": None,
        "baseDockerfile": None,
        "buildContext": None,
        "sharedVolumes": True,
        "shmSize": None,
        "arguments": [],
        "baseImageRegistry": {"address": None, "username": None, "password": None, "registryIdentity": None},
        "platform": {"os": "Linux", "architecture": "amd64"},
    },
    "spark": {"repositories": [], "packages": [], "precachePackages": True},
    "databricks": {
        "mavenLibraries": [],
        "pypiLibraries": [],
        "rcranLibraries": [],
        "jarLibraries": [],
        "eggLibraries": [],
    },
    "r": None,
    "inferencingStackVersion": None,
    "assetId": None,
}
"""What ``save_to_directory`` writes for an environment that says nothing."""
_SAID = frozenset(
    (
        *("name", "environmentVariables", "inferencingStackVersion"),
        *("python.userManagedDependencies", "python.interpreterPath", "python.condaDependencies"),
        *("docker.baseImage", "docker.baseDockerfile", "docker.buildContext", "docker.shmSize", "docker.arguments"),
        *("spark.repositories", "spark.packages"),
        *("r.rVersion", "r.snapshotDate", "r.cranPackages", "r.githubPackages", "r.customUrlPackages"),
        "r.bioconductorPackages",
    )
)
"""What a definition and its settings say."""
_SECRET_WORDS = frozenset(("password", "passwd", "pwd", "passphrase", "secret", "token", "credential"))
_SECRET_PAIRS = frozenset(
    ("accesskey", "accountkey", "sharedkey", "storagekey", "privatekey", "apikey", "connectionstring", "username")
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_CRAN = re.compile(r"(?P<name>[^=@]*)(?:=(?P<version>[^@]*?))?(?: @ (?P<repository>.*))?", re.DOTALL)


def is_secret(key: str) -> bool:
    """Whether a key's value is none for files to keep: told by its words, so that a ``tokenizer`` is none."""
    words = [word.lower() for word in _WORD.findall(key)]
    pairs = {(first + second).rstrip("s") for first, second in pairwise(["", *words])}
    return bool(_SECRET_WORDS & {word.rstrip("s") for word in words} or _SECRET_PAIRS & pairs)


def is_reference(value: Any) -> bool:  # noqa: ANN401 - as files have it
    """Whether it names where a secret is, and is none: ``${VARIABLE}`` alone."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def kept_of(raw: Mapping[str, Any], *, platform_said: bool) -> Json:
    """What only Azure reads of an environment. ``platform_said``: the definition says its platform."""
    nulls: list[str] = []
    template = {**TEMPLATE, "r": R_TEMPLATE}
    kept = _difference(raw, template, "", nulls, _SAID | {"docker.platform"} if platform_said else _SAID)
    return {**kept, NULL: sorted(nulls)} if nulls else kept


def _difference(raw: Mapping[str, Any], template: Json, above: str, nulls: list[str], said: frozenset[str]) -> Json:
    kept: Json = {}
    for key, value in raw.items():
        path, expected = above + key, template.get(key)
        if value is None:
            if expected is not None and path != "r":
                nulls.append(path)
        elif path in said or is_secret(key):
            continue
        elif isinstance(expected, dict) and isinstance(value, Mapping):
            if inner := _difference(value, expected, path + ".", nulls, said):
                kept[key] = inner
        elif (bare := without_nulls(value)) != expected:
            kept[key] = bare
    return kept


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON values
    """Without what is null: TOML can't say it, and Azure takes a missing member of a library for none."""
    if isinstance(value, Mapping):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value if inner is not None] if isinstance(value, list) else value


def cleaned(value: Any, clean: Callable[[str], str], dropped: Callable[[str], None]) -> Any:  # noqa: ANN401
    """``value`` without what must not be kept: texts through ``clean``, secret keys gone after a word to
    ``dropped``; but those whose value is a reference stay."""
    if isinstance(value, Mapping):
        secret = {key for key, inner in value.items() if is_secret(key) and not is_reference(inner)}
        for key in value:
            if key in secret and value[key]:
                dropped(key)
        return {key: cleaned(inner, clean, dropped) for key, inner in value.items() if key not in secret}
    if isinstance(value, list):
        return [cleaned(inner, clean, dropped) for inner in value]
    return clean(value) if isinstance(value, str) else value


def restored(kept: Mapping[str, Any], *, with_r: bool) -> Json:
    """A file with what was kept, and Azure's own default everywhere else."""
    form = _overlaid({**TEMPLATE, "r": R_TEMPLATE if with_r else None}, kept)
    for path in kept.get(NULL, []):
        *sections, key = str(path).split(".")
        section: Any = form
        for name in sections:
            section = section.get(name) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section[key] = None
    form.pop(NULL, None)
    return form


def _overlaid(template: Json, kept: Mapping[str, Any]) -> Json:
    form: Json = {}
    for key, expected in template.items():
        given = kept.get(key)
        if isinstance(expected, dict):
            form[key] = _overlaid(expected, given if isinstance(given, Mapping) else {})
        else:
            form[key] = expected if given is None else given
    return {**form, **{key: value for key, value in kept.items() if key not in template}}


def cran_text(name: str, version: str | None, repository: str | None) -> str:
    """A CRAN package as one text: ``name=version @ repository``."""
    return name + (f"={version}" if version is not None else "") + (f" @ {repository}" if repository else "")


def cran_package(text: str) -> Json:
    """The opposite of :func:`cran_text`."""
    match = _CRAN.fullmatch(text)
    assert match is not None  # every part may be missing
    return {key: match[key] for key in ("name", "version", "repository")}
