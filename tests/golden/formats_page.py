"""The page about other tools' files: what becomes of each key, from the tables that the readers use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from roost.model.readers.azure import _KNOWN_KEYS as V2_KEYS
from roost.model.readers.azure_jobs import _READ_KEYS as JOB_KEYS
from roost.model.readers.azure_sdk import _MORE_KEYS as SDK_MORE_KEYS
from roost.model.readers.mistakes import unread_files
from roost.model.readers.mistakes.file_signatures import SIGNATURES
from roost.model.readers.mistakes.other_files import CONDA_KEYS, CONDA_TOOL_KEYS
from roost.model.readers.mistakes.unread_files import OtherFile
from roost.model.readers.pyproject import _PROJECT_KEYS as PROJECT_KEYS
from roost.model.readers.pyproject import _SCRIPT_KEYS as SCRIPT_KEYS
from roost.model.syntax.azure import _READ_PATHS as SDK_READ_PATHS
from roost.model.syntax.azure import R_TEMPLATE, TEMPLATE, V2_EXPORTED_KEYS, V2_PASSTHROUGH_KEYS
from roost.model.syntax.pip_options import _FLAGS, _OF_REQUIREMENTS, _WITH_VALUE, SHORT_OPTIONS

Rows = dict[str, str]
NO_EFFECT = "no effect"
STORED = "stored, and written by an export to this format; nothing else"

CONDA: Rows = {
    "name": "the environment's name; not digested",
    "channels": "the channels, in order; `defaults` is conda's main and r channels, `nodefaults` is dropped",
    "dependencies": "match specs, in order; the list under `- pip:` is a requirements file, with `-r` and `-c`",
    "prefix": f"{NO_EFFECT}: roost chooses where an environment lies",
    "variables": "variables of commands in the environment; not digested",
}
PROJECT: Rows = {
    "name": "the environment's name; not digested",
    "requires-python": "bounds of Python",
    "dependencies": "requirements",
    "optional-dependencies": "the extras, which `--extra NAME` chooses",
    "dynamic": "`dependencies` in it is an error, because reading runs no code; all else has no effect on packages",
    "scripts": "commands of the project, if the [project itself](projects.md) is installed",
    "gui-scripts": "the same",
    "entry-points": "the same",
}
PROJECT_REST = "has no effect on packages; the build backend reads it"
SCRIPT: Rows = {
    "dependencies": "requirements",
    "requires-python": "bounds of Python",
    "tool": "`[tool.uv]` is followed ([tool-tables](tool-tables.md)); any other table has no effect",
}
OPTIONS: Rows = {
    "--requirement": "the lines of another file",
    "--constraint": "a file of constraints: bounds for packages, installs nothing",
    "--editable": "a project that is installed so that changes of its sources act at once",
    "--index-url": "the package index, in place of the configured one",
    "--extra-index-url": "a further package index",
    "--find-links": "a folder or page of packages, searched beside the indexes",
    "--no-index": "no index is asked",
    "--no-binary": "these packages are built from source",
    "--only-binary": "cancels an earlier `--no-binary`; wheels are preferred anyway",
    "--all-releases": "pre-releases of these packages are allowed",
    "--only-final": "pre-releases of these packages are not allowed",
    "--pre": "pre-releases of all packages are allowed",
    "--trusted-host": "the certificate of this host is not checked",
    "--require-hashes": "every package needs a digest",
    "--no-require-hashes": "cancels `--require-hashes`",
    "--hash": "behind a requirement: the digests that its files may have",
    "--prefer-binary": f"{NO_EFFECT}, which is reported",
    "--use-feature": f"{NO_EFFECT}, which is reported",
    "--config-settings": "an error: what a build is given is not part of the lock",
    "--config-setting": "the same",
}
V2: Rows = {
    "$schema": "says what the file is",
    "name": "the environment's name; not digested",
    "image": "the base image",
    "build": "a build context: `path`, and `dockerfile_path` in it",
    "docker": "the early form of `image`; `docker.build` is refused",
    "conda_file": "conda packages: a file, or written in place",
    **dict.fromkeys(V2_PASSTHROUGH_KEYS, STORED),
    **dict.fromkeys(V2_EXPORTED_KEYS, NO_EFFECT),
}
JOB: Rows = {
    "$schema": "says what the file is",
    "type": "the same",
    "environment": "the environment: in place, a file, or one that is registered here",
    "environment_variables": "variables of commands in the environment; not digested",
    "trial": "leads to an environment",
    "task": "the same",
    "jobs": "the same, for each job of a pipeline",
    "component": "the same; a local file is read",
    "create_job": "the same, for a schedule",
    "deployments": "the same, for deployments of an endpoint",
    "spec": "the environment of an asset with `type: environment`",
    "extra_config": "the build context of an asset",
    "name": "the environment's name, of an asset",
    "version": NO_EFFECT,
}
SDK_REFUSED = {"docker.buildContext": "refused: it is in Azure's storage or in git; name the folder with `-f`"}
SDK_FILES = {
    "python.condaDependenciesFile": "packages, in this file",
    "python.condaDependencies": "packages, written in place",
    "python.gpuSupport": NO_EFFECT,
    "python.baseCondaEnvironment": "stored; no effect, which is reported",
    "docker.baseImageRegistry.address": "in front of the base image's name",
    "docker.platform": "the platform of the image",
    "docker.baseImageRegistry.username": "not stored, which is reported: credentials come from elsewhere",
    "docker.baseImageRegistry.password": "the same",
    "spark.repositories": "stored and digested; nothing is installed from it yet",
    "spark.packages": "the same",
    "r": "the same",
    "inferencingStackVersion": "the same",
    "name": "the environment's name; not digested",
    "environmentVariables": "variables of commands in the environment; not digested",
    "python.interpreterPath": "the Python to use, if `userManagedDependencies` is true",
    "python.userManagedDependencies": "use that Python as it is",
    "docker.baseImage": "the base image",
    "docker.baseDockerfile": "the text of a Dockerfile, which needs no build context",
    "docker.shmSize": "size of `/dev/shm` in containers; not digested",
    "docker.arguments": "further options of `docker run`; not digested",
}
HEAD = """# Other tools' files

