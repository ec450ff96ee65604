"""conda's ``environment.yml``: what was asked for, or exactly what a lock chose."""

from __future__ import annotations

from typing import Any

from roost.store.lock import CondaPackage, HostPython, Lock
from roost.store.lock_formats import check_portable, wheel_requirement
from roost.store.writers.parts import Draft, dump_yaml


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
    """Where pip looks: a lock's versions may be nowhere else."""
    items = draft.exported.definition.pip.requirements
    options = [item.text for item in items if item.kind == "option" and item.digest is None]
    return [text for text in options if "index" in text.partition(" ")[0] or text.startswith("--find-links")]


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
