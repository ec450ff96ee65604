"""conda's ``environment.yml``: what was asked for, or exactly what a lock chose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from roost.model.definition import Defaults
from roost.model.locks.formats import check_portable, wheel_requirement
from roost.model.locks.lock import CondaPackage, HostPython, Lock
from roost.model.syntax.urls import strip_credentials
from roost.model.writers.parts import Draft, dump_yaml, find_index_options, remote_lists


def write_conda(draft: Draft) -> None:
    """What was asked for."""
    draft.warn_losses(("conda", "pip", "variables"))
    draft.main(dump_yaml(conda_file(draft)))


def write_conda_builds(draft: Draft) -> None:
    """What the lock chose: conda packages by version and build, pip's by version. conda takes such a file on the lock's
    platform only."""
    exported, lock = draft.exported, draft.exported.lock
    assert lock is not None
    check_portable(lock)
    draft.warn_losses(("conda", "pip", "variables"))
    specs: list[Any] = [_exact(package) for package in sorted(lock.conda, key=lambda package: package.name)]
    specs += _host_python(draft, lock)
    if lock.wheels:
        warn_unsaid_indexes(draft)
    lines = index_options(draft) + [wheel_requirement(wheel) for wheel in lock.wheels]
    content = {
        **({"name": exported.name} if exported.name else {}),
        "channels": list(exported.channels),
        "dependencies": [*specs, *([{"pip": lines}] if lock.wheels else [])],
        **({"variables": dict(exported.settings.variables)} if exported.settings.variables else {}),
    }
    draft.main(dump_yaml(content))


def conda_file(draft: Draft, *, name: str | None = None, variables: bool = True) -> dict[str, Any]:
    """The mapping of a conda environment file. Raises ExportImpossibleError for explicit lists."""
    draft.refuse_explicit()
    exported = draft.exported
    specs: list[Any] = list(exported.definition.conda.dependencies)
    lines = draft.pip_lines(exported.definition.pip.requirements)
    content: dict[str, Any] = {"name": name or exported.name} if name or exported.name else {}
    if specs or exported.definition.conda.channels:
        content["channels"] = list(exported.channels)
    content["dependencies"] = [*specs, *([{"pip": lines}] if lines else [])]
    if variables and exported.settings.variables:
        content["variables"] = dict(exported.settings.variables)
    return content


def index_options(draft: Draft) -> list[str]:
    """Where pip looks, in nested files too: a lock's versions may be nowhere else."""
    return find_index_options(draft.exported.definition.pip.requirements)


def warn_unsaid_indexes(draft: Draft, unsaid: Iterable[str] = ()) -> None:
    """A warning of each place where the lock's wheels may be from, and that the export does not say."""
    items, index = draft.exported.definition.pip.requirements, strip_credentials(draft.exported.defaults.index)[0]
    named = any(option.startswith(("--index-url", "--no-index")) for option in index_options(draft))
    own = [] if named or index == Defaults().index else [f"the index of this machine's config, {index}"]
    for text in (*unsaid, *(f"what {url} says of indexes" for url in remote_lists(items)), *own):
        message = f"{draft.format} does not say {text}: where it is used, packages are looked for without that"
        draft.warn("export-index", message)


def _exact(package: CondaPackage) -> str:
    return f"{package.name}={package.version}={package.build}"


def _host_python(draft: Draft, lock: Lock) -> list[str]:
    """The lock counts on a Python of this machine, which conda has to bring elsewhere."""
    if not isinstance(lock.provider, HostPython):
        return []
    draft.warn(
        "export-python", f"the lock was made for this machine's Python {lock.provider.version}: conda brings one"
    )
    return [f"python={lock.provider.version}", "pip"]