What roost does with each key of the formats that it reads. [Environment files](environment-files.md) says which file a
command uses, how formats are told apart, and which mistakes are errors; [tool-tables](tool-tables.md) has `[tool.uv]`
and other tools' tables of a `pyproject.toml`. An unknown key is a warning, unless it is almost a known one: then it is
an error, because what is under it was meant to count.

`roost env import PATH` registers any of these, and `roost env export --format FORMAT` writes `azure`, `azure-v2`,
`conda`, `conda-builds`, `conda-lock`, `explicit`, `pixi`, `requirements` and `roost`.
"""
LOCKS = """## Locks

| file | what is read |
|---|---|
| `conda-lock.yml`, format 1 | packages of the categories `main` and `dev`, for each platform, with their digests |
| `pixi.lock`, format 6 | the environment `default`, for each platform, with its digests |
| explicit list (`@EXPLICIT`) | URLs of conda packages, with `#sha256:…` or `#md5` |
| `conda list --export` (`name=version=build`) | match specs |
| `uv.lock`, `pylock.toml` | [requirements with versions, places and digests](environment-files.md) |
"""
DOCKER = """## Dockerfiles

A Dockerfile, or a folder with one (the build context), is built by the engine as it is. Nothing in it is interpreted,
but that a Dockerfile which is named alone must not copy from a context, and that credentials in it are refused.
"""


def format_page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_format_sections()])


def check_rows(rows: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise AssertionError unless every key that a reader knows is on the page, and no other."""
    assert set(rows) == set(known), f"{what}: {sorted(set(rows) ^ set(known))}"


