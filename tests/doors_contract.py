"""import-linter's contract type ``doors``: what a package's docstring names under ``Doors:`` is all that others import.

As its own ``protected`` type, with the list of protected modules taken from the packages instead of from
``pyproject.toml``, so that the docstring that a reader sees is the one that is held.
"""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output
from tests import house


class DoorsContract(Contract):
    """No module is imported from outside its package unless the package's docstring names it as a door."""

    type_name = "doors"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Return the imports past a door, with their lines."""
        links = []
        for package in house.door_packages():
            opened = house.doors(package) or frozenset()
            for module in house.modules_of(package):
                if module.rpartition(".")[2] in opened:
                    continue
                for importer in graph.find_modules_that_directly_import(module):
                    if house.is_outside(importer, module):
                        lines = graph.get_import_details(importer=importer, imported=module)
                        links.append((importer, module, [each["line_number"] for each in lines]))
        return ContractCheck(kept=not links, metadata={"links": sorted(links)})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each import that passes a door."""
        metadata: dict[str, Any] = dict(check.metadata)
        for importer, module, lines in metadata["links"]:
            output.print_error(f"{importer} imports {module}, which is not a door of its package (l.{lines[0]})")
