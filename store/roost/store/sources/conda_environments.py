"""Where the conda environments of this machine are, found as conda finds them. Files are read; no conda is started.

The order is that of conda's documentation ("Searching for .condarc") and its sources: by path; ``base``;
the folders of ``CONDA_ENVS_PATH`` and ``CONDA_ENVS_DIRS``, then those of ``envs_dirs`` in each condarc, then the
installation's ``envs`` and ``~/.conda/envs``; and last what ``~/.conda/environments.txt`` lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

import yaml

from roost.model.errors import LookupFailedError

_BASE = ("base", "root")
_SYSTEM = ("/etc/conda", "/var/lib/conda")
_SHOWN = 10
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class PrefixUnknownError(LookupFailedError):
    """There is no conda environment of that name or at that path."""

    code = "prefix-unknown"


def find_prefix(text: str, cwd: str, variables: Mapping[str, str]) -> str:
    """The absolute path of the conda environment that ``text`` names. Raises PrefixUnknownError.

    A path has a separator in it, or is ``.``, ``..`` or ``~``; everything else is a name.
    """
    home = variables.get("HOME") or os.path.expanduser("~")
    if "/" in text or text in (".", "..", "~"):
        place = home + text[1:] if text == "~" or text.startswith("~/") else text
        return _checked(os.path.normpath(os.path.join(cwd, place)))
    candidates = list(_named(text, home, variables))
    found = next((path for path in candidates if is_prefix(path)), None)
    if found is None:
        known = sorted({_name_of(path) for path in known_prefixes(home, variables)})
        others = f" It knows {', '.join(known[:_SHOWN])}{' …' if len(known) > _SHOWN else ''}." if known else ""
        raise PrefixUnknownError(
            f"There is no conda environment named {text!r}",
            hint=f"Name it by its path: --prefix /path/to/it.{others}",
            fields={"looked": candidates},
        )
    return found


def is_prefix(path: str) -> bool:
    """Whether conda, mamba or pixi made it."""
    return os.path.isdir(os.path.join(path, "conda-meta"))


def known_prefixes(home: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Every conda environment that can be found, each once."""
    seen: set[str] = set()
    for path in (*_roots(home, variables), *_members(home, variables), *_listed(home)):
        if path not in seen and is_prefix(path):
            seen.add(path)
            yield path


def _checked(path: str) -> str:
    if is_prefix(path):
        return path
    if os.path.exists(os.path.join(path, "pyvenv.cfg")):
        hint = "It is a virtual environment: write its packages with `pip freeze`, and import the file."
    else:
        hint = "Name the folder that holds conda-meta."
    raise PrefixUnknownError(f"{path} is no conda environment: there is no folder conda-meta in it", hint=hint)


def _named(name: str, home: str, variables: Mapping[str, str]) -> Iterator[str]:
    if name in _BASE:
        yield from _roots(home, variables)
    for folder in _folders(home, variables):
        yield os.path.join(folder, name)
    yield from (path for path in _listed(home) if os.path.basename(path) == name)


def _name_of(path: str) -> str:
    return os.path.basename(path) if os.path.basename(os.path.dirname(path)) == "envs" else path


def _members(home: str, variables: Mapping[str, str]) -> Iterator[str]:
    for folder in _folders(home, variables):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        yield from (os.path.join(folder, name) for name in names)


def _folders(home: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Folders of environments, the first one first."""
    for variable in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"):
        yield from (_expanded(part, home, variables) for part in variables.get(variable, "").split(os.pathsep) if part)
    roots = list(_roots(home, variables))
    for path in _condarcs(home, variables, roots):
        yield from (_expanded(folder, home, variables) for folder in _envs_dirs(path))
    mamba = variables.get("MAMBA_ROOT_PREFIX")  # micromamba's is no installation, and holds environments
    yield from (os.path.join(root, "envs") for root in [*roots, *([mamba] if mamba else [])])
    yield os.path.join(home, ".conda", "envs")


def _roots(home: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Installations: those of the caller's variables, and those whose environments are listed."""
    told = [variables.get(name, "") for name in ("CONDA_ROOT", "MAMBA_ROOT_PREFIX")]
    if variables.get("CONDA_EXE"):
        told.append(os.path.dirname(os.path.dirname(variables["CONDA_EXE"])))
    for path in (variables.get("CONDA_PREFIX", ""), *_listed(home)):
        folder = os.path.dirname(path)
        told.append(os.path.dirname(folder) if os.path.basename(folder) == "envs" else path)
    for root in dict.fromkeys(told):
        if root and os.path.isdir(os.path.join(root, "condabin")):
            yield root


def _listed(home: str) -> list[str]:
    try:
        with open(os.path.join(home, ".conda", "environments.txt"), encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return []
    return [os.path.normpath(line) for line in lines if line and not line.startswith("#")]


def _condarcs(home: str, variables: Mapping[str, str], roots: list[str]) -> Iterator[str]:
    """From the most to the least special, as conda merges lists."""
    config = variables.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    folders = [*_SYSTEM, *roots, os.path.join(config, "conda"), os.path.join(home, ".conda"), home]
    places = [path for folder in folders for path in _condarcs_in(folder)]
    yield from reversed([*places, *([variables["CONDARC"]] if variables.get("CONDARC") else [])])


def _condarcs_in(folder: str) -> Iterator[str]:
    yield from (os.path.join(folder, name) for name in ("condarc", ".condarc"))
    inner = os.path.join(folder, "condarc.d")
    if os.path.isdir(inner):
        yield from (os.path.join(inner, name) for name in sorted(os.listdir(inner)) if name.endswith((".yml", ".yaml")))


def _envs_dirs(path: str) -> list[str]:
    """``envs_dirs`` of one condarc (``envs_path`` in old ones); what can't be read says nothing."""
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError):
        return []
    told = content.get("envs_dirs", content.get("envs_path")) if isinstance(content, dict) else None
    return [folder for folder in ([told] if isinstance(told, str) else told or []) if isinstance(folder, str)]


def _expanded(folder: str, home: str, variables: Mapping[str, str]) -> str:
    """With ``~`` and the caller's variables, as far as they are known."""
    place = home + folder[1:] if folder == "~" or folder.startswith("~/") else folder
    return os.path.normpath(_VARIABLE.sub(lambda found: variables.get(found[1] or found[2], found[0]), place))
