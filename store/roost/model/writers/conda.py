"""conda's ``environment.yml`` as requested. Apart from the writers of locks, because Azure's writers embed it too."""

from __future__ import annotations

from typing import Any

from roost.model.writers.draft import Draft, dump_yaml


def write_conda(draft: Draft) -> None:
    """Write ``environment.yml`` with the requested packages."""
    draft.warn_losses(("conda", "pip", "variables"))
    draft.write_main(dump_yaml(build_conda_file(draft)))


def build_conda_file(draft: Draft, *, name: str | None = None, variables: bool = True) -> dict[str, Any]:
    """Return the mapping of a conda environment file; ``name`` goes before the environment's own name.

    Raises: ExportImpossibleError if the definition is an explicit list of package files.
    """
    draft.reject_explicit()
    source = draft.source
    specs: list[Any] = list(source.definition.conda.dependencies)
    lines = draft.format_pip_lines(source.definition.pip.requirements)
    content: dict[str, Any] = {"name": name or source.name} if name or source.name else {}
    if specs or source.definition.conda.channels:
        content["channels"] = list(source.channels)
    content["dependencies"] = [*specs, *([{"pip": lines}] if lines else [])]
    if variables and source.settings.variables:
        content["variables"] = dict(source.settings.variables)
    return content
