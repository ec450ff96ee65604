"""Search for conda environments of this machine by name or path, in conda's order. Reads files only, without conda.

The order follows conda's documentation ("Searching for .condarc") and its sources:

1. a path
2. ``base``
3. the folders of ``CONDA_ENVS_PATH`` and ``CONDA_ENVS_DIRS``
4. the folders of ``envs_dirs`` in each condarc
5. the installation's ``envs`` and ``~/.conda/envs``
6. the paths that ``~/.conda/environments.txt`` lists
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

import yaml

from roost.model.errors import LookupFailedError
from roost.store.disk.regular_files import read_regular

_BASE_NAMES = ("base", "root")
_SYSTEM_FOLDERS = ("/etc/conda", "/var/lib/conda")
_MAX_NAMES_IN_HINT = 10
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class PrefixUnknownError(LookupFailedError):
    """There is no conda environment of that name or at that path."""

    code = "prefix-unknown"


def find_prefix(text: str, cwd: str, variables: Mapping[str, str]) -> str:
    """Return the absolute path of the conda environment that ``text`` names.

    A ``text`` with a ``/``, and ``.``, ``..`` and ``~``, are paths; everything else is a name.

    Raises:
        PrefixUnknownError: there is no such environment.
    """
    home = variables.get("HOME") or os.path.expanduser("~")
    if "/" in text or text in (".", "..", "~"):
        path = home + text[1:] if text == "~" or text.startswith("~/") else text
        return _check_prefix(os.path.normpath(os.path.join(cwd, path)))
    candidates = list(_candidate_paths(text, home, variables))
    found = next((path for path in candidates if is_prefix(path)), None)
    if found is None:
        known = sorted({_format_prefix_name(path) for path in list_prefixes(home, variables)})
        names = ", ".join(known[:_MAX_NAMES_IN_HINT]) + (" …" if len(known) > _MAX_NAMES_IN_HINT else "")
        others = f" It knows {names}." if known else ""
        raise PrefixUnknownError(
            f"There is no conda environment named {text!r}",
            hint=f"Name it by its path: --prefix /path/to/it.{others}",
            fields={"looked": candidates},
        )
    return found


def is_prefix(path: str) -> bool:
    """Return whether a folder is an environment of conda, mamba or pixi."""
    return os.path.isdir(os.path.join(path, "conda-meta"))


def list_prefixes(home: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the paths of all conda environments that can be found, each once."""
    seen: set[str] = set()
    for path in (*_installations(home, variables), *_paths_in_folders(home, variables), *_read_environments_txt(home)):
        if path not in seen and is_prefix(path):
            seen.add(path)
            yield path


def _check_prefix(path: str) -> str:
    if is_prefix(path):
        return path
    if os.path.exists(os.path.join(path, "pyvenv.cfg")):
        hint = "It is a virtual environment: write its packages with `pip freeze`, and import the file."
    else:
        hint = "Name the folder that contains conda-meta."
    raise PrefixUnknownError(f"{path} is not a conda environment: it has no folder conda-meta", hint=hint)


def _candidate_paths(name: str, home: str, variables: Mapping[str, str]) -> Iterator[str]:
    if name in _BASE_NAMES:
        yield from _installations(home, variables)
    for folder in _environment_folders(home, variables):
        yield os.path.join(folder, name)
    yield from (path for path in _read_environments_txt(home) if os.path.basename(path) == name)


def _format_prefix_name(path: str) -> str:
    return os.path.basename(path) if os.path.basename(os.path.dirname(path)) == "envs" else path


def _paths_in_folders(home: str, variables: Mapping[str, str]) -> Iterator[str]:
    for folder in _environment_folders(home, variables):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        yield from (os.path.join(folder, name) for name in names)


def _environment_folders(home: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders that contain environments, in conda's order."""
    for variable in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"):
        parts = variables.get(variable, "").split(os.pathsep)
        yield from (_expand_folder(part, home, variables) for part in parts if part)
    roots = list(_installations(home, variables))
    for path in _condarc_paths(home, variables, roots):
        yield from (_expand_folder(folder, home, variables) for folder in _read_envs_dirs(path))
    mamba = variables.get("MAMBA_ROOT_PREFIX")  # micromamba's root is not an installation, but contains environments
    yield from (os.path.join(root, "envs") for root in [*roots, *([mamba] if mamba else [])])
    yield os.path.join(home, ".conda", "envs")


def _installations(home: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the installations of conda: from the caller's variables, and of listed environments."""
    candidates = [variables.get(name, "") for name in ("CONDA_ROOT", "MAMBA_ROOT_PREFIX")]
    if variables.get("CONDA_EXE"):
        candidates.append(os.path.dirname(os.path.dirname(variables["CONDA_EXE"])))
    for path in (variables.get("CONDA_PREFIX", ""), *_read_environments_txt(home)):
        folder = os.path.dirname(path)
        candidates.append(os.path.dirname(folder) if os.path.basename(folder) == "envs" else path)
    for root in dict.fromkeys(candidates):
        if root and os.path.isdir(os.path.join(root, "condabin")):
            yield root


def _read_environments_txt(home: str) -> list[str]:
    try:
        data = read_regular(os.path.join(home, ".conda", "environments.txt"))
        lines = [line.strip() for line in data.decode("utf-8", "surrogateescape").splitlines()]
    except OSError:
        return []
    return [os.path.normpath(line) for line in lines if line and not line.startswith("#")]


def _condarc_paths(home: str, variables: Mapping[str, str], roots: list[str]) -> Iterator[str]:
    """Yield condarc files from the most to the least specific one, as conda merges lists."""
    config = variables.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    folders = [*_SYSTEM_FOLDERS, *roots, os.path.join(config, "conda"), os.path.join(home, ".conda"), home]
    paths = [path for folder in folders for path in _condarcs_in_folder(folder)]
    yield from reversed([*paths, *([variables["CONDARC"]] if variables.get("CONDARC") else [])])


def _condarcs_in_folder(folder: str) -> Iterator[str]:
    yield from (os.path.join(folder, name) for name in ("condarc", ".condarc"))
    inner = os.path.join(folder, "condarc.d")
    if os.path.isdir(inner):
        yield from (os.path.join(inner, name) for name in sorted(os.listdir(inner)) if name.endswith((".yml", ".yaml")))


def _read_envs_dirs(path: str) -> list[str]:
    """Return ``envs_dirs`` of one condarc (``envs_path`` in old ones); nothing if the file can't be read."""
    try:
        content = yaml.safe_load(read_regular(path))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return []
    value = content.get("envs_dirs", content.get("envs_path")) if isinstance(content, dict) else None
    folders = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [folder for folder in folders if isinstance(folder, str)]


def _expand_folder(folder: str, home: str, variables: Mapping[str, str]) -> str:
    """Expand ``~`` and the caller's variables in a folder; unknown variables stay."""
    path = home + folder[1:] if folder == "~" or folder.startswith("~/") else folder
    return os.path.normpath(_VARIABLE.sub(lambda match: variables.get(match[1] or match[2], match[0]), path))