def _format_sections() -> Iterator[str]:
    check_rows(CONDA, CONDA_KEYS, "conda")
    tools = dict.fromkeys(CONDA_TOOL_KEYS, f"{NO_EFFECT}, which is reported")
    yield _format_table("conda's `environment.yml`", "key", {**CONDA, **tools})
    check_rows(OPTIONS, (*_WITH_VALUE, *_FLAGS, *_OF_REQUIREMENTS), "options")
    short = {long: letter for letter, long in SHORT_OPTIONS.items()}
    options = {f"{short[name]}, {name}" if name in short else name: text for name, text in OPTIONS.items()}
    yield _format_table("requirements files", "option", options)
    assert set(PROJECT) <= set(PROJECT_KEYS)
    rest = {key: PROJECT_REST for key in PROJECT_KEYS if key not in PROJECT}
    yield _format_table("`[project]` of a `pyproject.toml`", "key", {**PROJECT, **rest})
    yield (
        "`[dependency-groups]` (PEP 735) are the groups, which `--group NAME` chooses. `[build-system]` decides\n"
        "whether the [project itself](projects.md) is installed.\n"
    )
    check_rows(SCRIPT, (*SCRIPT_KEYS, "tool"), "scripts")
    yield _format_table("the metadata of a script (PEP 723)", "key", SCRIPT)
    check_rows(V2, V2_KEYS, "azure-v2")
    yield _format_table("Azure ML: environment of the CLI v2", "key", V2)
    check_rows(JOB, JOB_KEYS, "azure-job")
    yield _format_table("Azure ML: jobs, components, deployments, pipelines, schedules", "key", JOB)
    yield "Any other key of these files has no effect, which is reported.\n"
    yield _format_table("Azure ML: `azureml_environment.json`, and `environment` of a run configuration", "key", _sdk())
    yield LOCKS
    yield DOCKER
    yield _format_table("Files that are refused", "file", _unread_files())
    yield "Files that look like an environment and are none are refused with what they are:\n"
    yield _wrap_names(sorted({signature.what for signature in SIGNATURES}))


def _sdk() -> Rows:
    """Return what becomes of each path of the file that Azure's SDK writes."""
    paths = [*_list_paths({**TEMPLATE, "r": None}, ""), *(f"python.{key}" for key in SDK_MORE_KEYS)]
    verdicts = {**SDK_FILES, **SDK_REFUSED}
    assert set(verdicts) <= set(paths), sorted(set(verdicts) - set(paths))
    read = {path for path in SDK_READ_PATHS if not path.startswith("r.")}
    assert read <= set(verdicts), sorted(read - set(verdicts))
    assert {path.removeprefix("r.") for path in SDK_READ_PATHS if path.startswith("r.")} <= set(R_TEMPLATE)
    return {path: verdicts.get(path, STORED) for path in paths}


def _list_paths(template: Mapping[str, object], prefix: str) -> Iterator[str]:
    for key, value in template.items():
        path = prefix + key
        if isinstance(value, dict) and value and path not in SDK_FILES:
            yield from _list_paths(value, f"{path}.")
        else:
            yield path


def _unread_files() -> Rows:
    named = {name: value for name, value in vars(unread_files).items() if isinstance(value, OtherFile)}
    tables = {f"[tool.{'.'.join(keys)}]": other for keys, other in unread_files._TOOL_TABLES.items()}
    return {
        **{each.what.removeprefix("a ").removeprefix("an "): each.hint for each in named.values()},
        **{f"`{table}` without `[project]`": other.hint for table, other in tables.items()},
    }


def _format_table(title: str, head: str, rows: Rows) -> str:
    cells = "\n".join(
        f"| {_code(key) if head in ('key', 'option') else key} | {text.replace('|', chr(92) + '|')} |"
        for key, text in rows.items()
    )
    return f"## {title[:1].upper()}{title[1:]}\n\n| {head} | what becomes of it |\n|---|---|\n{cells}\n"


def _code(key: str) -> str:
    return ", ".join(f"`{each}`" for each in key.split(", "))


def _wrap_names(names: list[str]) -> str:
    return "\n".join(f"- {name}" for name in names) + "\n"
